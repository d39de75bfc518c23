"""Whom notifications go to."""

from __future__ import annotations

from typing import Protocol

from erpsyncd.domain.notifications import Notification


class NotDelivered(Exception):
    """Nobody took the notification; the reason names the host at most, never the address."""


class Target(Protocol):
    """Who is told."""

    async def deliver(self, notification: Notification) -> None:
        """Tell him, in a bounded time.

        Raises:
            NotDelivered: he could not be told.
        """
        ...

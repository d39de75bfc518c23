"""How far a request has got, so that "never sent" is known, not guessed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum, auto

from erpsyncd.domain.ports import StillAllowed
from erpsyncd.netserver.limits import RemoteLimits


class Stage(Enum):
    """How far a request has got, as far as we know."""

    BUILDING = auto()
    """Not handed to the network yet."""

    HANDED_OVER = auto()
    """Handed to the network, which has not said anything: it may have been sent."""

    CONNECTING = auto()
    SENDING = auto()


class HeldUp(Exception):
    """A request was not allowed to leave any more when it could."""


class Progress:
    """Follows one request, so that "never sent" is known, not guessed."""

    __slots__ = ("_bound", "_connected_by", "_deadline", "_leave", "_still_allowed", "stage")

    def __init__(self, leave: Callable[[], None] = lambda: None, still_allowed: StillAllowed = lambda: True) -> None:
        """`leave` is called when the first byte of the request goes out, if it is `still_allowed` to."""
        self.stage = Stage.BUILDING
        self._leave = leave
        self._still_allowed = still_allowed
        self._bound: asyncio.Timeout | None = None
        self._deadline = self._connected_by = 0.0

    def bound(self, limits: RemoteLimits) -> asyncio.Timeout:
        """Return what raises `TimeoutError` where the request has no whole answer in time.

        Where it has to connect before it leaves, that has a time of its own.
        """
        now = asyncio.get_running_loop().time()
        self._deadline = now + limits.deadline_seconds
        self._connected_by = min(self._deadline, now + limits.connect_seconds)
        self._bound = asyncio.timeout_at(self._deadline)
        return self._bound

    def connect(self) -> None:
        """Take note that a connection is being made for the request, which has not left so far."""
        if self.stage is Stage.HANDED_OVER:
            self.stage = Stage.CONNECTING
            if self._bound is not None:
                self._bound.reschedule(self._connected_by)

    def leave(self) -> None:
        """Take note that the request leaves now: it may arrive, and the answer may take as long as there is time.

        Raises:
            HeldUp: it may not leave any more.
        """
        if not self._still_allowed():
            raise HeldUp
        if self.stage is Stage.CONNECTING and self._bound is not None:
            self._bound.reschedule(self._deadline)
        self.stage = Stage.SENDING
        self._leave()

    @property
    def never_sent(self) -> bool:
        """Whether nothing can have arrived."""
        return self.stage in (Stage.BUILDING, Stage.CONNECTING)

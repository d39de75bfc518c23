"""One notification to one command: no shell, an environment of its own, and a limited time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from erpsyncd.domain.notifications import RECOVERED, Notification
from erpsyncd.hooks.targets import NotDelivered

#: Of the daemon's environment only these: the rest may hold passwords of tenants.
_KEPT = ("PATH", "HOME", "LANG", "TZ", "USER", "LOGNAME")
_GRACE_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program with its arguments. It runs as whoever runs erpsyncd, and with no more rights."""

    words: tuple[str, ...]
    on: frozenset[str]
    """Words that it is run for (`Notification.words`)."""

    deadline_seconds: float
    environ: Mapping[str, str]

    async def deliver(self, notification: Notification) -> None:
        """Run it, with the notification on its stdin, unless it does not care for this one.

        Raises:
            NotDelivered: it cannot be started, took too long, or ended with another code than 0.
        """
        if not self.on & notification.words:
            return
        name = Path(self.words[0]).name
        try:
            process = await asyncio.create_subprocess_exec(
                *self.words,
                stdin=PIPE,
                stdout=DEVNULL,
                stderr=DEVNULL,
                env=self._environment(notification),
                # A group of its own: a signal to the daemon is not meant for it, and its children end with it.
                start_new_session=True,
            )
        except OSError as exc:
            raise NotDelivered(f"{name} cannot be started: {exc.strerror}") from None
        try:
            async with asyncio.timeout(self.deadline_seconds):
                await process.communicate(json.dumps(notification.body).encode() + b"\n")
        except TimeoutError:
            raise NotDelivered(f"{name} took longer than {self.deadline_seconds:g} s and was ended") from None
        finally:
            if process.returncode is None:
                await _end(process)
        if process.returncode != 0:
            raise NotDelivered(f"{name} ended with {process.returncode}")

    def _environment(self, notification: Notification) -> dict[str, str]:
        kept = {name: self.environ[name] for name in _KEPT if name in self.environ}
        told = {
            "ERPSYNCD_EVENT": RECOVERED if notification.recovered else str(notification.event),
            "ERPSYNCD_STATUS": str(notification.body.get("status") or ""),
            "ERPSYNCD_RUN": str(notification.body.get("run_id") or ""),
        }
        return kept | told


async def _end(process: Process) -> None:
    """End it with all that it has started; who does not go when asked is not asked again."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _GRACE_SECONDS)
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()

"""The watchdog: systemd hears of us only while the loop, its scheduler and the store all move."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from apscheduler.schedulers.base import BaseScheduler
from apscheduler.triggers.interval import IntervalTrigger

from erpsyncd.errors import DaemonError

if TYPE_CHECKING:
    from erpsyncd.service.notify import Notifier

#: The name of the job.
WATCHDOG = "watchdog"

#: Signs of life within the time after which systemd takes the service for hung: one may be late, one may be lost.
_SIGNS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Watchdog:
    """Gives signs of life. The scheduler runs `pulse` as one of its jobs, so one that stands still gives none."""

    notifier: Notifier
    interval: timedelta
    """How long from one sign to the next."""

    store_moves: Callable[[], Awaitable[None]]
    """Goes the way of a read and of a write; does not come back while the store hangs."""

    async def pulse(self) -> None:
        """Wait until the store has moved, then tell systemd."""
        # A store that fails has answered. Passes tell of it, and starting again would not mend it.
        with suppress(DaemonError):
            await self.store_moves()
        self.notifier.alive()


def arm(scheduler: BaseScheduler, watchdog: Watchdog, *, now: datetime) -> None:
    """Let the scheduler give signs of life, the first of them now."""
    every = IntervalTrigger(seconds=watchdog.interval.total_seconds(), timezone=UTC)
    scheduler.add_job(watchdog.pulse, every, id=WATCHDOG, name=WATCHDOG, next_run_time=now)


def watchdog_interval(environ: Mapping[str, str], *, pid: int) -> timedelta | None:
    """Return how often systemd is given a sign of life; None where it does not watch this process.

    As sd_watchdog_enabled(3) says.

    Args:
        environ: where systemd put WATCHDOG_USEC and WATCHDOG_PID.
        pid: this process, which may not be the one that is meant.
    """
    microseconds = environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdecimal() or not int(microseconds):
        return None
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    return timedelta(microseconds=int(microseconds)) / _SIGNS

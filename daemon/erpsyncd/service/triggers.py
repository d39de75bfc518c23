"""When a job of the daemon runs, as APScheduler understands it."""

from __future__ import annotations

from datetime import UTC, timedelta

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from erpsyncd.errors import ConfigurationError


def trigger_of(when: timedelta | str, jitter: timedelta) -> BaseTrigger:
    """Return APScheduler's trigger for an interval or a cron expression."""
    if isinstance(when, timedelta):
        # More jitter than interval would let a job overtake itself.
        seconds = min(jitter.total_seconds(), when.total_seconds() / 4)
        return IntervalTrigger(seconds=when.total_seconds(), jitter=seconds or None, timezone=UTC)
    try:
        trigger = CronTrigger.from_crontab(when, timezone=UTC)
    except ValueError as exc:
        raise ConfigurationError(f"schedule: {when!r} is not a cron expression: {exc}") from exc
    trigger.jitter = jitter.total_seconds() or None
    return trigger

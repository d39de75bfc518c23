"""Telling those who watch a run, without letting them get into its way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from erpsyncd.domain.watching import FinishedRun, RunWatcher, StartedRun
from erpsyncd.errors import Crashed, DaemonError, RunInterrupted

if TYPE_CHECKING:
    from erpsyncd.domain.results import RunReport
    from erpsyncd.service.policy import RunOptions

log = structlog.stdlib.get_logger(__name__)


async def watched(
    work: Callable[[RunOptions], Awaitable[RunReport]],
    options: RunOptions,
    *,
    watchers: Iterable[RunWatcher],
    now: Callable[[], datetime],
) -> RunReport:
    """Make a run, and tell the watchers that it begins and how it ended; what it raises goes through."""
    started, clock = StartedRun(trigger=options.trigger, dry_run=options.dry_run, started_at=now()), time.monotonic()
    _tell(watchers, lambda watcher: watcher.run_started(started))
    report, error = None, None
    try:
        report = await work(options)
    except BaseException as exc:
        error = exc
        raise
    else:
        return report
    finally:
        reason = None if error is None else _explained(error)
        finished = FinishedRun(
            started=started,
            finished_at=max(now(), started.started_at),
            duration=timedelta(seconds=time.monotonic() - clock),
            report=report,
            error_class=None if reason is None else reason.error_class,
            error=None if reason is None else str(reason),
        )
        _tell(watchers, lambda watcher: watcher.run_finished(finished))


def _tell(watchers: Iterable[RunWatcher], tell: Callable[[RunWatcher], None]) -> None:
    for watcher in watchers:
        try:
            tell(watcher)
        except Exception:  # a defect of his must not become the run's
            log.exception("watcher.crashed", watcher=type(watcher).__name__)


def _explained(error: BaseException) -> DaemonError:
    if isinstance(error, DaemonError):
        return error
    if isinstance(error, asyncio.CancelledError):
        return RunInterrupted("cut off while stopping; what was under way is settled by the next run")
    return Crashed("a defect in erpsyncd ended this run; see its log")

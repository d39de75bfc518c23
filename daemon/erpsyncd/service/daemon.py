"""The daemon's life: schedule, signals, reload, an orderly end."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from erpsyncd.errors import ConfigurationError, DaemonError, StoreOutdated
from erpsyncd.service.policy import Policy, RunOptions
from erpsyncd.service.signs import signals_delivered_to, summary_of
from erpsyncd.service.triggers import trigger_of
from erpsyncd.service.watchdog import WATCHDOG, Watchdog, arm

if TYPE_CHECKING:
    from erpsyncd.service.notify import Notifier
    from erpsyncd.service.reconciler import Reconciler

log = structlog.stdlib.get_logger(__name__)

_CLOCK_LOOKS = timedelta(seconds=1)
#: Less than this between two looks is this process waiting for its turn, not a clock that was set.
_CLOCK_TOLERANCE = timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When the jobs run: an interval or a cron expression of five fields, in UTC."""

    reconcile: timedelta | str
    quote_check: timedelta | str
    prune: timedelta | str
    jitter: timedelta
    stop_within: timedelta
    """How long calls in flight may take to end after SIGTERM."""

    drift: timedelta | None = None
    """How old a look at what a tenant has may get; None to make none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """What a SIGHUP may change without a restart."""

    schedule: Schedule
    policy: Policy
    restart_needed: tuple[str, ...] = ()
    """The settings that differ but are only read at start."""


class History(Protocol):
    """What the prune job needs of the store."""

    async def prune(self, *, now: datetime) -> int:
        """Forget history past its retention; return how many rows went."""
        ...


@dataclass(kw_only=True)
class Daemon:
    """Runs the jobs until it is told to stop. It never ends because of a tenant."""

    reconciler: Reconciler
    history: History
    schedule: Schedule
    reload: Callable[[], Reloaded]
    """Reads the settings again and applies the log level.

    Raises:
        ConfigurationError: the file is bad; nothing was changed.
    """

    notifier: Notifier
    watchdog: Watchdog | None = None
    """What gives systemd signs of life, where it wants them."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    wall_clock: Callable[[], float] = time.time
    """Seconds since 1970, compared with the monotonic clock."""

    _one_run_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _signals: asyncio.Queue[signal.Signals] = field(default_factory=asyncio.Queue, init=False)
    _clock_offset: float = field(init=False)
    _fatal: DaemonError | None = field(default=None, init=False)
    _jobs: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _scheduler: AsyncIOScheduler | None = field(default=None, init=False)
    _last_pass: str = field(default="no pass yet", init=False)

    async def run(self) -> int:
        """Run until SIGTERM or SIGINT; return the exit code, which is 0 for an orderly end.

        Raises:
            StoreOutdated: a newer version upgraded the store; this one must not write to it.
        """
        self._clock_offset = self.wall_clock() - time.monotonic()
        scheduler = AsyncIOScheduler(
            timezone=UTC,
            # The defaults drop a run that is a second late, and pile up those that a sleeping machine missed.
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )
        self._scheduler = scheduler
        with signals_delivered_to(self._signals):
            self._add_jobs(scheduler)
            scheduler.start()
            watch = asyncio.create_task(self._watch_clock(scheduler))
            self.notifier.ready(self._standing())
            log.info("service.started", next_run=self._next_run(scheduler))
            try:
                await self._until_told_to_stop(scheduler)
                # Not shutdown, which would cut off the run in flight; the watchdog must go on until the end.
                for job in scheduler.get_jobs():
                    if job.id != WATCHDOG:
                        job.pause()
                await self._stop()
            finally:
                watch.cancel()
                scheduler.shutdown(wait=False)
        log.info("service.stopped")
        if self._fatal is not None:
            raise self._fatal
        return 0

    def _add_jobs(self, scheduler: AsyncIOScheduler) -> None:
        """Arm every job; the first pass comes at once, because a restart must not cost an interval."""
        for name, job, when, first in (
            ("reconcile", self._reconcile, self.schedule.reconcile, self.now()),
            ("quote_check", self._quote_check, self.schedule.quote_check, None),
            ("prune", self._prune, self.schedule.prune, self.now()),
        ):
            trigger = trigger_of(when, self.schedule.jitter)
            # Named explicitly: without the argument APScheduler asks the trigger, with None it pauses the job.
            start = {} if first is None else {"next_run_time": first}
            scheduler.add_job(self._task(job), trigger, id=name, name=name, replace_existing=True, **start)
        if self.watchdog is not None:
            arm(scheduler, self.watchdog, now=self.now())
        self._arm_drift(scheduler)

    def _arm_drift(self, scheduler: AsyncIOScheduler) -> None:
        """Arm or disarm the looks at what tenants have.

        They come more often than a tenant is looked at, so that none waits for long after a restart; how old its last
        look is decides. The first passes go before the first of them.
        """
        every = self.schedule.drift
        if every is None:
            if scheduler.get_job("drift") is not None:
                scheduler.remove_job("drift")
            return
        trigger = trigger_of(max(every / 4, timedelta(seconds=1)), self.schedule.jitter)
        scheduler.add_job(self._task(self._drift), trigger, id="drift", name="drift", replace_existing=True)

    def _task(self, job: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            task = asyncio.current_task()
            assert task is not None, "the scheduler runs coroutines in tasks"
            self._jobs.add(task)
            try:
                async with self._one_run_at_a_time:
                    if not self.reconciler.stopping.is_set():
                        await job()
            except asyncio.CancelledError:
                # Cut off while stopping, which `_stop` has said; otherwise nobody cancels jobs.
                if not self.reconciler.stopping.is_set():
                    raise
            except StoreOutdated as exc:
                self._fatal = exc
                self._signals.put_nowait(signal.SIGTERM)
            except DaemonError as exc:
                # The error is one that erpsyncd explains; a traceback would only hide its sentence.
                log.error("run.failed", error_class=exc.error_class, error=str(exc))  # noqa: TRY400 -- see above
            finally:
                self._jobs.discard(task)

        return run

    async def _reconcile(self) -> None:
        self.notifier.status(f"a pass is under way; {self._last_pass}")
        try:
            report = await self.reconciler.run(RunOptions(trigger="reconcile", scheduled=True))
            self._last_pass = summary_of(report)
        except DaemonError as exc:
            self._last_pass = f"the last pass could not be made: {exc}"
            raise
        finally:
            self.notifier.status(self._standing())

    async def _quote_check(self) -> None:
        if self.reconciler.policy.checks_enabled:
            await self.reconciler.run(RunOptions(trigger="quote_check", scheduled=True, only_checks=True))

    async def _drift(self) -> None:
        await self.reconciler.run(RunOptions(trigger="drift", scheduled=True, only_drift=True))

    async def _prune(self) -> None:
        rows = await self.history.prune(now=self.now())
        log.info("history.pruned", rows=rows)

    async def _until_told_to_stop(self, scheduler: AsyncIOScheduler) -> None:
        while True:
            received = await self._signals.get()
            log.info("signal.received", signal=received.name)
            if received is not signal.SIGHUP:
                return
            self._reload(scheduler)

    def _reload(self, scheduler: AsyncIOScheduler) -> None:
        self.notifier.reloading()
        try:
            reloaded = self.reload()
        except ConfigurationError as exc:
            kept = "the settings that were in force"
            log.error("settings.rejected", error=str(exc), kept=kept)  # noqa: TRY400 -- the sentence says it all
        else:
            rearm = reloaded.schedule != self.schedule
            self.schedule, self.reconciler.policy = reloaded.schedule, reloaded.policy
            if rearm:
                self._rearm(scheduler)
            log.info("settings.reloaded", restart_needed=list(reloaded.restart_needed))
        self.notifier.ready(self._standing())

    def _rearm(self, scheduler: AsyncIOScheduler) -> None:
        """Let every job run as the schedule says from now on."""
        for name in ("reconcile", "quote_check", "prune"):
            scheduler.reschedule_job(name, trigger=trigger_of(getattr(self.schedule, name), self.schedule.jitter))
        self._arm_drift(scheduler)

    async def _watch_clock(self, scheduler: AsyncIOScheduler) -> None:
        while True:
            await asyncio.sleep(_CLOCK_LOOKS.total_seconds())
            self._mend_clock_jump(scheduler)

    def _mend_clock_jump(self, scheduler: AsyncIOScheduler) -> None:
        """Look at the jobs again when the wall clock was set: they wait for a time of day that may be far off now.

        After a jump forward, as a machine that slept sees it, what was missed is due now, once. After one back,
        an interval ends when it would have ended, and a time of day comes when the clock says so.
        """
        jump = self.wall_clock() - time.monotonic() - self._clock_offset
        if abs(jump) <= _CLOCK_TOLERANCE.total_seconds():
            return
        self._clock_offset += jump
        log.warning("clock.jumped", seconds=round(jump))
        now = datetime.fromtimestamp(self.wall_clock(), UTC)
        for job in scheduler.get_jobs():
            if jump > 0:
                job.modify(next_run_time=max(job.next_run_time, now))
            elif isinstance(job.trigger, IntervalTrigger):
                job.modify(next_run_time=max(job.next_run_time + timedelta(seconds=jump), now))
            else:
                job.reschedule(job.trigger)

    async def _stop(self) -> None:
        """Let calls in flight end; after `stop_within`, or at a second signal, cut them off.

        What is cut off leaves its intent open, and the next start settles it.
        """
        self.notifier.stopping(self.schedule.stop_within)
        self.reconciler.stopping.set()
        running = set(self._jobs)
        if not running:
            return
        log.info("service.stopping", jobs=len(running), stop_within_s=self.schedule.stop_within.total_seconds())
        impatient = asyncio.create_task(self._second_signal())
        ended = asyncio.create_task(_all_done(running))
        await asyncio.wait(
            {impatient, ended},
            timeout=self.schedule.stop_within.total_seconds(),
            return_when=asyncio.FIRST_COMPLETED,
        )
        impatient.cancel()
        if not ended.done():
            log.warning("service.cut_off", jobs=len(self._jobs))
            for task in running:
                task.cancel()
            await ended

    async def _second_signal(self) -> None:
        while await self._signals.get() is signal.SIGHUP:
            pass

    def _standing(self) -> str:
        """Return the line for `systemctl status`."""
        return f"{self._last_pass}; {self._next_run(self._scheduler)}" if self._scheduler else self._last_pass

    def _next_run(self, scheduler: AsyncIOScheduler) -> str:
        job = scheduler.get_job("reconcile")
        when = job.next_run_time if job else None
        return f"next pass at {when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if when else "no pass is scheduled"


async def _all_done(tasks: set[asyncio.Task[None]]) -> None:
    """Wait for all of them, however they end."""
    await asyncio.wait(tasks)

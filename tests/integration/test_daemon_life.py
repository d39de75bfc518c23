"""The daemon in this process: its schedule, its signals, what it tells systemd, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from structlog.testing import capture_logs

from erpsyncd.domain.results import RunReport
from erpsyncd.errors import ConfigurationError, StoreError, StoreOutdated
from erpsyncd.service.daemon import Daemon, Reloaded, Schedule
from erpsyncd.service.notify import Notifier
from erpsyncd.service.policy import Policy, RunOptions
from erpsyncd.service.reconciler import Reconciler
from erpsyncd.service.triggers import trigger_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LONG = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SCHEDULE = Schedule(reconcile=LONG, quote_check=LONG, prune=LONG, jitter=timedelta(0), stop_within=LONG)


@dataclass
class FakeReconciler:
    """Counts runs, and does in them what a test wants."""

    work: Callable[[], Awaitable[None]] | None = None
    policy: Policy = field(default_factory=Policy)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    runs: list[RunOptions] = field(default_factory=list)
    ran: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, options: RunOptions) -> RunReport:
        self.runs.append(options)
        self.ran.set()
        if self.work is not None:
            await self.work()
        return RunReport(run_id=len(self.runs), started_at=NOW)


@dataclass
class FakeHistory:
    """Forgets nothing."""

    pruned: asyncio.Event = field(default_factory=asyncio.Event)

    async def prune(self, *, now: datetime) -> int:
        self.pruned.set()
        return 0


def make_daemon(reconciler: FakeReconciler, **overrides: Any) -> Daemon:
    given: dict[str, Any] = {
        "history": FakeHistory(),
        "schedule": SCHEDULE,
        "reload": lambda: Reloaded(schedule=SCHEDULE, policy=Policy()),
        "notifier": Notifier(),
    }
    return Daemon(reconciler=cast("Reconciler", reconciler), **(given | overrides))


@asynccontextmanager
async def running(daemon: Daemon) -> AsyncIterator[asyncio.Task[int]]:
    task = asyncio.create_task(daemon.run())
    try:
        yield task
    finally:
        if not task.done():
            os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait({task})


async def test_the_first_pass_comes_at_once_and_a_signal_ends_it() -> None:
    """A restart costs no interval; SIGTERM ends with 0; jobs honour backoff."""
    reconciler, history = FakeReconciler(), FakeHistory()

    async with running(make_daemon(reconciler, history=history)) as task:
        await reconciler.ran.wait()
        await history.pruned.wait()
        os.kill(os.getpid(), signal.SIGTERM)

        assert 0 == await task

    assert [RunOptions(trigger="reconcile", scheduled=True)] == reconciler.runs
    assert reconciler.stopping.is_set()


async def test_quote_check_has_a_job_of_its_own() -> None:
    """It leaves connections alone, and does nothing where checks are off."""
    reconciler = FakeReconciler()
    daemon = make_daemon(reconciler)

    await daemon._quote_check()
    reconciler.policy = Policy(checks_enabled=False)
    await daemon._quote_check()

    assert [RunOptions(trigger="quote_check", scheduled=True, only_checks=True)] == reconciler.runs


async def test_looks_at_tenants_have_a_job_of_their_own() -> None:
    """Four for each interval, so that a restart delays none for long; none where the schedule has none."""
    reconciler = FakeReconciler()
    daemon = make_daemon(reconciler)
    scheduler = AsyncIOScheduler(timezone=UTC)

    def periods() -> list[timedelta]:
        return [job.trigger.interval for job in scheduler.get_jobs() if job.id == "drift"]

    daemon._add_jobs(scheduler)
    without = periods()
    scheduler.start(paused=True)
    for drift in (LONG, LONG * 2, None, LONG):
        daemon.schedule = replace(SCHEDULE, drift=drift)
        daemon._rearm(scheduler)
        without += periods()
    scheduler.shutdown(wait=False)
    await daemon._drift()

    assert [LONG / 4, LONG / 2, LONG / 4] == without
    assert [RunOptions(trigger="drift", scheduled=True, only_drift=True)] == reconciler.runs


async def test_a_reload_changes_schedule_and_limits_or_nothing() -> None:
    """A good file is applied and names what needs a restart; a bad one leaves everything as it was."""
    reconciler = FakeReconciler()
    faster = replace(SCHEDULE, reconcile="*/5 * * * *")
    answers: list[Reloaded | Exception] = [
        Reloaded(schedule=faster, policy=Policy(tenants_at_once=7), restart_needed=("store.url",)),
        ConfigurationError("the settings cannot be used"),
    ]

    reloads = asyncio.Semaphore(0)

    def reload() -> Reloaded:
        reloads.release()
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    daemon = make_daemon(reconciler, reload=reload)
    with capture_logs() as logs:
        async with running(daemon) as task:
            await reconciler.ran.wait()
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGHUP)
                await reloads.acquire()
            os.kill(os.getpid(), signal.SIGTERM)
            await task

    events = {line["event"]: line for line in logs}
    assert ["store.url"] == events["settings.reloaded"]["restart_needed"]
    assert "the settings cannot be used" == events["settings.rejected"]["error"]
    assert (faster, 7) == (daemon.schedule, reconciler.policy.tenants_at_once)


async def test_a_failing_store_does_not_end_the_daemon() -> None:
    """The run is told of; the next one comes by schedule."""

    async def fail() -> None:
        raise StoreError("the disk is full")

    reconciler = FakeReconciler(work=fail)
    with capture_logs() as logs:
        async with running(make_daemon(reconciler)) as task:
            await reconciler.ran.wait()
            await asyncio.sleep(0)
            os.kill(os.getpid(), signal.SIGTERM)
            assert 0 == await task

    assert "the disk is full" in [line.get("error") for line in logs if line["event"] == "run.failed"]


async def test_a_store_that_was_upgraded_meanwhile_ends_the_daemon() -> None:
    """This version must not write to it any more: exit 78, which systemd does not restart."""

    async def fail() -> None:
        raise StoreOutdated("a newer erpsyncd upgraded it")

    async with running(make_daemon(FakeReconciler(work=fail))) as task:
        with pytest.raises(StoreOutdated) as caught:
            await task

    assert 78 == caught.value.exit_code


@pytest.mark.parametrize("cut_by", ["a second signal", "stop_within"])
async def test_a_hung_run_is_cut_off(cut_by: str) -> None:
    """Calls in flight may end, but not for ever; SIGHUP does not count as impatience."""
    hanging = asyncio.Event()

    async def hang() -> None:
        hanging.set()
        await asyncio.Event().wait()

    stop_within = timedelta(0) if cut_by == "stop_within" else LONG
    daemon = make_daemon(FakeReconciler(work=hang), schedule=replace(SCHEDULE, stop_within=stop_within))
    with capture_logs() as logs:
        async with running(daemon) as task:
            await hanging.wait()
            os.kill(os.getpid(), signal.SIGTERM)
            if cut_by == "a second signal":
                await daemon.reconciler.stopping.wait()
                os.kill(os.getpid(), signal.SIGHUP)
                os.kill(os.getpid(), signal.SIGINT)
            assert 0 == await task

    assert {"service.stopping", "service.cut_off", "service.stopped"} <= {line["event"] for line in logs}


@pytest.mark.parametrize(
    ("schedule", "jump", "expected"),
    [
        (timedelta(hours=1), 1.0, timedelta(minutes=40)),
        (timedelta(hours=1), 600.0, timedelta(minutes=30)),
        (timedelta(hours=1), 86_400.0, timedelta(0)),
        (timedelta(hours=1), -86_400.0, timedelta(minutes=40)),
        ("40 * * * *", -86_400.0, timedelta(minutes=40)),
        ("40 * * * *", -1_800.0, timedelta(minutes=10)),
        ("40 * * * *", 86_400.0, timedelta(0)),
    ],
)
async def test_clock_jumps_are_mended(
    monkeypatch: pytest.MonkeyPatch, schedule: timedelta | str, jump: float, expected: timedelta
) -> None:
    """At noon the next pass is due at 12:40; then the clock is set, and this is how long it takes from there.

    What was missed is due now, an interval goes on, a time of day counts as the clock tells it, and a correction
    of a second is nothing.
    """
    clock = [NOW.timestamp()]

    class FakeDatetime(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.fromtimestamp(clock[0], tz)

    monkeypatch.setattr("apscheduler.schedulers.base.datetime", FakeDatetime)
    daemon = make_daemon(FakeReconciler(), wall_clock=lambda: clock[0])
    daemon._clock_offset = clock[0] - time.monotonic()
    scheduler = AsyncIOScheduler(timezone=UTC)
    scheduler.start(paused=True)
    job = scheduler.add_job(daemon._reconcile, trigger_of(schedule, timedelta(0)), next_run_time=NOW + 40 * MINUTE)

    clock[0] += jump
    daemon._mend_clock_jump(scheduler)
    once = job.next_run_time
    daemon._mend_clock_jump(scheduler)

    now = datetime.fromtimestamp(clock[0], UTC)
    assert abs(expected - (once - (NOW if jump == 1.0 else now))) < timedelta(seconds=1)
    assert once == job.next_run_time
    scheduler.shutdown(wait=False)


def test_triggers_are_intervals_or_cron() -> None:
    """Jitter never exceeds a quarter of an interval; what is no cron expression is refused with its reason."""
    short = trigger_of(timedelta(seconds=4), timedelta(seconds=30))
    cron = trigger_of("0 3 * * *", timedelta(0))
    tomorrow = cron.get_next_fire_time(None, NOW)

    assert (1.0, 4.0) == (short.jitter, short.interval_length)
    assert datetime(2026, 3, 2, 3, tzinfo=UTC) == tomorrow
    with pytest.raises(ConfigurationError, match="is not a cron expression"):
        trigger_of("never", timedelta(0))


@pytest.mark.parametrize("abstract", [True, False])
def test_systemd_is_told(tmp_path: Path, *, abstract: bool) -> None:
    """Each message arrives as sd_notify(3) wants it, in one line per member."""
    name = f"@{tmp_path}/notify" if abstract else f"{tmp_path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name[1:] if abstract else name)
        notifier = Notifier(name)
        notifier.ready("next pass\nat noon")
        notifier.status("fine")
        notifier.reloading()
        notifier.stopping(MINUTE)
        told = [listening.recv(1024).decode().splitlines() for _ in range(4)]

    assert [["READY=1", "STATUS=next pass at noon"], ["STATUS=fine"]] == told[:2]
    assert ("RELOADING=1", True) == (told[2][0], told[2][1].startswith("MONOTONIC_USEC="))
    assert ["STOPPING=1", "EXTEND_TIMEOUT_USEC=120000000"] == told[3][:2]


def test_nobody_listening_is_no_trouble(tmp_path: Path) -> None:
    """A socket that is gone does not end anything."""
    Notifier(f"{tmp_path}/gone").status("fine")
    Notifier(None).status("fine")

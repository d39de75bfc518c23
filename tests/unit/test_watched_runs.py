"""Who watches runs is told of all of them, and cannot get into their way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from erpsyncd.domain.listening import Listen, parse_listen
from erpsyncd.domain.results import RunReport, RunStatus
from erpsyncd.domain.watching import FinishedRun, StartedRun
from erpsyncd.errors import StoreError
from erpsyncd.observation import stale_after
from erpsyncd.service.policy import RunOptions
from erpsyncd.service.watching import watched
from erpsyncd.settings import load_settings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OPTIONS = RunOptions(trigger="reconcile")


@dataclass
class Watcher:
    """Remembers what it was told; may have a defect."""

    broken: bool = False
    told: list[StartedRun | FinishedRun] = field(default_factory=list)

    def run_started(self, run: StartedRun) -> None:
        self._hear(run)

    def run_finished(self, run: FinishedRun) -> None:
        self._hear(run)

    def _hear(self, run: StartedRun | FinishedRun) -> None:
        if self.broken:
            raise ZeroDivisionError
        self.told.append(run)


async def run(work: Callable[[RunOptions], Awaitable[RunReport]], *watchers: Watcher) -> RunReport:
    return await watched(work, OPTIONS, watchers=watchers, now=lambda: NOW)


async def test_a_defect_of_one_is_not_the_runs() -> None:
    """The run goes on, the others are told, and the log says whose it is."""

    async def work(options: RunOptions) -> RunReport:
        return RunReport(run_id=7, started_at=NOW)

    broken, other = Watcher(broken=True), Watcher()
    with capture_logs() as logs:
        report = await run(work, broken, other)

    begun, ended = other.told
    assert (7, StartedRun(trigger="reconcile", dry_run=False, started_at=NOW)) == (report.run_id, begun)
    assert isinstance(ended, FinishedRun)
    assert (RunStatus.OK, 0, None) == (ended.status, ended.exit_code, ended.error)
    assert [("watcher.crashed", "Watcher")] * 2 == [(line["event"], line["watcher"]) for line in logs]


@pytest.mark.parametrize(
    ("error", "error_class"),
    [(StoreError("the disk failed"), "store"), (asyncio.CancelledError(), "interrupted"), (KeyError("x"), "internal")],
)
async def test_a_run_that_breaks_off_is_told_too(error: BaseException, error_class: str) -> None:
    """What it raises goes through; a defect's own words, which may hold anything, are not told."""

    async def work(options: RunOptions) -> RunReport:
        raise error

    watcher = Watcher()
    with pytest.raises(type(error)):
        await run(work, watcher)

    ended = watcher.told[-1]
    assert isinstance(ended, FinishedRun)
    assert (RunStatus.FAILED, 1, error_class) == (ended.status, ended.exit_code, ended.error_class)


@pytest.mark.parametrize(
    ("reconcile", "given", "expected"),
    [
        ("15m", "0s", timedelta(minutes=45)),
        ("10s", "0s", timedelta(minutes=10)),
        ("0 6 * * *", "0s", timedelta(days=1)),
        ("15m", "20s", timedelta(seconds=20)),
    ],
)
def test_how_old_a_pass_may_be(reconcile: str, given: str, expected: timedelta) -> None:
    """It follows the schedule, unless it is set."""
    settings = load_settings(
        None, {"HOME": "/x", "ERPSYNCD__SCHEDULE__RECONCILE": reconcile, "ERPSYNCD__WEB__STALE_AFTER": given}, {}
    )

    assert expected == stale_after(settings)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:9464", Listen(host="127.0.0.1", port=9464)),
        ("localhost:1", Listen(host="127.0.0.1", port=1)),
        ("[::1]:9464", Listen(host="::1", port=9464)),
        ("unix:/run/erpsyncd/web.sock", Listen(path="/run/erpsyncd/web.sock")),
    ],
)
def test_addresses_of_this_machine(text: str, expected: Listen) -> None:
    """Read, and written so that they are read as the same again."""
    assert expected == parse_listen(text) == parse_listen(str(expected))


@pytest.mark.parametrize(
    "text", ["9464", ":9464", "0.0.0.0:9464", "[::]:1", "x.example:1", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:x"]
)
def test_other_addresses_are_refused(text: str) -> None:
    """Nobody is asked for a password there."""
    with pytest.raises(ValueError, match="must be empty, an address of this machine"):
        parse_listen(text)


@pytest.mark.parametrize("text", ["unix:web.sock", "unix:", f"unix:/{'x' * 200}"])
def test_sockets_that_cannot_be_are_refused(text: str) -> None:
    """Relative, or longer than the kernel allows."""
    with pytest.raises(ValueError, match="absolute path of at most 107 bytes"):
        parse_listen(text)

"""The daemon while somebody sets the machine's clock: no storm of passes, no standstill, nothing done twice."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from commands import Daemon, Erpsyncd, connection, document
from erpsyncd.sandbox import Drop, Rule, SandboxServer, When

_LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
DAY = timedelta(days=1)


@pytest.fixture
def clock(erpsyncd: Erpsyncd) -> Path:
    """A file that holds how far the wall clock of the command's process is off; its monotonic one is true."""
    if not _LIBRARIES:
        reason = "no libfaketime, with which the clock is set for one process: apt-get install faketime"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    offset = erpsyncd.directory / "offset"
    set_clock(offset, timedelta(0))
    erpsyncd.environ |= {
        "LD_PRELOAD": str(_LIBRARIES[0]),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    return offset


def set_clock(offset: Path, by: timedelta) -> None:
    """Set the clock, at once for whoever reads the file just now."""
    new = offset.with_suffix(".new")
    new.write_text(f"{by.total_seconds():+.0f}")
    new.replace(offset)


def finished_passes(daemon: Daemon, number: int) -> list[float]:
    """Return when (by a clock that nobody sets) each of the next passes was seen to end."""
    moments = []
    for _ in range(number):
        daemon.wait_for("run.finished", trigger="reconcile")
        moments.append(time.monotonic())
    return moments


@pytest.mark.parametrize("by", [DAY, -DAY])
def test_passes_go_on_after_a_jump(erpsyncd: Erpsyncd, sandbox: SandboxServer, clock: Path, by: timedelta) -> None:
    """The next pass comes within an interval, the ones after it one by one, and no run ends before it began."""
    erpsyncd.load(document(sandbox.url, "rest", connection("a")))
    erpsyncd.environ |= {"ERPSYNCD__SCHEDULE__RECONCILE": "2s", "ERPSYNCD__SCHEDULE__JITTER": "0s"}
    with erpsyncd.daemon() as daemon:
        daemon.wait_for("connection.applied", key="a")
        finished_passes(daemon, 2)

        jumped = time.monotonic()
        set_clock(clock, by)
        moments = finished_passes(daemon, 4)

        seen = daemon.wait_until_seen("clock.jumped")
        assert abs(by.total_seconds() - seen["seconds"]) <= 1
        # One interval, the second in which the jump is noticed, and room for a machine with other work to do.
        assert moments[0] - jumped < 2 + 1 + 5
        assert moments[3] - moments[0] > 3, "three intervals of two seconds, less what the first came late"

    runs = erpsyncd.listed("runs")
    ended = [run for run in runs if run["finished_at"]]
    assert len(ended) >= 2 + 4
    for run in ended:
        assert run["started_at"] <= run["finished_at"]
    days = {datetime.fromisoformat(run["started_at"]).date() for run in runs}
    assert {datetime.now(UTC).date(), (datetime.now(UTC) + by).date()} <= days | {datetime.now(UTC).date()}
    assert 1 == len([call for call in sandbox.saves("acme") if call.worked])


@pytest.mark.parametrize("erpsyncd", ["sqlite"], indirect=True)
@pytest.mark.parametrize("by", [DAY, -DAY])
def test_a_jump_does_not_make_a_twin(erpsyncd: Erpsyncd, sandbox: SandboxServer, clock: Path, by: timedelta) -> None:
    """A create whose answer was lost right before the jump is not sent again before `remote.settle` has passed."""
    erpsyncd.load(document(sandbox.url, "soap", connection("a")))
    sandbox.add_faults(Rule(action=Drop(when=When.BEFORE), operation="SaveConnection", times=1))
    erpsyncd.environ |= {"ERPSYNCD__SCHEDULE__RECONCILE": "1s", "ERPSYNCD__SCHEDULE__JITTER": "0s"}
    erpsyncd.environ |= {"ERPSYNCD__BACKOFF__FIRST": "1s", "ERPSYNCD__BACKOFF__LONGEST": "1s"}
    with erpsyncd.daemon() as daemon:
        daemon.wait_for("connection.failed", error_class="outcome_unknown")
        set_clock(clock, by)
        daemon.wait_until_seen("clock.jumped")
        daemon.wait_for("connection.failed", error_class="unsettled")
        daemon.wait_for("run.finished", trigger="reconcile")

    assert 1 == len(sandbox.saves("acme"))


@pytest.mark.parametrize("erpsyncd", ["sqlite"], indirect=True)
def test_a_change_to_summer_time_moves_nothing(erpsyncd: Erpsyncd, sandbox: SandboxServer, clock: Path) -> None:
    """Schedules are in UTC: in the night in which Oslo's clocks skip an hour, an hourly job comes every hour."""
    oslo_skips = datetime(2027, 3, 28, 1, 0, tzinfo=UTC)
    erpsyncd.load(document(sandbox.url, "rest", connection("a")))
    erpsyncd.environ |= {
        "TZ": "Europe/Oslo",
        "ERPSYNCD__SCHEDULE__RECONCILE": "0 * * * *",
        "ERPSYNCD__SCHEDULE__JITTER": "0s",
    }
    set_clock(clock, oslo_skips - timedelta(minutes=30) - datetime.now(UTC))
    with erpsyncd.daemon() as daemon:
        daemon.wait_for("connection.applied", key="a")
        finished_passes(daemon, 1)
        # However long the start took: a moment before clocks in Oslo skip an hour.
        set_clock(clock, oslo_skips - timedelta(seconds=4) - datetime.now(UTC))
        finished_passes(daemon, 1)

    first, second = sorted(run["started_at"] for run in erpsyncd.listed("runs"))
    assert "2027-03-28T00:3" == first[:15]
    assert "2027-03-28T01:00" == second[:16]

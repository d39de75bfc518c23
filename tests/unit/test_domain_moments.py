"""How much time went by, whatever was done to the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from erpsyncd.domain.intents import Moment, Uptime
from erpsyncd.service import clocks

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def moment(at: datetime, boot_id: str = "", seconds: float = 0) -> Moment:
    return Moment(at=at, uptime=Uptime(boot_id=boot_id, seconds=seconds) if boot_id else None)


@pytest.mark.parametrize(
    ("earlier", "later", "expected"),
    [
        (moment(NOON), moment(NOON + MINUTE), MINUTE),
        (moment(NOON), moment(NOON - DAY), -DAY),
        (moment(NOON, "a", 100), moment(NOON + DAY, "a", 160), MINUTE),
        (moment(NOON, "a", 100), moment(NOON - DAY, "a", 160), MINUTE),
        (moment(NOON, "a", 100), moment(NOON + MINUTE, "b", 7), MINUTE),
        (moment(NOON, "a", 100), moment(NOON + MINUTE), MINUTE),
        (moment(NOON), moment(NOON + MINUTE, "a", 100), MINUTE),
    ],
)
def test_since(earlier: Moment, later: Moment, expected: timedelta) -> None:
    """Within one start of one machine only its uptime counts; else there is nothing but the wall clock."""
    assert expected == later.since(earlier)


def test_uptime_goes_on() -> None:
    """This machine has a start, and its seconds never go back."""
    first, second = clocks.uptime(), clocks.uptime()

    assert first is not None
    assert second is not None
    assert first.boot_id == second.boot_id
    assert 0 < first.seconds <= second.seconds


def test_a_machine_whose_start_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a name for the start, the seconds since then mean nothing to anybody else."""
    monkeypatch.setattr(clocks, "_boot_id", lambda: "")

    assert clocks.uptime() is None

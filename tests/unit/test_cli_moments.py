"""What `--since` understands."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from erpsyncd.cli.moments import parse_moment

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _somewhere_else(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A place whose time is five and a half hours ahead, the whole year."""
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2h", NOW - timedelta(hours=2)),
        ("30d", NOW - timedelta(days=30)),
        ("90", NOW - timedelta(seconds=90)),
        ("2026-11-01", datetime(2026, 10, 31, 18, 30, tzinfo=UTC)),
        ("2026-11-01T08:00", datetime(2026, 11, 1, 2, 30, tzinfo=UTC)),
        ("2026-11-01T08:00:00Z", datetime(2026, 11, 1, 8, tzinfo=UTC)),
        ("2026-11-01T08:00:00+01:00", datetime(2026, 11, 1, 7, tzinfo=UTC)),
    ],
)
def test_moments(text: str, moment: datetime) -> None:
    """How long ago, a day, or a moment; local time where nothing else is said."""
    assert (moment, UTC) == (parse_moment(text, NOW), parse_moment(text, NOW).tzinfo)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "-2h", "0001-01-01T00:00:00+14:00"])
def test_what_is_no_moment(text: str) -> None:
    """It is refused with what would do."""
    with pytest.raises(ValueError, match='must be like "2h"'):
        parse_moment(text, NOW)


def test_longer_ago_than_anything() -> None:
    """A number that no calendar has is refused."""
    with pytest.raises(ValueError, match="longer ago"):
        parse_moment("999999d", NOW)

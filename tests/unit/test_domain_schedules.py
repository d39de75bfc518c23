"""Durations and cron expressions."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.triggers.cron import CronTrigger
from hypothesis import given
from hypothesis import strategies as st

from erpsyncd.domain.schedules import cron_problem, format_duration, parse_duration


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (30, 30),
        (0, 0),
        (0.5, 0.5),
        ("30", 30),
        ("30s", 30),
        ("15m", 900),
        (" 6 h ", 21_600),
        ("100d", 8_640_000),
        ("1.5h", 5400),
        (timedelta(seconds=3), 3),
    ],
)
def test_durations_are_read(value: object, seconds: float) -> None:
    """Numbers are seconds; texts may have a unit."""
    assert timedelta(seconds=seconds) == parse_duration(value)


@pytest.mark.parametrize(
    "value", ["", "m", "-1s", "1w", "1h30m", "15 min", "1e3", "٣s", -1, True, None, [], float("nan"), float("inf")]
)
def test_other_durations_are_refused(value: object) -> None:
    """Anything else is refused with examples."""
    with pytest.raises(ValueError, match="15m"):
        parse_duration(value)


@pytest.mark.parametrize("value", ["99999999999999d", 10**20, "9" * 400])
def test_endless_durations_are_refused(value: object) -> None:
    """More than can be counted is refused, not a crash."""
    with pytest.raises(ValueError, match=r"longer|duration"):
        parse_duration(value)


@given(st.integers(0, 10**8))
def test_durations_are_written_as_they_are_read(seconds: int) -> None:
    """What is written reads as the same duration."""
    duration = timedelta(seconds=seconds)

    assert duration == parse_duration(format_duration(duration))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (1, "1s"), (0.5, "0.5s"), (90, "90s"), (900, "15m"), (86_400, "1d"), (90_000, "25h")],
)
def test_durations_are_written_shortly(seconds: float, text: str) -> None:
    """The largest unit that fits is used."""
    assert text == format_duration(timedelta(seconds=seconds))


@pytest.mark.parametrize(
    "expression",
    [
        "* * * * *",
        "*/15 6-18 * * mon-fri",
        "0 2 1,15 * *",
        "5/20 0-22/2 * jan-mar,DEC sat,sun",
        "0 0 29 2 *",
        "0 0 31 2-3 *",
        "30  4\t* * *",
    ],
)
def test_cron_expressions_run(expression: str) -> None:
    """What passes is accepted by the scheduler and has a next time."""
    assert cron_problem(expression) is None
    assert CronTrigger.from_crontab(expression, timezone=UTC).get_next_fire_time(None, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("* * * *", "5 fields"),
        ("* * * * * *", "5 fields"),
        ("60 * * * *", "minute must be from 0 to 59"),
        ("* 24 * * *", "hour"),
        ("* * 0 * *", "day of the month"),
        ("* * * 13 *", "month must"),
        ("* * * foo *", "must be one of jan"),
        ("* * * * 1", "mon, tue"),
        ("* * * * 1-5", "mon, tue"),
        ("* * * * mon-", "none of"),
        ("*/0 * * * *", "step"),
        ("*/60 * * * *", "step"),
        ("5-5/1 * * * *", "step"),
        ("9-5 * * * *", "ends before"),
        ("1,,2 * * * *", "none of"),
        ("x * * * *", "none of"),
        ("0 0 30 2 *", "none of its months"),
        ("0 0 31 4,6 *", "none of its months"),
    ],
)
def test_bad_cron_expressions_are_explained(expression: str, words: str) -> None:
    """The message names the field and what is wrong with it."""
    problem = cron_problem(expression)

    assert problem
    assert words in problem


def test_what_passes_never_fails_in_the_scheduler() -> None:
    """Whatever is let through is accepted by the scheduler, too."""
    chance = random.Random(4)
    terms = [
        "*",
        "0",
        "1",
        "5",
        "59",
        "31",
        "*/2",
        "*/7",
        "1-5",
        "5-5",
        "1-30/2",
        "5/2",
        "0-0/1",
        "mon",
        "jan-feb",
        "tue-sun",
    ]
    passed = 0
    for _ in range(3000):
        expression = " ".join(",".join(chance.choices(terms, k=chance.choice((1, 1, 2)))) for _ in range(5))
        if cron_problem(expression) is None:
            CronTrigger.from_crontab(expression, timezone=UTC)
            passed += 1

    assert passed > 10

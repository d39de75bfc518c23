"""When something happens: durations and cron expressions, as people write them."""

from __future__ import annotations

import math
import re
from datetime import timedelta

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([smhd]?)")
_EXPECTED = 'must be a duration: seconds, or a text such as "30s", "15m", "6h" or "100d"'

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTH_DAYS = dict(zip(range(1, 13), (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), strict=True))
_FIELDS = (
    ("minute", range(60), ()),
    ("hour", range(24), ()),
    ("day of the month", range(1, 32), ()),
    ("month", range(1, 13), _MONTHS),
    ("weekday", range(7), _WEEKDAYS),
)
_TERM = re.compile(r"(?:\*|([0-9]{1,2})(?:-([0-9]{1,2}))?)(?:/([0-9]{1,2}))?")
_NAMES = re.compile(r"([a-z]{3})(?:-([a-z]{3}))?")


def parse_duration(value: object) -> timedelta:
    """Read seconds (a number) or a number with a unit: s, m, h or d.

    Raises:
        ValueError: it is nothing of that, negative, not finite or too long; the message does not repeat it.
    """
    if isinstance(value, timedelta):
        return value
    seconds = _read_seconds(value)
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        raise ValueError(_EXPECTED)
    try:
        return timedelta(seconds=seconds)
    except OverflowError:
        raise ValueError("is longer than this program can count") from None


def _read_seconds(value: object) -> float | None:
    if isinstance(value, str):
        found = _DURATION.fullmatch(value.strip())
        return float(found[1]) * _UNITS[found[2] or "s"] if found else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def format_duration(duration: timedelta) -> str:
    """Return the shortest text that `parse_duration` reads as this duration again."""
    seconds = duration.total_seconds()
    for unit, size in _UNITS.items():
        if seconds and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s"


def cron_problem(text: str) -> str | None:
    """Return what is wrong with a cron expression of five fields, or None.

    Weekdays are written by name: Monday is 1 to cron and 0 to APScheduler, which runs them here.
    """
    words = text.lower().split()
    if len(words) != len(_FIELDS):
        return f"a cron expression has {len(_FIELDS)} fields (minute hour day month weekday), not {len(words)}"
    chosen: list[set[int]] = []
    for word, (field, allowed, names) in zip(words, _FIELDS, strict=True):
        try:
            chosen.append({number for term in word.split(",") for number in _read_term(term, allowed, names)})
        except ValueError as exc:
            return f"the cron expression's {field} {exc}"
    _, _, days, months, _ = chosen
    if min(days) > max(_MONTH_DAYS[month] for month in months):
        return "the cron expression names a day that none of its months has"
    return None


def _read_term(term: str, allowed: range, names: tuple[str, ...]) -> range:
    """Return the numbers that one part of a field stands for."""
    named = _NAMES.fullmatch(term)
    if named and names:
        first, last = (_number_of(word, allowed, names) for word in (named[1], named[2] or named[1]))
        return _checked_range(first, last, None, allowed)
    found = _TERM.fullmatch(term)
    if found is None:
        raise ValueError('is none of "*", "*/2", "5", "1-5", "1-30/2", or a list of these with commas')
    if names == _WEEKDAYS and found[1]:
        raise ValueError("must be written as mon, tue, wed, thu, fri, sat or sun: numbers mean other days elsewhere")
    first = int(found[1]) if found[1] else allowed[0]
    open_end = found[1] is None or (found[2] is None and found[3] is not None)
    last = allowed[-1] if open_end else int(found[2] or found[1])
    return _checked_range(first, last, int(found[3]) if found[3] else None, allowed)


def _number_of(word: str, allowed: range, names: tuple[str, ...]) -> int:
    if word not in names:
        raise ValueError(f"must be one of {', '.join(names)}")
    return allowed[names.index(word)]


def _checked_range(first: int, last: int, step: int | None, allowed: range) -> range:
    if first not in allowed or last not in allowed:
        raise ValueError(f"must be from {allowed[0]} to {allowed[-1]}")
    if first > last:
        raise ValueError("has a range that ends before it begins")
    if step is not None and not 1 <= step <= last - first:
        raise ValueError("has a step that is zero or longer than its range")
    return range(first, last + 1, step or 1)

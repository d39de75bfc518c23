"""Moments as people write them on a command line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from erpsyncd.domain.schedules import parse_duration

F = TypeVar("F", bound=Callable[..., Any])


def since_option(command: F) -> F:
    """Give a command `--since`."""
    return click.option(
        "--since", callback=_read, metavar="WHEN", help='Only from then on: "2h" ago, "2026-11-01", or ISO 8601.'
    )(command)


def parse_moment(text: str, now: datetime) -> datetime:
    """Read how long ago (`2h`), a day (`2026-11-01`) or a moment in ISO 8601; without an offset it is local time.

    Raises:
        ValueError: it is none of these.
    """
    try:
        return now - parse_duration(text)
    except OverflowError:
        raise ValueError("is longer ago than this program can count") from None
    except ValueError:
        pass  # no duration, so perhaps a moment
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError('must be like "2h", "30d", "2026-11-01" or "2026-11-01T08:00:00Z"') from None


def parse_end(text: str, now: datetime) -> datetime:
    """Read a moment to come: in how long (`30d`), a day or a moment in ISO 8601, as `parse_moment` does.

    Raises:
        ValueError: it is none of these, or it is over.
    """
    moment = parse_moment(text, now)
    try:
        moment = now + parse_duration(text)
    except OverflowError:
        raise ValueError("is further away than this program can count") from None
    except ValueError:
        pass  # no duration, so a moment
    if moment <= now:
        raise ValueError("is over already")
    return moment


def _read(context: click.Context, parameter: click.Parameter, text: str | None) -> datetime | None:
    try:
        return None if text is None else parse_moment(text, datetime.now(UTC))
    except ValueError as exc:
        raise click.BadParameter(str(exc), context, parameter) from None

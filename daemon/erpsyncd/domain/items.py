"""What `status` lists: things that an operator should know, each with the command for it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Severity(StrEnum):
    """How much something needs an operator; most urgent first."""

    ERROR = "error"
    """Nothing goes on here without one."""

    WARNING = "warning"
    """It fails, and is tried again by itself."""

    NOTICE = "notice"
    """It is so on purpose, or passes by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that an operator should know: where, what, and what to do about it."""

    severity: Severity
    reason: str
    what: str
    do: str
    """A command as it is typed; `N` in it stands for a number that only an operator knows."""

    tenant: str | None = None
    key: str | None = None
    until: datetime | None = None
    """When it is tried again, or how long it is left alone."""


def command(*words: str) -> str:
    """Return a command of erpsyncd as it is typed."""
    return shlex.join(("erpsyncd", *words))


def without_command(error: str) -> str:
    """Cut off the command that our own sentences end in; `do` has it, made anew and quoted for a shell."""
    what, found, _ = error.rpartition(": erpsyncd ")
    return what if found else error


def in_words(duration: timedelta) -> str:
    """Return about how long something is, in its largest unit that makes at least two."""
    seconds = max(0, int(duration.total_seconds()))
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return "1 second" if seconds == 1 else f"{seconds} seconds"


def connections_are(count: int) -> str:
    """Return a number of connections as the subject of a sentence."""
    return "1 connection is" if count == 1 else f"{count} connections are"

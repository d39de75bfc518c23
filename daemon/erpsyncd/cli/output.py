"""How results and errors are written: text for people, JSON for programs. Results go to stdout, errors to stderr."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
import textwrap
import traceback
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from erpsyncd.cli.colours import painted
from erpsyncd.domain.secrets import Secret
from erpsyncd.errors import ConfigurationError, DaemonError

#: Of the JSON objects; grows when a field changes its meaning or goes away.
JSON_VERSION = 1

#: No column of a table is made narrower than this.
_NARROWEST = 8


class OutputFormat(StrEnum):
    """What stdout carries."""

    TEXT = "text"
    JSON = "json"


def write_json(kind: str, payload: Mapping[str, Any]) -> None:
    """Write one object of this kind to stdout."""
    document = {"version": JSON_VERSION, "kind": kind, **payload}
    sys.stdout.write(json_text(document) + "\n")


def json_text(document: object) -> str:
    """Return a document as JSON in one line. What cannot be seen is written as an escape: nothing steers a terminal."""
    text = json.dumps(document, default=encode, ensure_ascii=False)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


def write_text(text: str) -> None:
    """Write a line, or several, to stdout. What its encoding lacks is written as an escape."""
    encoding = sys.stdout.encoding or "utf-8"
    shown = printable(text).encode(encoding, "backslashreplace").decode(encoding)
    sys.stdout.write(painted(shown, sys.stdout) + "\n")


def write_note(text: str) -> None:
    """Write a line for a person to stderr, where it does not disturb a program that reads the result."""
    sys.stderr.write(printable(text) + "\n")


def write_error(error: DaemonError, output: OutputFormat, *, to_journal: bool = False) -> None:
    """Write an error to stderr; as JSON it is the last line there. The journal is told what it is."""
    if output is OutputFormat.TEXT:
        mark = "<3>" if to_journal else ""
        sys.stderr.write("".join(f"{mark}{line}\n" for line in printable(f"erpsyncd: {error}").splitlines()))
        return
    document = {
        "version": JSON_VERSION,
        "kind": "error",
        "error_class": error.error_class,
        "exit_code": error.exit_code,
        "error": error.args[0] if error.args else str(error),
        "problems": list(error.problems) if isinstance(error, ConfigurationError) else [],
    }
    sys.stderr.write(json_text(document) + "\n")


def write_causes(error: BaseException) -> None:
    """Write what led to an error to stderr, its root first. Python's tracebacks have no values of variables."""
    from erpsyncd.logs import redact_text  # noqa: PLC0415 -- most command lines end well

    causes = traceback.TracebackException.from_exception(error)
    link: traceback.TracebackException | None = causes
    while link is not None:
        # How click came to the command is the same each time, and longer than all the rest.
        own = [frame for frame in link.stack if "/click/" not in frame.filename]
        link.stack = traceback.StackSummary.from_list(own)
        link = link.__cause__ or link.__context__
    # What a library says in its own words may hold an address with a password in it.
    sys.stderr.write(printable(redact_text("".join(causes.format()))))


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows under their headings, aligned, without anything at the ends of lines.

    Where a terminal is narrower, the widest columns are broken into several lines; elsewhere none is.
    """
    lines = [tuple(headings), *(tuple(_cell(value) for value in row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    room = terminal_width()
    if room is not None:
        widths = _fitted(widths, room - 2 * (len(widths) - 1))
    return "\n".join(_aligned(line, widths) for line in lines)


def _fitted(widths: Sequence[int], room: int) -> list[int]:
    """Take from the widest columns, one character at a time, what is too much for the room."""
    fitted = list(widths)
    while sum(fitted) > room and max(fitted) > _NARROWEST:
        fitted[fitted.index(max(fitted))] -= 1
    return fitted


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    broken = [_broken(cell, width) for cell, width in zip(cells, widths, strict=True)]
    return "\n".join(
        "  ".join(
            (lines[row] if row < len(lines) else "").ljust(width) for lines, width in zip(broken, widths, strict=True)
        ).rstrip()
        for row in range(max(map(len, broken)))
    )


def _broken(cell: str, width: int) -> list[str]:
    return [cell] if len(cell) <= width else textwrap.wrap(cell, width, break_on_hyphens=False)


def hanging(text: str, indent: int) -> str:
    """Return a line, broken where a terminal is narrower; what follows is indented by so many blanks."""
    room = terminal_width()
    if room is None or len(text) <= room:
        return text
    return textwrap.fill(
        text, room, subsequent_indent=" " * indent, break_on_hyphens=False, drop_whitespace=True, tabsize=1
    )


def terminal_width() -> int | None:
    """Return how many columns the terminal behind stdout has; None where there is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def cut(lines: Sequence[str], most: int) -> list[str]:
    """Return as many lines as a person reads, and how many more there are."""
    kept = list(lines[:most])
    return kept if len(lines) <= most else [*kept, f"... and {len(lines) - most} more; all of them: --output json"]


def printable(text: str) -> str:
    """Return the text without control characters: a tenant's answer must not steer a terminal."""
    return "".join(char if char == "\n" or char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def as_json(value: Any) -> dict[str, Any]:
    """Return a dataclass as a JSON object's members, times in UTC as ISO 8601."""
    return {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}


def encode(value: Any) -> Any:
    """Return a value as JSON and CSV can hold it: moments in UTC as ISO 8601, secrets as asterisks."""
    match value:
        case None | str() | int():
            return value
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case Secret():
            return str(value)
        case frozenset() | set():
            return sorted(value)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return as_json(value)
        case _:
            raise TypeError(f"{type(value).__name__} has no JSON form")


def _cell(value: object) -> str:
    match value:
        case None | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value.astimezone():%Y-%m-%d %H:%M:%S}"
        case _:
            return " ".join(printable(str(value)).split())

"""How results and errors are written: text for people, JSON for programs. Results go to stdout, errors to stderr."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from erpsyncd.domain.secrets import Secret
from erpsyncd.errors import ConfigurationError, DaemonError

#: Of the JSON objects; grows when a field changes its meaning or goes away.
JSON_VERSION = 1


class OutputFormat(StrEnum):
    """What stdout carries."""

    TEXT = "text"
    JSON = "json"


def write_json(kind: str, payload: Mapping[str, Any]) -> None:
    """Write one object of this kind to stdout."""
    document = {"version": JSON_VERSION, "kind": kind, **payload}
    sys.stdout.write(json.dumps(document, default=_encode, ensure_ascii=False) + "\n")


def write_text(text: str) -> None:
    """Write a line, or several, to stdout."""
    sys.stdout.write(printable(text) + "\n")


def write_note(text: str) -> None:
    """Write a line for a person to stderr, where it does not disturb a program that reads the result."""
    sys.stderr.write(printable(text) + "\n")


def write_error(error: DaemonError, output: OutputFormat) -> None:
    """Write an error to stderr; as JSON it is the last line there."""
    if output is OutputFormat.TEXT:
        sys.stderr.write(printable(f"erpsyncd: {error}") + "\n")
        return
    document = {
        "version": JSON_VERSION,
        "kind": "error",
        "error_class": error.error_class,
        "exit_code": error.exit_code,
        "error": error.args[0] if error.args else str(error),
        "problems": list(error.problems) if isinstance(error, ConfigurationError) else [],
    }
    sys.stderr.write(json.dumps(document, ensure_ascii=False) + "\n")


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows under their headings, aligned, without anything at the ends of lines."""
    lines = [tuple(headings), *(tuple(_cell(value) for value in row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def printable(text: str) -> str:
    """Return the text without control characters: a tenant's answer must not steer a terminal."""
    return "".join(char if char == "\n" or char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def as_json(value: Any) -> dict[str, Any]:
    """Return a dataclass as a JSON object's members, times in UTC as ISO 8601."""
    return {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}


def _encode(value: Any) -> Any:
    match value:
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

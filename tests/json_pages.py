"""Writes docs/reference/json.md from the schemas themselves: `make reference`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from erpsyncd.cli.schemas import KINDS, Kind

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "json.md"

INTRODUCTION = """\
# JSON

<!-- Written by `make reference` from the schemas. Change those. -->

With `--output json` a command writes one object to stdout, whatever its exit code, and nothing else: `version` (1),
`kind`, and the members below. Logs go to stderr. A command that cannot do what it is told writes nothing to stdout,
and an object of the kind `error` as the last line on stderr. Only `changes export` and `changes follow` write an
object on each line, without version and kind. Moments are in UTC, as in `2026-11-01T08:00:00Z`, some with fractions
of a second. Every member is always there, if it is not marked as optional; `erpsyncd schema KIND` prints all of this
as a JSON Schema.
"""

_NAMES = {"string": "text", "integer": "whole number", "boolean": "true or false", "array": "list"}


def page() -> str:
    """Return the page."""
    return "\n".join((INTRODUCTION, *(_section(name, kind) for name, kind in sorted(KINDS.items()))))


def _section(name: str, kind: Kind) -> str:
    lines = [line for member, schema in kind.members.items() for line in _member(member, schema, "")]
    return "\n".join((f"## {name}\n", f"{kind.description}\n", *lines, ""))


def _member(name: str, schema: dict[str, Any], indent: str, note: str = "") -> Iterator[str]:
    yield f"{indent}- `{name}`{note}: {_in_words(schema)}"
    yield from _below(schema, f"{indent}  ")


def _in_words(schema: dict[str, Any]) -> str:
    match schema:
        case {"const": value}:
            words = _word(value)
        case {"enum": values}:
            words = ", ".join(map(_word, values))
        case {"oneOf": choices} | {"anyOf": choices}:
            words = " or ".join(dict.fromkeys(map(_in_words, choices)))
        case {"type": "array", "items": items}:
            words = f"list, each {_in_words(items)}"
        case {"type": "object", "additionalProperties": dict(values)}:
            words = f"object of any names, each {_in_words(values)}"
        case {"type": str(kind)}:
            words = _NAMES.get(kind, kind)
        case _:
            words = " or ".join(_NAMES.get(kind, kind) for kind in schema["type"])
    return words.replace("text", "moment") if "format" in schema else words


def _word(value: object) -> str:
    return "null" if value is None else f"`{value}`"


def _below(schema: dict[str, Any], indent: str) -> Iterator[str]:
    """Yield the members of the objects inside; where there are several shapes, each under a heading."""
    choices = [choice for choice in schema.get("oneOf", ()) if choice != {"type": "null"}]
    for choice in choices:
        if len(choices) > 1 and "properties" in choice:
            yield f"{indent}- {choice['description']}:"
            yield from _below(choice, f"{indent}  ")
        else:
            yield from _below(choice, indent)
    yield from _below(schema["items"], indent) if "items" in schema else ()
    for name, member in schema.get("properties", {}).items():
        yield from _member(name, member, indent, "" if name in schema["required"] else " (optional)")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

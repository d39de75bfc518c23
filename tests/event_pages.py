"""Writes docs/reference/events.md: `make reference`."""

from __future__ import annotations

from pathlib import Path

from event_catalogue import MEANING, written_events

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "events.md"

INTRODUCTION = """\
# Events

<!-- Written by `make reference` from the program's own calls, and from tests/event_catalogue.py. -->

The log goes to stderr: lines for people on a terminal, JSON elsewhere (`--log-format`). Each line is one event, with a
stable name (`event`), a `level`, a `timestamp` in UTC, and its members. Within a run each line has its `run_id`.
Secrets, bodies and headers are never among them; fields are named only. Of the counts only those stand there that are
not 0.

| Event | Level | Meaning | Members |
| --- | --- | --- | --- |
"""


def page() -> str:
    """Return the page."""
    return INTRODUCTION + "".join(
        f"| `{event}` | {', '.join(sorted(written.levels))} | {MEANING[event]} "
        f"| {', '.join(f'`{member}`' for member in sorted(written.members)) or '-'} |\n"
        for event, written in written_events().items()
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

"""Writes docs/reference/events.md: `make reference`."""

from __future__ import annotations

from pathlib import Path

from erpsyncd.journal import message_id
from event_catalogue import MEANING, written_events

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "events.md"

INTRODUCTION = """\
# Events

<!-- Written by `make reference` from the program's own calls, and from tests/event_catalogue.py. -->

The log goes to stderr: lines for people on a terminal, JSON elsewhere (`--log-format`). Each line is one event, with a
stable name (`event`), a `level`, a `timestamp` in UTC, and its members. Within a run each line has its `run_id`.
Secrets, bodies and headers are never among them; fields are named only. Of the counts only those stand there that are
not 0.

As a service of systemd, erpsyncd writes into the journal itself: `MESSAGE` has the event with its members, `PRIORITY`
the level, `SYSLOG_IDENTIFIER` is `erpsyncd`, `ERPSYNCD_EVENT` the event's name, `ERPSYNCD_RUN` the run, and each other
member a field such as `ERPSYNCD_TENANT` or `ERPSYNCD_KEY`. Each event has its `MESSAGE_ID`, which never changes:

```console
$ journalctl -u erpsyncd ERPSYNCD_TENANT=acme
$ journalctl MESSAGE_ID=IDENTIFIER --since today
```

| Event | Level | Meaning | Members | MESSAGE_ID |
| --- | --- | --- | --- | --- |
""".replace("=IDENTIFIER", f"={message_id('run.finished')}")


def page() -> str:
    """Return the page."""
    return INTRODUCTION + "".join(
        f"| `{event}` | {', '.join(sorted(written.levels))} | {MEANING[event]} "
        f"| {', '.join(f'`{member}`' for member in sorted(written.members)) or '-'} | `{message_id(event)}` |\n"
        for event, written in written_events().items()
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

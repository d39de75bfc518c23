"""What others are told of passes, and when."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from erpsyncd.domain.input_rules import url_problem
from erpsyncd.domain.results import Status

if TYPE_CHECKING:
    from erpsyncd.domain.watching import FinishedRun, StartedRun

#: So many names of tenants are told at most.
_TENANTS = 50


class Event(StrEnum):
    """What a notification is about."""

    START = "start"
    SUCCESS = "success"
    FAILURE = "failure"


#: Beside the events, for commands only: a success after a failure.
RECOVERED = "recovered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One thing to tell."""

    event: Event
    recovered: bool
    body: dict[str, Any]
    """What is sent as JSON. No secret is in it; texts of others were redacted."""

    @property
    def words(self) -> frozenset[str]:
        """What `notify.command_on` may name it by."""
        return frozenset({str(self.event)} | ({RECOVERED} if self.recovered else set()))


def of_start(run: StartedRun, *, host: str) -> Notification:
    """Return what is told when a pass begins."""
    body = {**_head(Event.START, run, host), "recovered": False}
    return Notification(event=Event.START, recovered=False, body=body)


def of_end(run: FinishedRun, *, host: str, failed_before: bool, redact: Callable[[str], str]) -> Notification:
    """Return what is told when a pass ended; `failed_before` is how the one before it went."""
    event = Event.SUCCESS if run.exit_code == 0 else Event.FAILURE
    recovered = failed_before and event is Event.SUCCESS
    report = run.report
    undone = (
        [] if report is None else [tenant.tenant for tenant in report.tenants if tenant.visited and tenant.any_failed]
    )
    body = {
        **_head(event, run.started, host),
        "recovered": recovered,
        "finished_at": _moment(run.finished_at),
        "duration_ms": round(run.duration.total_seconds() * 1000),
        "run_id": None if report is None else report.run_id,
        "status": str(run.status),
        "exit_code": run.exit_code,
        "counts": {str(status): 0 if report is None else report.counts[status] for status in Status},
        "tenants": 0 if report is None else len(report.tenants),
        "failed_tenants": undone[:_TENANTS],
        "failed_tenants_in_all": len(undone),
        "error_class": run.error_class,
        "error": None if run.error is None else redact(run.error),
    }
    return Notification(event=event, recovered=recovered, body=body)


def webhook_problem(url: str) -> str | None:
    """Refuse what is no address of a webhook: https, or http on this machine; it may have a query. Never repeats it."""
    if not url.isprintable() or " " in url:
        return "must not contain blanks or control characters"
    return "must not contain a fragment" if "#" in url else url_problem(url.partition("?")[0])


def read_events(text: str) -> frozenset[str]:
    """Read the words of `notify.command_on`.

    Raises:
        ValueError: one of them is none.
    """
    known = {*map(str, Event), RECOVERED}
    words = frozenset(text.replace(",", " ").split())
    if not words <= known:
        raise ValueError(f"must be words out of {', '.join(sorted(known))}")
    return words


def read_command(text: str) -> tuple[str, ...]:
    """Read a program with its arguments, which are quoted as in a shell; empty for none.

    Raises:
        ValueError: a quotation is not closed, or the program is not named by its absolute path.
    """
    try:
        words = tuple(shlex.split(text))
    except ValueError:
        raise ValueError("has a quotation that is not closed") from None
    if words and not words[0].startswith("/"):
        raise ValueError("must begin with the absolute path of a program")
    if "\0" in text:
        raise ValueError("must not contain U+0000")
    return words


def _head(event: Event, run: StartedRun, host: str) -> dict[str, Any]:
    return {
        "version": 1,
        "kind": "notification",
        "event": str(event),
        "host": host,
        "trigger": run.trigger,
        "started_at": _moment(run.started_at),
    }


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"

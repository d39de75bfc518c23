"""`erpsyncd changes`: the records that tenants said were changed (ChangedData)."""

from __future__ import annotations

import csv
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import click

from erpsyncd.cli.groups import command_group
from erpsyncd.cli.history import limit_option, raise_if_unknown, select_items, show_items
from erpsyncd.cli.layout import local
from erpsyncd.cli.moments import since_option
from erpsyncd.cli.opening import store_of
from erpsyncd.cli.options import Invocation, common_options, pass_invocation, selection_options
from erpsyncd.cli.output import as_json, encode, json_text, write_text
from erpsyncd.domain.selection import Selection
from erpsyncd.store import ChangeView

F = TypeVar("F", bound=Callable[..., Any])

#: The members of each record, in their order; programs count on it.
COLUMNS = ("recorded_at", "tenant", "run_id", "operation", "change", "table_name", "record_id")

#: How often `follow` looks.
_LOOKS_SECONDS = 1.0


def _filters(command: F) -> F:
    return since_option(click.option("--tenant", metavar="TENANT", help="Only this tenant.")(command))


@command_group
def changes() -> None:
    """List, export or follow the records that tenants said were changed.

    \b
    Example:
      erpsyncd changes list --limit 100
    """


@changes.command(name="list")
@selection_options
@_filters
@limit_option
@common_options
@pass_invocation
def list_changes(
    invocation: Invocation, *, selection: Selection, since: datetime | None, tenant: str | None, limit: int | None
) -> None:
    """List changed records, newest first.

    \b
    Examples:
      erpsyncd changes list --since 2h
      erpsyncd changes list --output json
    """
    with store_of(invocation) as store:
        raise_if_unknown(store, tenant)
        items = select_items(store, selection, limit, partial(store.list_changes, tenant=tenant, since=since))
    headings = {
        "recorded_at": "RECORDED",
        "tenant": "TENANT",
        "run_id": "RUN",
        "operation": "OPERATION",
        "change": "CHANGE",
        "table_name": "TABLE",
        "record_id": "RECORD",
    }
    show_items(invocation, "changes", headings, items)


@changes.command()
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", help="Form of it. [jsonl]")
@_filters
@common_options
@pass_invocation
def export(invocation: Invocation, *, form: str, since: datetime | None, tenant: str | None) -> None:
    """Write changed records to stdout, oldest first, for another program.

    Each one is an object on a line of its own, or a row. Times are in UTC. Values are written as
    they are: a spreadsheet may take one that begins with "=" for a formula.

    \b
    Examples:
      erpsyncd changes export --since 2026-11-01 > changes.jsonl
      erpsyncd changes export --format csv --tenant acme > changes.csv
    """
    if invocation.as_json and form == "csv":
        raise click.UsageError("--format csv cannot go with --output json", click.get_current_context())
    with store_of(invocation) as store:
        raise_if_unknown(store, tenant)
        found = store.iterate_changes(since=since, tenant=tenant)
        if form == "csv":
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows([encode(getattr(change, name)) for name in COLUMNS] for change in found)
        else:
            for change in found:
                sys.stdout.write(_json_line(change))


@changes.command()
@click.option("--tenant", metavar="TENANT", help="Only this tenant.")
@common_options
@pass_invocation
def follow(invocation: Invocation, *, tenant: str | None) -> int:
    """Write changed records as they come, until Ctrl-C or SIGTERM.

    With --output json each one is an object on a line of its own.

    \b
    Example:
      erpsyncd changes follow --tenant acme
    """
    with store_of(invocation) as store, _told_to_stop() as stopped:
        raise_if_unknown(store, tenant)
        follower = store.follow_changes(tenant=tenant)
        while not stopped.wait(_LOOKS_SECONDS):
            for change in follower.news():
                if invocation.as_json:
                    sys.stdout.write(_json_line(change))
                else:
                    write_text(_text_line(change))
            sys.stdout.flush()
    return 0


def _json_line(change: ChangeView) -> str:
    members = as_json(change)
    return json_text({name: members[name] for name in COLUMNS}) + "\n"


def _text_line(change: ChangeView) -> str:
    record = f"{change.change} {change.table_name} {change.record_id}"
    return f"{local(change.recorded_at)}  {change.tenant}: {record} ({change.operation}, run {change.run_id})"


@contextmanager
def _told_to_stop() -> Iterator[threading.Event]:
    """Yield what is set once somebody ends this program in an orderly way."""
    stopped = threading.Event()
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

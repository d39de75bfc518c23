"""`erpsyncd runs`: what happened; and what the lists of `checks` and `changes` have in common with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from erpsyncd.cli.groups import command_group
from erpsyncd.cli.opening import store_of
from erpsyncd.cli.options import Invocation, common_options, pass_invocation
from erpsyncd.cli.output import as_json, table, write_json, write_text
from erpsyncd.domain.selection import Selection
from erpsyncd.domain.unknown_names import no_such_tenant
from erpsyncd.errors import UsageError
from erpsyncd.store import SqlStore
from erpsyncd.store.views import ChangeView, CheckView, ConnectionView, TenantView

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


def list_options(command: F) -> F:
    """Give a list command its filters."""
    command = click.option("--tenant", metavar="TENANT", help="Only this tenant.")(command)
    return limit_option(command)


def limit_option(command: F) -> F:
    """Give a list command a limit."""
    return click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most this many.")(command)


def show_items(invocation: Invocation, kind: str, headings: dict[str, str], items: Sequence[Any]) -> None:
    """Write a list: JSON with every member, or a table with the columns that fit a terminal."""
    if invocation.as_json:
        write_json(kind, {"items": [as_json(item) for item in items]})
    elif items:
        rows = (tuple(getattr(item, name) for name in headings) for item in items)
        write_text(table(tuple(headings.values()), rows))
    else:
        write_text(f"There are no {kind}.")


def select_items(
    store: SqlStore, selection: Selection, limit: int | None, listed: Callable[..., Sequence[T]]
) -> Sequence[T]:
    """Return what a list has of the selection.

    Raises:
        UsageError: a pattern matches nothing, neither in the store nor in the list, which may tell of what is gone.
    """
    if selection.is_everything:
        return listed(limit=limit)
    items = listed(limit=None)
    known = {tenant.name for tenant in store.list_tenants()} | {_named(item)[0] for item in items}
    selection.raise_if_unknown(known, store.connection_keys)
    return [item for item in items if selection.matches(*_named(item))][:limit]


def raise_if_unknown(store: SqlStore, tenant: str | None) -> None:
    """Refuse a `--tenant` that neither the store nor what happened knows: an empty list would hide the slip.

    Raises:
        UsageError: with the name that may have been meant.
    """
    if tenant is None or store.list_tenants(name=tenant, limit=1):
        return
    if not (store.list_checks(tenant=tenant, limit=1) or store.list_changes(tenant=tenant, limit=1)):
        raise no_such_tenant(tenant, (each.name for each in store.list_tenants()))


def _named(item: object) -> tuple[str, str | None]:
    """Return the tenant that an item of a list is about, and the connection where it is about one."""
    match item:
        case TenantView():
            return item.name, None
        case ConnectionView():
            return item.tenant, item.key
        case CheckView() | ChangeView():
            return item.tenant, None
        case _:
            raise TypeError(f"{type(item).__name__} is about no tenant")


@command_group
def runs() -> None:
    """List the passes that were made.

    \b
    Examples:
      erpsyncd runs list --limit 10
      erpsyncd runs show 17
    """


@runs.command(name="list")
@limit_option
@common_options
@pass_invocation
def list_runs(invocation: Invocation, *, limit: int | None) -> None:
    """List runs, newest first; `interrupted` ones died before their end.

    \b
    Example:
      erpsyncd runs list --limit 10
    """
    with store_of(invocation) as store:
        items = store.list_runs(limit=limit)
    headings = {
        "run_id": "RUN",
        "trigger": "BY",
        "started_at": "STARTED",
        "finished_at": "FINISHED",
        "status": "STATUS",
        "exit_code": "CODE",
    }
    show_items(invocation, "runs", headings, items)


@runs.command(name="show")
@click.argument("run_id", type=int, metavar="RUN")
@common_options
@pass_invocation
def show_run(invocation: Invocation, run_id: int) -> None:
    """Show what one run did to each connection.

    \b
    Example:
      erpsyncd runs show 17
    """
    with store_of(invocation) as store:
        found = store.get_run(run_id)
    if found is None:
        raise UsageError(f"there is no run {run_id}; see: erpsyncd runs list")
    run, outcomes = found
    if invocation.as_json:
        write_json("runs", {"items": [as_json(run) | {"outcomes": outcomes}]})
        return
    write_text(f"Run {run.run_id}, {run.trigger}: {run.status}")
    headings = {
        "status": "OUTCOME",
        "change": "CHANGE",
        "tenant": "TENANT",
        "key": "KEY",
        "error_class": "CLASS",
        "error": "WHY",
    }
    show_items(invocation, "outcomes", headings, outcomes)

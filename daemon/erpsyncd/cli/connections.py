"""`erpsyncd connections`."""

from __future__ import annotations

from functools import partial

import click

from erpsyncd.cli.adopting import adopt, decide
from erpsyncd.cli.details import connection_as_text, detail_as_json
from erpsyncd.cli.groups import command_group
from erpsyncd.cli.history import list_options, raise_if_unknown, select_items, show_items
from erpsyncd.cli.opening import store_of
from erpsyncd.cli.options import Invocation, common_options, pass_invocation, selection_options
from erpsyncd.cli.output import write_json, write_text
from erpsyncd.domain.connections import State
from erpsyncd.domain.selection import Selection


@command_group
def connections() -> None:
    """List connections, settle what needs a decision, rename or forget them.

    \b
    Example:
      erpsyncd connections list --tenant acme
    """


@connections.command(name="list")
@selection_options
@list_options
@click.option(
    "--state",
    type=click.Choice([state.value for state in State]),
    metavar="STATE",
    help=f"Only those: {', '.join(State)}.",
)
@common_options
@pass_invocation
def list_connections(
    invocation: Invocation, *, selection: Selection, tenant: str | None, state: str | None, limit: int | None
) -> None:
    """List connections by tenant and key, with what is known about each.

    \b
    Examples:
      erpsyncd connections list --only 'acme/visma-*'
      erpsyncd connections list --state failed
    """
    wanted = State(state) if state else None
    with store_of(invocation) as store:
        raise_if_unknown(store, tenant)
        items = select_items(store, selection, limit, partial(store.list_connections, tenant=tenant, state=wanted))
    headings = {
        "tenant": "TENANT",
        "key": "KEY",
        "state": "STATE",
        "erp_connection_id": "ID",
        "display_name": "NAME",
        "active": "ACTIVE",
        "next_attempt_at": "NEXT TRY",
        "error_class": "ERROR",
    }
    show_items(invocation, "connections", headings, items)


@connections.command()
@click.argument("tenant")
@click.argument("key")
@click.option("--limit", type=click.IntRange(min=1), default=10, metavar="N", help="At most this many outcomes. [10]")
@common_options
@pass_invocation
def show(invocation: Invocation, tenant: str, key: str, *, limit: int) -> None:
    """Show everything known about a connection, and what became of it lately.

    \b
    Example:
      erpsyncd connections show acme visma-no
    """
    with store_of(invocation) as store:
        detail = store.get_connection(tenant, key, history=limit)
    if invocation.as_json:
        write_json("connections", {"items": [detail_as_json(detail)]})
    else:
        write_text(connection_as_text(detail))


@connections.command()
@click.argument("tenant")
@click.argument("key")
@common_options
@pass_invocation
def remove(invocation: Invocation, tenant: str, key: str) -> None:
    """Forget a connection here; nothing is changed in the tenant.

    To delete it there, import it with state = "absent".

    \b
    Example:
      erpsyncd connections remove acme visma-no
    """
    with store_of(invocation) as store:
        store.remove_connection(tenant, key)
    if invocation.as_json:
        write_json("connections", {"items": [{"tenant": tenant, "key": key}]})
    else:
        write_text(f"{tenant}/{key} is forgotten here; nothing was changed in the tenant.")


@connections.command()
@click.argument("tenant")
@click.argument("key")
@click.argument("new_key")
@common_options
@pass_invocation
def rename(invocation: Invocation, tenant: str, key: str, new_key: str) -> None:
    """Give a connection another key; nothing is changed in the tenant.

    Do so before you import documents that call it by the new key: to them it would be another
    connection. What happened until now stays under the old one in runs.

    \b
    Example:
      erpsyncd connections rename acme visma-no visma-norway
    """
    with store_of(invocation) as store:
        store.rename_connection(tenant, key, new_key)
    if invocation.as_json:
        write_json("connections", {"items": [{"tenant": tenant, "key": new_key, "old_key": key}]})
    else:
        now = f"{tenant}/{new_key}"
        write_text(f"{tenant}/{key} is {now} now; call it so in your documents before you import them again.")


connections.add_command(adopt)


@connections.command()
@click.argument("tenant")
@click.argument("key")
@click.option("--id", "erp_connection_id", type=click.IntRange(min=1), metavar="N", help="It is this one.")
@click.option("--create", is_flag=True, help="It is none of those; create it.")
@common_options
@pass_invocation
def resolve(invocation: Invocation, tenant: str, key: str, *, erp_connection_id: int | None, create: bool) -> None:
    """Decide what an unanswered create came to, or which connection a missing or replaced one is now.

    \b
    Examples:
      erpsyncd connections resolve acme visma-no --id 7
      erpsyncd connections resolve acme visma-no --create
    """
    if create == (erp_connection_id is not None):
        raise click.UsageError("give either --id N or --create", click.get_current_context())
    decide(invocation, tenant, key, erp_connection_id)

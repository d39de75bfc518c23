"""`erpsyncd connections`."""

from __future__ import annotations

import click

from erpsyncd.cli.history import list_options, show_items
from erpsyncd.cli.opening import store_of
from erpsyncd.cli.options import Invocation, common_options, pass_invocation
from erpsyncd.cli.output import write_json, write_text


@click.group()
def connections() -> None:
    """List connections, or forget them."""


@connections.command(name="list")
@list_options
@common_options
@pass_invocation
def list_connections(invocation: Invocation, *, tenant: str | None, limit: int | None) -> None:
    """List connections by tenant and key, with what is known about each.

    \b
    Example:
      erpsyncd connections list --tenant acme
    """
    with store_of(invocation) as store:
        items = store.list_connections(tenant=tenant, limit=limit)
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

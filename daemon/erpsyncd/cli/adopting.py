"""`erpsyncd connections adopt`: what a tenant has already becomes ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from erpsyncd import by_hand
from erpsyncd.cli.layout import one_line, paragraph
from erpsyncd.cli.opening import settings_of, store_of
from erpsyncd.cli.options import Invocation, common_options, pass_invocation
from erpsyncd.cli.output import as_json, write_json, write_text
from erpsyncd.domain.adoption import Found
from erpsyncd.domain.connections import State


@click.command()
@click.argument("tenant")
@click.option("--id", "erp_connection_id", type=click.IntRange(min=1), metavar="N", help="Only this one of theirs.")
@click.option("--key", metavar="KEY", help="Our name for it; without it, one like its display name.")
@click.option("--dry-run", is_flag=True, help="Read and say what would be taken over; write nothing.")
@common_options
@pass_invocation
def adopt(invocation: Invocation, tenant: str, *, erp_connection_id: int | None, key: str | None, dry_run: bool) -> int:
    """Take over connections that the tenant has already.

    Without --id: everything that nobody owns. Each is described here just as it is there; nothing is saved in the
    tenant. One whose values the tenant hides is incomplete, and never saved, until an import gives them.

    With a KEY that is described here already: that is connection N from now on, and the next pass makes it what is
    described.

    \b
    Examples:
      erpsyncd connections adopt acme --dry-run
      erpsyncd connections adopt acme
      erpsyncd connections adopt acme --id 7 --key visma-no
    """
    if key is not None and erp_connection_id is None:
        raise click.UsageError("--key goes with --id N", click.get_current_context())
    settings = settings_of(invocation)
    if key is not None and by_hand.is_described(settings, tenant, key):
        if dry_run:
            raise click.UsageError(f"{key!r} is described already; --dry-run has nothing to read for it")
        decide(invocation, tenant, key, erp_connection_id)
        return 0
    found = by_hand.adopt_connections(
        settings, tenant, invocation.environ, only=erp_connection_id, key=key, dry_run=dry_run
    )
    if invocation.as_json:
        write_json("connections", {"items": [_item(tenant, one, dry_run=dry_run) for one in found]})
    else:
        write_text("\n".join(_lines(tenant, found, dry_run=dry_run)))
    taken = sum(one.is_taken for one in found)
    return 0 if taken == len(found) else 3 if taken else 1


def _item(tenant: str, found: Found, *, dry_run: bool) -> dict[str, object]:
    taken = found.is_taken and not dry_run
    state = (State.INCOMPLETE if found.hidden else State.IN_SYNC) if taken else None
    rest = {"attempts": 0, "next_attempt_at": None, "adopted": taken}
    return {"tenant": tenant, "key": found.key, "state": state, **as_json(found), **rest}


def _lines(tenant: str, found: Sequence[Found], *, dry_run: bool) -> Iterator[str]:
    for one in found:
        theirs = f"{one.erp_connection_id} ({one_line(one.display_name)})"
        if one.is_taken:
            lacks = f"; the tenant hides {', '.join(one.hidden)}: import it with its value" if one.hidden else ""
            yield paragraph(f"{theirs} {'would be' if dry_run else 'is'} {tenant}/{one.key}{lacks}", rest="  ")
        else:
            yield paragraph(f"{theirs} is not taken over: {one.error}", rest="  ")
    taken = sum(one.is_taken for one in found)
    if not found:
        yield f"{tenant} has nothing that is not ours already."
    elif dry_run:
        yield f"{taken} of {len(found)} would be taken over; nothing was written."
    else:
        yield f"{taken} of {len(found)} taken over; nothing was changed in the tenant."


def decide(invocation: Invocation, tenant: str, key: str, erp_connection_id: int | None) -> None:
    """Write down which connection of the tenant a described one is; None says that it does not exist there."""
    with store_of(invocation) as store:
        store.resolve_connection(tenant, key, erp_connection_id=erp_connection_id)
    if invocation.as_json:
        write_json("connections", {"items": [{"tenant": tenant, "key": key, "erp_connection_id": erp_connection_id}]})
    elif erp_connection_id is None:
        write_text(f"{tenant}/{key} will be created in the next pass.")
    else:
        write_text(f"{tenant}/{key} is connection {erp_connection_id} now; the next pass makes it what is described.")

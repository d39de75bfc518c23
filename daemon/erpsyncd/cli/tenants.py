"""`erpsyncd tenants`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from erpsyncd import by_hand
from erpsyncd.cli.describing import add, edit
from erpsyncd.cli.details import detail_as_json, tenant_as_text
from erpsyncd.cli.groups import command_group
from erpsyncd.cli.history import limit_option, select_items, show_items
from erpsyncd.cli.layout import paragraph
from erpsyncd.cli.opening import settings_of, store_of
from erpsyncd.cli.options import Invocation, common_options, pass_invocation, selection_options
from erpsyncd.cli.output import as_json, write_json, write_text
from erpsyncd.domain.items import command
from erpsyncd.domain.selection import Selection
from erpsyncd.service.probe import Step


@command_group
def tenants() -> None:
    """Describe tenants, try them out, leave them alone for a while, rename or forget them.

    \b
    Examples:
      erpsyncd tenants list
      erpsyncd tenants pause acme
    """


@tenants.command(name="list")
@selection_options
@limit_option
@common_options
@pass_invocation
def list_tenants(invocation: Invocation, *, selection: Selection, limit: int | None) -> None:
    """List tenants by name.

    \b
    Example:
      erpsyncd tenants list
    """
    with store_of(invocation) as store:
        items = select_items(store, selection, limit, store.list_tenants)
    headings = {
        "name": "TENANT",
        "protocol": "PROTOCOL",
        "state": "STATE",
        "connections": "CONNECTIONS",
        "address": "URL",
    }
    if any(tenant.tenant_state for tenant in items):  # somebody is at Online
        headings |= {"tenant_state": "ONLINE", "tenant_state_until": "GOOD UNTIL"}
    show_items(invocation, "tenants", headings, items)


@tenants.command()
@click.argument("tenant")
@common_options
@pass_invocation
def show(invocation: Invocation, tenant: str) -> None:
    """Show everything known about a tenant as a whole.

    \b
    Example:
      erpsyncd tenants show acme
    """
    with store_of(invocation) as store:
        detail = store.get_tenant(tenant)
    if invocation.as_json:
        write_json("tenants", {"items": [detail_as_json(detail)]})
    else:
        write_text(tenant_as_text(detail))


tenants.add_command(add)
tenants.add_command(edit)


@tenants.command()
@click.argument("tenant")
@click.option("--retry", is_flag=True, help="Try credentials that the tenant refused before.")
@common_options
@pass_invocation
def test(invocation: Invocation, tenant: str, *, retry: bool) -> int:
    """Try a tenant out: log in, list its connections, ask HasConnections. Nothing is changed.

    Credentials that it refused before are not tried again, unless with --retry.

    \b
    Examples:
      erpsyncd tenants test acme
      erpsyncd tenants test --retry acme
    """
    probe = by_hand.test_tenant(settings_of(invocation), tenant, invocation.environ, retry=retry)
    if invocation.as_json:
        steps = [as_json(step) for step in probe.steps]
        write_json("tenants", {"items": [{"name": tenant, "ok": probe.error is None, "steps": steps}]})
    else:
        write_text("\n".join(_steps(probe.steps)))
    return 0 if probe.error is None else probe.error.exit_code


def _steps(steps: Sequence[Step]) -> Iterator[str]:
    for step in steps:
        word = {True: "ok", False: "failed", None: "-"}[step.is_ok]
        yield paragraph(f"{step.name}: {step.what}", first=f"{word:<8}", rest=" " * 10)
        if step.do is not None:
            yield f"            {step.do}"


@tenants.command()
@click.argument("tenant")
@common_options
@pass_invocation
def pause(invocation: Invocation, tenant: str) -> None:
    """Leave a tenant alone until it is resumed.

    \b
    Example:
      erpsyncd tenants pause acme
    """
    with store_of(invocation) as store:
        store.pause_tenant(tenant)
    _confirm(invocation, tenant, f"{tenant} is paused; go on with: {command('tenants', 'resume', tenant)}")


@tenants.command()
@click.argument("tenant")
@common_options
@pass_invocation
def resume(invocation: Invocation, tenant: str) -> None:
    """Work on a tenant again, also after refused credentials or many failures.

    \b
    Example:
      erpsyncd tenants resume acme
    """
    with store_of(invocation) as store:
        store.resume_tenant(tenant)
    _confirm(invocation, tenant, f"{tenant} will be worked on in the next pass.")


@tenants.command()
@click.argument("tenant")
@common_options
@pass_invocation
def remove(invocation: Invocation, tenant: str) -> None:
    """Forget a tenant and its connections here; nothing is changed in the tenant.

    \b
    Example:
      erpsyncd tenants remove acme
    """
    with store_of(invocation) as store:
        store.remove_tenant(tenant)
    _confirm(invocation, tenant, f"{tenant} is forgotten here; nothing was changed in the tenant.")


@tenants.command()
@click.argument("tenant")
@click.argument("new_name")
@common_options
@pass_invocation
def rename(invocation: Invocation, tenant: str, new_name: str) -> None:
    """Give a tenant another name; nothing is changed in it.

    Do so before you import documents that call it by the new name. What happened until now
    stays under the old one in runs, checks and changes.

    \b
    Example:
      erpsyncd tenants rename acme acme-norway
    """
    with store_of(invocation) as store:
        store.rename_tenant(tenant, new_name)
    if invocation.as_json:
        write_json("tenants", {"items": [{"name": new_name, "old_name": tenant}]})
    else:
        write_text(f"{tenant} is {new_name} now; call it so in your documents before you import them again.")


def _confirm(invocation: Invocation, tenant: str, sentence: str) -> None:
    if invocation.as_json:
        write_json("tenants", {"items": [{"name": tenant}]})
    else:
        write_text(sentence)

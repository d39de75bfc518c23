"""`erpsyncd checks`: what tenants answered, in a list and one by one."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import click

from erpsyncd.cli.groups import command_group
from erpsyncd.cli.history import list_options, raise_if_unknown, select_items, show_items
from erpsyncd.cli.layout import facts, local, one_line
from erpsyncd.cli.opening import store_of
from erpsyncd.cli.options import Invocation, common_options, pass_invocation, selection_options
from erpsyncd.cli.output import as_json, write_json, write_text
from erpsyncd.domain.explanations import in_language
from erpsyncd.domain.selection import Selection
from erpsyncd.errors import UsageError
from erpsyncd.store import CheckDetail


@command_group
def checks() -> None:
    """List the answers to HasConnections, or show one of them whole.

    \b
    Examples:
      erpsyncd checks list --tenant acme
      erpsyncd checks show 17
    """


@checks.command(name="list")
@selection_options
@list_options
@common_options
@pass_invocation
def list_checks(invocation: Invocation, *, selection: Selection, tenant: str | None, limit: int | None) -> None:
    """List answers, newest first; equal ones in a row are one line.

    HasConnections is asked by each check, GetConnectionStartupErrors after a no, and SyncAll is
    called where sync_all_after_save is set.

    \b
    Example:
      erpsyncd checks list --tenant acme
    """
    with store_of(invocation) as store:
        raise_if_unknown(store, tenant)
        items = select_items(store, selection, limit, partial(store.list_checks, tenant=tenant))
        languages = {} if invocation.as_json else store.languages()
    if not invocation.as_json:
        items = [
            replace(item, user_explanation=in_language(item.user_explanation, languages.get(item.tenant)))
            for item in items
        ]
    headings = {
        "check_id": "CHECK",
        "tenant": "TENANT",
        "operation": "OPERATION",
        "is_ok": "OK",
        "user_explanation": "EXPLANATION",
        "error_code": "CODE",
        "first_at": "FIRST",
        "last_at": "LAST",
        "times": "TIMES",
    }
    show_items(invocation, "checks", headings, items)


@checks.command()
@click.argument("check_id", type=int, metavar="CHECK")
@common_options
@pass_invocation
def show(invocation: Invocation, check_id: int) -> None:
    """Show one answer with everything that came: rights, properties, members unknown here.

    \b
    Example:
      erpsyncd checks show 17
    """
    with store_of(invocation) as store:
        found = store.get_check(check_id)
    if found is None:
        raise UsageError(f"there is no check {check_id}; see: erpsyncd checks list")
    if invocation.as_json:
        write_json("checks", {"items": [as_json(found.view) | {"response": found.response}]})
    else:
        write_text(_as_text(found))


def _as_text(found: CheckDetail) -> str:
    """Return an answer for a person: what it says, how often, and all of it as it came."""
    view = found.view
    times = f"from {local(view.first_at)} to {local(view.last_at)}, {view.times} times"
    when = f"{local(view.last_at)}" if view.times == 1 else times
    said = [
        ("Explanation", in_language(view.user_explanation, found.language)),
        ("Technical", view.tech_explanation),
        ("Code", view.error_code),
        ("Status", view.status),
        ("Answered", f"{when}; run {view.run_id}"),
        ("Changed", f"{view.changed_records} records"),
    ]
    head = f"Check {view.check_id}, {view.tenant}: {view.operation} {'is ok' if view.is_ok else 'is not ok'}"
    whole = (
        "Nothing more is known of it."
        if found.response is None
        else json.dumps(found.response, indent=2, ensure_ascii=False)
    )
    return f"{one_line(head)}\n\n{facts(said)}\n\n{whole}"

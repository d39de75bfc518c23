"""`erpsyncd schema`."""

from __future__ import annotations

import json

import click

from erpsyncd.cli.options import Invocation, common_options, pass_invocation
from erpsyncd.cli.output import table, write_json, write_text
from erpsyncd.cli.schemas import KINDS, schema_of
from erpsyncd.domain.unknown_names import meant
from erpsyncd.errors import UsageError


@click.command()
@click.argument("kind", required=False)
@common_options
@pass_invocation
def schema(invocation: Invocation, kind: str | None) -> None:
    """Print the JSON Schema of what --output json writes.

    Without KIND, list the kinds that there are.

    \b
    Examples:
      erpsyncd schema
      erpsyncd schema run_report
    """
    if kind is not None:
        if kind not in KINDS:
            raise UsageError(f"there is no kind {kind!r}{meant(kind, KINDS, otherwise='; see: erpsyncd schema')}")
        write_text(json.dumps(schema_of(kind), indent=2))
        return
    found = [{"name": name, "description": each.description} for name, each in sorted(KINDS.items())]
    if invocation.as_json:
        write_json("schemas", {"items": found})
    else:
        write_text(table(("KIND", "WHAT IT IS"), (tuple(item.values()) for item in found)))

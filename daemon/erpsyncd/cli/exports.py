"""`erpsyncd export`."""

from __future__ import annotations

import sys

import click

from erpsyncd.cli.opening import store_of
from erpsyncd.cli.options import Invocation, common_options, pass_invocation
from erpsyncd.cli.output import write_note
from erpsyncd.service.export import export_warnings, write_document
from erpsyncd.service.layouts import Layout


@click.command()
@click.option("--tenant", "tenants", metavar="TENANT", multiple=True, help="Only this tenant; may be given again.")
@click.option(
    "--format", "layout", type=click.Choice(Layout, case_sensitive=False), help="Form of the document. [toml]"
)
@click.option("--reveal", is_flag=True, help="Write stored secrets in clear. Mind who can read the file.")
@common_options
@pass_invocation
def export(invocation: Invocation, tenants: tuple[str, ...], *, layout: Layout | None, reveal: bool) -> None:
    """Write what is described as a document that imports to no change.

    References stay as they are; each value that is stored encrypted is written as "@{stored}",
    which keeps it when it is imported. What is marked absent is left out.

    \b
    Examples:
      erpsyncd export > all.toml
      erpsyncd export --tenant acme --format yaml > acme.yaml
      (umask 077; erpsyncd export --reveal > all-with-secrets.toml)
    """
    wanted = layout or (Layout.JSON if invocation.as_json else Layout.TOML)
    if invocation.as_json and wanted is not Layout.JSON:
        raise click.UsageError(f"--format {wanted} cannot go with --output json", click.get_current_context())
    with store_of(invocation) as store:
        document = store.read_document(tenants=frozenset(tenants), reveal=reveal)
    for warning in export_warnings(document):
        write_note(f"erpsyncd: warning: {warning}")
    # A document is UTF-8, whatever the terminal is.
    sys.stdout.buffer.write(write_document(document, wanted, reveals=reveal).encode())
    sys.stdout.flush()

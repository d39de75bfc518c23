"""`erpsyncd import`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from erpsyncd import bootstrap
from erpsyncd.cli.opening import settings_of
from erpsyncd.cli.options import Invocation, common_options, pass_invocation
from erpsyncd.cli.output import as_json, write_json, write_note, write_text
from erpsyncd.errors import ConfigurationError


@click.command(name="import")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--prune", is_flag=True, help="Mark absent what the files no longer name, in tenants that they name.")
@click.option("--dry-run", is_flag=True, help="Check everything and say what would change; write nothing.")
@click.option("--resolve", is_flag=True, help="Also check that @{env:...} and @{systemd:...} can be resolved here.")
@common_options
@pass_invocation
def import_(invocation: Invocation, files: tuple[Path, ...], *, prune: bool, dry_run: bool, resolve: bool) -> None:
    """Read tenants and connections from TOML, YAML or JSON files (- is stdin).

    All or nothing: with any problem, nothing is written. The next pass pushes what changed.

    \b
    Examples:
      erpsyncd import acme.toml
      erpsyncd import --prune tenants/*.toml
    """
    sources = [(str(path), _read(path)) for path in files]
    settings = settings_of(invocation)
    report, warnings = bootstrap.import_documents(
        settings, sources, invocation.environ, prune=prune, dry_run=dry_run, resolve=resolve
    )
    for warning in warnings:
        write_note(f"erpsyncd: warning: {warning}")
    if invocation.as_json:
        write_json("import_report", as_json(report))
        return
    done = "Would be" if dry_run else "Imported:"
    write_text(
        f"{done} {report.added} added, {report.changed} changed, {report.unchanged} unchanged, "
        f"{report.removed} marked absent"
    )


def _read(path: Path) -> bytes:
    if str(path) == "-":
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise click.UsageError(f"there is no file {path}") from None
    except OSError as exc:
        raise ConfigurationError(f"{path} cannot be read: {exc.strerror}") from exc

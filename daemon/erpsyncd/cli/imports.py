"""`erpsyncd import`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from erpsyncd import bootstrap
from erpsyncd.cli.opening import settings_of
from erpsyncd.cli.options import Invocation, common_options, pass_invocation
from erpsyncd.cli.output import as_json, cut, write_json, write_note, write_text
from erpsyncd.domain.documents import FieldEdit, ImportItem, ImportReport, ItemChange
from erpsyncd.errors import ConfigurationError

#: So many lines of each sign are shown; a first import may bring 10,000 connections.
_MOST_LINES = 50


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
    What changes is shown: + added, ~ changed (of secrets the names only), - marked absent.
    The value "@{stored}" keeps what the store has, unless the tenant's address changes.

    \b
    Examples:
      erpsyncd import acme.toml
      erpsyncd import --prune --dry-run tenants/*.toml
    """
    sources = [(str(path), read_source(path)) for path in files]
    settings = settings_of(invocation)
    report, warnings = bootstrap.import_documents(
        settings, sources, invocation.environ, prune=prune, dry_run=dry_run, resolve=resolve
    )
    for warning in warnings:
        write_note(f"erpsyncd: warning: {warning}")
    if invocation.as_json:
        write_json("import_report", as_json(report))
        return
    write_text("\n".join((*_diff(report), _sum(report, dry_run=dry_run))))


def _diff(report: ImportReport) -> Iterator[str]:
    """Return what changes, one line each: what goes comes first, because it is what nobody wants to overlook."""
    signed = [(_sign(item), item) for item in report.items]
    for sign in "-~+":
        lines = [_line(item) for found, item in signed if found == sign]
        yield from (f"{sign} {line}" for line in cut(lines, _MOST_LINES))


def _sign(item: ImportItem) -> str:
    if item.is_marked_absent:
        return "-"
    return "+" if item.change is ItemChange.ADDED else "~"


def _line(item: ImportItem) -> str:
    named = f"{item.tenant}/{item.key}" if item.key else item.tenant
    if item.is_marked_absent:
        return f"{named}  marked absent"
    lacking = f"incomplete without {', '.join(item.incomplete)}" if item.incomplete else ""
    return "  ".join(filter(None, (named, "; ".join(map(_field, item.fields)), lacking)))


def _field(field: FieldEdit) -> str:
    if field.old is None and field.new is None:
        return f"{field.name} {field.change}"
    return f"{field.name}: {_shown(field.old)} -> {_shown(field.new)}"


def _shown(value: object) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)


def _sum(report: ImportReport, *, dry_run: bool) -> str:
    done = "Would import:" if dry_run else "Imported:"
    return (
        f"{done} {report.added} added, {report.changed} changed, {report.unchanged} unchanged, "
        f"{report.removed} marked absent"
    )


def read_source(path: Path) -> bytes:
    """Return what a file holds, or standard input for `-`."""
    if str(path) == "-":
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise click.UsageError(f"there is no file {path}") from None
    except OSError as exc:
        raise ConfigurationError(f"{path} cannot be read: {exc.strerror}") from exc

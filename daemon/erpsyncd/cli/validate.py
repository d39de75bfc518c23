"""`erpsyncd validate`."""

from __future__ import annotations

from pathlib import Path

import click

from erpsyncd.cli.imports import read_source
from erpsyncd.cli.opening import settings_of
from erpsyncd.cli.options import Invocation, common_options, pass_invocation
from erpsyncd.cli.output import write_json, write_text
from erpsyncd.errors import ConfigurationError, Problem
from erpsyncd.validation import Validation, validate_documents


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--resolve", is_flag=True, help="Also check that @{env:...} and @{systemd:...} can be resolved here.")
@common_options
@pass_invocation
def validate(invocation: Invocation, files: tuple[Path, ...], *, resolve: bool) -> int:
    """Check documents as an import would, and write nothing (- is stdin).

    All problems are listed, also those that only the store knows of, if there
    is one. Ends with 0 if there are none, else with 78.

    \b
    Examples:
      erpsyncd validate acme.toml
      erpsyncd validate --resolve tenants/*.toml
    """
    sources = [(str(path), read_source(path)) for path in files]
    found = validate_documents(settings_of(invocation), sources, invocation.environ, resolve=resolve)
    if invocation.as_json:
        write_json("validate", {"items": _items(found)})
    else:
        write_text(_as_text(found))
    return ConfigurationError.exit_code if found.problems else 0


def _items(found: Validation) -> list[dict[str, str]]:
    return [
        {
            "result": result,
            "place": line.place if isinstance(line, Problem) else "",
            "reason": line.reason if isinstance(line, Problem) else line,
        }
        for result, lines in (("problem", found.problems), ("warning", found.warnings))
        for line in lines
    ]


def _as_text(found: Validation) -> str:
    lines = [*found.problems, *(f"warning: {warning}" for warning in found.warnings)]
    count = len(found.problems)
    total = f"{count} problem{'' if count == 1 else 's'}; nothing would be imported" if count else "No problems."
    return "\n".join((*lines, total))

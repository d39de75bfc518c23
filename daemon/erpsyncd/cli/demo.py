"""`erpsyncd demo`: the whole, on loopback, with nothing left behind."""

from __future__ import annotations

import tempfile
from importlib.resources import files
from pathlib import Path

import click

from erpsyncd import bootstrap
from erpsyncd.cli.output import write_text
from erpsyncd.cli.reports import report_as_text
from erpsyncd.errors import DaemonError

_WRITTEN_FOR = "http://127.0.0.1:8700"


@click.command()
def demo() -> None:
    """Show what erpsyncd does, on a stand-in NetServer, in a few seconds.

    Nothing is needed for it and nothing is left behind.

    \b
    Example:
      erpsyncd demo
    """
    from erpsyncd.sandbox import SandboxServer  # noqa: PLC0415 -- only these commands need it

    document = (files("erpsyncd.config") / "demo" / "tenants.toml").read_text()
    with tempfile.TemporaryDirectory(prefix="erpsyncd-demo-") as directory, SandboxServer(open_tenants=True) as server:
        write_text(f"A stand-in NetServer listens on {server.url}; the store is a new file. Nothing of this stays.\n")
        _play(document.replace(_WRITTEN_FOR, server.url).encode(), Path(directory))
    write_text("\nThat was all on this machine. To begin with a tenant of yours: config/example.toml, and the README.")


def _play(document: bytes, directory: Path) -> None:
    from erpsyncd.service.policy import RunOptions  # noqa: PLC0415 -- as above

    environ = {"ERPSYNCD__STATE__DIRECTORY": str(directory), "ERPSYNCD_CONFIG": str(_empty(directory))}
    settings = bootstrap.start(None, environ, {"log.level": "error"})
    write_text("$ erpsyncd import tenants.toml")
    report, _ = bootstrap.import_documents(
        settings, [("tenants.toml", document)], environ, prune=False, dry_run=False, resolve=False
    )
    write_text(f"{report.added} tenants and connections added, secrets encrypted\n")
    options = RunOptions(trigger="run-once", check_always=True)
    write_text("$ erpsyncd --run-once")
    first = bootstrap.run_once(settings, options, environ)
    write_text(f"{report_as_text(first)}\n")
    write_text("$ erpsyncd changes list")
    with bootstrap.opened_store(settings) as store:
        for row in store.list_changes():
            write_text(f"{row.tenant}: {row.change} {row.table_name} {row.record_id} ({row.operation})")
    write_text("\n$ erpsyncd --run-once")
    second = bootstrap.run_once(settings, options, environ)
    write_text(report_as_text(second))
    if first.exit_code or second.exit_code:
        raise DaemonError("the demo did not end well; please report it with what stands above")


def _empty(directory: Path) -> Path:
    """Return an empty settings file, so that the demo does not depend on this machine's."""
    path = directory / "erpsyncd.toml"
    path.write_text("")
    return path

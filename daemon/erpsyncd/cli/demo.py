"""`erpsyncd demo`: the whole, on loopback, with nothing left behind."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import click

from erpsyncd import bootstrap
from erpsyncd.cli.options import Invocation, common_options, pass_invocation
from erpsyncd.cli.output import write_json, write_text
from erpsyncd.cli.reports import report_as_json, report_as_text
from erpsyncd.errors import DaemonError

_WRITTEN_FOR = "http://127.0.0.1:8700"


@click.command()
@common_options
@pass_invocation
def demo(invocation: Invocation) -> None:
    """Show what erpsyncd does, on a stand-in NetServer, in a few seconds.

    Nothing is needed for it, settings do not count, and nothing is left behind.

    \b
    Example:
      erpsyncd demo
    """
    from erpsyncd.sandbox import SandboxServer  # noqa: PLC0415 -- only these commands need it

    say: Callable[[str], None] = _silent if invocation.as_json else write_text
    document = (files("erpsyncd.config") / "demo" / "tenants.toml").read_text()
    with tempfile.TemporaryDirectory(prefix="erpsyncd-demo-") as directory, SandboxServer(open_tenants=True) as server:
        say(f"A stand-in NetServer listens on {server.url}; the store is a new file. Nothing of this stays.\n")
        played = _play(invocation, document.replace(_WRITTEN_FOR, server.url).encode(), Path(directory), say)
    if invocation.as_json:
        write_json("demo", played)
    say("\nThat was all on this machine. To begin with a tenant of yours: config/example.toml, and the README.")


def _silent(text: str) -> None:
    """Say nothing: what there is to say is in the object that is written at the end."""


def _play(invocation: Invocation, document: bytes, directory: Path, say: Callable[[str], None]) -> dict[str, object]:
    """Go through it once; return what it came to, as JSON has it."""
    from erpsyncd.service.policy import RunOptions  # noqa: PLC0415 -- as above

    environ = {"ERPSYNCD__STATE__DIRECTORY": str(directory), "ERPSYNCD_CONFIG": str(_empty(directory))}
    settings = bootstrap.start(None, environ, {"log.level": "error"} | invocation.overrides())
    say("$ erpsyncd import tenants.toml")
    report, _ = bootstrap.import_documents(
        settings, [("tenants.toml", document)], environ, prune=False, dry_run=False, resolve=False
    )
    say(f"{report.added} tenants and connections added, secrets encrypted\n")
    options = RunOptions(trigger="run-once", check_always=True)
    say("$ erpsyncd --run-once")
    first = bootstrap.run_once(settings, options, environ)
    say(f"{report_as_text(first)}\n")
    say("$ erpsyncd changes list")
    with bootstrap.opened_store(settings) as store:
        for row in store.list_changes():
            say(f"{row.tenant}: {row.change} {row.table_name} {row.record_id} ({row.operation})")
    say("\n$ erpsyncd --run-once")
    second = bootstrap.run_once(settings, options, environ)
    say(report_as_text(second))
    if first.exit_code or second.exit_code:
        raise DaemonError("the demo did not end well; please report it with what stands above")
    return {"import": report, "runs": [report_as_json(first), report_as_json(second)]}


def _empty(directory: Path) -> Path:
    """Return an empty settings file, so that the demo does not depend on this machine's."""
    path = directory / "erpsyncd.toml"
    path.write_text("")
    return path

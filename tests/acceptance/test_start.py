"""What a start loads: nothing that only another command needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from commands import Erpsyncd, document
from erpsyncd.cli.command_table import COMMANDS
from erpsyncd.cli.main import cli

MAIN = """
import json, sys
from erpsyncd.__main__ import main
try:
    main()
finally:
    print(json.dumps([name for name, module in sys.modules.items() if module is not None]), file=sys.stderr)
"""

#: What takes its time to be imported, and what an idle pass does without.
FOR_OTHERS = {
    "alembic",
    "apscheduler",
    "erpsyncd.hooks",
    "erpsyncd.netserver.oauth",
    "erpsyncd.netserver.signing_keys",
    "erpsyncd.netserver.system_user",
    "erpsyncd.sandbox",
    "erpsyncd.service.document",
    "erpsyncd.web",
    "joserfc",
    "prometheus_client",
    "psycopg",
    "pygments",
    "rich",
    "sqlalchemy.dialects.postgresql",
    "yaml",
}

#: What only commands do, or a pass that has something to do.
FOR_WORK = {
    "erpsyncd.domain.careful",
    "erpsyncd.domain.documents",
    "erpsyncd.domain.drift_comparison",
    "erpsyncd.domain.lists",
    "erpsyncd.domain.proxies",
    "erpsyncd.domain.standing",
    "erpsyncd.netserver.inspection",
    "erpsyncd.netserver.wsdl",
    "erpsyncd.service.careful_saves",
    "erpsyncd.service.checks",
    "erpsyncd.service.connection_pass",
    "erpsyncd.service.drift_look",
    "erpsyncd.service.names",
    "erpsyncd.service.recovery",
    "erpsyncd.store.commands",
    "erpsyncd.store.importing",
    "erpsyncd.store.queries",
    "erpsyncd.store.snapshots",
    "erpsyncd.store.views",
}

#: What it takes to call a tenant.
FOR_CALLS = {"erpsyncd.netserver.apis", "httpx", "httpcore", "lxml", "stamina"}


@pytest.fixture
def command(tmp_path: Path) -> Erpsyncd:
    return Erpsyncd(tmp_path, environ={"ERPSYNCD__CHECKS__ENABLED": "false"})


def loaded(command: Erpsyncd, *arguments: str) -> set[str]:
    """Return the modules that one command line has imported, each with the packages that it is in."""
    # Where coverage is measured, it is at work in each process, with modules of its own.
    environ = {name: value for name, value in command.environment.items() if not name.startswith("COVERAGE_PROCESS")}
    run = subprocess.run(
        [sys.executable, "-c", MAIN, *arguments], env=environ, capture_output=True, text=True, check=False
    )
    names = json.loads(run.stderr.splitlines()[-1])
    assert "erpsyncd.cli.main" in names, run.stderr
    return {name.rsplit(".", count)[0] for name in names for count in range(name.count(".") + 1)}


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("--nonsense",), ("nonsense",)])
def test_what_is_answered_at_once(command: Erpsyncd, arguments: tuple[str, ...]) -> None:
    """Version, help and a refusal need the standard library and click."""
    modules = loaded(command, *arguments)

    ours = {name for name in modules if name.startswith("erpsyncd.")}
    foreign = {name.partition(".")[0] for name in modules - ours} - set(sys.stdlib_module_names) - {"erpsyncd"}
    assert {"click"} == {name for name in foreign if not name.startswith("_")}
    of_ours = {"erpsyncd.__main__", "erpsyncd.cli", "erpsyncd.domain", "erpsyncd.errors"}
    assert of_ours == {".".join(name.split(".")[:2]) for name in ours}
    assert not {"asyncio", "logging", "ssl", "sqlite3", "tomllib"} & modules


def test_a_pass_with_nothing_to_do(command: Erpsyncd) -> None:
    """Neither the schedule nor migrations, metrics, notifications, another database, nor what calls a tenant."""
    assert 0 == command.load(document("http://127.0.0.1:9", "soap", "")).code
    assert 0 == command.run_once().code

    modules = loaded(command, "--run-once")

    assert {"sqlalchemy", "erpsyncd.service.tenant_pass"} <= modules
    assert set() == (FOR_OTHERS | FOR_CALLS | FOR_WORK) & modules


@pytest.mark.parametrize("arguments", [("status",), ("tenants", "list"), ("connections", "list"), ("runs", "list")])
def test_what_only_looks_into_the_store(command: Erpsyncd, arguments: tuple[str, ...]) -> None:
    """A list speaks to no tenant and reads no document."""
    assert 0 == command.load(document("http://127.0.0.1:9", "soap", "")).code

    modules = loaded(command, *arguments)

    assert "sqlalchemy" in modules
    assert set() == (FOR_OTHERS | FOR_CALLS | {"erpsyncd.netserver"}) & modules


def test_help_says_of_each_command_what_the_command_says() -> None:
    """The table has the first sentence of each, so that nobody has to import them all."""
    said = {name: command.get_short_help_str(300) for name in COMMANDS if (command := cli_command(name))}

    assert {name: summary for name, (_, summary) in COMMANDS.items()} == said


def cli_command(name: str) -> click.Command | None:
    return cli.get_command(click.Context(cli), name)


def test_shells_complete_commands_without_importing_them(command: Erpsyncd) -> None:
    """A key was pressed, and nobody wants to wait."""
    environ = {"_ERPSYNCD_COMPLETE": "zsh_complete", "COMP_WORDS": "erpsyncd ", "COMP_CWORD": "1"}
    command.environ |= environ

    answer = command()
    modules = loaded(command)

    assert "plan\nSay what the next pass would change" in answer.stdout
    assert not {"sqlalchemy", "erpsyncd.cli.plan"} & modules

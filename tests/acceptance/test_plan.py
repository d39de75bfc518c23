"""`erpsyncd plan`, and `--only`/`--exclude` on every command that takes them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from commands import Erpsyncd, connection, document
from erpsyncd.sandbox import SandboxServer
from in_process import InProcess

READING = {"AuthenticateUsernamePassword", "GetConnection", "GetList", "GetAllConnections"}


@pytest.fixture
def sqlite(tmp_path: Path, logging_restored: None) -> Erpsyncd:
    """The command line in this process, on SQLite."""
    return InProcess(tmp_path)


@pytest.mark.parametrize("protocol", ["soap", "rest"])
def test_a_plan_tells_each_field_and_writes_nothing(quick: Erpsyncd, sandbox: SandboxServer, protocol: str) -> None:
    """Create, update, delete and unchanged, as text and JSON, by reading calls alone; then the run does just that."""
    quick.load(document(sandbox.url, protocol, connection("a") + connection("old") + connection("same")))
    quick.run_once()
    changed = connection("a", display_name="Another", active=False, config_fields={"Client": "F0001", "Key": "k"})
    quick.load(changed + connection("old", state="absent") + connection("new", user_group_access_ids=[2]))
    calls = len(sandbox.calls)

    text, as_json = quick("plan"), quick("plan", "--output", "json")

    assert [
        "~ update acme/a",
        '    display_name: "Name of a" -> "Another"',
        "    active: yes -> no",
        "    config_fields.Key: set",
        "    config_fields.Password: removed",
        '+ create acme/new "Name of new" (connector 1)',
        "    user_group_access_ids: +2",
        "    config_fields.Client: set",
        "    config_fields.Password: set",
        f'- delete acme/old "Name of old" (id {quick.listed("connections")[2]["erp_connection_id"]})',
        "",
        "1 to create, 1 to update, 1 to delete, 1 unchanged",
    ] == text.stdout.splitlines()
    assert {call.operation for call in sandbox.calls[calls:]} <= READING
    report = as_json.json
    assert ("run_report", "ok", True, 3) == (
        report["kind"],
        report["status"],
        report["dry_run"],
        report["counts"]["planned"],
    )
    updated = next(outcome for outcome in report["outcomes"] if outcome["key"] == "a")
    assert ["active", "config_fields.Key", "config_fields.Password", "display_name"] == updated["fields"]
    assert {"name": "display_name", "old": "Name of a", "new": "Another", "names": []} in updated["field_changes"]
    assert {"name": "config_fields.Password", "old": None, "new": "removed", "names": []} in updated["field_changes"]
    assert ["plan", "plan", "run-once"] == [run["trigger"] for run in quick.listed("runs")]
    assert [] == quick("runs", "show", "2", "--output", "json").json["items"][0]["outcomes"]

    counts = quick.run_once().json["counts"]

    assert (1, 1, 1, 1) == tuple(counts[name] for name in ("created", "updated", "deleted", "unchanged"))
    assert "Nothing to do: every connection is pushed, as described.\n" == quick("plan").stdout


def test_exit_codes_of_a_plan(sqlite: Erpsyncd, sandbox: SandboxServer) -> None:
    """4 tells pending changes where that was asked for; what went wrong counts more."""

    def codes(*arguments: str) -> tuple[int, int]:
        return sqlite("plan", *arguments).code, sqlite("plan", "--detailed-exitcode", *arguments).code

    sqlite.load(document(sandbox.url, "soap", connection("a")))
    assert (0, 4) == codes()
    sqlite.run_once()
    assert (0, 0) == codes()

    sqlite.load(document(sandbox.url, "soap", connection("b", tenant="wrong"), name="wrong", password="wrong"))
    sqlite.load(document("http://127.0.0.1:9", "rest", connection("c", tenant="away"), name="away"))
    assert (77, 77) == codes("--only", "wrong")
    assert (75, 75) == codes("--only", "away")
    assert (3, 3) == codes("--only", "acme", "--only", "away")
    assert (0, 0) == codes("--exclude", "wrong", "--exclude", "aw*")
    refused = sqlite("plan", "--only", "wrong")
    assert "! wrong" in refused.stdout
    assert "unauthorized" in refused.stdout


def test_a_plan_that_is_not_safe_says_how_to_look_past_the_limit(sqlite: Erpsyncd, sandbox: SandboxServer) -> None:
    """Too many deletes are 6; with --force they are listed, and still nothing is deleted."""
    keys = ("a", "b", "c", "d")
    sqlite.load(document(sandbox.url, "soap", "".join(connection(key) for key in keys)))
    sqlite.run_once()
    sqlite.load("".join(connection(key, state="absent") for key in keys))

    refused, forced = sqlite("plan"), sqlite("plan", "--force", "acme", "--detailed-exitcode")

    assert (6, True) == (refused.code, "safety.max_deletes" in refused.stdout)
    assert (4, 4) == (forced.code, forced.stdout.count("- delete acme/"))
    assert "DeleteConnection" not in {call.operation for call in sandbox.calls}


def test_a_run_concerns_what_was_selected(sqlite: Erpsyncd, sandbox: SandboxServer) -> None:
    """--run-once works on the selected connections, and the others are pending as before."""
    sqlite.load(document(sandbox.url, "soap", connection("visma-no") + connection("visma-se") + connection("other")))
    sqlite.load(document(sandbox.url, "rest", connection("x", tenant="beta"), name="beta"))

    run = sqlite.run_once("--only", "acme/visma-*", "--exclude", "acme/visma-se")

    assert (0, ["visma-no"]) == (run.code, [outcome["key"] for outcome in run.json["outcomes"]])
    assert {"visma-no": "in_sync", "visma-se": "pending", "other": "pending", "x": "pending"} == {
        row["key"]: row["state"] for row in sqlite.listed("connections")
    }
    assert {"acme"} == {call.tenant for call in sandbox.calls}


def test_a_run_that_nobody_watches_does_not_load_rich(sqlite: Erpsyncd) -> None:
    """In a pipe, what only a terminal needs is not imported, although libraries of ours try to."""
    sqlite.load(document("http://127.0.0.1:9", "soap", connection("a")))
    program = (
        "import sys\n"
        "from erpsyncd.__main__ import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    loaded = sorted(name for name in sys.modules if sys.modules[name])\n"
        "    print([name for name in loaded if name.partition('.')[0] in ('rich', 'pygments')], 'httpx' in loaded)\n"
    )

    run = subprocess.run(
        [sys.executable, "-c", program, "plan", "--output", "json"],
        env=sqlite.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    report, loaded = run.stdout.splitlines()

    assert (75, 1) == (run.returncode, json.loads(report)["counts"]["failed"])
    assert "[] True" == loaded

"""A description moved from one installation to another: exported, imported, completed."""

from __future__ import annotations

import signal
from pathlib import Path

from commands import Erpsyncd, connection, document
from erpsyncd.sandbox import SandboxServer
from in_process import InProcess
from postgres_server import PostgresServer


def test_an_export_moves_everything_but_the_secrets(quick: Erpsyncd, sandbox: SandboxServer, tmp_path: Path) -> None:
    """It changes nothing where it comes from; elsewhere it waits for the secrets, and pushes nothing before."""
    quick.environ["ERP_PASSWORD"] = "from the environment"
    text = document(
        sandbox.url,
        "rest",
        connection("whole", config_fields={"Password": "@{env:ERP_PASSWORD}"})
        + connection("secret", display_name='"Äpfel"', config_fields={"Client": "F0001", "a-b": "x"}),
        password="@{env:TENANT_PASSWORD}",
    ).replace('username = "sandbox"', 'username = "@{env:TENANT_USER}"')
    quick.environ |= {"TENANT_USER": "sandbox", "TENANT_PASSWORD": "sandbox"}
    assert 0 == quick.load(text).code
    assert 2 == quick.run_once().json["counts"]["created"]

    exported = quick("export").stdout

    again = quick.load(exported, "--prune").json
    assert (3, []) == (again["unchanged"], again["items"])
    assert [] == quick.run_once().json["outcomes"]
    (tmp_path / "new").mkdir()
    new = InProcess(tmp_path / "new", environ=quick.environ)
    assert 3 == new.load(exported.replace(f"{sandbox.url}/acme", f"{sandbox.url}/other")).json["added"]
    assert exported == new("export").stdout.replace("/other", "/acme")

    run = new.run_once()

    assert (0, [("whole", "created")]) == (
        run.code,
        [(outcome["key"], outcome["status"]) for outcome in run.json["outcomes"]],
    )
    assert [("secret", "incomplete", "secret_missing"), ("whole", "in_sync", None)] == [
        (row["key"], row["state"], row["error_class"]) for row in new.listed("connections")
    ]
    assert "incomplete" in new("connections", "list").stdout
    completed = exported.replace("@{stored}", "given").replace("/acme", "/other")
    assert 1 == new.load(completed).json["changed"]
    assert [("secret", "created")] == [
        (outcome["key"], outcome["status"]) for outcome in new.run_once().json["outcomes"]
    ]


def test_a_new_name_is_not_another_connection(quick: Erpsyncd, sandbox: SandboxServer) -> None:
    """A key and a tenant are renamed; the documents follow, and nothing is deleted or created in the tenant."""
    text = document(sandbox.url, "soap", connection("old"))
    quick.load(text)
    assert 1 == quick.run_once().json["counts"]["created"]
    calls = len(sandbox.calls)

    assert 0 == quick("connections", "rename", "acme", "old", "new").code
    assert 0 == quick("tenants", "rename", "acme", "acme-norway").code
    followed = text.replace('"old"', '"new"').replace('"acme"', '"acme-norway"')
    report = quick.load(followed, "--prune").json
    run = quick.run_once()

    assert (2, []) == (report["unchanged"], report["items"])
    assert (0, [], 1) == (run.code, run.json["outcomes"], run.json["counts"]["unchanged"])
    assert {"AuthenticateUsernamePassword", "HasConnections"} >= {call.operation for call in sandbox.calls[calls:]}


def test_a_store_is_moved_to_the_other_database(
    quick: Erpsyncd, sandbox: SandboxServer, postgres: PostgresServer, tmp_path: Path
) -> None:
    """With its secrets, its history and what it knows of its tenants; a pass has nothing to do there."""
    quick.load(document(sandbox.url, "rest", connection("a") + connection("b")))
    assert 2 == quick.run_once().json["counts"]["created"]
    was_sqlite = quick.store_url.startswith("sqlite")
    with postgres.database() as other:
        target = other if was_sqlite else f"sqlite:///{tmp_path}/moved.db"
        config = quick.write("quiet.toml", "[schedule]\nreconcile = 3600\n")
        with quick.daemon("--config", str(config)) as daemon:
            daemon.wait_for("run.finished")
            refused = quick("db", "copy", target, "--output", "json")
            assert (75, "run_in_progress") == (refused.code, refused.error["error_class"])
            daemon.signal(signal.SIGTERM)
            assert 0 == daemon.end()

        copied = quick("db", "copy", target, "--output", "json")

        assert {"tenants": 1, "connections": 2} == {
            item["table"]: item["rows"] for item in copied.json["items"] if item["table"] in {"tenants", "connections"}
        }
        moved = InProcess(tmp_path, target)
        for noun in ("tenants", "connections", "runs", "checks", "changes"):
            assert quick.listed(noun) == moved.listed(noun)
        assert quick("export", "--reveal").stdout == moved("export", "--reveal").stdout
        assert (0, True) == (moved("db", "check").code, moved("db", "check", "--output", "json").json["ok"])
        run = moved.run_once()
        assert (0, [], 2) == (run.code, run.json["outcomes"], run.json["counts"]["unchanged"])
        assert 2 == sum(call.operation == "SaveConnection" for call in sandbox.calls)
        assert 2 == moved("db", "copy", target).code

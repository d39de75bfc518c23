"""A description moved from one installation to another: exported, imported, completed."""

from __future__ import annotations

from pathlib import Path

from commands import Erpsyncd, connection, document
from erpsyncd.sandbox import SandboxServer


def test_an_export_moves_everything_but_the_secrets(erpsyncd: Erpsyncd, sandbox: SandboxServer, tmp_path: Path) -> None:
    """It changes nothing where it comes from; elsewhere it waits for the secrets, and pushes nothing before."""
    erpsyncd.environ["ERP_PASSWORD"] = "from the environment"
    text = document(
        sandbox.url,
        "rest",
        connection("whole", config_fields={"Password": "@{env:ERP_PASSWORD}"})
        + connection("secret", display_name='"Äpfel"', config_fields={"Client": "F0001", "a-b": "x"}),
        password="@{env:TENANT_PASSWORD}",
    ).replace('username = "sandbox"', 'username = "@{env:TENANT_USER}"')
    erpsyncd.environ |= {"TENANT_USER": "sandbox", "TENANT_PASSWORD": "sandbox"}
    assert 0 == erpsyncd.load(text).code
    assert 2 == erpsyncd.run_once().json["counts"]["created"]

    exported = erpsyncd("export").stdout

    again = erpsyncd.load(exported, "--prune").json
    assert (3, []) == (again["unchanged"], again["items"])
    assert [] == erpsyncd.run_once().json["outcomes"]
    (tmp_path / "new").mkdir()
    new = Erpsyncd(tmp_path / "new", environ=erpsyncd.environ)
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


def test_a_new_name_is_not_another_connection(erpsyncd: Erpsyncd, sandbox: SandboxServer) -> None:
    """A key and a tenant are renamed; the documents follow, and nothing is deleted or created in the tenant."""
    text = document(sandbox.url, "soap", connection("old"))
    erpsyncd.load(text)
    assert 1 == erpsyncd.run_once().json["counts"]["created"]
    calls = len(sandbox.calls)

    assert 0 == erpsyncd("connections", "rename", "acme", "old", "new").code
    assert 0 == erpsyncd("tenants", "rename", "acme", "acme-norway").code
    followed = text.replace('"old"', '"new"').replace('"acme"', '"acme-norway"')
    report = erpsyncd.load(followed, "--prune").json
    run = erpsyncd.run_once()

    assert (2, []) == (report["unchanged"], report["items"])
    assert (0, [], 1) == (run.code, run.json["outcomes"], run.json["counts"]["unchanged"])
    assert {"AuthenticateUsernamePassword", "HasConnections"} >= {call.operation for call in sandbox.calls[calls:]}

"""The main job, end to end: import, run, list, change one field, run, mark absent, run."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from commands import Erpsyncd, connection, document
from erpsyncd.sandbox import SandboxServer


@pytest.fixture
def installed(store_url: str, tmp_path: Path) -> Erpsyncd:
    """The installed command where there is no store yet."""
    erpsyncd = Erpsyncd(tmp_path, "" if store_url.startswith("sqlite") else store_url)
    if erpsyncd.store_url:
        assert 0 == erpsyncd("db", "upgrade").code
    return erpsyncd


# Each store and each protocol once; how both go together is the matter of the contract and integration tests.
@pytest.mark.parametrize(
    ("store_url", "protocol"), [("sqlite", "soap"), ("postgresql", "rest")], indirect=["store_url"]
)
def test_the_main_job(installed: Erpsyncd, sandbox: SandboxServer, protocol: str) -> None:
    """Each step does just what it should, and the tenant and the store agree at the end."""
    erpsyncd = installed
    two = connection("visma-no") + connection("visma-se", erp_connector_id=2, all_access=True)

    loaded = erpsyncd.load(document(sandbox.url, protocol, two))

    assert (0, 3) == (loaded.code, loaded.json["added"])

    first = erpsyncd.run_once()

    assert (0, "ok", 2) == (first.code, first.json["status"], first.json["counts"]["created"])
    assert [True] == [check["is_ok"] for check in first.json["checks"]]
    rows = erpsyncd.listed("connections")
    there = {c["ErpConnectionId"]: c for c in connections_of(sandbox)}
    assert [("acme", "visma-no", "in_sync"), ("acme", "visma-se", "in_sync")] == [
        (row["tenant"], row["key"], row["state"]) for row in rows
    ]
    for row in rows:
        found = there[row["erp_connection_id"]]
        assert row["connection_id"].lower() == found["ConnectionId"].lower()
        assert row["display_name"] == found["DisplayName"]
        assert {"Client": "F0001", "Password": "erp password"} == found["ConfigFields"]
    assert first.json["changed_records"] == len(erpsyncd.listed("changes")) > 0

    again = erpsyncd.run_once()

    assert (0, 2, []) == (again.code, again.json["counts"]["unchanged"], again.json["outcomes"])
    assert 2 == saves(sandbox)

    one_field = connection("visma-no", display_name="Visma Norway AS")
    assert 1 == erpsyncd.load(one_field).json["changed"]
    changed = erpsyncd.run_once()

    assert (0, 1, 3) == (changed.code, changed.json["counts"]["updated"], saves(sandbox))
    assert 0 == sandbox.tenant("acme").cursor_rewinds
    (outcome,) = changed.json["outcomes"]
    assert ("acme", "visma-no", "update", "updated", None, None) == tuple(
        outcome[name] for name in ("tenant", "key", "change", "status", "error_class", "error")
    )

    assert 0 == erpsyncd.load('[[connections]]\ntenant = "acme"\nkey = "visma-se"\nstate = "absent"\n').code
    deleted = erpsyncd.run_once()

    assert (0, 1) == (deleted.code, deleted.json["counts"]["deleted"])
    assert ["Visma Norway AS"] == [c["DisplayName"] for c in connections_of(sandbox) if not c["Deleted"]]
    assert (0, []) == (erpsyncd.run_once().code, erpsyncd.run_once().json["outcomes"])
    assert 3 == saves(sandbox)
    assert {"ok"} == {run["status"] for run in erpsyncd.listed("runs")}


def test_a_rotated_password_travels_by_itself(quick: Erpsyncd, sandbox: SandboxServer) -> None:
    """A new value in the environment reaches the tenant with the next run, and no import."""
    quick.environ["ERP_PASSWORD"] = "first"
    quick.load(document(sandbox.url, "rest", connection("a", config_fields={"Password": "@{env:ERP_PASSWORD}"})))
    quick.run_once()
    quick.environ["ERP_PASSWORD"] = "second"

    report = quick.run_once().json

    assert ["config_fields.Password"] == report["outcomes"][0]["fields"]
    assert ["second"] == [c["ConfigFields"]["Password"] for c in connections_of(sandbox)]


def test_one_login_serves_the_pass(quick: Erpsyncd, sandbox: SandboxServer) -> None:
    """However many connections there are, the tenant sees one login, few sockets and few calls at once."""
    quick.load(document(sandbox.url, "soap", "".join(connection(f"c{n:02d}") for n in range(14))))

    assert 0 == quick.run_once().code

    operations = [call.operation for call in sandbox.calls]
    assert (1, 14) == (operations.count("AuthenticateUsernamePassword"), operations.count("SaveConnection"))
    peaks = sandbox.peaks("acme")
    assert (True, True, True) == (peaks.calls_per_second <= 10, peaks.open_connections <= 4, peaks.running <= 2)


def test_dry_run_plans_and_writes_nothing(quick: Erpsyncd, sandbox: SandboxServer) -> None:
    """It says what would be done; the tenant sees no writing operation."""
    quick.load(document(sandbox.url, "soap", connection("a")))

    planned = quick.run_once("--dry-run")

    assert (0, 1, "planned") == (
        planned.code,
        planned.json["counts"]["planned"],
        planned.json["outcomes"][0]["status"],
    )
    assert 0 == saves(sandbox)
    assert ["pending"] == [row["state"] for row in quick.listed("connections")]


def test_refused_credentials_end_with_77(quick: Erpsyncd, sandbox: SandboxServer) -> None:
    """A wrong password is tried once, not with every run."""
    quick.load(document(sandbox.url, "soap", connection("a"), password="wrong"))

    first, second = quick.run_once(), quick.run_once()

    assert [(77, "refused")] * 2 == [(run.code, run.json["status"]) for run in (first, second)]
    assert 1 == len(sandbox.calls)


def test_nothing_reachable_is_75(quick: Erpsyncd) -> None:
    """An address where nobody answers is a temporary failure."""
    quick.load(document("http://127.0.0.1:9", "soap", connection("a")))

    run = quick.run_once()

    assert (75, "failed", "unreachable") == (run.code, run.json["status"], run.json["outcomes"][0]["error_class"])


def test_a_missing_service_names_the_setting(quick: Erpsyncd, sandbox: SandboxServer) -> None:
    """A 404 says which setting to look at."""
    quick.load(document(sandbox.url, "rest", connection("a"), extra=f'rest_url = "{sandbox.url}/acme/wrong/api"'))

    run = quick.run_once()

    assert "not_found" == run.json["outcomes"][0]["error_class"]
    assert "rest_url" in run.json["outcomes"][0]["error"]


def test_the_daemon_makes_passes_reloads_and_stops(erpsyncd: Erpsyncd, sandbox: SandboxServer) -> None:
    """Scheduled passes come by themselves; SIGHUP changes the schedule, a bad file does not; SIGTERM ends with 0."""
    erpsyncd.load(document(sandbox.url, "soap", connection("a")))
    config = erpsyncd.write("erpsyncd.toml", "[schedule]\nreconcile = 1\njitter = 0\n")

    with erpsyncd.daemon("--config", str(config)) as daemon:
        daemon.wait_for("service.started")
        daemon.wait_for("changed_data.recorded", tenant="acme")
        assert 1 == daemon.wait_for("run.finished", trigger="reconcile")["created"]
        erpsyncd.load(connection("b"))
        daemon.wait_for("connection.applied", key="b")

        second = erpsyncd.run_once() if not erpsyncd.store_url else None
        assert second is None or (75, True) == (second.code, str(daemon.process.pid) in second.stderr)

        config.write_text("[schedule]\nreconcile = 'nonsense'\n")
        daemon.signal(signal.SIGHUP)
        assert "reconcile" in daemon.wait_for("settings.rejected")["error"]
        daemon.wait_for("run.finished", trigger="reconcile")

        config.write_text(
            f"[schedule]\nreconcile = 1\njitter = 0\n[log]\nlevel = 'debug'\n[store]\nurl = 'sqlite:///{erpsyncd.directory}/x.db'\n"
        )
        daemon.signal(signal.SIGHUP)
        reloaded = daemon.wait_for("settings.reloaded")
        assert reloaded["restart_needed"] == ([] if erpsyncd.store_url else ["store.url"])
        erpsyncd.load(connection("c"))
        assert "debug" == daemon.wait_for("call.finished", operation="SaveConnection")["level"]

        daemon.signal(signal.SIGTERM)
        daemon.wait_for("service.stopped")
        assert 0 == daemon.end()


def test_the_demo(erpsyncd: Erpsyncd) -> None:
    """The demo creates, checks, shows changed records, then shows that nothing is left to do, and cleans up."""
    before = sorted(erpsyncd.directory.rglob("*"))

    shown = erpsyncd("demo")

    assert 0 == shown.code, shown.stderr
    for expected in ("demo-soap", "demo-rest", "created", "HasConnections", "erpconnection", "unchanged"):
        assert expected in shown.stdout
    assert before == sorted(erpsyncd.directory.rglob("*"))


def test_the_demo_for_a_program(tmp_path: Path) -> None:
    """One object with what was imported and what both passes did; logs, if asked for, go elsewhere."""
    shown = Erpsyncd(tmp_path)("demo", "--output", "json", "--log-level", "info", "--log-format", "json")

    first, second = shown.json["runs"]
    assert (0, 7, 5) == (shown.code, shown.json["import"]["added"], first["counts"]["created"])
    assert (0, 5, []) == (second["counts"]["created"], second["counts"]["unchanged"], second["outcomes"])
    assert "run.finished" in {json.loads(line)["event"] for line in shown.stderr.splitlines()}


def connections_of(sandbox: SandboxServer, tenant: str = "acme") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sandbox.state()["tenants"][tenant]["connections"]
    return found


def saves(sandbox: SandboxServer) -> int:
    return [call.operation for call in sandbox.calls].count("SaveConnection")

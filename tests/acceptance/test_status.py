"""`erpsyncd status`: one screen that says whether everything is all right, and what to do if not."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

from commands import Erpsyncd, connection, document
from erpsyncd.sandbox import SandboxServer
from postgres_server import PostgresServer


def test_from_nothing_to_all_is_well(quick: Erpsyncd, sandbox: SandboxServer) -> None:
    """Each step of a first day has its own verdict; the exit code is 0 throughout."""
    verdicts = [quick("status")]
    quick.load(document(sandbox.url, "soap", connection("a") + connection("b")))
    verdicts.append(quick("status"))
    quick.run_once()
    verdicts.append(quick("status"))
    quick.load(connection("c"))
    verdicts.append(quick("status"))

    assert [
        (0, "Nothing is described yet."),
        (0, "1 thing needs you."),
        (0, "Everything is pushed, as described."),
        (0, "Nothing needs you; 1 connection is waiting for the next pass."),
    ] == [(shown.code, shown.stdout.splitlines()[0]) for shown in verdicts]
    assert "acme    active  2 in sync" in verdicts[2].stdout
    assert "Last run: 1 (run-once) ok" in verdicts[2].stdout
    document_ = quick("status", "--output", "json").json
    assert ("status", "ok", [], 2, 1) == (
        document_["kind"],
        document_["overall"],
        document_["items"],
        document_["counts"]["in_sync"],
        document_["counts"]["pending"],
    )
    assert {"running": False, "pid": None} == document_["daemon"]
    assert document_["last_run"]["started_at"].endswith("Z")


def test_what_needs_somebody(quick: Erpsyncd, sandbox: SandboxServer) -> None:
    """What, where and what to do, in 80 columns, whatever the names are like; times are local, and UTC in JSON."""
    long = "n" * 127
    quick.load(
        document(sandbox.url, "soap", connection("a"), password="wrong")
        + document("http://127.0.0.1:9", "rest", connection(long, tenant=long), name=long)
        + document(sandbox.url, "rest", connection("a", tenant="away"), name="away")
    )
    quick("tenants", "pause", "away")
    quick.run_once()

    # A process of its own, because it is at its start that it learns where it is.
    elsewhere = Erpsyncd(quick.directory, quick.store_url, {"TZ": "Asia/Kolkata"})
    shown, told = elsewhere("status"), elsewhere("status", "--output", "json").json

    lines = shown.stdout.splitlines()
    assert (0, "2 things need you.", "") == (shown.code, lines[0], lines[1])
    assert lines[2].startswith("acme: the tenant refused the credentials")
    assert "    erpsyncd tenants edit acme --ask-secret" in lines
    assert "    erpsyncd tenants resume away" in lines
    commands = [line for line in lines if line.startswith("    erpsyncd ")]
    assert 80 >= max(len(line) for line in lines if line not in commands)
    assert ["attention", "error", "warning", "notice"] == [
        told["overall"],
        *(item["severity"] for item in told["items"]),
    ]
    next_try = datetime.fromisoformat(told["items"][1]["until"])
    assert (timedelta(0), UTC.utcoffset(None)) == (next_try.utcoffset(), timedelta(0))
    assert f"{next_try + timedelta(hours=5, minutes=30):%Y-%m-%d %H:%M:%S}" in " ".join(" ".join(lines).split())


def test_what_was_never_given(quick: Erpsyncd, sandbox: SandboxServer) -> None:
    """A tenant without its password and a connection without a value are one thing each, told once."""
    quick.load(document(sandbox.url, "soap", connection("a", config_fields={"Password": "@{stored}"})))
    quick.load(document(sandbox.url, "soap", "", name="half", password="@{stored}"))
    quick.run_once()

    told = quick("status", "--output", "json").json

    assert [("half", None), ("acme", "a")] == sorted(
        [(item["tenant"], item["key"]) for item in told["items"] if item["severity"] != "notice"], reverse=True
    )
    assert {"incomplete"} == {item["reason"] for item in told["items"] if item["severity"] != "notice"}


def test_many_tenants_fit_on_a_screen(quick: Erpsyncd) -> None:
    """Only those with trouble are shown, the most urgent of it, and the sum."""
    entries = [document("http://127.0.0.1:9", "rest", connection("a", tenant=f"t{n}"), name=f"t{n}") for n in range(30)]
    quick.load("".join(entries))
    for number in range(3):
        quick("tenants", "pause", f"t{number}")
    quick.environ["ERPSYNCD__REMOTE__ATTEMPTS"] = "1"
    quick.run_once()

    lines = quick("status").stdout.splitlines()

    assert "27 things need you." == lines[0]
    assert "and 20 more; see: erpsyncd status --output json" in lines
    assert ["all 30          3 pending, 27 failed"] == [line for line in lines if line.startswith("all 30 ")]
    assert (8, 2) == (sum("1 failed" in line for line in lines), sum("  paused  1 pending" in line for line in lines))
    assert 66 > len(lines)


def test_beside_the_daemon(quick: Erpsyncd, sandbox: SandboxServer) -> None:
    """It says who is at work, and when the next pass comes."""
    quick.load(document(sandbox.url, "soap", connection("a")))

    with quick.daemon() as daemon:
        daemon.wait_for("run.finished", trigger="reconcile")
        shown, told = quick("status"), quick("status", "--output", "json").json
        daemon.signal(signal.SIGTERM)
        daemon.end()

    assert (0, "Everything is pushed, as described.") == (shown.code, shown.stdout.splitlines()[0])
    assert "within 15m" in shown.stdout
    assert ("reconcile", "ok") == (told["last_run"]["trigger"], told["last_run"]["status"])
    if quick.store_url.startswith("sqlite"):
        assert {"running": True, "pid": daemon.process.pid} == told["daemon"]
        assert f"erpsyncd is at work, pid {daemon.process.pid}" in " ".join(shown.stdout.split())


def test_a_store_that_is_behind_says_so(tmp_path: Path, postgres: PostgresServer) -> None:
    """Where the store cannot be read, the error has the command, and the code is that of the error."""
    with postgres.database() as url:
        shown = Erpsyncd(tmp_path, url)("status")

    assert (78, True) == (shown.code, "erpsyncd db upgrade" in shown.stderr)

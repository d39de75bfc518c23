"""Watching erpsyncd from outside, as the installed command: health, metrics, and who is told of passes."""

from __future__ import annotations

import json
import signal
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from commands import COMMAND, PATIENCE, Erpsyncd, connection, document
from erpsyncd.sandbox import SandboxServer
from in_process import InProcess

CANARY = "canary-7d1f"


def ask(path: Path, page: str) -> tuple[int, str]:
    """Ask the daemon at its socket."""
    with closing(socket.socket(socket.AF_UNIX)) as client:
        client.settimeout(PATIENCE)
        client.connect(str(path))
        client.sendall(f"GET {page} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answer = b"".join(iter(lambda: client.recv(65536), b"")).decode()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split()[1]), body


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Return the value of each series: its name, then the values of its labels in the order of their names."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def socket_path(tmp_path: Path) -> Path:
    return tmp_path / "web.sock"


@pytest.fixture
def on_sqlite(tmp_path: Path, logging_restored: None) -> Erpsyncd:
    """The command line in this process, where the kind of store does not matter; its daemons are processes."""
    return InProcess(tmp_path)


def test_a_daemon_says_how_it_does(erpsyncd: Erpsyncd, sandbox: SandboxServer, socket_path: Path) -> None:
    """Alive, ready, and in numbers: its pass, its calls, its tenants; no secret among them."""
    erpsyncd.environ["ERPSYNCD__WEB__LISTEN"] = f"unix:{socket_path}"
    broken = connection("broken", config_fields={"Password": "@{env:NOT_HERE}"})
    erpsyncd.load(document(sandbox.url, "soap", connection("a", config_fields={"Password": CANARY}) + broken))

    with erpsyncd.daemon() as daemon:
        daemon.wait_for("web.started", listen=f"unix:{socket_path}")
        daemon.wait_for("run.finished")
        healthz, readyz, metrics = (ask(socket_path, page) for page in ("/healthz", "/readyz", "/metrics"))
        daemon.signal(signal.SIGTERM)
        assert 0 == daemon.end()

    assert (200, "ok\n") == healthz
    assert (200, True) == (readyz[0], json.loads(readyz[1])["ready"])
    found = samples(metrics[1])
    expected = {
        ("erpsyncd_store_up",): 1,
        ("erpsyncd_runs_total", "partial", "reconcile"): 1,
        ("erpsyncd_runs_total", "ok", "reconcile"): 0,
        ("erpsyncd_run_duration_seconds_count", "reconcile"): 1,
        ("erpsyncd_outcomes_total", "", "created"): 1,
        ("erpsyncd_outcomes_total", "secret_missing", "failed"): 1,
        ("erpsyncd_calls_total", "SaveConnection", "2xx"): 1,
        ("erpsyncd_call_duration_seconds_count", "SaveConnection"): 1,
        ("erpsyncd_checks_total", "true"): 1,
        ("erpsyncd_tenants", "active"): 1,
        ("erpsyncd_connections", "in_sync"): 1,
        ("erpsyncd_connections", "failed"): 1,
        ("erpsyncd_quote_answers", "true"): 1,
        ("erpsyncd_tenant_quote_ok", "acme"): 1,
        ("erpsyncd_tenant_connections", "in_sync", "acme"): 1,
    }
    assert expected == {series: found.get(series) for series in expected}
    assert found["erpsyncd_store_commit_duration_seconds_count",] > 0
    assert found["erpsyncd_last_run_timestamp_seconds", "partial"] > 1_700_000_000
    assert found["erpsyncd_changed_records_total", "added"] > 0
    assert CANARY not in metrics[1]
    assert not socket_path.exists()


def test_a_lost_store_is_told(on_sqlite: Erpsyncd, socket_path: Path, tmp_path: Path) -> None:
    """The daemon lives, and is not ready; the metrics say that the store is down."""
    on_sqlite.environ["ERPSYNCD__WEB__LISTEN"] = f"unix:{socket_path}"
    on_sqlite.load(document("http://127.0.0.1:9", "soap", ""))

    with on_sqlite.daemon() as daemon:
        daemon.wait_for("run.finished")
        for path in (tmp_path / "state").glob("erpsyncd.db*"):
            path.rename(tmp_path / path.name)
        healthz, readyz, metrics = (ask(socket_path, page) for page in ("/healthz", "/readyz", "/metrics"))

    assert (200, 503) == (healthz[0], readyz[0])
    assert {"store": False, "lock": False, "last_pass": True} == {
        check["check"]: check["ok"] for check in json.loads(readyz[1])["checks"]
    }
    assert 0 == samples(metrics[1])["erpsyncd_store_up",]


def test_many_tenants_are_counted_together(on_sqlite: Erpsyncd, socket_path: Path) -> None:
    """A series for each of thousands would cost Prometheus more than it tells."""
    on_sqlite.environ |= {"ERPSYNCD__WEB__LISTEN": f"unix:{socket_path}", "ERPSYNCD__WEB__MAX_TENANTS": "1"}
    on_sqlite.load("".join(document("http://127.0.0.1:9", "rest", "", name=name) for name in ("one", "two")))

    with on_sqlite.daemon() as daemon:
        daemon.wait_for("run.finished")
        found = samples(ask(socket_path, "/metrics")[1])

    assert 2 == found["erpsyncd_tenants", "active"]
    assert [] == [series for series in found if {"one", "two"} & set(series)]


def test_an_address_of_other_machines_is_refused(on_sqlite: Erpsyncd) -> None:
    """Before anything is done, with the reason."""
    for address in ("0.0.0.0:9464", "[::]:9464", "192.0.2.1:9464", "9464", "unix:web.sock"):
        on_sqlite.environ["ERPSYNCD__WEB__LISTEN"] = address

        assert (78, "ERPSYNCD__WEB__LISTEN: ") == (
            (done := on_sqlite("status")).code,
            "ERPSYNCD__WEB__LISTEN: " if "ERPSYNCD__WEB__LISTEN: " in done.stderr else done.stderr,
        )


def test_one_pass_leaves_its_metrics_in_a_file(on_sqlite: Erpsyncd, sandbox: SandboxServer, tmp_path: Path) -> None:
    """Everybody can read it, it is whole, nothing is left beside it; a relative name is meant from here."""
    (tmp_path / "textfiles").mkdir()
    on_sqlite.load(document(sandbox.url, "rest", connection("a")))

    as_the_units_have_it = ("sh", "-c", 'umask 077; exec "$0" "$@"', COMMAND)
    done = Erpsyncd(tmp_path, program=as_the_units_have_it).run_once("--metrics-file", "textfiles/erpsyncd.prom")

    path = tmp_path / "textfiles" / "erpsyncd.prom"
    found = samples(path.read_text())
    assert (0, 0o644, [path]) == (done.code, stat.S_IMODE(path.stat().st_mode), list(path.parent.iterdir()))
    assert (1, 1) == (found["erpsyncd_connections", "in_sync"], found["erpsyncd_tenant_quote_ok", "acme"])
    assert found["erpsyncd_last_run_timestamp_seconds", "ok"] > 1_700_000_000
    # What is counted in a process that has ended means nothing, and process_* would be the exporter's own.
    assert [] == [series for series in found if series[0].endswith("_total") or series[0].startswith("process")]
    assert 2 == on_sqlite("plan", "--metrics-file", "x").code
    assert 2 == on_sqlite("--metrics-file", "x").code


def test_metrics_that_cannot_be_written_change_nothing(on_sqlite: Erpsyncd, sandbox: SandboxServer) -> None:
    """The pass is what matters; the log tells."""
    on_sqlite.load(document(sandbox.url, "rest", connection("a")))

    done = on_sqlite.run_once("--metrics-file", "no/such/directory/erpsyncd.prom", "--log-format", "json")

    assert (0, 1) == (done.code, done.json["counts"]["created"])
    assert ["metrics.failed"] == [
        line["event"] for line in map(json.loads, done.stderr.splitlines()) if line["level"] != "info"
    ]


# Notifications -------------------------------------------------------------------------------------------------


@dataclass
class Receiver:
    """Somebody else's server: `/right` takes what it gets, `/fails` never does, `/hangs` does not answer."""

    url: str
    got: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    end: threading.Event = field(default_factory=threading.Event)


@contextmanager
def receiving() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            receiver.got.append((self.path, body))
            if self.path.startswith("/hangs"):
                receiver.end.wait(PATIENCE)
            self.send_response(500 if self.path.startswith("/fails") else 200)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 -- the library's name
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.end.set()
            server.shutdown()
            thread.join()


def test_a_daemon_tells_of_its_passes(on_sqlite: Erpsyncd, sandbox: SandboxServer) -> None:
    """One address hangs, one fails, one takes it: the pass and the end of the daemon know nothing of that."""
    on_sqlite.load(document(sandbox.url, "rest", connection("a", config_fields={"Password": CANARY})))
    with receiving() as receiver:
        on_sqlite.environ |= {
            "ERPSYNCD__NOTIFY__START": f"{receiver.url}/hangs/{CANARY}",
            "ERPSYNCD__NOTIFY__SUCCESS": "@{env:HEARTBEAT}",
            "ERPSYNCD__NOTIFY__DEADLINE": "0.5s",
            "ERPSYNCD__NOTIFY__ATTEMPTS": "1",
            "ERPSYNCD__NOTIFY__SECRET": "@{env:SIGNING}",
            "ERPSYNCD__LOG__LEVEL": "debug",
            "HEARTBEAT": f"{receiver.url}/right",
            "SIGNING": CANARY,
        }
        with on_sqlite.daemon() as daemon:
            finished = daemon.wait_until_seen("run.finished")
            assert "notify.success" == daemon.wait_until_seen("notification.delivered")["target"]
            failed = daemon.wait_until_seen("notification.failed")
            daemon.signal(signal.SIGTERM)
            assert 0 == daemon.end()

    told = {path.removesuffix(f"/{CANARY}"): body for path, body in receiver.got}
    assert ("ok", 1) == (finished["status"], finished["created"])
    assert ("notify.start", "127.0.0.1 did not answer in 0.5 s") == (failed["target"], failed["error"])
    assert ("start", "success") == (told["/hangs"]["event"], told["/right"]["event"])
    assert (1, 0, False) == (
        told["/right"]["counts"]["created"],
        told["/right"]["exit_code"],
        told["/right"]["recovered"],
    )
    assert CANARY not in json.dumps(daemon.log) + json.dumps([body for _, body in receiver.got])


def test_one_pass_tells_and_ends_as_it_would_have(on_sqlite: Erpsyncd, sandbox: SandboxServer, tmp_path: Path) -> None:
    """Failure, then recovery, over two processes; the command gets both, and a receiver that fails changes nothing."""
    events = tmp_path / "events"
    program = on_sqlite.write(
        "program", f'#!/bin/sh\necho "$ERPSYNCD_EVENT $ERPSYNCD_STATUS" >> {events}\ncat >> {events}\n'
    )
    program.chmod(0o700)
    broken = connection("a", config_fields={"Password": "@{env:LATER}"})
    on_sqlite.load(document(sandbox.url, "rest", broken))
    with receiving() as receiver:
        on_sqlite.environ |= {
            "ERPSYNCD__NOTIFY__FAILURE": f"{receiver.url}/fails",
            "ERPSYNCD__NOTIFY__SUCCESS": f"{receiver.url}/hangs",
            "ERPSYNCD__NOTIFY__DEADLINE": "0.5s",
            "ERPSYNCD__NOTIFY__ATTEMPTS": "1",
            "ERPSYNCD__NOTIFY__COMMAND": str(program),
        }
        installed = Erpsyncd(tmp_path, environ=on_sqlite.environ)
        failed = installed.run_once()
        on_sqlite.environ["LATER"] = "here"
        recovered = installed.run_once()

    assert (1, 0) == (failed.code, recovered.code) or (3, 0) == (failed.code, recovered.code)
    assert [("/fails", "failure"), ("/hangs", "success")] == [(path, body["event"]) for path, body in receiver.got]
    first, body, second, last = events.read_text().splitlines()
    assert (f"failure {failed.json['status']}", "recovered ok") == (first, second)
    assert (["acme"], True) == (json.loads(body)["failed_tenants"], json.loads(last)["recovered"])


def test_addresses_are_not_shown(on_sqlite: Erpsyncd) -> None:
    """They are passwords: of each only the host stands in `config show`, and a bad one is not repeated."""
    on_sqlite.environ |= {
        "ERPSYNCD__NOTIFY__SUCCESS": f"https://hc.example/{CANARY}?x={CANARY}",
        "ERPSYNCD__NOTIFY__SECRET": "@{systemd:signing}",
    }

    shown = on_sqlite("config", "show").stdout

    assert "https://hc.example/***" in shown
    assert "@{systemd:signing}" in shown
    assert CANARY not in shown
    for name, value in (("SUCCESS", f"http://hc.example/{CANARY}"), ("SECRET", CANARY), ("COMMAND", f"mail {CANARY}")):
        refused = InProcess(on_sqlite.directory, environ={f"ERPSYNCD__NOTIFY__{name}": value})("config", "show")

        assert (78, False) == (refused.code, CANARY in refused.stderr)

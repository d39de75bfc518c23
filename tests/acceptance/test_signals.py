"""What a signal does to commands that are at work."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import urllib.request

from commands import COMMAND, PATIENCE, Erpsyncd, connection, document
from erpsyncd.sandbox import Hang, Rule, SandboxServer


def test_a_run_that_hangs_is_cut_off_by_a_second_signal(quick: Erpsyncd, sandbox: SandboxServer) -> None:
    """The first lets calls in flight end, the second does not wait; the next run settles what was under way."""
    quick.load(document(sandbox.url, "soap", connection("a")))
    hang = Hang()
    sandbox.add_faults(Rule(action=hang, operation="SaveConnection", times=1))

    process = subprocess.Popen(
        [COMMAND, "--run-once"], env=quick.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert hang.reached.wait(PATIENCE)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
    except BaseException:
        process.kill()
        raise
    finally:
        _, stderr = process.communicate(timeout=PATIENCE)

    assert 75 == process.returncode
    assert "settled by the next run" in stderr
    assert "Traceback" not in stderr
    assert ["in_flight"] == [row["state"] for row in quick.listed("connections")]

    saved = threading.Event()
    sandbox.after_call = lambda _: saved.set()
    hang.release.set()
    assert saved.wait(PATIENCE)

    assert 1 == quick.run_once().json["counts"]["updated"]
    there = [item for item in sandbox.state()["tenants"]["acme"]["connections"] if not item["Deleted"]]
    assert (1, "in_sync") == (len(there), quick.listed("connections")[0]["state"])


def test_the_daemon_ends_calls_in_flight_before_it_stops(quick: Erpsyncd, sandbox: SandboxServer) -> None:
    """After SIGTERM the call that is under way is finished and recorded, and nothing new begins."""
    quick.load(document(sandbox.url, "rest", connection("a") + connection("b") + connection("c")))
    hang = Hang()
    sandbox.add_faults(Rule(action=hang, operation="SaveConnection", times=1))
    quick.environ["ERPSYNCD__LIMITS__CONNECTIONS_AT_ONCE"] = "1"

    with quick.daemon() as daemon:
        assert hang.reached.wait(PATIENCE)
        daemon.signal(signal.SIGTERM)
        daemon.wait_for("service.stopping")
        hang.release.set()
        assert "create" == daemon.wait_for("connection.applied", key="a")["change"]
        daemon.wait_for("service.stopped")
        assert 0 == daemon.end()

    assert ["in_sync", "pending", "pending"] == [row["state"] for row in quick.listed("connections")]


def test_the_sandbox_command_serves_until_it_is_told_to_stop(quick: Erpsyncd) -> None:
    """It says where it listens, answers there, refuses a port that is taken, and ends with 0."""
    process = subprocess.Popen(
        [COMMAND, "sandbox", "--port", "0", "--output", "json"],
        env=quick.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        with urllib.request.urlopen(f"{url}/_sandbox/state") as answer:
            assert {} == json.load(answer)["tenants"]
        quick.load(document(url, "soap", connection("a")))
        assert 0 == quick.run_once().code
        taken = quick("sandbox", "--port", url.rpartition(":")[2])
        assert (1, True) == (taken.code, "choose another with --port" in taken.stderr)
    finally:
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=PATIENCE)
    assert (0, "") == (process.returncode, stderr)

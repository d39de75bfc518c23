"""A daemon that is killed, or hangs in one way or another: systemd ends it, and starts it again."""

from __future__ import annotations

import pytest

from machine import Machine
from server_support import PYTHON, STATE, UNIT, stand_anew, states

pytestmark = pytest.mark.system

#: Keeps a database for itself.
HOLD = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
time.sleep(600)
"""
#: Makes one thread stand still, the first one, as a debugger does (PTRACE_ATTACH). A signal would stop them all.
STOP_A_THREAD = """
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
if libc.ptrace(16, int(sys.argv[1]), None, None):
    raise OSError(ctypes.get_errno(), "ptrace")
time.sleep(600)
"""


def test_a_killed_daemon_is_started_again(server: Machine) -> None:
    """With its store as it was."""
    stand_anew(server)
    known = states(server)
    pid = server.property(UNIT, "MainPID")
    server.run("systemctl", "kill", "--signal=KILL", "--kill-who=main", UNIT)
    server.wait_for(UNIT, "NRestarts", "1")
    server.wait_for(UNIT, "ActiveState", "active")

    assert pid != server.property(UNIT, "MainPID")
    assert known == states(server)
    assert {"in_sync"} == set(known.values())


def test_a_hung_daemon_is_ended_and_started_again(server: Machine) -> None:
    """The watchdog bites, and the journal has where every thread stood."""
    stand_anew(server)
    server.run("systemctl", "kill", "--signal=STOP", "--kill-who=main", UNIT)
    server.wait_for(UNIT, "NRestarts", "1")
    server.wait_for(UNIT, "ActiveState", "active")
    journal = server.journal(UNIT)

    assert "Watchdog timeout" in journal
    assert "most recent call first" in journal
    assert "Failed with result 'watchdog'" in journal


def test_a_store_that_hangs_ends_the_daemon(server: Machine) -> None:
    """Its loop moves; what it wants to write waits for somebody who keeps the file longer than systemd waits."""
    stand_anew(server)
    server.run("systemd-run", "--unit=holder", "--uid=erpsyncd", PYTHON, "-c", HOLD, f"{STATE}/erpsyncd.db")
    server.wait_for(UNIT, "NRestarts", "1")
    server.run("systemctl", "stop", "holder")
    passes = server.journal(UNIT).count("run.finished")
    journal = server.journal(UNIT).rpartition("Watchdog timeout")[2]

    assert "Failed with result 'watchdog'" in journal
    assert "/store/writer.py" in journal, "the writer is where it stood"
    assert "selectors.py" in journal, "the loop moved"

    server.wait_for(UNIT, "ActiveState", "active")
    server.wait_for_line(UNIT, "run.finished", times=passes + 1)


def test_a_loop_that_hangs_ends_the_daemon(server: Machine) -> None:
    """One thread alone stands still, the scheduler's; the store's threads could go on, and that saves nobody."""
    stand_anew(server)
    before = server.journal(UNIT).count("Watchdog timeout")
    pid = server.property(UNIT, "MainPID")
    server.run("systemd-run", "--unit=stopper", PYTHON, "-c", STOP_A_THREAD, pid)
    server.wait_for_line(UNIT, "Watchdog timeout", times=before + 1)
    server.wait_for_line(UNIT, "Extension modules")
    # Who is traced is buried by his tracer.
    server.run("systemctl", "stop", "stopper")
    server.wait_for(UNIT, "NRestarts", "1")
    server.wait_for(UNIT, "ActiveState", "active")

    assert "Failed with result 'watchdog'" in server.journal(UNIT).rpartition("Watchdog timeout")[2]


def test_a_daemon_that_lives_is_left_alone(server: Machine) -> None:
    """Longer than the watchdog waits, it gives its signs of life."""
    stand_anew(server)
    first = server.property(UNIT, "WatchdogTimestampMonotonic")
    for _ in range(4):
        first = server.until(
            lambda: now if (now := server.property(UNIT, "WatchdogTimestampMonotonic")) != first else "",  # noqa: B023 -- asked for in this round only
            "a sign of life",
        )

    assert ("0", "active") == (server.property(UNIT, "NRestarts"), server.property(UNIT, "ActiveState"))

"""The end of a server's life: a newer package, with and without a newer store, a removal and a purge."""

from __future__ import annotations

from pathlib import Path

import pytest

from erpsyncd.store import tables
from machine import Machine
from server_support import PYTHON, STATE, UNIT, ask, stand_anew, states

pytestmark = pytest.mark.system

#: Takes the store's tables back to what the first release made.
AS_IN_THE_FIRST_RELEASE = """
import sys
from erpsyncd.store.addresses import read_url
from erpsyncd.store.engine import make_engine, to_write
from erpsyncd.store.schema import migrate
with to_write(make_engine(read_url(sys.argv[1]), foreign_keys=False)).begin() as connection:
    migrate(connection, "downgrade", "0001")
"""
REVISION = (
    "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT * FROM alembic_version').fetchone()[0])"
)


def test_an_upgrade_keeps_the_store_and_starts_what_ran(server: Machine, package: Path) -> None:
    """The daemon that ran is a new one, with the settings that were edited; nothing is pushed again."""
    server.run("systemctl", "enable", UNIT)
    stand_anew(server)
    pid = server.property(UNIT, "MainPID")
    saves = ask(server, "GET", "state")["tenants"]["acme"]["calls"]["SaveConnection"]
    server.put("/srv/new.deb", package.read_bytes())

    server.run("dpkg", "--install", "/srv/new.deb")

    assert ("active", False) == (server.property(UNIT, "ActiveState"), pid == server.property(UNIT, "MainPID"))
    assert "enabled" == server.run("systemctl", "is-enabled", UNIT).stdout.strip()
    assert 'reconcile = "7h"' in server.shell("cat /etc/erpsyncd/erpsyncd.toml").stdout
    assert {"a": "in_sync", "b": "in_sync", "c": "in_sync"} == states(server)
    assert saves == ask(server, "GET", "state")["tenants"]["acme"]["calls"]["SaveConnection"]
    assert server.run("dpkg-query", "--show", "--showformat=${Version}", "erpsyncd").stdout != "0.0.1"


def test_an_upgrade_brings_an_old_store_up_to_date_before_the_daemon_is_ready(server: Machine, package: Path) -> None:
    """In dpkg's own steps, with the first release's tables found in between; systemd is asked for patience."""
    stand_anew(server)
    known, saves = states(server), ask(server, "GET", "state")["tenants"]["acme"]["calls"]["SaveConnection"]
    server.put("/srv/new.deb", package.read_bytes())
    server.run("dpkg", "--unpack", "/srv/new.deb")
    stopped = server.property(UNIT, "ActiveState")
    as_the_service = ("runuser", "--user", "erpsyncd", "--", PYTHON, "-c")
    server.run(*as_the_service, AS_IN_THE_FIRST_RELEASE, f"sqlite:///{STATE}/erpsyncd.db")
    old = server.run(*as_the_service, REVISION, f"{STATE}/erpsyncd.db").stdout.strip()
    # At this level systemd's journal has each word of the service's.
    server.run("systemctl", "log-level", "debug")
    told = server.journal(UNIT).count("READY=1")

    server.run("dpkg", "--configure", "erpsyncd")
    server.run("systemctl", "log-level", "info")

    assert ("inactive", "0001") == (stopped, old)
    assert "active" == server.property(UNIT, "ActiveState")
    assert tables.HEAD == server.run(*as_the_service, REVISION, f"{STATE}/erpsyncd.db").stdout.strip()
    words = [line for line in server.journal(UNIT).splitlines() if "notification message" in line]
    extended = next(number for number, line in enumerate(words) if "EXTEND_TIMEOUT_USEC=60000000" in line)
    ready = next(number for number, line in enumerate(words) if "READY=1" in line)
    assert 0 == told
    assert "STATUS=upgrading the store" in words[extended]
    assert extended < ready
    assert (known, saves) == (states(server), ask(server, "GET", "state")["tenants"]["acme"]["calls"]["SaveConnection"])
    assert 0 == server.run("erpsyncd", "db", "check").code


def test_removing_keeps_the_store_and_purging_does_not(server: Machine) -> None:
    """After a removal nothing runs and nothing is enabled; after a purge nothing of ours is left but the user."""
    server.run("dpkg", "--remove", "erpsyncd")

    assert "" == server.shell("pgrep -u erpsyncd || true").stdout
    left = server.shell(f"ls {STATE}; ls /etc/erpsyncd").stdout
    assert {"erpsyncd.db", "erpsyncd.key", "erpsyncd.toml"} <= set(left.split())
    assert "" == server.shell("find /etc/systemd /usr/bin /opt -name '*erpsyncd*' ! -name '*.d' -maxdepth 4").stdout

    server.run("dpkg", "--purge", "erpsyncd")

    gone = server.shell("ls -d /var/lib/erpsyncd /etc/erpsyncd /opt/erpsyncd /usr/bin/erpsyncd*", code=None)
    assert "" == gone.stdout
    assert "not-found" == server.property(UNIT, "LoadState")
    assert "erpsyncd" in server.run("id", "erpsyncd").stdout

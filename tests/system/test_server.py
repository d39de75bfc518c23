"""erpsyncd as a service: the package on a machine of its own, under a real systemd, against the stand-in tenant.

The tests stand in the order of a server's life, and each leaves the machine as the next one needs it; those in the
files after this one (by name) go on where it ends.
"""

from __future__ import annotations

import json

import pytest

from machine import Machine
from server_support import (
    DOCUMENT,
    ONCE,
    STATE,
    TIMER,
    UNIT,
    ask,
    import_,
    not_the_services,
    remote_names,
    stand_anew,
    states,
)

pytestmark = pytest.mark.system


def test_installing_makes_the_user_and_starts_nothing(server: Machine) -> None:
    """The user and his directories are there; units are understood without a word, and neither mode is chosen."""
    modes = server.shell(f"stat --format '%n %U:%G %a' {STATE} /etc/erpsyncd /etc/erpsyncd/erpsyncd.toml").stdout

    assert modes.splitlines() == [
        f"{STATE} erpsyncd:erpsyncd 700",
        "/etc/erpsyncd root:erpsyncd 750",
        "/etc/erpsyncd/erpsyncd.toml root:erpsyncd 640",
    ]
    verified = server.run("systemd-analyze", "verify", UNIT, ONCE, TIMER)
    assert ("", "") == (verified.stdout, verified.stderr)
    for unit in (UNIT, TIMER):
        assert "disabled" == server.run("systemctl", "is-enabled", unit, code=1).stdout.strip()
        assert "inactive" == server.property(unit, "ActiveState")
    assert server.run("erpsyncd", "version").stdout.startswith("erpsyncd ")


def test_roots_commands_are_the_services(server: Machine) -> None:
    """A document of root's own is imported, into files that are the service's."""
    import_(server, "a")
    server.run("erpsyncd", "status")
    server.run("erpsyncd", "db", "check")

    assert {"a": "pending"} == states(server)
    assert "" == not_the_services(server)
    assert server.shell(f"test -e {STATE}/erpsyncd.db && test -e {STATE}/erpsyncd.key").code == 0


def test_an_administrators_command_has_the_units_credentials(server: Machine) -> None:
    """Without them the tenant's password is not there; `erpsyncd-admin` has both, and its code and output come by."""
    alone = server.run("erpsyncd", "plan", code=None)
    helped = server.run("erpsyncd-admin", "plan", "--output", "json")
    counted = server.run("erpsyncd-admin", "plan", "--detailed-exitcode", code=4)
    imported = server.run("erpsyncd-admin", "import", "--dry-run", "-", stdin=DOCUMENT)

    assert 0 != alone.code
    assert "acme-password" in alone.stdout + alone.stderr
    assert "create" in helped.stdout
    assert json.loads(helped.stdout)
    assert "a" in counted.stdout
    assert "Would import" in imported.stdout
    assert "" == not_the_services(server)
    assert [] == remote_names(server), "a plan cannot write"


def test_the_daemon_is_ready_when_it_is(server: Machine) -> None:
    """systemd waits for READY=1; the status line counts; the secrets reached the tenant and not the journal."""
    held = f"{STATE}/erpsyncd.db.lock"
    server.run("systemd-run", "--unit=holder", "--uid=erpsyncd", "flock", held, "sleep", "600")
    server.until(lambda: "x" if server.run("flock", "-n", held, "true", code=None).code else "", "a held lock")
    refused = server.run("systemctl", "start", UNIT, code=None)
    server.run("systemctl", "stop", "holder", UNIT)

    assert 0 != refused.code, "it is not ready while another process has the store"
    assert "another erpsyncd process" in server.journal(UNIT)

    stand_anew(server)

    assert ("active", "notify") == (server.property(UNIT, "ActiveState"), server.property(UNIT, "Type"))
    server.until(lambda: "x" if "last pass ok: 1" in server.property(UNIT, "StatusText") else "", "the status line")
    assert "; next pass at 20" in server.property(UNIT, "StatusText")
    assert ["Name of a"] == remote_names(server)
    assert {"a": "in_sync"} == states(server)
    assert "canary" not in server.journal(UNIT)


def test_a_reload_takes_good_settings_and_refuses_bad_ones(server: Machine) -> None:
    """The schedule changes without a restart; of a bad file the daemon never hears, and systemctl says so."""
    pid = server.property(UNIT, "MainPID")
    server.shell("sed -i 's/^#reconcile = .*/reconcile = \"7h\"/' /etc/erpsyncd/erpsyncd.toml")
    server.run("systemctl", "reload", UNIT)
    server.wait_for_line(UNIT, "settings.reloaded")

    server.shell("echo 'nonsense = 1' >> /etc/erpsyncd/erpsyncd.toml")
    refused = server.run("systemctl", "reload", UNIT, code=None)
    journal = server.journal(UNIT)
    server.shell("sed -i /nonsense/d /etc/erpsyncd/erpsyncd.toml")

    assert 0 != refused.code
    assert "nonsense" in journal
    assert (1, 0) == (journal.count("settings.reloaded"), journal.count("settings.rejected"))
    assert (pid, "active") == (server.property(UNIT, "MainPID"), server.property(UNIT, "ActiveState"))


def test_a_stop_waits_for_a_call_in_flight(server: Machine) -> None:
    """The save that the tenant takes its time for is answered and recorded; then the daemon ends in order."""
    server.run("systemctl", "stop", UNIT)
    import_(server, "a", "b")
    hang = {"operation": "SaveConnection", "times": 1, "action": {"kind": "hang"}}
    assert {"rules": 1} == ask(server, "POST", "faults", hang)
    server.run("systemctl", "start", UNIT)
    server.until(lambda: "x" if states(server).get("b") == "in_flight" else "", "a save under way")

    server.run("systemctl", "stop", "--no-block", UNIT)
    server.until(lambda: "x" if "waiting for calls" in server.property(UNIT, "StatusText") else "", "STOPPING=1")
    assert "deactivating" == server.property(UNIT, "ActiveState")
    ask(server, "DELETE", "faults")
    server.wait_for(UNIT, "ActiveState", "inactive")

    assert "success" == server.property(UNIT, "Result")
    assert {"a": "in_sync", "b": "in_sync"} == states(server)
    assert ["Name of a", "Name of b"] == remote_names(server)


def test_bad_settings_are_not_tried_again(server: Machine) -> None:
    """Exit 78 ends it; nothing is restarted in a circle."""
    server.shell("echo 'nonsense = 1' >> /etc/erpsyncd/erpsyncd.toml")
    server.run("systemctl", "reset-failed", UNIT, code=None)
    server.run("systemctl", "start", UNIT, code=None)
    found = [server.property(UNIT, name) for name in ("ActiveState", "NRestarts", "ExecMainStatus")]
    server.shell("sed -i /nonsense/d /etc/erpsyncd/erpsyncd.toml")

    assert ["failed", "0", "78"] == found


def test_one_mode_takes_the_others_place(server: Machine) -> None:
    """Starting the timer stops the daemon, which makes passes by itself; starting the daemon stops the timer."""
    stand_anew(server)
    refused = server.run("systemctl", "start", ONCE)

    assert 0 == refused.code, "75 is temporary, and no failure"
    assert "another erpsyncd process" in server.journal(ONCE)

    server.run("systemctl", "start", TIMER)
    server.wait_for(UNIT, "ActiveState", "inactive")
    assert "active" == server.property(TIMER, "ActiveState")
    server.run("systemctl", "start", UNIT)
    server.wait_for(TIMER, "ActiveState", "inactive")
    server.run("systemctl", "stop", UNIT)


def test_the_timer_makes_passes(server: Machine) -> None:
    """By its own clock, with the credentials, and what was missed while the machine was off at once."""
    assert ("yes", "2min") == (server.property(TIMER, "Persistent"), server.property(TIMER, "RandomizedDelayUSec"))
    server.put(f"/etc/systemd/system/{TIMER}.d/quick.conf", b"[Timer]\nRandomizedDelaySec=0\n")
    server.run("systemctl", "daemon-reload")
    server.run("mkdir", "--parents", "/var/lib/systemd/timers")
    server.run("touch", "--date=yesterday", "/var/lib/systemd/timers/stamp-erpsyncd-once.timer")
    import_(server, "a", "b", "c")

    server.run("systemctl", "enable", "--now", TIMER)
    server.wait_for_line(ONCE, "run.finished")
    server.wait_for(ONCE, "ActiveState", "inactive")
    told = server.run("journalctl", "--output=json", f"--unit={ONCE}", "ERPSYNCD_EVENT=run.finished").stdout
    fields = json.loads(told.splitlines()[-1])

    assert ("6", "erpsyncd") == (fields["PRIORITY"], fields["SYSLOG_IDENTIFIER"])
    assert "success" == server.property(ONCE, "Result")
    assert ["Name of a", "Name of b", "Name of c"] == remote_names(server)
    server.run("systemctl", "disable", "--now", TIMER)


def test_both_modes_enabled_come_up_as_one(server: Machine) -> None:
    """At boot systemd has to choose; whichever it takes, one works, and nothing has failed."""
    server.run("systemctl", "enable", UNIT, TIMER)
    server.run("systemctl", "start", "multi-user.target", "timers.target", code=None)
    server.until(
        lambda: "x" if [server.property(unit, "ActiveState") for unit in (UNIT, TIMER)].count("active") == 1 else "",
        "one of the two modes",
    )
    server.run("systemctl", "disable", "--now", TIMER)

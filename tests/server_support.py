"""What the tests of a server share: its units, what is imported into it, and looks at it and at the stand-in tenant."""

from __future__ import annotations

import json
from typing import Any

from machine import Machine

UNIT = "erpsyncd.service"
ONCE = "erpsyncd-once.service"
TIMER = "erpsyncd-once.timer"
STATE = "/var/lib/erpsyncd"
PYTHON = "/opt/erpsyncd/bin/python"

#: Shorter waits than a server has, and the credentials of the document below: one as a file that only root may read,
#: one that only this machine can open.
DROP_IN = """
[Service]
LoadCredential=acme-password:/root/acme-password
LoadCredentialEncrypted=acme-visma:/etc/credstore.encrypted/acme-visma
"""
QUICK = "[Service]\nWatchdogSec=6s\nRestartSec=100ms\n"
DOCUMENT = """
[[tenants]]
name = "acme"
url = "http://127.0.0.1:8700/acme"
protocol = "rest"
[tenants.auth]
kind = "password"
username = "sandbox"
password = "@{systemd:acme-password}"
"""
CONNECTION = """
[[connections]]
tenant = "acme"
key = "KEY"
erp_connector_id = 1
display_name = "Name of KEY"
[connections.config_fields]
Client = "F0001"
Password = "@{systemd:acme-visma}"
"""


def ask(machine: Machine, method: str, path: str, body: Any = None) -> Any:
    """Ask the stand-in; None while it does not answer."""
    script = (
        "import sys, urllib.request as u; "
        "q = u.Request(sys.argv[2], sys.stdin.buffer.read() or None, method=sys.argv[1]); "
        "sys.stdout.write(u.urlopen(q, timeout=10).read().decode())"
    )
    sent = "" if body is None else json.dumps(body)
    done = machine.run(PYTHON, "-c", script, method, f"http://127.0.0.1:8700/_sandbox/{path}", stdin=sent, code=None)
    return None if done.code else json.loads(done.stdout or "{}")


def remote_names(machine: Machine) -> list[str]:
    found = ask(machine, "GET", "state")["tenants"].get("acme", {}).get("connections", [])
    return sorted(str(each["DisplayName"]) for each in found)


def states(machine: Machine) -> dict[str, str]:
    listed = machine.run("erpsyncd", "connections", "list", "--output", "json").stdout
    return {item["key"]: item["state"] for item in json.loads(listed)["items"]}


def stand_anew(machine: Machine) -> None:
    """Start the daemon with its counters at nothing, and wait for its first pass."""
    machine.run("systemctl", "stop", UNIT)
    machine.run("systemctl", "reset-failed", UNIT, code=None)
    before = machine.journal(UNIT).count("run.finished")
    machine.run("systemctl", "start", UNIT)
    machine.wait_for_line(UNIT, "run.finished", times=before + 1)


def not_the_services(machine: Machine) -> str:
    """Return the files in the state directory that are somebody else's."""
    return machine.shell(f"find {STATE} ! -user erpsyncd -o ! -group erpsyncd").stdout


def import_(machine: Machine, *keys: str) -> None:
    document = DOCUMENT + "".join(CONNECTION.replace("KEY", key) for key in keys)
    machine.put("/root/acme.toml", document.encode(), mode=0o600)
    machine.run("erpsyncd", "import", "acme.toml")

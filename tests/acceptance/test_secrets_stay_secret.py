"""A canary in every secret field occurs in no log, no output, no traceback, and not in clear in the database."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from commands import Erpsyncd, connection, document
from erpsyncd.sandbox import SandboxServer
from in_process import InProcess

CANARIES = {
    "tenant password": "canary-tenant-password",
    "application token": "canary-application-token",
    "ticket": "canary-ticket",
    "bearer token": "canary-bearer-token",
    "config value": "canary-config-value",
    "referenced value": "canary-referenced-value",
    "proxy password": "canary-proxy-password",
}


# As processes of their own once: how a program starts and ends knows nothing of the protocol.
@pytest.mark.parametrize(("protocol", "program"), [("soap", Erpsyncd), ("rest", InProcess)])
def test_no_canary_escapes(
    tmp_path: Path, sandbox: SandboxServer, protocol: str, program: type[Erpsyncd], logging_restored: None
) -> None:
    """Imports, refused imports, runs, failures, lists and the daemon at debug level keep every secret."""
    erpsyncd = program(tmp_path, environ={"CANARY": CANARIES["referenced value"]})
    fields = {"Password": CANARIES["config value"], "Token": "x@{env:CANARY}y"}
    text = document(sandbox.url, protocol, connection("a", config_fields=fields)).replace(
        "[tenants.auth]", f'[tenants.auth]\napplication_token = "{CANARIES["application token"]}"'
    )
    for kind, member in (("ticket", "ticket"), ("bearer", "token")):
        secret = CANARIES["ticket" if kind == "ticket" else "bearer token"]
        address = f'name = "{kind}"\nurl = "{sandbox.url}/{kind}"\nprotocol = "{protocol}"'
        if kind == "ticket":  # nobody listens there: the proxy stands in the messages of what failed
            address += f'\nproxy = "http://user:{CANARIES["proxy password"]}@127.0.0.1:1"'
        text += f'\n[[tenants]]\n{address}\n[tenants.auth]\nkind = "{kind}"\n{member} = "{secret}"\n'
    wrong = text.replace('password = "sandbox"', f'password = "{CANARIES["tenant password"]}"')
    given = wrong + erpsyncd.environ["CANARY"]
    assert all(canary in given for canary in CANARIES.values())
    seen = []

    for attempt in (wrong.replace("erp_connector_id = 1", "erp_connector_id = true"), wrong, text):
        loaded = erpsyncd.load(attempt)
        seen += [loaded.stdout, loaded.stderr]
        in_detail = ("--output", "json", "--log-level", "debug")
        for arguments in (("plan", *in_detail), ("--run-once",), ("--run-once", *in_detail)):
            run = erpsyncd(*arguments, "--log-format", "console")
            seen += [run.stdout, run.stderr]
    for form in ("toml", "yaml", "json"):
        seen.append(erpsyncd("export", "--format", form).stdout)
        assert "@{stored}" in seen[-1]
    for noun in ("tenants", "connections", "runs", "checks", "changes"):
        seen.append(erpsyncd(noun, "list").stdout)
        seen.append(erpsyncd(noun, "list", "--output", "json").stdout)
    file = erpsyncd.write("again.toml", wrong)
    for command in (("doctor",), ("doctor", "--retry"), ("config", "show"), ("validate", "--resolve", str(file))):
        shown = erpsyncd(*command, "--debug", "--log-level", "debug")
        seen += [shown.stdout, shown.stderr]
    with erpsyncd.daemon("--log-level", "debug") as daemon:
        daemon.wait_for("run.finished")
        daemon.signal(signal.SIGTERM)
        daemon.wait_for("service.stopped")
        seen.append(repr(daemon.lines))

    texts = "\n".join(seen)
    assert "acme" in texts
    assert "through the proxy 127.0.0.1:1" in texts
    state = b"".join(path.read_bytes() for path in (tmp_path / "state").iterdir())
    assert b"SQLite format 3" in state
    for name, canary in CANARIES.items():
        assert canary not in texts, name
        assert canary.encode() not in state, name

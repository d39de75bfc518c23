"""What tenants answer as a whole, over real sockets: why it is no, SyncAll after saves, in which language."""

from __future__ import annotations

import json
from typing import Any

import pytest

from commands import Erpsyncd, connection, document
from erpsyncd.sandbox import SandboxConnector, SandboxServer

PROTOCOLS = pytest.mark.parametrize("protocol", ["soap", "rest"])
LOCAL = 'language = "NO"\ntime_zone = "Europe/Oslo"'
ERRORS = "GetConnectionStartupErrors"


def load(erpsyncd: Erpsyncd, sandbox: SandboxServer, protocol: str, extra: str = "", *, active: bool = False) -> None:
    found = erpsyncd.load(document(sandbox.url, protocol, connection("a", active=active), extra=extra))
    assert 0 == found.code, found.stderr


def down(sandbox: SandboxServer, **more: Any) -> None:
    """Let the connector of what was saved fail from now on."""
    sandbox.tenant("acme").configure(connectors={1: SandboxConnector(name="Visma", up=False)}, **more)


def called(sandbox: SandboxServer, since: int = 0) -> list[str]:
    return [call.operation for call in sandbox.calls_of("acme")[since:]]


@PROTOCOLS
def test_a_no_and_why(quick: Erpsyncd, sandbox: SandboxServer, protocol: str) -> None:
    """Both answers are rows of their own, counted where they come again; each can be looked at whole."""
    load(quick, sandbox, protocol, LOCAL)
    quick.run_once()
    unknown = {"UserExplanation": 'US:"broken";NO:"ødelagt"', "TechExplanation": "told", "ErrorCode": "E\x9b7"}
    down(sandbox, startup_errors=(unknown,))
    reports = [quick.run_once() for _ in range(3)]

    told = quick.listed("checks")
    errors = next(each for each in told if each["operation"] == ERRORS)
    listed, shown = quick("checks", "list"), quick("checks", "show", str(errors["check_id"]))
    (whole,) = quick("checks", "show", str(errors["check_id"]), "--output", "json").json["items"]

    assert {
        ("HasConnections", False, 1),
        ("HasConnections", False, 3),
        (ERRORS, True, 1),
        (ERRORS, False, 3),
    } == {(each["operation"], each["is_ok"], each["times"]) for each in told}
    assert [0] * 3 == [report.code for report in reports]
    assert ["HasConnections", ERRORS] == [each["operation"] for each in reports[0].json["checks"]]
    assert ("Visma svarer ikke; ødelagt" in listed.stdout, 'US:"' in listed.stdout) == (True, False)

    head, facts, answers = shown.stdout.split("\n\n", 2)
    assert f"Check {errors['check_id']}, acme: {ERRORS} is not ok" == head
    assert "Visma svarer ikke; ødelagt" in facts
    assert "\x9b" not in shown.stdout
    assert errors == {name: value for name, value in whole.items() if name != "response"}
    assert json.loads(answers) == json.loads(json.dumps(whole["response"]).replace("\\u009b", "\ufffd"))
    assert [["NO_ANSWER", None], ["E\x9b7", None]] == [
        [each["ErrorCode"], each["TableRight"]] for each in whole["response"]
    ]
    raw = 'US:"broken";NO:"ødelagt"' if protocol == "soap" else "ødelagt"  # REST was asked for one language
    assert raw == whole["response"][1]["UserExplanation"]


@PROTOCOLS
def test_why_it_is_no_elsewhere(quick: Erpsyncd, sandbox: SandboxServer, protocol: str) -> None:
    """Status, the doctor and a trial say it, too; in the first language where the tenant has none."""
    load(quick, sandbox, protocol)
    quick.run_once()
    down(sandbox)
    quick.run_once()

    (why,) = {"No connections are available; Visma does not answer"}
    said = (
        " ".join(quick("status").stdout.split()),
        " ".join(quick("doctor", "acme").stdout.split()),
        " ".join(quick("tenants", "test", "acme").stdout.split()),
        quick("status", "--output", "json").json["tenants"][0]["quote_reason"],
    )
    assert [True] * 4 == [why in each for each in said]


@PROTOCOLS
def test_sync_all_after_saves(quick: Erpsyncd, sandbox: SandboxServer, protocol: str) -> None:
    """Between the saves and the check, where something was saved; its changes are told as its own."""
    load(quick, sandbox, protocol, "sync_all_after_save = true", active=True)
    dry = quick("plan")
    planned = called(sandbox)
    first = quick.run_once()
    after = len(called(sandbox))
    second = quick.run_once("--only", "acme/a")

    order = [call for call in called(sandbox) if call in ("SaveConnection", "SyncAll", "HasConnections", ERRORS)]
    assert (0, 0, 0) == (dry.code, first.code, second.code)
    assert not {"SaveConnection", "SyncAll", "HasConnections"} & set(planned)
    assert ["SaveConnection", "SyncAll", "HasConnections"] == order
    assert "SyncAll" not in called(sandbox, after)
    told = {(each["operation"], each["is_ok"]) for each in quick.listed("checks")}
    assert {("SyncAll", True), ("HasConnections", True)} == told
    synchronized = [each for each in quick.listed("changes") if each["operation"] == "SyncAll"]
    assert {("added", "erpsynclog"), ("updated", "erpconnection")} == {
        (each["change"], each["table_name"]) for each in synchronized
    }
    assert "acme: SyncAll says yes; 2 changed records" in _text_of_a_run(quick, sandbox)


def _text_of_a_run(erpsyncd: Erpsyncd, sandbox: SandboxServer) -> str:
    erpsyncd.load(connection("a", active=True, display_description="changed"))
    before = len(called(sandbox))
    text = erpsyncd("--run-once").stdout
    assert "SyncAll" in called(sandbox, before)
    return text


@PROTOCOLS
@pytest.mark.parametrize("zone", ["Europe/Oslo", "7"])
def test_nothing_that_is_written_back_is_asked_in_a_language(
    quick: Erpsyncd, sandbox: SandboxServer, protocol: str, zone: str
) -> None:
    """Over a create, an update and a delete with all that stands around them, only checks say language and zone."""
    extra = f'language = "NO"\ntime_zone = "{zone}"\nsync_all_after_save = true'
    load(quick, sandbox, protocol, extra)
    quick.run_once()
    for change in ({"display_name": 'NO:"Ny";US:"New"'}, {"display_name": "Newer"}, {"state": "absent"}):
        quick.load(connection("a", **change))
        assert 0 == quick.run_once().code
    quick("doctor", "acme")
    quick("tenants", "test", "acme")
    quick("connections", "adopt", "acme", "--dry-run")

    calls = sandbox.calls_of("acme")
    local = {(call.operation, call.language, call.time_zone) for call in calls if call.language or call.time_zone}
    language = "NO" if protocol == "rest" else ""  # SOAP has no place for it
    assert {(name, language, zone) for name in ("HasConnections", ERRORS)} == local
    assert {"SaveConnection", "DeleteConnection", "GetConnection", "SyncAll"} <= {call.operation for call in calls}


@PROTOCOLS
def test_a_tenant_that_lacks_both(quick: Erpsyncd, sandbox: SandboxServer, protocol: str) -> None:
    """It is told once that they are not there; no run is partial because of it."""
    sandbox.tenant("acme").configure(lacks=frozenset({"SyncAll", ERRORS}))
    load(quick, sandbox, protocol, "sync_all_after_save = true")
    codes = [quick.run_once().code for _ in range(3)]

    told = {each["operation"]: each for each in quick.listed("checks") if each["times"] != 2}
    shown = quick("checks", "show", str(told["SyncAll"]["check_id"]))

    assert [0, 0, 0] == codes
    assert (["not_found"] * 2, 1, 3) == (
        [told[name]["error_code"] for name in ("SyncAll", ERRORS)],
        told["SyncAll"]["times"],
        told[ERRORS]["times"],
    )
    assert "Nothing more is known of it." in shown.stdout


@PROTOCOLS
def test_what_a_connector_quotes_is_not_kept(quick: Erpsyncd, sandbox: SandboxServer, protocol: str) -> None:
    """A startup error, or the sync engine, may repeat a password of ours: no answer has it, in no form."""
    quick.environ["ERP"] = canary = 'canary "&" secret'
    fields = {"Password": "@{env:ERP}"}
    said = {"TechExplanation": f"cannot log in with {canary}", "UserExplanation": canary, "ErrorCode": canary}
    sandbox.tenant("acme").configure(startup_errors=(said,), sync_all=said)
    text = connection("a", config_fields=fields, active=False)
    assert 0 == quick.load(document(sandbox.url, protocol, text, extra="sync_all_after_save = true")).code

    run = quick.run_once()

    told = {each["operation"]: each["check_id"] for each in quick.listed("checks")}
    shown = "".join(quick("checks", "show", str(told[name])).stdout for name in ("SyncAll", ERRORS))
    assert (0, True) == (run.code, "cannot log in with ***" in shown)
    everything = (run.stdout, run.stderr, shown, json.dumps(quick.listed("checks")), quick("status").stdout)
    assert not [text for text in everything if "canary" in text]


def test_a_language_that_soap_cannot_say(quick: Erpsyncd, sandbox: SandboxServer) -> None:
    """It is a warning at import: explanations are shown in it all the same."""
    warned = {
        protocol: quick("import", "-", stdin=document(sandbox.url, protocol, "", extra='language = "NO"'))
        for protocol in ("soap", "rest")
    }

    assert [0, 0] == [each.code for each in warned.values()]
    assert (True, False) == tuple("SOAP has no place for it" in each.stderr for each in warned.values())


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('language = "norsk bokmål"', "must be one such as"),
        ('time_zone = " Europe/Oslo"', "must be printable ASCII"),
        ('time_zone = "Tromsø"', "must be printable ASCII"),
        ('time_zone = "2147483648"', "must be a code, or a number up to 2147483647"),
        ('time_zone = "99999999999999999999999"', "must be a code, or a number up to 2147483647"),
    ],
)
def test_what_a_header_cannot_carry_is_refused(quick: Erpsyncd, sandbox: SandboxServer, line: str, reason: str) -> None:
    """With its place, before anything is written."""
    refused = quick("import", "-", stdin=document(sandbox.url, "rest", "", extra=line))

    assert (78, True) == (refused.code, reason in refused.stderr)


def test_a_check_that_is_not_there(quick: Erpsyncd) -> None:
    """The list to look at is named."""
    shown = quick("checks", "show", "7")

    assert (2, True) == (shown.code, "see: erpsyncd checks list" in shown.stderr)

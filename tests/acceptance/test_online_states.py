"""Tenants of Online on the command line: where they are, whether they run, and what that means for who looks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from commands import Erpsyncd, connection
from erpsyncd.sandbox import Call, SandboxServer

NAME = "Cust12345"
TENANT = f"""
[[tenants]]
name = "acme"
environment = "sod"
context = "{NAME}"
protocol = "soap"
calls_per_second = 1000
[tenants.auth]
kind = "password"
username = "sandbox"
password = "sandbox"
"""


@pytest.fixture
def online(quick: Erpsyncd, sandbox: SandboxServer) -> Erpsyncd:
    """The command line with a tenant of Online that is described and not visited yet."""
    quick.environ |= {"ERPSYNCD__ONLINE__SOD": sandbox.url, "ERPSYNCD__REMOTE__ATTEMPTS": "1", "TZ": "UTC"}
    quick.load(TENANT + connection("visma"))
    return quick


def say(sandbox: SandboxServer, **members: Any) -> None:
    """Change what is said of the tenant, and what is true of it."""
    there = sandbox.tenant(NAME)
    there.configure(online=replace(there.options.online, **members))


def shown(command: Erpsyncd) -> Any:
    return command("tenants", "show", "acme", "--output", "json").json["items"][0]


def test_before_the_first_pass(online: Erpsyncd) -> None:
    """What nobody asked for is said to be so."""
    text = online("tenants", "show", "acme").stdout

    assert "not asked yet" in text
    assert "where its environment says (soap)" in text
    assert (None, None, None, None) == tuple(
        shown(online)[name] for name in ("tenant_state", "is_running", "tenant_state_until", "endpoint")
    )


def test_what_runs_shows_where_it_is(online: Erpsyncd, sandbox: SandboxServer) -> None:
    """show, list, status and the JSON name the state, until when that is good, and the address as it is now."""
    assert 0 == online.run_once().code

    text, listed, found = online("tenants", "show", "acme").stdout, online("tenants", "list").stdout, shown(online)

    assert f"Said to be: Running, at {sandbox.url}/{NAME}, good until 20" in " ".join(text.split())
    assert f"{sandbox.url}/{NAME}/Remote/Services86" in text
    assert ["ONLINE", "GOOD UNTIL"] == [name for name in ("ONLINE", "GOOD UNTIL") if name in listed]
    assert "Running" in listed
    assert f"{sandbox.url}/{NAME}" in listed
    assert ("active", "Running", True, f"{sandbox.url}/{NAME}", f"{sandbox.url}/{NAME}/api") == tuple(
        found[name] for name in ("state", "tenant_state", "is_running", "endpoint", "api")
    )
    assert found["tenant_state_until"].endswith("Z")
    (standing,) = online("status", "--output", "json").json["tenants"]
    assert ("active", "Running", True) == (standing["state"], standing["tenant_state"], standing["is_running"])


def test_maintenance_is_told_and_needs_nobody(online: Erpsyncd, sandbox: SandboxServer) -> None:
    """75 for a run that found nothing else; everywhere it is parked, and why; afterwards all is done by itself."""
    say(sandbox, state="OfflineMaintenance")

    run = online.run_once()
    status, told = online("status").stdout, online("status", "--output", "json").json
    (row,) = online("connections", "list", "--output", "json").json["items"]
    show = online("tenants", "show", "acme").stdout

    assert (75, 0) == (run.code, run.json["counts"]["failed"])
    assert ("skipped", "parked") == tuple(run.json["outcomes"][0][name] for name in ("status", "error_class"))
    assert "Nothing needs you; 1 connection is waiting for the next pass." == status.splitlines()[0]
    assert "the vendor says OfflineMaintenance, so the tenant is left alone" in " ".join(status.split())
    assert "parked: the vendor says OfflineMaintenance, asked again from 20" in " ".join(show.split())
    assert ("ok", ["parked"], ["notice"]) == (
        told["overall"],
        [item["reason"] for item in told["items"]],
        [item["severity"] for item in told["items"]],
    )
    assert told["items"][0]["until"] == shown(online)["parked_until"] == shown(online)["tenant_state_until"]
    assert ("parked", 0, None) == (row["state"], row["attempts"], row["error_class"])
    say(sandbox, state="Running")
    assert 0 == online.run_once().code
    assert "in_sync" == online("connections", "list", "--output", "json").json["items"][0]["state"]


@pytest.mark.parametrize(
    ("word", "means", "do"),
    [
        ("Suspended", "have the customer or SuperOffice resume it", "erpsyncd tenants test acme"),
        ("Deleted", "gone or about to go", "erpsyncd tenants remove acme"),
        ("ProvisioningFailed", "only SuperOffice can mend that", "erpsyncd tenants test acme"),
    ],
)
def test_what_needs_an_operator(online: Erpsyncd, sandbox: SandboxServer, word: str, means: str, do: str) -> None:
    """What does not end by itself is an error in status, with what to do, and fails the doctor."""
    say(sandbox, state=word)

    code = online.run_once().code
    status, told = online("status").stdout, online("status", "--output", "json").json
    doctor = online("doctor", "acme", "--output", "json")

    assert 75 == code
    assert "1 thing needs you." == status.splitlines()[0]
    assert f"the vendor says {word}" in status
    assert means in " ".join(status.split())
    assert f"    {do}" in status.splitlines()
    assert ("not_running", "error", do) == tuple(told["items"][0][name] for name in ("reason", "severity", "do"))
    found = {finding["check"]: finding for finding in doctor.json["items"] if finding["tenant"] == "acme"}
    assert "failed" == found["tenant state"]["result"]
    assert {"GetState"} == set(sandbox.counts(NAME))


def test_doctor_of_a_tenant_that_runs(online: Erpsyncd, sandbox: SandboxServer) -> None:
    """It asks for the state first, and looks at the tenant where that says it is."""
    doctor = online("doctor", "acme", "--output", "json")

    found = {finding["check"]: finding for finding in doctor.json["items"] if finding["tenant"] == "acme"}
    assert ("ok", "ok") == (found["tenant state"]["result"], found["login"]["result"])
    assert f"Running, at {sandbox.url}/{NAME}" in found["tenant state"]["detail"]
    assert None is shown(online)["tenant_state"]


@pytest.mark.parametrize(
    ("members", "result", "detail"),
    [
        ({"state": "OfflineMaintenance"}, "note", "does not run (OfflineMaintenance)"),
        ({"endpoint": "https://superoffice.example/Cust1"}, "failed", "https://superoffice.example/Cust1"),
        ({"context": "Cust99"}, "failed", "another customer"),
    ],
)
def test_doctor_of_a_tenant_that_is_nowhere(
    online: Erpsyncd, sandbox: SandboxServer, members: dict[str, Any], result: str, detail: str
) -> None:
    """Behind a state that leads nowhere nothing is looked at."""
    say(sandbox, **members)

    doctor = online("doctor", "acme", "--output", "json")

    (found,) = [finding for finding in doctor.json["items"] if finding["tenant"] == "acme"]
    assert ("tenant state", result) == (found["check"], found["result"])
    assert detail in found["detail"]
    assert {"GetState"} == set(sandbox.counts(NAME))


def test_trying_a_tenant_out(online: Erpsyncd, sandbox: SandboxServer) -> None:
    """tenants test asks at once, whatever was said before, and says what it heard."""
    say(sandbox, state="OfflineMaintenance")
    parked = online("tenants", "test", "acme", "--output", "json")
    say(sandbox, state="Running")

    running = online("tenants", "test", "acme", "--output", "json")

    steps = [
        {step["name"]: (step["is_ok"], step["error_class"]) for step in result.json["items"][0]["steps"]}
        for result in (parked, running)
    ]
    assert (75, (False, "parked"), (None, None)) == (parked.code, steps[0]["tenant state"], steps[0]["log in"])
    assert (0, (True, None), (True, None)) == (running.code, steps[1]["tenant state"], steps[1]["log in"])


def test_adopting_goes_where_the_tenant_is(online: Erpsyncd, sandbox: SandboxServer) -> None:
    """Commands by hand find a tenant of Online as passes do."""
    sandbox.tenant(NAME).add(display_name="By hand", erp_connector_id=2)
    door = sandbox.open_door()
    say(sandbox, address=door)

    adopted = online("connections", "adopt", "acme", "--output", "json")

    assert 0 == adopted.code
    assert "By hand" in adopted.stdout
    assert f"{door}/{NAME}" == shown(online)["endpoint"]


def test_breaker_and_maintenance_are_told_apart(online: Erpsyncd, sandbox: SandboxServer) -> None:
    """Both park a tenant; a person sees which it was."""
    online.environ["ERPSYNCD__BREAKER__FAILURES"] = "1"
    there = sandbox.open_door()
    say(sandbox, endpoint=f"{there}/{NAME}")
    sandbox.close_door(there)

    online.run_once()
    show, found = online("tenants", "show", "acme").stdout, shown(online)

    assert ("parked", True, 1) == (found["state"], found["is_running"], found["transient_failures"])
    assert "after 1 failures in a row" in " ".join(show.split())


def test_a_move_in_the_middle_of_a_run(online: Erpsyncd, sandbox: SandboxServer) -> None:
    """The run ends well at the new host, each connection is made once, and the new place is shown."""
    online.load(connection("second") + connection("third"))
    door = sandbox.open_door()

    def move(call: Call) -> None:
        if call.operation == "SaveConnection":
            say(sandbox, address=door)

    sandbox.before_call = move
    run = online.run_once()

    assert (0, 3) == (run.code, run.json["counts"]["created"])
    assert 3 == len(sandbox.tenant(NAME).connections) == len(sandbox.tenant(NAME).saves)
    assert 421 in {call.http_status for call in sandbox.calls}
    assert f"{door}/{NAME}" == shown(online)["endpoint"]

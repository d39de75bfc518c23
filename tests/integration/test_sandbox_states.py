"""The sandbox's state service: what it says, and what becomes of calls to a tenant that moved or does not run."""

from __future__ import annotations

import re

import pytest

from erpsyncd.sandbox import SandboxServer, SandboxState
from sandbox_support import Rest, Soap, logged_in, send


def state_of(server: SandboxServer, tenant: str = "Cust12345") -> dict[str, object]:
    found: dict[str, object] = send(f"{server.url}/api/state/{tenant}", method="GET").json
    return found


def test_state_of_a_running_tenant(sandbox: SandboxServer) -> None:
    """It is written as the vendor writes it: seven digits behind the second, no slash at the end of an address."""
    found = state_of(sandbox)

    until = str(found.pop("ValidUntil"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z", until)
    assert {
        "ContextIdentifier": "Cust12345",
        "Endpoint": f"{sandbox.url}/Cust12345",
        "State": "Running",
        "IsRunning": True,
        "Api": f"{sandbox.url}/Cust12345/api",
    } == found
    assert {"GetState": 1} == sandbox.counts("cust12345")


def test_state_changes_through_the_control_surface(sandbox: SandboxServer) -> None:
    """Maintenance begins and ends from outside; what is not named stays as it is."""
    control = f"{sandbox.url}/_sandbox/tenant-state"

    sent = send(control, body=b'{"tenant": "Cust12345", "state": "OfflineMaintenance", "valid_seconds": null}')
    found = state_of(sandbox)

    assert 204 == sent.status
    assert ("OfflineMaintenance", False) == (found["State"], found["IsRunning"])
    assert "ValidUntil" not in found
    assert 503 == logged_in(sandbox, "Cust12345").get(1).status
    assert 503 == Rest(server=sandbox, tenant="Cust12345").get(1).status
    assert 204 == send(control, body=b'{"tenant": "Cust12345", "state": "Running"}').status
    assert 200 == logged_in(sandbox, "Cust12345").get(1).status


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"tenant": "a", "mood": "good"}', b"no JSON"])
def test_control_surface_refuses_what_it_does_not_know(sandbox: SandboxServer, body: bytes) -> None:
    """A typing error in a test is not a test that passes."""
    assert 400 == send(f"{sandbox.url}/_sandbox/tenant-state", body=body).status


def test_moved_tenant_is_not_served_at_its_old_address(sandbox: SandboxServer) -> None:
    """421 comes before any work, and the same rows are there at the new address."""
    door = sandbox.open_door()
    soap: Soap = logged_in(sandbox, "Cust12345")
    sandbox.tenant("Cust12345").configure(online=SandboxState(address=door))
    row = sandbox.tenant("Cust12345").add(display_name="Visma", erp_connector_id=1)

    there = send(f"{door}/Cust12345/api/", method="GET", headers={"Accept": "application/json"})
    moved = soap.get(row.erp_connection_id)

    assert 421 == moved.status
    assert b"Wrong subdomain used to access tenant" in moved.body
    assert f"{door}/Cust12345" == state_of(sandbox)["Endpoint"]
    assert 200 == there.status
    sandbox.close_door(door)
    with pytest.raises(ConnectionRefusedError):
        send(f"{door}/Cust12345/api/", method="GET")

"""Edits by somebody in the CRM, over the sandbox's control surface."""

from __future__ import annotations

import json
from typing import Any

import pytest

from erpsyncd.sandbox import SandboxServer
from sandbox_support import Answered, send


def edited(sandbox: SandboxServer, **members: Any) -> Answered:
    body = json.dumps({"tenant": "acme"} | members).encode()
    return send(f"{sandbox.url}/_sandbox/connections", body=body)


def test_a_connection_comes_changes_and_goes(sandbox: SandboxServer) -> None:
    """It has an id and a GUID at once; what is not named stays; nothing of it is a save, and no cursor is rewound."""
    tenant = sandbox.tenant("acme")
    new = edited(sandbox, DisplayName="Typed in", Active=True, ConfigFields={"Client": "1"}, UserGroupAccessIds=[3, 1])
    other = edited(
        sandbox, ErpConnectionId=1, DisplayName="Renamed", ConnectionId="{0C0C0C0C-0000-4000-8000-000000000001}"
    )

    assert (200, 1, "Typed in", [3, 1]) == (
        new.status,
        new.json["ErpConnectionId"],
        new.json["DisplayName"],
        new.json["UserGroupAccessIds"],
    )
    row = tenant.connections[1]
    assert ("Renamed", True, {"Client": "1"}, (3, 1)) == (
        row.display_name,
        row.active,
        dict(row.config_fields),
        row.user_group_access_ids,
    )
    assert "0c0c0c0c-0000-4000-8000-000000000001" == other.json["ConnectionId"] != new.json["ConnectionId"]
    assert ((), 0, ()) == (tenant.saves, tenant.cursor_rewinds, sandbox.calls)
    assert 204 == edited(sandbox, ErpConnectionId=1, forget=True).status
    assert {} == tenant.connections
    assert 404 == edited(sandbox, ErpConnectionId=1, forget=True).status


@pytest.mark.parametrize(
    "members",
    [
        {"Nonsense": 1},
        {"TableRight": None},
        {"Active": 1},
        {"ErpConnectorId": True},
        {"ErpConnectionId": "1"},
        {"ConfigFields": {"Client": 1}},
        {"ConfigFields": []},
        {"UserGroupAccessIds": ["1"]},
        {"ConnectionId": "no GUID"},
        {"forget": True},
        {"ErpConnectionId": 1, "forget": True, "Active": True},
    ],
)
def test_what_is_no_edit_is_refused(sandbox: SandboxServer, members: dict[str, Any]) -> None:
    """A typing error in a test is not a test that passes."""
    row = sandbox.tenant("acme").add(display_name="Visma")

    assert 400 == edited(sandbox, **members).status
    assert {1: row} == sandbox.tenant("acme").connections


def test_what_is_not_there_cannot_be_edited(sandbox: SandboxServer) -> None:
    """Neither a number that no connection has, nor a tenant that nobody opened, nor what is no object."""
    sandbox.tenant("acme")

    assert 404 == edited(sandbox, ErpConnectionId=7, Active=True).status
    assert {400} == {send(f"{sandbox.url}/_sandbox/connections", body=body).status for body in (b"", b"[]", b"{}")}

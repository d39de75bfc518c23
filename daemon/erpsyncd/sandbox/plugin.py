"""What the connectors answer through NetServer: PluginResponses about all connections at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from erpsyncd.sandbox.connections import ConnectionTable, SandboxConnection
from erpsyncd.sandbox.options import SandboxTenant

_BASE = {"TableRight": None, "FieldProperties": None}


def startup_errors(rows: Iterable[SandboxConnection], options: SandboxTenant) -> list[dict[str, Any]]:
    """Return an answer for each connection whose connector is down, and those that this tenant is told to give."""
    down = {identity: connector.name for identity, connector in options.connectors.items() if not connector.up}
    found = [
        _response(down[row.erp_connector_id], row.display_name)
        for row in rows
        if row.erp_connector_id in down and not row.deleted
    ]
    return found + [{**_BASE, "IsOk": False, **members} for members in options.startup_errors]


def sync_all(table: ConnectionTable, options: SandboxTenant) -> dict[str, Any]:
    """Let the sync engine work on all active connections; it says which rows it touched, and those only."""
    synchronized = table.synchronize()
    changes = {
        **_BASE,
        "AddedRecords": [_record("erpsynclog", tick) for _, tick in synchronized],
        "UpdatedRecords": [_record("erpconnection", identity) for identity, _ in synchronized],
        "DeletedRecords": None,
    }
    texts = {"UserExplanation": "", "TechExplanation": "", "ErrorCode": ""}
    return {**_BASE, "IsOk": True, **texts, "Changes": changes, "Status": "Ok", **options.sync_all}


def _response(connector: str, connection: str) -> dict[str, Any]:
    return {
        **_BASE,
        "IsOk": False,
        "UserExplanation": f'US:"{connector} does not answer";NO:"{connector} svarer ikke"',
        "TechExplanation": f"The connection {connection} could not be initialised: {connector} does not answer.",
        "ErrorCode": "NO_ANSWER",
        "Changes": None,
        "Status": "Error",
    }


def _record(table: str, identity: int) -> dict[str, Any]:
    return {**_BASE, "Tablename": table, "RecordId": identity}

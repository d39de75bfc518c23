"""What stands before a save: the connector, and what a strict installation does not let one do."""

from __future__ import annotations

from collections.abc import Mapping

from erpsyncd.sandbox.connections import SandboxConnection
from erpsyncd.sandbox.options import SandboxTenant
from erpsyncd.sandbox.problems import NotFoundProblem, Problem, ValidationProblem


def check_connector(options: SandboxTenant, connector_id: int, config_fields: Mapping[str, str]) -> None:
    """Raise `Problem` where saving would not get past the connector."""
    connector = options.connectors.get(connector_id)
    if connector is None:
        raise NotFoundProblem("ErpConnector", connector_id)
    if not connector.up:
        raise Problem("SoServerException", f"The connector {connector.name} does not answer.")
    missing = sorted(key for key in connector.mandatory_keys if not config_fields.get(key))
    if missing:
        raise ValidationProblem({key: f"{key} field not found" for key in missing})


def accepts(options: SandboxTenant, connector_id: int, config_fields: Mapping[str, str]) -> bool:
    """Return what a connector answers to a test of these fields."""
    try:
        check_connector(options, connector_id, config_fields)
    except Problem:
        return False
    return options.connectors[connector_id].refused_values.isdisjoint(config_fields.values())


def check_save(options: SandboxTenant, current: SandboxConnection | None, sent: SandboxConnection) -> None:
    """Raise `Problem` for a save that this tenant refuses; *current* is None for a create."""
    if options.config_locked_while_active and current is not None and current.active and _differs(current, sent):
        raise Problem("SoServerException", "The configuration of an active connection cannot be changed.")
    activates = sent.active and not (current is not None and current.active)
    if options.mapped is not None and activates and sent.erp_connection_id not in options.mapped:
        raise Problem("SoServerException", "Mandatory fields have no sync direction; the connection stays inactive.")


def _differs(current: SandboxConnection, sent: SandboxConnection) -> bool:
    before, after = ((row.erp_connector_id, dict(row.config_fields)) for row in (current, sent))
    return before != after

"""What stood in a tenant before a careful save, sealed: it holds config values, which are secrets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from erpsyncd.domain.careful import Snapshot
from erpsyncd.domain.connections import ConnectionRowId, ConnectionSpec
from erpsyncd.domain.secrets import Secret
from erpsyncd.errors import ConfigurationError, StoreError
from erpsyncd.store.sealing import Sealer, StoredTemplate, snapshot_of

if TYPE_CHECKING:
    from erpsyncd.domain.tenants import TenantId

_ACCESS = ("user_group_access_ids", "associate_access_ids")


def write_snapshot(snapshot: Snapshot, sealer: Sealer, tenant_id: TenantId, row_id: ConnectionRowId) -> dict[str, str]:
    """Return a snapshot as an intent's row holds it."""
    fields = {name: value.reveal() for name, value in snapshot.spec.config_fields.items()}
    document = {"spec": snapshot.spec.plain_fields, "config_fields": fields, "unknown": snapshot.unknown}
    return {"sealed": sealer.seal(json.dumps(document).encode(), snapshot_of(tenant_id, row_id))}


def read_snapshot(
    stored: StoredTemplate, sealer: Sealer, tenant_id: TenantId, row_id: ConnectionRowId
) -> Snapshot | None:
    """Return a snapshot from an intent's row; None for one that does not open any more, which is no other's trouble."""
    try:
        document = json.loads(sealer.open(stored["sealed"], snapshot_of(tenant_id, row_id)))
    except (ConfigurationError, StoreError):
        return None
    spec: dict[str, Any] = document["spec"]
    spec |= {name: tuple(spec[name]) for name in _ACCESS}
    spec["config_fields"] = {name: Secret(value) for name, value in document["config_fields"].items()}
    return Snapshot(spec=ConnectionSpec(**spec), unknown=tuple(document["unknown"]))

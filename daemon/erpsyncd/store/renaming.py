"""Other names for what is there: a tenant's, a connection's. No tenant is called, and no pass has anything to do.

Sealed values are bound to both names, so they are sealed anew. History goes on telling of the old ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, exists, select, update

from erpsyncd.domain.input_rules import name_problem
from erpsyncd.domain.secrets import Template
from erpsyncd.domain.tenants import TenantId
from erpsyncd.errors import StoreError, Unsettled, UsageError
from erpsyncd.store import leases
from erpsyncd.store.administration import find_tenant, no_connection
from erpsyncd.store.rows import Values, read_tenant_spec, write_tenant_spec
from erpsyncd.store.sealing import Sealer, StoredTemplate, config_fields_of
from erpsyncd.store.tables import connections, intents, tenants

#: So many rows are held at once.
_BATCH = 500


def rename_tenant(
    connection: Connection, sealer: Sealer, name: str, new_name: str, *, now: datetime, leases_count: bool
) -> None:
    """Give a tenant another name. `leases_count` is False where whoever has one is known to be dead.

    Raises:
        UsageError: there is no such tenant, or the new name cannot be one or is taken.
        TenantLeased: a pass works on it.
        Unsettled: it has an open write.
        StoreError: one of its values does not open.
    """
    _refuse_bad_name("name", new_name)
    tenant_id = find_tenant(connection, name)
    if connection.execute(select(tenants.c.id).where(tenants.c.name == new_name)).one_or_none() is not None:
        raise UsageError(f"there is a tenant {new_name!r} already; see: erpsyncd tenants list")
    leases.refuse_if_at_work(connection, tenant_id, name, now=now, leases_count=leases_count)
    _refuse_if_unsettled(connection, intents.c.tenant_id == tenant_id, f"tenant {name!r}")
    spec = read_tenant_spec(connection.execute(select(tenants).where(tenants.c.id == tenant_id)).one(), sealer)
    _refuse_damaged(spec.templates.values())
    connection.execute(
        update(tenants)
        .where(tenants.c.id == tenant_id)
        .values(write_tenant_spec(replace(spec, name=new_name), sealer) | {"updated_at": now})
    )
    _seal_all_anew(connection, sealer, tenant_id, name, new_name)


def rename_connection(
    connection: Connection, sealer: Sealer, tenant: str, key: str, new_key: str, *, now: datetime, leases_count: bool
) -> None:
    """Give a connection another key. `leases_count` as for a tenant.

    Raises:
        UsageError: there is no such connection, or the new key cannot be one or is taken.
        TenantLeased: a pass works on its tenant.
        Unsettled: it has an open write.
        StoreError: one of its values does not open.
    """
    _refuse_bad_name("key", new_key)
    tenant_id = find_tenant(connection, tenant)
    keys = select(connections.c.key, connections.c.id, connections.c.config_fields).where(
        connections.c.tenant_id == tenant_id, connections.c.key.in_((key, new_key))
    )
    found = {row.key: row for row in connection.execute(keys)}
    if key not in found:
        raise no_connection(connection, tenant_id, tenant, key)
    if new_key in found:
        raise UsageError(f"tenant {tenant!r} has a connection {new_key!r} already; see: erpsyncd connections list")
    row = found[key]
    leases.refuse_if_at_work(connection, tenant_id, tenant, now=now, leases_count=leases_count)
    _refuse_if_unsettled(connection, intents.c.connection_id == row.id, f"{tenant}/{key}")
    moved = _moved(sealer, row.config_fields, (tenant, key), (tenant, new_key))
    connection.execute(
        update(connections).where(connections.c.id == row.id).values(key=new_key, config_fields=moved, updated_at=now)
    )


def _refuse_bad_name(what: str, text: str) -> None:
    problem = name_problem(text)
    if problem:
        raise UsageError(f"the new {what} {problem}")


def _refuse_if_unsettled(connection: Connection, where: ColumnElement[bool], what: str) -> None:
    if connection.execute(select(exists().where(where))).scalar_one():
        raise Unsettled(f"{what} has a write of which nobody knows yet what came of it; run: erpsyncd --run-once")


def _refuse_damaged(templates: Iterable[Template]) -> None:
    for template in templates:
        if template.damage is not None:
            raise StoreError(f"nothing was renamed: {template.damage}")


def _seal_all_anew(connection: Connection, sealer: Sealer, tenant_id: TenantId, name: str, new_name: str) -> None:
    last = 0
    while True:
        query = select(connections.c.id, connections.c.key, connections.c.config_fields).where(
            connections.c.tenant_id == tenant_id, connections.c.id > last
        )
        rows = connection.execute(query.order_by(connections.c.id).limit(_BATCH)).all()
        if not rows:
            return
        for row in rows:
            moved = _moved(sealer, row.config_fields, (name, row.key), (new_name, row.key))
            connection.execute(update(connections).where(connections.c.id == row.id).values(config_fields=moved))
        last = rows[-1].id


def _moved(sealer: Sealer, stored: Mapping[str, StoredTemplate], old: tuple[str, str], new: tuple[str, str]) -> Values:
    """Return config fields sealed for another tenant and key."""
    templates = sealer.read_templates(stored, config_fields_of(*old))
    _refuse_damaged(templates.values())
    return dict(sealer.store_templates(templates, config_fields_of(*new)))

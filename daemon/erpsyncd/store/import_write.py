"""Writing an import: a handful of statements for many rows, so that 10,000 connections are a matter of seconds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TypeAlias

from sqlalchemy import Connection, bindparam, delete, exists, insert, select, update

from erpsyncd.domain.connections import ConnectionRowId, ConnectionTemplate, State
from erpsyncd.domain.documents import DocumentConnection
from erpsyncd.domain.tenants import TenantId, TenantSpec
from erpsyncd.store.due import chunks
from erpsyncd.store.import_plan import AbsentConnection, ChangedConnection, ChangedTenant, ImportPlan
from erpsyncd.store.rows import Values, incomplete_values, write_connection_template, write_tenant_spec
from erpsyncd.store.sealing import Sealer
from erpsyncd.store.sessions import NO_SESSION
from erpsyncd.store.settling import FORGOTTEN
from erpsyncd.store.tables import connection_references, connections, secret_references, tenants

#: Reference texts by the connection that uses them.
_Uses: TypeAlias = dict[tuple[TenantId, ConnectionRowId], frozenset[str]]

_FRESH: Values = {"attempts": 0, "next_attempt_at": None, "error_class": None, "error": None}
_NEW_CONNECTION: Values = {
    **_FRESH,
    **FORGOTTEN,
    "present": True,
    "state": State.PENDING.value,
    "revision": 1,
}
_NEW_TENANT: Values = {
    "paused": False,
    "parked_until": None,
    "transient_failures": 0,
    "refused_auth": None,
    "connection_count": 0,
    "lease_fence": 0,
}
#: Of whom the vendor has said nothing yet.
_NOT_ASKED: Values = dict.fromkeys(("tenant_state", "tenant_running", "tenant_state_until", "endpoint", "api"))


def write_plan(connection: Connection, sealer: Sealer, plan: ImportPlan, known: Iterable[TenantId]) -> None:
    """Write everything that an import changes; `known` are the tenants that it is about and that were there before."""
    now = datetime.now(UTC)
    _insert_tenants(connection, sealer, plan.new_tenants, now)
    _update_tenants(connection, sealer, plan.changed_tenants, now)
    _mark_absent(connection, plan.absent, State.PENDING, now)
    _mark_absent(connection, plan.never_created, State.DELETED, now)
    _update_connections(connection, sealer, plan.changed_connections, now)
    ids = _insert_connections(connection, sealer, plan, now)
    gone = [row.id for row in (*plan.absent, *plan.never_created)]
    _unlink(connection, [*gone, *(row.stored.id for row in plan.changed_connections)])
    _link(connection, _uses(plan, ids))
    _forget_references(connection, known)


def _insert_tenants(connection: Connection, sealer: Sealer, specs: list[TenantSpec], now: datetime) -> None:
    if specs:
        rows = [_NEW_TENANT | write_tenant_spec(spec, sealer) | _made(now) for spec in specs]
        connection.execute(insert(tenants), rows)


def _update_tenants(connection: Connection, sealer: Sealer, changed: list[ChangedTenant], now: datetime) -> None:
    for tenant in changed:
        values = write_tenant_spec(tenant.spec, sealer) | {"updated_at": now}
        if tenant.reached_otherwise:
            values |= {"refused_auth": None, "parked_until": None, "transient_failures": 0} | NO_SESSION
        if tenant.is_another:
            values |= _NOT_ASKED | NO_SESSION
        connection.execute(update(tenants).where(tenants.c.id == tenant.stored.id).values(values))


def _mark_absent(connection: Connection, gone: list[AbsentConnection], state: State, now: datetime) -> None:
    for chunk in chunks(row.id for row in gone):
        connection.execute(
            update(connections)
            .where(connections.c.id.in_(chunk))
            .values(_FRESH | {"present": False, "state": state.value, "updated_at": now})
            .values(revision=connections.c.revision + 1)
        )


def _update_connections(
    connection: Connection, sealer: Sealer, changed: list[ChangedConnection], now: datetime
) -> None:
    if not changed:
        return
    # Two connections may swap their names, and neither database waits for the end of a transaction to find
    # that a name is there twice.
    for chunk in chunks(row.stored.id for row in changed):
        connection.execute(update(connections).where(connections.c.id.in_(chunk)).values(present=False))
    connection.execute(
        update(connections).where(connections.c.id == bindparam("row_id")),
        [_changed_values(row, sealer, now) for row in changed],
    )


def _changed_values(changed: ChangedConnection, sealer: Sealer, now: datetime) -> Values:
    stored = changed.stored
    described = write_connection_template(changed.template, sealer, tenant=changed.tenant, key=stored.key)
    kept: Values = {
        "erp_connection_id": stored.erp_connection_id,
        "connection_id": stored.connection_id,
        "applied": dict(stored.applied),
    }
    return {
        "row_id": stored.id,
        "present": True,
        "state": State.PENDING.value,
        "revision": stored.revision + 1,
        "updated_at": now,
        **_FRESH,
        **(FORGOTTEN if changed.anew else kept),
        **described,
        **incomplete_values(described["config_fields"]),
    }


def _insert_connections(
    connection: Connection, sealer: Sealer, plan: ImportPlan, now: datetime
) -> dict[tuple[str, str], tuple[TenantId, ConnectionRowId]]:
    """Insert what is new; return where each of them went."""
    new = plan.new_connections
    if not new:
        return {}
    tenant_ids = _tenant_ids(connection, {entry.tenant for entry in new})
    connection.execute(
        insert(connections),
        [
            {"tenant_id": tenant_ids[entry.tenant], "key": entry.key} | _new_values(entry, sealer) | _made(now)
            for entry in new
        ],
    )
    for tenant, count in Counter(entry.tenant for entry in new).items():
        connection.execute(
            update(tenants)
            .where(tenants.c.id == tenant_ids[tenant])
            .values(connection_count=tenants.c.connection_count + count)
        )
    return _new_ids(connection, tenant_ids, plan)


def _new_values(entry: DocumentConnection, sealer: Sealer) -> Values:
    described = write_connection_template(entry.template, sealer, tenant=entry.tenant, key=entry.key)
    return _NEW_CONNECTION | described | incomplete_values(described["config_fields"])


def _new_ids(
    connection: Connection, tenant_ids: Mapping[str, TenantId], plan: ImportPlan
) -> dict[tuple[str, str], tuple[TenantId, ConnectionRowId]]:
    keys: dict[str, list[str]] = defaultdict(list)
    for entry in plan.new_connections:
        keys[entry.tenant].append(entry.key)
    found: dict[tuple[str, str], tuple[TenantId, ConnectionRowId]] = {}
    for tenant, tenant_id in tenant_ids.items():
        for chunk in chunks(keys[tenant]):
            query = select(connections.c.key, connections.c.id).where(
                connections.c.tenant_id == tenant_id, connections.c.key.in_(chunk)
            )
            found |= {(tenant, row.key): (tenant_id, row.id) for row in connection.execute(query)}
    return found


def _tenant_ids(connection: Connection, names: Iterable[str]) -> dict[str, TenantId]:
    found: dict[str, TenantId] = {}
    for chunk in chunks(sorted(names)):
        query = select(tenants.c.name, tenants.c.id).where(tenants.c.name.in_(chunk))
        found |= {row.name: row.id for row in connection.execute(query)}
    return found


def _uses(plan: ImportPlan, ids: Mapping[tuple[str, str], tuple[TenantId, ConnectionRowId]]) -> _Uses:
    uses: _Uses = {ids[entry.tenant, entry.key]: _references(entry.template) for entry in plan.new_connections}
    for changed in plan.changed_connections:
        uses[changed.stored.tenant_id, changed.stored.id] = _references(changed.template)
    return {row: references for row, references in uses.items() if references}


def _references(template: ConnectionTemplate) -> frozenset[str]:
    return frozenset(str(reference) for value in template.config_fields.values() for reference in value.references)


def _unlink(connection: Connection, row_ids: list[ConnectionRowId]) -> None:
    for chunk in chunks(row_ids):
        connection.execute(delete(connection_references).where(connection_references.c.connection_id.in_(chunk)))


def _link(connection: Connection, uses: _Uses) -> None:
    wanted: dict[TenantId, set[str]] = defaultdict(set)
    for (tenant_id, _), references in uses.items():
        wanted[tenant_id] |= references
    known = {tenant_id: _reference_ids(connection, tenant_id, texts) for tenant_id, texts in wanted.items()}
    links = [
        {"connection_id": row_id, "reference_id": known[tenant_id][reference]}
        for (tenant_id, row_id), references in uses.items()
        for reference in sorted(references)
    ]
    if links:
        connection.execute(insert(connection_references), links)


def _reference_ids(connection: Connection, tenant_id: TenantId, wanted: set[str]) -> dict[str, int]:
    """Return the ids of a tenant's references; those that it did not have before are made."""
    query = select(secret_references.c.reference, secret_references.c.id).where(
        secret_references.c.tenant_id == tenant_id
    )
    known: dict[str, int] = {row.reference: row.id for row in connection.execute(query)}
    missing = sorted(wanted - known.keys())
    if not missing:
        return known
    connection.execute(
        insert(secret_references), [{"tenant_id": tenant_id, "reference": reference} for reference in missing]
    )
    return {row.reference: row.id for row in connection.execute(query)}


def _forget_references(connection: Connection, tenant_ids: Iterable[TenantId]) -> None:
    """Delete what no connection of these tenants uses any more."""
    unused = ~exists().where(connection_references.c.reference_id == secret_references.c.id)
    for chunk in chunks(tenant_ids):
        connection.execute(delete(secret_references).where(secret_references.c.tenant_id.in_(chunk), unused))


def _made(now: datetime) -> Values:
    return {"created_at": now, "updated_at": now}

"""What operators do to the store by command: pause, resume, forget, prune. No tenant is called."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Row, Select, Table, delete, exists, func, select, update

from erpsyncd.domain.connections import State
from erpsyncd.domain.drift import OF_THE_WHOLE, DriftKind
from erpsyncd.domain.tenants import TenantId
from erpsyncd.domain.unknown_names import no_such_connection, no_such_tenant
from erpsyncd.errors import UsageError
from erpsyncd.store import leases
from erpsyncd.store.database import Database
from erpsyncd.store.history import INTERRUPTED
from erpsyncd.store.rows import Values, incomplete_values
from erpsyncd.store.tables import (
    changes,
    checks,
    connection_references,
    connections,
    drift_decisions,
    drifts,
    intents,
    listings,
    outcomes,
    runs,
    secret_references,
    tenants,
)
from erpsyncd.store.views import Pruned

#: So many rows go in one transaction: history is pruned while passes write.
_PRUNE_BATCH = 1_000


def pause(connection: Connection, tenant: str, *, now: datetime) -> None:
    """Leave a tenant alone until it is resumed.

    Raises:
        UsageError: there is no such tenant.
    """
    tenant_id = find_tenant(connection, tenant)
    connection.execute(update(tenants).where(tenants.c.id == tenant_id).values(paused=True, updated_at=now))


def resume(connection: Connection, tenant: str, *, now: datetime) -> None:
    """Let a tenant go on from whatever keeps it: a pause, the breaker, refused credentials.

    The vendor is asked anew for the state of one that is said not to run.

    Raises:
        UsageError: there is no such tenant.
    """
    tenant_id = find_tenant(connection, tenant)
    connection.execute(
        update(tenants)
        .where(tenants.c.id == tenant_id)
        .values(
            paused=False,
            parked_until=None,
            transient_failures=0,
            refused_auth=None,
            tenant_state_until=None,
            updated_at=now,
        )
    )


def remove_tenant(connection: Connection, tenant: str) -> None:
    """Forget a tenant and its connections; a pass over it loses its lease. History stays.

    Raises:
        UsageError: there is no such tenant.
    """
    tenant_id = find_tenant(connection, tenant)
    # Named one by one: an intent keeps its listing from being deleted, in whatever order a cascade comes.
    for table in (intents, listings):
        connection.execute(delete(table).where(table.c.tenant_id == tenant_id))
    connection.execute(delete(tenants).where(tenants.c.id == tenant_id))


def remove_connection(connection: Connection, tenant: str, key: str) -> None:
    """Forget a connection, its open intents with it. The tenant keeps what it has.

    Raises:
        UsageError: there is no such connection.
    """
    tenant_id = find_tenant(connection, tenant)
    gone = connection.execute(delete(connections).where(connections.c.tenant_id == tenant_id, connections.c.key == key))
    if gone.rowcount == 0:
        raise no_connection(connection, tenant_id, tenant, key)
    connection.execute(
        update(tenants).where(tenants.c.id == tenant_id).values(connection_count=tenants.c.connection_count - 1)
    )
    connection.execute(
        delete(secret_references).where(
            secret_references.c.tenant_id == tenant_id,
            ~exists().where(connection_references.c.reference_id == secret_references.c.id),
        )
    )


def resolve_connection(
    connection: Connection,
    tenant: str,
    key: str,
    *,
    erp_connection_id: int | None,
    now: datetime,
    leases_count: bool,
) -> None:
    """Decide by hand which connection of the tenant this one is; None says that it does not exist there.

    Its open intents are settled by that. What stands in the tenant is not known, so the next pass pushes it once,
    or creates it. `leases_count` is False where whoever has a lease is known to be dead.

    Raises:
        UsageError: there is no such connection, nothing is undecided about it, or another one owns that id.
        TenantLeased: a pass works on its tenant, and may be about to find out for itself.
    """
    tenant_id = find_tenant(connection, tenant)
    this = (connections.c.tenant_id == tenant_id, connections.c.key == key)
    row = connection.execute(select(connections).where(*this)).one_or_none()
    if row is None:
        raise no_connection(connection, tenant_id, tenant, key)
    if not _is_undecided(connection, row):
        raise UsageError(
            f"{tenant}/{key} is connection {row.erp_connection_id} there ({row.state}); there is nothing to decide"
        )
    owner = connection.execute(
        select(connections.c.key).where(
            connections.c.tenant_id == tenant_id,
            connections.c.erp_connection_id == erp_connection_id,
            connections.c.id != row.id,
            connections.c.state != State.DELETED.value,
        )
    ).scalar_one_or_none()
    if owner is not None:
        raise UsageError(f"connection {erp_connection_id} of tenant {tenant!r} is {owner!r} already")
    # Its call may be under way: what comes of that would be written over what is decided here.
    leases.refuse_if_at_work(connection, tenant_id, tenant, now=now, leases_count=leases_count)
    due: Values = {
        "erp_connection_id": erp_connection_id,
        "connection_id": None,
        "applied": {},
        "state": State.PENDING.value,
        "attempts": 0,
        "next_attempt_at": None,
        "error_class": None,
        "error": None,
        "updated_at": now,
    }
    for table in (intents, drifts, drift_decisions):
        connection.execute(delete(table).where(table.c.connection_id == row.id))
    connection.execute(
        update(connections)
        .where(connections.c.id == row.id)
        .values(due | incomplete_values(row.config_fields))
        .values(revision=connections.c.revision + 1)
    )


def _is_undecided(connection: Connection, row: Row[Any]) -> bool:
    """Say whether a connection is not known to stand in the tenant as the one that it is.

    To decide upon another one would take it out of our hands, and the next pass might make a second one.
    """
    known = row.erp_connection_id is not None and row.connection_id is not None
    if not known or State(row.state) in (State.MISSING, State.REPLACED, State.IN_DOUBT, State.DELETED):
        return True
    kinds = connection.execute(select(drifts.c.kind).where(drifts.c.connection_id == row.id)).scalars()
    return any(DriftKind(kind) in OF_THE_WHOLE for kind in kinds)


def find_tenant(connection: Connection, name: str) -> TenantId:
    """Return a tenant's id, its row locked until the transaction ends.

    Raises:
        UsageError: there is no such tenant.
    """
    query = select(tenants.c.id).where(tenants.c.name == name).with_for_update(key_share=True)
    tenant_id: TenantId | None = connection.execute(query).scalar_one_or_none()
    if tenant_id is None:
        raise no_tenant(connection, name)
    return tenant_id


def no_tenant(connection: Connection, name: str) -> UsageError:
    """Return the error for a tenant that the store does not have."""
    return no_such_tenant(name, connection.execute(select(tenants.c.name)).scalars())


def no_connection(connection: Connection, tenant_id: TenantId, tenant: str, key: str) -> UsageError:
    """Return the error for a connection that a tenant does not have."""
    known = connection.execute(select(connections.c.key).where(connections.c.tenant_id == tenant_id)).scalars()
    return no_such_connection(tenant, key, known)


def prune_history(database: Database, *, older_than: datetime, batch: int = _PRUNE_BATCH) -> Pruned:
    """Delete history from before a moment, a little at a time.

    Runs without an end are kept with all that is theirs, except those that are known to be dead.
    """
    # Retention is longer than any run: one that began before it and has no end died. On SQLite the next process to
    # hold the lock says so; on PostgreSQL nobody else would.
    with database.write() as connection:
        connection.execute(
            update(runs).where(runs.c.status.is_(None), runs.c.started_at < older_than).values(status=INTERRUPTED)
        )
    old_runs = (runs.c.started_at < older_than) & runs.c.status.is_not(None)
    return Pruned(
        # Outcomes first, in steps: deleting a run takes all that it has at once.
        outcomes=_prune(database, outcomes.c.run_id, outcomes.c.run_id.in_(select(runs.c.id).where(old_runs)), batch),
        runs=_prune(database, runs.c.started_at, old_runs, batch),
        checks=_prune(database, checks.c.last_at, (checks.c.last_at < older_than) & _ended(checks), batch),
        changes=_prune(database, changes.c.recorded_at, (changes.c.recorded_at < older_than) & _ended(changes), batch),
    )


def select_batch(column: Column[Any], where: ColumnElement[bool], batch: int) -> Select[Any]:
    """Return the query for the ids of one batch, in the order of the column whose index `where` can use."""
    return select(column.table.c.id).where(where).order_by(column).limit(batch)


def _ended(table: Table) -> ColumnElement[bool]:
    return ~exists().where(runs.c.id == table.c.run_id, runs.c.status.is_(None))


def _prune(database: Database, column: Column[Any], where: ColumnElement[bool], batch: int) -> int:
    table, ids = column.table, select_batch(column, where, batch)
    total = 0
    while True:
        with database.write() as connection:
            found = connection.execute(delete(table).where(table.c.id.in_(ids))).rowcount
        total += found
        if found < batch:
            return total


def count_open_leases(connection: Connection) -> int:
    """Return how many owners hold a lease that has not run out, by the server's clock."""
    query = select(func.count(tenants.c.lease_owner.distinct())).where(tenants.c.lease_until > func.now())
    count: int = connection.execute(query).scalar_one()
    return count

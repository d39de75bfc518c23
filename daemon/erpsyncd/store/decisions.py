"""What operators see of drift, and what they decide about it. No tenant is called."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import Connection, select

from erpsyncd.domain.connections import ConnectionRowId
from erpsyncd.domain.drift import OF_THE_WHOLE, Decision, DecisionKind, KnownDrift
from erpsyncd.domain.items import command
from erpsyncd.errors import UsageError
from erpsyncd.store import drifting
from erpsyncd.store.administration import find_tenant, no_connection
from erpsyncd.store.columns import storable
from erpsyncd.store.database import Database
from erpsyncd.store.queries import by_code_point
from erpsyncd.store.tables import connections, drifts, tenants
from erpsyncd.store.views import DriftView


class DriftOperations:
    """What the command line does about drift."""

    _database: Database

    def list_drifts(self, *, tenant: str | None = None, key: str | None = None) -> tuple[DriftView, ...]:
        """Return what is known to differ in tenants, by tenant, key and field."""
        with self._database.read() as connection:
            return list_drifts(connection, now=datetime.now(UTC), tenant=tenant, key=key)

    def decide_drift(
        self,
        tenant: str,
        key: str,
        *,
        field: str | None,
        kind: DecisionKind,
        reason: str,
        until: datetime | None = None,
    ) -> tuple[str, ...]:
        """Remember what is decided about a drift; without a field about all of a connection's. Return the fields.

        Raises:
            UsageError: there is no such connection, or no such drift of it is known.
        """
        now = datetime.now(UTC)
        with self._database.write() as connection:
            return decide(connection, tenant, key, field=field, kind=kind, reason=reason, until=until, now=now)


def list_drifts(
    connection: Connection, *, now: datetime, tenant: str | None = None, key: str | None = None
) -> tuple[DriftView, ...]:
    """Return what is known to differ, by tenant, key and field."""
    query = (
        select(connections.c.id, connections.c.key, tenants.c.name.label("tenant"))
        .join(tenants, tenants.c.id == connections.c.tenant_id)
        .where(connections.c.id.in_(select(drifts.c.connection_id)))
        .order_by(by_code_point(connection, tenants.c.name), by_code_point(connection, connections.c.key))
    )
    for column, value in ((tenants.c.name, tenant), (connections.c.key, key)):
        if value is not None:
            query = query.where(column == value)
    rows = connection.execute(query).all()
    known = drifting.known_drifts(connection, (row.id for row in rows))
    return tuple(drift_view(row.tenant, row.key, one, now) for row in rows for one in known[row.id])


def drift_view(tenant: str, key: str, known: KnownDrift, now: datetime) -> DriftView:
    """Return one drift as it is shown."""
    drift, decision = known.drift, known.decision
    return DriftView(
        tenant=tenant,
        key=key,
        field=drift.field,
        kind=drift.kind.value,
        desired=drift.desired,
        observed=drift.observed,
        first_seen_at=known.first_seen_at,
        last_seen_at=known.last_seen_at,
        ignored=known.is_ignored(now),
        stubborn=known.is_stubborn,
        decision=None if decision is None else decision.kind.value,
        reason=None if decision is None else decision.reason,
        decided_at=None if decision is None else decision.decided_at,
        until=None if decision is None else decision.until,
    )


def decide(
    connection: Connection,
    tenant: str,
    key: str,
    *,
    field: str | None,
    kind: DecisionKind,
    reason: str,
    until: datetime | None,
    now: datetime,
) -> tuple[str, ...]:
    """Remember what is decided about one field of a connection, or about all that differs; return which those are.

    Raises:
        UsageError: there is no such connection, or nothing that could be decided like this.
    """
    row_id, known = _known(connection, tenant, key)
    chosen = [one for one in known if field is None or one.drift.field == storable(field)]
    _refuse_nothing(known, chosen, tenant, key, field)
    if kind is DecisionKind.ENFORCE:
        _refuse_whole(chosen, tenant, key)
    for one in chosen:
        decision = Decision(
            kind=kind,
            reason=reason,
            decided_at=now,
            until=until,
            observed_fingerprint=one.drift.observed_fingerprint,
        )
        drifting.write_decision(connection, row_id, one.drift.field, decision)
    drifting.restate(connection, row_id, at=now)
    return tuple(one.drift.field for one in chosen)


def _known(connection: Connection, tenant: str, key: str) -> tuple[ConnectionRowId, tuple[KnownDrift, ...]]:
    tenant_id = find_tenant(connection, tenant)
    query = select(connections.c.id).where(connections.c.tenant_id == tenant_id, connections.c.key == key)
    row_id: ConnectionRowId | None = connection.execute(query).scalar_one_or_none()
    if row_id is None:
        raise no_connection(connection, tenant_id, tenant, key)
    return row_id, drifting.known_drifts(connection, (row_id,)).get(row_id, ())


def _refuse_nothing(
    known: Iterable[KnownDrift], chosen: Iterable[KnownDrift], tenant: str, key: str, field: str | None
) -> None:
    if chosen:
        return
    look = command("drift", "--only", f"{tenant}/{key}")
    if field is None:
        raise UsageError(f"no drift of {tenant}/{key} is known; to look: {look}")
    fields = ", ".join(one.drift.field for one in known if one.drift.field)
    others = f", only of {fields}" if fields else ""
    raise UsageError(f"no drift of {field!r} of {tenant}/{key} is known{others}; to look: {look}")


def _refuse_whole(chosen: Iterable[KnownDrift], tenant: str, key: str) -> None:
    for one in chosen:
        if one.drift.kind in OF_THE_WHOLE:
            raise UsageError(
                f"{tenant}/{key} is {one.drift.kind} in the tenant, so nothing can be pushed over it; to say which "
                f"connection it is now: {command('connections', 'resolve', tenant, key)} --id N, or --create"
            )

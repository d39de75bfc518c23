"""What looks at tenants found to differ, and what was decided about it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, bindparam, delete, exists, insert, or_, select, update

from erpsyncd.domain.connections import ConnectionRowId, FieldValue, State, StoredConnection
from erpsyncd.domain.drift import Decision, DecisionKind, Drift, DriftKind, KnownDrift, drift_in_words
from erpsyncd.domain.results import Outcome, Status, Verdict
from erpsyncd.store import leases
from erpsyncd.store.columns import storable
from erpsyncd.store.due import chunks
from erpsyncd.store.rows import Values, select_connections
from erpsyncd.store.tables import NOT_IN_SYNC, connections, drift_decisions, drifts, tenants

if TYPE_CHECKING:
    from erpsyncd.domain.intents import Lease
    from erpsyncd.domain.tenants import TenantId

#: What is compared: all that stands in a tenant as we pushed it, and what waits to be pushed anew.
_COMPARED = (State.IN_SYNC, State.DRIFTED, State.PENDING, State.FAILED, State.INCOMPLETE)

#: Where nothing but drift keeps a connection from being in sync.
_STEADY = (State.IN_SYNC, State.DRIFTED)

#: So many drifts of one connection are named in a sentence.
_NAMED = 5

_OVERWRITING = (Status.CREATED, Status.UPDATED, Status.DELETED)
_OVERWRITTEN = "a pass pushed ours over it"
_ALTERED = "the tenant showed something else right after it was pushed"


def compared_rows(
    connection: Connection, tenant_id: TenantId, *, after: ConnectionRowId, limit: int, keys: frozenset[str] | None
) -> list[Row[Any]]:
    """Return the next connections of a tenant that can be compared, by their numbers; of these keys, if given."""
    query = select_connections(
        connections.c.tenant_id == tenant_id,
        connections.c.id > after,
        connections.c.present,
        connections.c.erp_connection_id.is_not(None),
        connections.c.state.in_(_COMPARED),
    )
    if keys is not None:
        query = query.where(connections.c.key.in_(keys))
    return list(connection.execute(query.order_by(connections.c.id).limit(limit)))


def record_look(
    connection: Connection,
    lease: Lease,
    *,
    stored: StoredConnection,
    found: Iterable[Drift],
    hidden: frozenset[str],
    pushed: bool,
    at: datetime,
) -> tuple[KnownDrift, ...]:
    """Record what one look found; return it with what was decided. Nothing where the store was changed meanwhile.

    Decisions about what is no longer there end. `pushed` says that ours was pushed just before: then the tenant
    altered it, and no policy pushes it again.

    Raises:
        LeaseLost: the lease is not current.
    """
    leases.check(connection, lease)
    this = (connections.c.id == stored.id, connections.c.tenant_id == lease.tenant_id)
    row = connection.execute(select(connections.c.revision, connections.c.state).where(*this)).one_or_none()
    if row is None or row.revision != stored.revision:
        return ()
    by_field = {storable(drift.field): drift for drift in found}
    _write_drifts(connection, stored.id, by_field, at)
    if pushed:
        for field, drift in by_field.items():
            _remember_push(connection, stored.id, field, drift.observed_fingerprint, DecisionKind.STUBBORN, at)
    _end_decisions(connection, stored.id, by_field, hidden, at)
    known = known_drifts(connection, (stored.id,)).get(stored.id, ())
    if State(row.state) in _STEADY:
        values = _standing(known, at)
        changed = connection.execute(
            update(connections).where(*this, connections.c.state != values["state"]).values(**values, updated_at=at)
        )
        if changed.rowcount == 0:
            connection.execute(update(connections).where(*this).values(**values))
    return known


def finish_look(connection: Connection, lease: Lease, *, at: datetime) -> None:
    """Record that all of a tenant was looked at.

    Raises:
        LeaseLost: the lease is not current.
    """
    leases.check(connection, lease)
    connection.execute(update(tenants).where(tenants.c.id == lease.tenant_id).values(last_drift_at=at))


def known_drifts(
    connection: Connection, row_ids: Iterable[ConnectionRowId]
) -> dict[ConnectionRowId, tuple[KnownDrift, ...]]:
    """Return the drifts of these connections by field; those that have none are left out."""
    found: dict[ConnectionRowId, list[KnownDrift]] = defaultdict(list)
    for chunk in chunks(row_ids):
        decided = {
            (row.connection_id, row.field): _decision(row)
            for row in connection.execute(select(drift_decisions).where(drift_decisions.c.connection_id.in_(chunk)))
        }
        query = select(drifts).where(drifts.c.connection_id.in_(chunk)).order_by(drifts.c.connection_id, drifts.c.id)
        for row in connection.execute(query):
            found[row.connection_id].append(_known(row, decided.get((row.connection_id, row.field))))
    return {row_id: tuple(sorted(known, key=lambda one: one.drift.field)) for row_id, known in found.items()}


_PUSHABLE = select_connections(
    connections.c.tenant_id == bindparam("of_tenant"),
    NOT_IN_SYNC,
    connections.c.state.in_((State.DRIFTED, State.PENDING, State.FAILED)),
    connections.c.present,
)
_DRIFTED = _PUSHABLE.where(exists().where(drifts.c.connection_id == connections.c.id))
_DECIDED_OVER = _PUSHABLE.where(
    exists().where(
        drift_decisions.c.connection_id == connections.c.id,
        drift_decisions.c.decision == DecisionKind.ENFORCE.value,
    )
)


def drifting_rows(connection: Connection, tenant_id: TenantId, *, enforced: bool) -> list[Row[Any]]:
    """Return the connections over whose drift ours may be pushed: all that have any, or those of a decision."""
    rows = connection.execute(_DRIFTED if enforced else _DECIDED_OVER, {"of_tenant": tenant_id})
    return sorted(rows, key=lambda row: str(row.key))


#: Whether there is anything that `settled` has to take into account.
CONCERNED = or_(*(exists().where(table.c.connection_id == connections.c.id) for table in (drifts, drift_decisions)))


def settled(
    connection: Connection, row_id: ConnectionRowId, verdict: Verdict, outcome: Outcome | None, *, at: datetime
) -> Values:
    """Take a settlement into account: what was pushed over is gone, and what was not still differs.

    Returns what is different about the connection's row because of that.
    """
    if outcome is not None and outcome.status in _OVERWRITING:
        query = select(drifts.c.field, drifts.c.observed_fingerprint).where(drifts.c.connection_id == row_id)
        for row in connection.execute(query).all():
            _remember_push(connection, row_id, row.field, row.observed_fingerprint, DecisionKind.ENFORCED, at)
        gone = (drifts, drift_decisions) if outcome.status is Status.DELETED else (drifts,)
        for table in gone:
            connection.execute(delete(table).where(table.c.connection_id == row_id))
        return {}
    if verdict.state is not State.IN_SYNC:
        return {}
    known = known_drifts(connection, (row_id,)).get(row_id, ())
    return _standing(known, at) if known else {}


def forget_drifts(connection: Connection, row_id: ConnectionRowId, fields: Iterable[str]) -> None:
    """Delete what was found in these fields, and what was decided about it."""
    for field in fields:
        for table in (drifts, drift_decisions):
            connection.execute(delete(table).where(table.c.connection_id == row_id, table.c.field == storable(field)))


def write_decision(connection: Connection, row_id: ConnectionRowId, field: str, decision: Decision) -> None:
    """Put a decision in the place of whatever was decided before."""
    connection.execute(
        delete(drift_decisions).where(drift_decisions.c.connection_id == row_id, drift_decisions.c.field == field)
    )
    connection.execute(
        insert(drift_decisions).values(
            connection_id=row_id,
            field=field,
            decision=decision.kind.value,
            reason=decision.reason,
            decided_at=decision.decided_at,
            until=decision.until,
            observed_fingerprint=decision.observed_fingerprint,
        )
    )


def restate(connection: Connection, row_id: ConnectionRowId, *, at: datetime) -> None:
    """Bring a connection's state in line with what is decided about its drifts."""
    values = _standing(known_drifts(connection, (row_id,)).get(row_id, ()), at)
    connection.execute(
        update(connections)
        .where(connections.c.id == row_id, connections.c.state.in_(_STEADY))
        .values(**values, updated_at=at)
    )


def _write_drifts(connection: Connection, row_id: ConnectionRowId, by_field: Mapping[str, Drift], at: datetime) -> None:
    known = set(connection.execute(select(drifts.c.field).where(drifts.c.connection_id == row_id)).scalars())
    for field in known - by_field.keys():
        connection.execute(delete(drifts).where(drifts.c.connection_id == row_id, drifts.c.field == field))
    for field, drift in by_field.items():
        values: Values = {
            "kind": drift.kind.value,
            "desired": _writable(drift.desired),
            "observed": _writable(drift.observed),
            "observed_fingerprint": drift.observed_fingerprint,
            "last_seen_at": at,
        }
        if field in known:
            this = (drifts.c.connection_id == row_id, drifts.c.field == field)
            connection.execute(update(drifts).where(*this).values(**values))
        else:
            connection.execute(insert(drifts).values(connection_id=row_id, field=field, first_seen_at=at, **values))


def _end_decisions(
    connection: Connection,
    row_id: ConnectionRowId,
    by_field: Mapping[str, Drift],
    hidden: frozenset[str],
    at: datetime,
) -> None:
    """Delete the decisions that are over. One about a field that is hidden just now waits."""
    for row in connection.execute(select(drift_decisions).where(drift_decisions.c.connection_id == row_id)).all():
        drift = by_field.get(row.field)
        if drift is None and row.field in hidden:
            continue
        if _is_over(row, drift, at):
            connection.execute(delete(drift_decisions).where(drift_decisions.c.id == row.id))


def _is_over(row: Row[Any], drift: Drift | None, at: datetime) -> bool:
    """Say whether a decision no longer means what is there; `drift` is None where nothing differs any more."""
    another = drift is not None and drift.observed_fingerprint != row.observed_fingerprint
    match DecisionKind(row.decision):
        case DecisionKind.IGNORE:
            return drift is None or another or (row.until is not None and row.until <= at)
        case DecisionKind.ENFORCE | DecisionKind.STUBBORN:
            return drift is None
        case DecisionKind.ENFORCED:
            # What is gone is remembered too: that is how a value that comes back is known.
            return another


def _remember_push(
    connection: Connection, row_id: ConnectionRowId, field: str, fingerprint: str, kind: DecisionKind, at: datetime
) -> None:
    """Remember what ours was pushed over. A decision to let it be stays; the next look says whether it still holds."""
    made = connection.execute(
        select(drift_decisions).where(drift_decisions.c.connection_id == row_id, drift_decisions.c.field == field)
    ).one_or_none()
    before = made and DecisionKind(made.decision)
    if before is DecisionKind.IGNORE or (before is DecisionKind.STUBBORN and kind is DecisionKind.ENFORCED):
        return
    reason = _ALTERED if kind is DecisionKind.STUBBORN else _OVERWRITTEN
    if made is not None and before is DecisionKind.ENFORCE:
        reason = made.reason
    decision = Decision(kind=kind, reason=reason, decided_at=at, observed_fingerprint=fingerprint)
    write_decision(connection, row_id, field, decision)


def _standing(known: Iterable[KnownDrift], at: datetime) -> Values:
    """Return the state of a connection that nothing but drift keeps from being in sync."""
    told = [one for one in known if not one.is_ignored(at)]
    if not told:
        return {"state": State.IN_SYNC.value, "error_class": None, "error": None}
    words = [drift_in_words(one.drift.field, one.drift.kind) for one in told[:_NAMED]]
    if len(told) > _NAMED:
        words.append(f"and {len(told) - _NAMED} more")
    return {"state": State.DRIFTED.value, "error_class": "drifted", "error": "; ".join(words)}


def _known(row: Row[Any], decision: Decision | None) -> KnownDrift:
    return KnownDrift(
        drift=Drift(
            field=row.field,
            kind=DriftKind(row.kind),
            desired=_readable(row.desired),
            observed=_readable(row.observed),
            observed_fingerprint=row.observed_fingerprint,
        ),
        first_seen_at=row.first_seen_at,
        last_seen_at=row.last_seen_at,
        decision=decision,
    )


def _decision(row: Row[Any]) -> Decision:
    return Decision(
        kind=DecisionKind(row.decision),
        reason=row.reason,
        decided_at=row.decided_at,
        until=row.until,
        observed_fingerprint=row.observed_fingerprint,
    )


def _writable(value: FieldValue | None) -> Any:
    match value:
        case str():
            return storable(value)
        case tuple():
            return list(value)
        case _:
            return value


def _readable(value: Any) -> FieldValue | None:
    readable: FieldValue | None = tuple(value) if isinstance(value, list) else value
    return readable

"""What became of connections: their rows, their outcomes and the end of their intents are one write."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Update, bindparam, delete, select, update

from erpsyncd.domain.connections import ConnectionRowId, State, StoredConnection
from erpsyncd.domain.results import APPLIED, Outcome, Verdict
from erpsyncd.store import drifting, leases, syncing
from erpsyncd.store.history import insert_outcomes
from erpsyncd.store.rows import Values, incomplete_values
from erpsyncd.store.tables import connections, intents

if TYPE_CHECKING:
    from erpsyncd.domain.intents import Lease

#: States that say there is nothing left to complain about.
_CONTENT = (State.IN_SYNC, State.DELETED)

#: What is no longer known of a connection that does not exist in its tenant.
FORGOTTEN: Values = {"erp_connection_id": None, "connection_id": None, "applied": {}}

_AS_IT_IS = select(
    connections.c.id,
    connections.c.tenant_id,
    connections.c.revision,
    connections.c.present,
    drifting.CONCERNED.label("drifted"),
).where(connections.c.id.in_(bindparam("row_ids", expanding=True)))
_END = delete(intents).where(intents.c.id == bindparam("intent_id"), intents.c.connection_id == bindparam("row_id"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What became of a connection. What the verdict leaves out (its ids, `applied`) is kept."""

    lease: Lease
    run_id: int
    stored: StoredConnection
    verdict: Verdict
    outcome: Outcome | None
    intent_id: int | None
    at: datetime


def settle_all(connection: Connection, settlements: Sequence[Settlement]) -> Sequence[None]:
    """Record what became of connections. One that was removed meanwhile still has its outcome in the run.

    Raises:
        LeaseLost: a lease is not current.
    """
    leases.check_all(connection, {one.lease for one in settlements})
    _write_rows(connection, settlements)
    insert_outcomes(connection, ((one.run_id, one.outcome, one.at) for one in settlements if one.outcome is not None))
    saved = {one.lease.tenant_id for one in settlements if one.outcome is not None and one.outcome.status in APPLIED}
    if saved:
        syncing.saved(connection, saved)
    ended = [{"intent_id": one.intent_id, "row_id": one.stored.id} for one in settlements if one.intent_id is not None]
    if ended:
        connection.execute(_END, ended)
    return [None] * len(settlements)


def _write_rows(connection: Connection, settlements: Sequence[Settlement]) -> None:
    row_ids = [one.stored.id for one in settlements]
    # Rows are written by their columns; alone, each in its turn, two of one connection keep their order.
    assert len(set(row_ids)) == len(row_ids), "a pass works on a connection once at a time"
    rows = {row.id: row for row in connection.execute(_AS_IT_IS, {"row_ids": row_ids})}
    written: defaultdict[tuple[str, ...], list[Values]] = defaultdict(list)
    for one in settlements:
        row = rows.get(one.stored.id)
        if row is None or row.tenant_id != one.lease.tenant_id:
            continue
        values = _settled(one.verdict, one.outcome)
        if row.revision != one.stored.revision:
            values |= _overtaken(one.verdict, present=row.present)
        if row.drifted:
            values |= _drifted(connection, one, values)
        if row.present and values["state"] == State.PENDING.value:
            values |= _incomplete(connection, one.stored.id)
        written[tuple(values)].append({**values, "updated_at": one.at, "row_id": one.stored.id})
    for names, together in written.items():
        connection.execute(_update_of(names), together)


@lru_cache(maxsize=64)
def _update_of(names: tuple[str, ...]) -> Update:
    """Return the statement that writes these columns of many rows."""
    values: Values = {name: bindparam(name) for name in (*names, "updated_at")}
    return update(connections).where(connections.c.id == bindparam("row_id")).values(values)


def _settled(verdict: Verdict, outcome: Outcome | None) -> Values:
    values: Values = {
        "state": verdict.state.value,
        "attempts": verdict.attempts,
        "next_attempt_at": verdict.next_attempt_at,
    }
    # What a verdict does not know is kept: an update that failed does not unlearn the connection's ids.
    learned: Values = {
        "erp_connection_id": verdict.erp_connection_id,
        "connection_id": verdict.connection_id,
        "applied": None if verdict.applied is None else dict(verdict.applied),
    }
    values |= {name: value for name, value in learned.items() if value is not None}
    if outcome is not None:
        values |= {"error_class": outcome.error_class, "error": outcome.error}
    elif verdict.state in _CONTENT:
        values |= {"error_class": None, "error": None}
    return values


def _overtaken(verdict: Verdict, *, present: bool) -> Values:
    """Return what is different where the desired side moved while a pass worked on what it had read."""
    if verdict.state is State.DELETED:
        if not present:
            return {}
        # Wanted again while it was being deleted: what comes next is a new connection.
        return {"state": State.PENDING.value, **FORGOTTEN}
    return {"state": State.PENDING.value, "attempts": 0, "next_attempt_at": None}


def _drifted(connection: Connection, one: Settlement, values: Values) -> Values:
    """Return what is different where a look found drift before."""
    drifted = drifting.settled(connection, one.stored.id, one.verdict, one.outcome, at=one.at)
    return drifted if values["state"] == State.IN_SYNC.value else {}


def _incomplete(connection: Connection, row_id: ConnectionRowId) -> Values:
    query = select(connections.c.config_fields).where(connections.c.id == row_id)
    return incomplete_values(connection.execute(query).scalar_one())

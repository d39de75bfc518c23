"""What a pass writes about a connection: that a call is about to be made, and what became of it."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from functools import lru_cache

from sqlalchemy import Connection, delete, exists, insert, select, update

from erpsyncd.domain.careful import Step
from erpsyncd.domain.connections import ConnectionRowId, State, StoredConnection
from erpsyncd.domain.intents import Lease, Moment
from erpsyncd.domain.results import APPLIED, ChangeKind, Outcome, Verdict
from erpsyncd.domain.tenants import TenantId
from erpsyncd.errors import NotTried
from erpsyncd.store import drifting, leases, syncing
from erpsyncd.store.history import insert_outcomes
from erpsyncd.store.rows import Values, incomplete_values, inserted_id
from erpsyncd.store.sealing import StoredTemplate
from erpsyncd.store.tables import connections, intents, listings

#: States that say there is nothing left to complain about.
_CONTENT = (State.IN_SYNC, State.DELETED)


def open_intent(
    connection: Connection,
    lease: Lease,
    *,
    run_id: int,
    stored: StoredConnection,
    kind: ChangeKind,
    seen: frozenset[int],
    sent: Moment,
    step: Step | None = None,
    snapshot: StoredTemplate | None = None,
) -> int:
    """Record that a write call is about to be made; return the intent's id.

    Raises:
        LeaseLost: the lease is not current.
        NotTried: the connection was removed, or is wanted absent instead of present or the other way round,
            since it was read: nothing may be sent for it.
    """
    leases.check(connection, lease)
    marked = connection.execute(
        update(connections)
        .where(
            connections.c.id == stored.id,
            connections.c.tenant_id == lease.tenant_id,
            connections.c.present == stored.present,
        )
        .values(state=State.IN_FLIGHT.value, updated_at=sent.at)
    )
    if marked.rowcount == 0:
        raise NotTried(
            f"{stored.key!r} was removed here, or marked otherwise, while this pass worked on it; nothing was sent"
        )
    opened = connection.execute(
        insert(intents).values(
            tenant_id=lease.tenant_id,
            connection_id=stored.id,
            run_id=run_id,
            kind=kind.value,
            erp_connector_id=stored.template.erp_connector_id,
            display_name=stored.template.display_name,
            step=step and step.value,
            snapshot=snapshot,
            listing_id=_keep_listing(connection, lease.tenant_id, seen) if seen else None,
            **_sent(sent),
        )
    )
    return inserted_id(opened)


def resend_intent(
    connection: Connection, lease: Lease, intent_id: int, *, sent: Moment, step: Step | None = None
) -> None:
    """Give an open intent a new time of sending, and of a careful save the step that is about to be made.

    Raises:
        LeaseLost: the lease is not current.
    """
    leases.check(connection, lease)
    again = _sent(sent) | ({} if step is None else {"step": step.value})
    connection.execute(
        update(intents).where(intents.c.id == intent_id, intents.c.tenant_id == lease.tenant_id).values(**again)
    )


def settle(
    connection: Connection,
    lease: Lease,
    *,
    run_id: int,
    stored: StoredConnection,
    verdict: Verdict,
    outcome: Outcome | None,
    intent_id: int | None,
    at: datetime,
) -> None:
    """Record what became of a connection. One that was removed meanwhile still has its outcome in the run.

    Raises:
        LeaseLost: the lease is not current.
    """
    leases.check(connection, lease)
    row = connection.execute(
        select(connections.c.revision, connections.c.present).where(
            connections.c.id == stored.id, connections.c.tenant_id == lease.tenant_id
        )
    ).one_or_none()
    if row is not None:
        values = _settled(verdict, outcome)
        if row.revision != stored.revision:
            values |= _overtaken(verdict, present=row.present)
        drifted = drifting.settled(connection, stored.id, verdict, outcome, at=at)
        if values["state"] == State.IN_SYNC.value:
            values |= drifted
        if row.present and values["state"] == State.PENDING.value:
            values |= _incomplete(connection, stored.id)
        connection.execute(update(connections).where(connections.c.id == stored.id).values(**values, updated_at=at))
    if outcome is not None:
        insert_outcomes(connection, run_id, (outcome,), at)
        if outcome.status in APPLIED:
            syncing.saved(connection, lease.tenant_id)
    if intent_id is not None:
        connection.execute(delete(intents).where(intents.c.id == intent_id, intents.c.connection_id == stored.id))


def forget_listings(connection: Connection, tenant_id: TenantId) -> None:
    """Delete the listings that no open intent needs any more."""
    connection.execute(
        delete(listings).where(
            listings.c.tenant_id == tenant_id, ~exists().where(intents.c.listing_id == listings.c.id)
        )
    )


def _sent(sent: Moment) -> Values:
    uptime = sent.uptime
    return {
        "sent_at": sent.at,
        "sent_boot_id": uptime and uptime.boot_id,
        "sent_uptime": uptime and uptime.seconds,
    }


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


def _incomplete(connection: Connection, row_id: ConnectionRowId) -> Values:
    query = select(connections.c.config_fields).where(connections.c.id == row_id)
    return incomplete_values(connection.execute(query).scalar_one())


#: What is no longer known of a connection that does not exist in its tenant.
FORGOTTEN: Values = {"erp_connection_id": None, "connection_id": None, "applied": {}}


@lru_cache(maxsize=64)
def _digest(seen: frozenset[int]) -> str:
    """Return a name for a set of ids. All creates of a pass share one set, so it is computed once."""
    return hashlib.sha256(json.dumps(sorted(seen)).encode()).hexdigest()


def _keep_listing(connection: Connection, tenant_id: TenantId, seen: frozenset[int]) -> int:
    digest = _digest(seen)
    found: int | None = connection.execute(
        select(listings.c.id).where(listings.c.tenant_id == tenant_id, listings.c.digest == digest)
    ).scalar_one_or_none()
    if found is not None:
        return found
    kept = connection.execute(insert(listings).values(tenant_id=tenant_id, digest=digest, ids=sorted(seen)))
    return inserted_id(kept)

"""Intents: that a write call is about to be made is on disk before it leaves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from sqlalchemy import Connection, bindparam, delete, exists, insert, select, update

from erpsyncd.domain.connections import State, StoredConnection
from erpsyncd.errors import NotTried
from erpsyncd.store import leases
from erpsyncd.store.rows import Values, inserted_id
from erpsyncd.store.tables import connections, intents, listings

if TYPE_CHECKING:
    from erpsyncd.domain.careful import Step
    from erpsyncd.domain.intents import Lease, Moment
    from erpsyncd.domain.results import ChangeKind
    from erpsyncd.domain.tenants import TenantId
    from erpsyncd.store.sealing import StoredTemplate


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A write call that is about to be made."""

    lease: Lease
    run_id: int
    stored: StoredConnection
    kind: ChangeKind
    seen: frozenset[int]
    sent: Moment
    step: Step | None = None
    snapshot: StoredTemplate | None = None


#: Many rows at once, each only as long as it is wanted as the pass has read it.
_MARK = (
    update(connections)
    .where(
        connections.c.id == bindparam("row_id"),
        connections.c.tenant_id == bindparam("lease_tenant_id"),
        connections.c.present == bindparam("was_present"),
    )
    .values(state=State.IN_FLIGHT.value, updated_at=bindparam("sent_at"))
)
#: What was inserted is read back, not returned by the insert: SQLite does that from 3.35 on, and older ones are in use.
_OPENED = (
    select(intents.c.connection_id, intents.c.id)
    .where(intents.c.connection_id.in_(bindparam("connection_ids", expanding=True)))
    .order_by(intents.c.id)
)
_INSERT = insert(intents)
_FORGET = delete(listings).where(
    listings.c.tenant_id.in_(bindparam("tenant_ids", expanding=True)),
    ~exists().where(intents.c.listing_id == listings.c.id),
)
_KEPT_LISTINGS = select(listings.c.tenant_id, listings.c.digest, listings.c.id).where(
    listings.c.tenant_id.in_(bindparam("tenant_ids", expanding=True)),
    listings.c.digest.in_(bindparam("digests", expanding=True)),
)


def open_intents(connection: Connection, openings: Sequence[Opening]) -> Sequence[int]:
    """Record that write calls are about to be made, all or none; return the intents' ids.

    Raises:
        LeaseLost: a lease is not current.
        NotTried: a connection was removed, or is wanted absent instead of present or the other way round,
            since it was read: nothing may be sent for it.
    """
    leases.check_all(connection, {opening.lease for opening in openings})
    marked = connection.execute(_MARK, [_mark(opening) for opening in openings])
    if marked.rowcount != len(openings):
        keys = ", ".join(repr(opening.stored.key) for opening in openings)
        raise NotTried(f"{keys} was removed here, or marked otherwise, while this pass worked on it; nothing was sent")
    kept = _keep_listings(connection, openings)
    rows = [_intent(opening, kept.get((opening.lease.tenant_id, opening.seen))) for opening in openings]
    connection.execute(_INSERT, rows)
    ids = [opening.stored.id for opening in openings]
    opened = {row.connection_id: row.id for row in connection.execute(_OPENED, {"connection_ids": ids}).all()}
    assert len(opened) == len(openings), "a pass works on a connection once at a time"
    return [opened[row_id] for row_id in ids]


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


def forget_listings(connection: Connection, tenant_ids: Collection[TenantId]) -> None:
    """Delete the listings that no open intent needs any more."""
    connection.execute(_FORGET, {"tenant_ids": sorted(tenant_ids)})


def _mark(opening: Opening) -> Values:
    return {
        "row_id": opening.stored.id,
        "lease_tenant_id": opening.lease.tenant_id,
        "was_present": opening.stored.present,
        "sent_at": opening.sent.at,
    }


def _intent(opening: Opening, listing_id: int | None) -> Values:
    return {
        "tenant_id": opening.lease.tenant_id,
        "connection_id": opening.stored.id,
        "run_id": opening.run_id,
        "kind": opening.kind.value,
        "erp_connector_id": opening.stored.template.erp_connector_id,
        "display_name": opening.stored.template.display_name,
        "step": opening.step and opening.step.value,
        "snapshot": opening.snapshot,
        "listing_id": listing_id,
        **_sent(opening.sent),
    }


def _sent(sent: Moment) -> Values:
    uptime = sent.uptime
    return {
        "sent_at": sent.at,
        "sent_boot_id": uptime and uptime.boot_id,
        "sent_uptime": uptime and uptime.seconds,
    }


@lru_cache(maxsize=64)
def _digest(seen: frozenset[int]) -> str:
    """Return a name for a set of ids. All creates of a pass share one set, so it is computed once."""
    return hashlib.sha256(json.dumps(sorted(seen)).encode()).hexdigest()


def _keep_listings(connection: Connection, openings: Sequence[Opening]) -> dict[tuple[TenantId, frozenset[int]], int]:
    """Keep each listing once; return the number of each."""
    wanted = {(opening.lease.tenant_id, opening.seen) for opening in openings if opening.seen}
    if not wanted:
        return {}
    numbers = {
        (row.tenant_id, row.digest): row.id
        for row in connection.execute(
            _KEPT_LISTINGS,
            {"tenant_ids": [tenant_id for tenant_id, _ in wanted], "digests": [_digest(seen) for _, seen in wanted]},
        )
    }
    kept = {}
    for tenant_id, seen in wanted:
        digest = _digest(seen)
        number = numbers.get((tenant_id, digest))
        if number is None:
            values = {"tenant_id": tenant_id, "digest": digest, "ids": sorted(seen)}
            number = inserted_id(connection.execute(insert(listings), values))
        kept[tenant_id, seen] = number
    return kept

"""What a pass reads of a tenant: what is due, what is owned, what was left open.

A converged tenant costs the same at ten connections and at a million: nothing here reads rows that are in
sync, except `owned_ids`, which a pass asks for before creates and deletes only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import BindParameter, Connection, Row, and_, bindparam, func, or_, select

from erpsyncd.domain.connections import HELD_BACK, ConnectionRowId, Owned, State
from erpsyncd.domain.intents import Intent, Moment, Uptime
from erpsyncd.domain.results import ChangeKind
from erpsyncd.store.rows import select_connections
from erpsyncd.store.tables import (
    NOT_IN_SYNC,
    connection_references,
    connections,
    intents,
    listings,
    secret_references,
    tenants,
)

if TYPE_CHECKING:
    from erpsyncd.domain.secrets import Reference
    from erpsyncd.domain.tenants import TenantId
    from erpsyncd.store.sealing import Sealer

T = TypeVar("T")

#: SQLite takes 999 parameters in older builds.
_CHUNK = 500

_ALWAYS_DUE = (State.PENDING, State.IN_FLIGHT, State.PARKED)

#: These wait for `next_attempt_at`. What is missing or replaced is looked at again, in case it came back.
_BACKING_OFF = (State.FAILED, State.MISSING, State.REPLACED)

#: What a changed secret makes due. In the other states a pass comes by itself, an operator has to decide, or an import
#: has to give what no reference stands for.
RIPENS_ON_CHANGE = (State.IN_SYNC, State.DRIFTED, State.FAILED)


#: Of which tenant. A statement is built once: to build it takes several times what it takes to run it.
_OF_TENANT: BindParameter[int] = bindparam("of_tenant")

#: The connections that a pass has to work on. It reads the partial index only.
DUE = select_connections(
    connections.c.tenant_id == _OF_TENANT,
    NOT_IN_SYNC,
    # All states in one list, so that the index leads past what is deleted too.
    connections.c.state.in_((*_ALWAYS_DUE, *_BACKING_OFF)),
)

#: Those that it works on by itself: it does not repeat what no attempt can mend (`HELD_BACK`).
DUE_BY_TIME = DUE.where(
    or_(
        connections.c.state.in_(_ALWAYS_DUE),
        and_(
            or_(
                connections.c.next_attempt_at.is_(None),
                connections.c.next_attempt_at <= bindparam("at"),
                # Further away than any backoff: it was made by a clock that was wrong.
                connections.c.next_attempt_at > bindparam("latest"),
            ),
            or_(connections.c.error_class.is_(None), connections.c.error_class.not_in(HELD_BACK)),
        ),
    )
)

_OWNED = select(connections.c.erp_connection_id, connections.c.connection_id).where(
    connections.c.tenant_id == _OF_TENANT,
    connections.c.erp_connection_id.is_not(None),
    connections.c.state != State.DELETED,
)

#: How many are in sync: all there are, less what the partial index holds. What drifted is in sync with us: a pass has
#: nothing to do for it.
IN_SYNC_COUNT = select(
    tenants.c.connection_count
    - select(func.count())
    .select_from(connections)
    .where(connections.c.tenant_id == _OF_TENANT, NOT_IN_SYNC, connections.c.state != State.DRIFTED)
    .scalar_subquery()
).where(tenants.c.id == _OF_TENANT)

_OPEN_INTENTS = select(intents).where(intents.c.tenant_id == _OF_TENANT).order_by(intents.c.id)


def due_rows(
    connection: Connection,
    tenant_id: TenantId,
    *,
    now: datetime,
    longest_backoff: timedelta | None,
    using: frozenset[Reference],
) -> list[Row[Any]]:
    """Return the rows that are due, and those that would be if these references had changed; by key."""
    wanted: dict[str, Any] = {"of_tenant": tenant_id}
    query = DUE
    if longest_backoff is not None:
        query, wanted = DUE_BY_TIME, wanted | {"at": now, "latest": now + longest_backoff}
    found = {row.id: row for row in connection.execute(query, wanted)}
    for chunk in chunks(sorted(map(str, using))):
        users = (
            select(connection_references.c.connection_id)
            .join(secret_references, secret_references.c.id == connection_references.c.reference_id)
            .where(secret_references.c.tenant_id == tenant_id, secret_references.c.reference.in_(chunk))
        )
        using_them = select_connections(connections.c.id.in_(users), connections.c.state.in_(RIPENS_ON_CHANGE))
        found |= {row.id: row for row in connection.execute(using_them)}
    return sorted(found.values(), key=lambda row: str(row.key))


def rows_by_id(connection: Connection, tenant_id: TenantId, ids: frozenset[ConnectionRowId]) -> list[Row[Any]]:
    """Return these rows of a tenant, by key."""
    found: list[Row[Any]] = []
    for chunk in chunks(sorted(ids)):
        found += connection.execute(
            select_connections(connections.c.tenant_id == tenant_id, connections.c.id.in_(chunk))
        )
    return sorted(found, key=lambda row: str(row.key))


def owned_ids(connection: Connection, tenant_id: TenantId) -> Owned:
    """Return the `erp_connection_id` of everything that is not `deleted`, with the GUIDs that go with each."""
    found: dict[int, set[str]] = defaultdict(set)
    for erp_connection_id, connection_id in connection.execute(_OWNED, {"of_tenant": tenant_id}):
        found[erp_connection_id].add(connection_id or "")
    return {erp_connection_id: frozenset(guids) for erp_connection_id, guids in found.items()}


def in_sync_count(connection: Connection, tenant_id: TenantId) -> int:
    """Return how many of a tenant's connections are in sync; none for a tenant that was removed."""
    return connection.execute(IN_SYNC_COUNT, {"of_tenant": tenant_id}).scalar_one_or_none() or 0


def open_intents(connection: Connection, tenant_id: TenantId, sealer: Sealer) -> tuple[Intent, ...]:
    """Return the intents that nobody settled, oldest first."""
    rows = connection.execute(_OPEN_INTENTS, {"of_tenant": tenant_id}).all()
    if not rows:
        return ()
    from erpsyncd.domain.careful import Step  # noqa: PLC0415 -- what is open is rare
    from erpsyncd.store.snapshots import read_snapshot  # noqa: PLC0415 -- as above

    wanted = {row.listing_id for row in rows} - {None}
    seen: dict[int | None, frozenset[int]] = {None: frozenset()}
    for chunk in chunks(sorted(wanted)):
        for listing in connection.execute(select(listings.c.id, listings.c.ids).where(listings.c.id.in_(chunk))):
            seen[listing.id] = frozenset(listing.ids)
    return tuple(
        Intent(
            id=row.id,
            connection_row_id=row.connection_id,
            kind=ChangeKind(row.kind),
            erp_connector_id=row.erp_connector_id,
            display_name=row.display_name,
            seen=seen[row.listing_id],
            sent=_sent(row),
            step=None if row.step is None else Step(row.step),
            snapshot=None
            if row.snapshot is None
            else read_snapshot(row.snapshot, sealer, row.tenant_id, row.connection_id),
        )
        for row in rows
    )


def _sent(row: Row[Any]) -> Moment:
    known = row.sent_boot_id is not None
    uptime = Uptime(boot_id=row.sent_boot_id, seconds=row.sent_uptime) if known else None
    return Moment(at=row.sent_at, uptime=uptime)


def chunks(items: Iterable[T], size: int = _CHUNK) -> Iterator[list[T]]:
    """Cut many items into lists that fit into one statement."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk

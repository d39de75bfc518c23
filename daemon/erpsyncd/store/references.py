"""Secret references: which ones a tenant's connections use, and what is due when one changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from sqlalchemy import Connection, bindparam, exists, select, update

from erpsyncd.domain.connections import State
from erpsyncd.store import leases
from erpsyncd.store.due import RIPENS_ON_CHANGE, chunks
from erpsyncd.store.rows import read_reference
from erpsyncd.store.tables import connection_references, connections, secret_references

if TYPE_CHECKING:
    from erpsyncd.domain.intents import Lease
    from erpsyncd.domain.secrets import Reference
    from erpsyncd.domain.tenants import TenantId

#: What a missing secret makes due. What failed already is tried again by its own backoff.
_RIPENS_ON_LOSS = tuple(state for state in RIPENS_ON_CHANGE if state is not State.FAILED)


_USED = select(secret_references.c.reference, secret_references.c.fingerprint).where(
    secret_references.c.tenant_id == bindparam("of_tenant"),
    exists().where(connection_references.c.reference_id == secret_references.c.id),
)


def references(connection: Connection, tenant_id: TenantId) -> dict[Reference, str | None]:
    """Return each reference of the tenant's connections with its last fingerprint, None if it has none."""
    rows = connection.execute(_USED, {"of_tenant": tenant_id})
    return {read_reference(row.reference): row.fingerprint for row in rows}


def record_references(
    connection: Connection, lease: Lease, *, resolved: Mapping[Reference, str], missing: frozenset[Reference]
) -> int:
    """Record fingerprints; make due what uses a changed or a missing reference. Return how many became due.

    A missing reference loses its fingerprint, so that its return counts as a change and is not left to the
    backoff of what failed for lack of it.

    Raises:
        LeaseLost: the lease is not current.
    """
    leases.check(connection, lease)
    known = {
        row.reference: row
        for row in connection.execute(select(secret_references).where(secret_references.c.tenant_id == lease.tenant_id))
    }
    taken = {known[str(reference)].id: value for reference, value in resolved.items() if str(reference) in known}
    changed = {row.id: taken[row.id] for row in known.values() if row.id in taken and taken[row.id] != row.fingerprint}
    lost = {known[str(reference)].id for reference in missing if str(reference) in known}
    for row_id, fingerprint in (changed | dict.fromkeys(lost)).items():
        connection.execute(
            update(secret_references).where(secret_references.c.id == row_id).values(fingerprint=fingerprint)
        )
    return _make_due(connection, changed, RIPENS_ON_CHANGE) + _make_due(connection, lost, _RIPENS_ON_LOSS)


def _make_due(connection: Connection, reference_ids: Collection[int], states: tuple[State, ...]) -> int:
    """Make due what uses one of these references and is in one of these states; return how many rows that were."""
    count = 0
    for chunk in chunks(sorted(reference_ids)):
        users = select(connection_references.c.connection_id).where(connection_references.c.reference_id.in_(chunk))
        ripe = connection.execute(
            update(connections)
            .where(connections.c.id.in_(users), connections.c.state.in_(states))
            .values(state=State.PENDING.value, attempts=0, next_attempt_at=None)
        )
        count += ripe.rowcount
    return count

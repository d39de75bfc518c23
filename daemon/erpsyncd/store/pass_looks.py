"""What a look reads and writes: connections to compare, what was found, what was decided."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from erpsyncd.store import drifting
from erpsyncd.store.rows import read_connection
from erpsyncd.store.transactions import Transactions

if TYPE_CHECKING:
    from erpsyncd.domain.connections import ConnectionRowId, StoredConnection
    from erpsyncd.domain.documents import Document
    from erpsyncd.domain.drift import Drift, KnownDrift
    from erpsyncd.domain.intents import Lease
    from erpsyncd.domain.results import Verdict
    from erpsyncd.domain.tenants import TenantId


class LookOperations(Transactions):
    """`erpsyncd.domain.store_ports.LookStore` over a database."""

    async def compared_connections(
        self, tenant_id: TenantId, *, after: ConnectionRowId, limit: int, keys: frozenset[str] | None = None
    ) -> tuple[StoredConnection, ...]:
        """Return the next connections that can be compared with what the tenant shows, by their numbers."""
        sealer = await self._sealer()

        def read(connection: Connection) -> tuple[StoredConnection, ...]:
            rows = drifting.compared_rows(connection, tenant_id, after=after, limit=limit, keys=keys)
            return tuple(read_connection(row, sealer) for row in rows)

        return await self._read(read)

    async def drifting_connections(
        self, tenant_id: TenantId, *, enforced: bool
    ) -> tuple[tuple[StoredConnection, tuple[KnownDrift, ...]], ...]:
        """Return the connections over whose drift ours may be pushed: all that have any, or those of a decision."""
        sealer = await self._sealer()

        def read(connection: Connection) -> tuple[tuple[StoredConnection, tuple[KnownDrift, ...]], ...]:
            rows = drifting.drifting_rows(connection, tenant_id, enforced=enforced)
            known = drifting.known_drifts(connection, (row.id for row in rows))
            return tuple((read_connection(row, sealer), known[row.id]) for row in rows if row.id in known)

        return await self._read(read)

    async def record_look(
        self,
        lease: Lease,
        *,
        connection: StoredConnection,
        found: tuple[Drift, ...],
        hidden: frozenset[str],
        pushed: bool,
        at: datetime,
    ) -> tuple[KnownDrift, ...]:
        """Record what one look at a connection found; return it with what was decided about it."""
        return await self._write(
            lease,
            lambda transaction: drifting.record_look(
                transaction, lease, stored=connection, found=found, hidden=hidden, pushed=pushed, at=at
            ),
        )

    async def finish_look(self, lease: Lease, *, at: datetime) -> None:
        """Record that all of a tenant was looked at."""
        await self._write(lease, lambda connection: drifting.finish_look(connection, lease, at=at))

    async def adopt_drift(
        self, lease: Lease, document: Document, verdict: Verdict, fields: tuple[str, ...], *, at: datetime
    ) -> None:
        """Describe a connection as its tenant shows it in these fields, and record a verdict on it: both or neither."""
        from erpsyncd.store import adopting  # noqa: PLC0415 -- it imports documents, which few passes do

        sealer = await self._sealer()
        await self._write_apart(
            lambda connection: adopting.adopt_drift(connection, lease, sealer, document, verdict, fields, at=at)
        )

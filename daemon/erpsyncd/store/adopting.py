"""A connection of a tenant becomes ours: described, and said which one it is, both or neither."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select

from erpsyncd.domain.documents import Document
from erpsyncd.domain.intents import Lease
from erpsyncd.domain.results import Verdict
from erpsyncd.store import drifting, importing, leases
from erpsyncd.store.rows import read_connection, select_connections
from erpsyncd.store.sealing import Sealer
from erpsyncd.store.settling import Settlement, settle_all
from erpsyncd.store.tables import connections


def adopt(
    connection: Connection, lease: Lease, sealer: Sealer, document: Document, verdict: Verdict, *, at: datetime
) -> None:
    """Put a document with one connection of the leased tenant into the store, and record a verdict on it.

    Raises:
        LeaseLost: the lease is not current.
        ConfigurationError: the document cannot stand, each problem listed.
    """
    # Before the tenant's row is locked: imports lock in this order.
    importing.wait_for_imports(connection)
    leases.check(connection, lease)
    importing.write_document(connection, sealer, document)
    (entry,) = document.connections
    query = select_connections(connections.c.tenant_id == lease.tenant_id, connections.c.key == entry.key)
    stored = read_connection(connection.execute(query).one(), sealer)
    settlement = Settlement(lease=lease, run_id=0, stored=stored, verdict=verdict, outcome=None, intent_id=None, at=at)
    settle_all(connection, (settlement,))


def adopt_drift(
    connection: Connection,
    lease: Lease,
    sealer: Sealer,
    document: Document,
    verdict: Verdict,
    fields: tuple[str, ...],
    *,
    at: datetime,
) -> None:
    """Describe a connection as its tenant shows it in these fields, and record a verdict on it.

    Raises:
        LeaseLost: the lease is not current.
        ConfigurationError: the document cannot stand, each problem listed.
    """
    importing.wait_for_imports(connection)
    leases.check(connection, lease)
    (entry,) = document.connections
    this = (connections.c.tenant_id == lease.tenant_id, connections.c.key == entry.key)
    row_id = connection.execute(select(connections.c.id).where(*this)).scalar_one()
    drifting.forget_drifts(connection, row_id, fields)
    adopt(connection, lease, sealer, document, verdict, at=at)

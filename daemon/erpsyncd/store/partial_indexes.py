"""Indexes over a part of a table, as the newest migration leaves them.

Only what makes or compares tables wants them. SQLAlchemy loads all of a database's dialect as soon as one has a
condition for it, and a start on SQLite must not wait for PostgreSQL's.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, text

from erpsyncd.store.tables import connections, metadata

__all__ = ["metadata"]


def _index(name: str, *columns: Column[object], where: str, unique: bool = False) -> None:
    """Add an index of the same condition on both databases to the columns' table."""
    Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


_index(
    "uq_connections_present_name",
    connections.c.tenant_id,
    connections.c.erp_connector_id,
    connections.c.display_name,
    unique=True,
    # A connector that is given by name is 0 until a pass has asked the tenant which one that is.
    where="present AND erp_connector_id <> 0",
)

# Those that a tenant's lists may make due.
_index("ix_connections_named", connections.c.tenant_id, where="names IS NOT NULL")

_index("ix_connections_not_in_sync", connections.c.tenant_id, connections.c.state, where="state <> 'in_sync'")

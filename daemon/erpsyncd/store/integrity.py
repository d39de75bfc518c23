"""Looking through a whole store for what should never be: damage, loose ends, values that do not open, wrong counts."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import ColumnElement, Connection, exists, func, select, text

from erpsyncd.domain.secrets import Template
from erpsyncd.store.rows import read_connection_template, read_tenant_spec, select_connections, select_tenants
from erpsyncd.store.sealing import Sealer
from erpsyncd.store.tables import connections, metadata, tenants
from erpsyncd.store.views import Examined

#: So many rows are held at once.
_BATCH = 500


def examine(connection: Connection, sealer: Sealer) -> tuple[Examined, ...]:
    """Return what was looked at, and what is wrong with it."""
    found = {
        "file": file_problems(connection),
        "links": link_problems(connection),
        "sealed values": _value_problems(connection, sealer),
        "counts": _count_problems(connection),
    }
    return tuple(Examined(name=name, problems=tuple(problems)) for name, problems in found.items())


def file_problems(connection: Connection) -> Iterator[str]:
    """Ask SQLite whether its file is whole. A PostgreSQL server looks after its own."""
    if connection.dialect.name == "sqlite":
        said = connection.execute(text("PRAGMA integrity_check")).scalars()
        yield from (f"SQLite says: {line}" for line in said if line != "ok")


def link_problems(connection: Connection) -> Iterator[str]:
    """Find rows that belong to others that are not there."""
    for table in metadata.sorted_tables:
        for key in sorted(table.foreign_keys, key=lambda key: key.parent.name):
            parent = key.column.table.alias()
            there: ColumnElement[bool] = exists().where(parent.c[key.column.name] == key.parent)
            query = select(func.count()).select_from(table).where(key.parent.is_not(None), ~there)
            loose = connection.execute(query).scalar_one()
            if loose:
                yield f"{loose} rows of {table.name} name a row of {key.column.table.name} that is not there"


def _value_problems(connection: Connection, sealer: Sealer) -> Iterator[str]:
    for row in connection.execute(select_tenants().execution_options(yield_per=_BATCH)):
        yield from _damages(read_tenant_spec(row, sealer).templates)
    query = select_connections().order_by(connections.c.id).execution_options(yield_per=_BATCH)
    for row in connection.execute(query):
        yield from _damages(read_connection_template(row, sealer, tenant=row.tenant).templates)


def _damages(templates: dict[str, Template]) -> Iterator[str]:
    yield from (template.damage for template in templates.values() if template.damage is not None)


def _count_problems(connection: Connection) -> Iterator[str]:
    counted = select(connections.c.tenant_id, func.count().label("count")).group_by(connections.c.tenant_id).subquery()
    there = func.coalesce(counted.c.count, 0)
    query = (
        select(tenants.c.name, tenants.c.connection_count, there.label("there"))
        .outerjoin(counted, counted.c.tenant_id == tenants.c.id)
        .where(tenants.c.connection_count != there)
        .order_by(tenants.c.id)
    )
    for row in connection.execute(query):
        yield f"tenant {row.name!r} has {row.there} connections, but is said to have {row.connection_count}"

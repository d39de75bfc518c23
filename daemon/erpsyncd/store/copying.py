"""A whole store copied into an empty one, from SQLite to PostgreSQL or back: every row, every number, sealed as it is.

One transaction at each end: the copy is of one moment, and a failure leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, RowMapping, Table, delete, func, insert, select, text
from sqlalchemy.engine import URL

from erpsyncd.errors import RunInProgress, StoreError, UsageError
from erpsyncd.store import schema
from erpsyncd.store.addresses import shown, sqlite_path
from erpsyncd.store.administration import count_open_leases
from erpsyncd.store.database import Database
from erpsyncd.store.engine import create_file
from erpsyncd.store.integrity import link_problems
from erpsyncd.store.sqlite_file import delete_if_empty
from erpsyncd.store.tables import metadata, store_metadata, tenants
from erpsyncd.store.views import Copied, Copy

#: So many rows are held at once.
_BATCH = 1_000

#: A lease belongs to a process that works on the other store.
_NOT_COPIED: dict[str, dict[str, Any]] = {tenants.name: {"lease_owner": None, "lease_until": None}}

_NUMBERED = tuple(table for table in metadata.sorted_tables if "id" in table.c and table is not store_metadata)


def copy_store(source: Database, url: URL) -> Copy:
    """Copy everything into a store that is not there yet, or empty.

    Raises:
        UsageError: it is not empty, or is the source itself.
        RunInProgress: another process works on the source; what it does later would be missing in the copy.
        ConfigurationError: the target cannot be used, or belongs to a newer version.
        StoreError: one of the two databases failed; nothing was copied.
    """
    if url == source.url:
        raise UsageError(f"{source.place} is the store itself; name another one to copy it to")
    with source.read() as there:
        _refuse_if_at_work(there, source.place)
        key_id = there.execute(select(store_metadata.c.key_id)).scalar_one_or_none()
        numbers = {table.name: _last_number(there, table) for table in _NUMBERED}
        with _nothing_left(url), schema.upgraded(url) as (here, _):
            _make_sure_it_is_empty(here, shown(url))
            copied = tuple(_copy_rows(source, there, here, table) for table in metadata.sorted_tables)
            for table in _NUMBERED:
                _go_on_from(here, table, max(numbers[table.name], _highest(here, table)))
            _compare(here, copied, shown(url))
    return Copy(place=shown(url), key_id=key_id, tables=copied)


@contextmanager
def _nothing_left(url: URL) -> Iterator[None]:
    """Delete the file of a SQLite store that was made here for the copy, if that fails."""
    path = sqlite_path(url)
    is_ours = path is not None and create_file(path)
    try:
        yield
    except BaseException:
        if path is not None and is_ours:
            delete_if_empty(path)
        raise


def _refuse_if_at_work(connection: Connection, place: str) -> None:
    """Refuse while other processes work on a PostgreSQL store. With SQLite, who asks for a copy has the lock."""
    if connection.dialect.name == "sqlite":
        return
    sessions = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND application_name = current_setting('application_name')"
    )
    others = max(count_open_leases(connection), connection.execute(sessions).scalar_one())
    if others:
        raise RunInProgress(
            f"{others} other erpsyncd processes work on the store {place}, or did a moment ago; stop all nodes, and "
            "try again in some minutes"
        )


def _make_sure_it_is_empty(connection: Connection, place: str) -> None:
    """Refuse a store that somebody worked with. One that just got its key gets another one's instead."""
    if connection.dialect.name != "sqlite":
        names = ", ".join(table.name for table in metadata.sorted_tables)
        connection.execute(text("SET LOCAL lock_timeout = '30s'"))
        connection.execute(text(f"LOCK TABLE {names} IN EXCLUSIVE MODE"))
    for table in metadata.sorted_tables:
        if table is not store_metadata and connection.execute(select(table).limit(1)).first() is not None:
            raise UsageError(f"the store {place} is not empty: there are {table.name} in it; name an empty one")
    connection.execute(delete(store_metadata))


def _copy_rows(source: Database, there: Connection, here: Connection, table: Table) -> Copied:
    changed = _NOT_COPIED.get(table.name, {})
    count = 0
    for rows in _read_rows(source, there, table):
        here.execute(insert(table), [{**row, **changed} for row in rows])
        count += len(rows)
    return Copied(table=table.name, rows=count)


def _read_rows(source: Database, there: Connection, table: Table) -> Iterator[Sequence[RowMapping]]:
    """Yield some rows at a time. What fails here is the source's failure, not the target's."""
    query = select(table).order_by(*table.primary_key).execution_options(yield_per=_BATCH)
    with source.errors_translated():
        yield from there.execute(query).mappings().partitions()


def _highest(connection: Connection, table: Table) -> int:
    found: int = connection.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one()
    return found


def _last_number(connection: Connection, table: Table) -> int:
    """Return the last number that was given out, also where its row is gone; 0 where nobody remembers."""
    if connection.dialect.name == "sqlite":
        query = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
        return connection.execute(query, {"name": table.name}).scalar_one_or_none() or 0
    sequence = connection.execute(_sequence_of(table)).scalar_one()
    found: int = connection.execute(
        text(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}")  # noqa: S608 -- the server's word
    ).scalar_one()
    return found


def _go_on_from(connection: Connection, table: Table, number: int) -> None:
    """Let the next row be the one after this number."""
    if connection.dialect.name != "sqlite":
        if number:
            sequence = connection.execute(_sequence_of(table)).scalar_one()
            connection.execute(select(func.setval(sequence, number)))
    elif table.dialect_options["sqlite"]["autoincrement"]:
        values = {"name": table.name, "seq": number}
        connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), values)
        connection.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :seq)"), values)


def _sequence_of(table: Table) -> Any:
    return select(func.pg_get_serial_sequence(table.name, "id"))


def _compare(connection: Connection, copied: tuple[Copied, ...], place: str) -> None:
    """Count what arrived, and look whether it holds together; foreign keys are off on SQLite during a migration."""
    for one in copied:
        count = select(func.count()).select_from(metadata.tables[one.table])
        arrived = connection.execute(count).scalar_one()
        if arrived != one.rows:
            raise StoreError(f"of {one.rows} {one.table}, {arrived} arrived in {place}; nothing was copied")
    for problem in link_problems(connection):
        raise StoreError(f"the copy in {place} would not hold together: {problem}; nothing was copied")

"""The store's revision: what it is, what it must be, and the way from one to the other.

SQLite is upgraded when a process opens it; PostgreSQL by `erpsyncd db upgrade` only, because other nodes work
on it. alembic is imported when there is something to upgrade, not before.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib.resources import as_file, files

from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine import URL

from erpsyncd.errors import ConfigurationError, StoreError
from erpsyncd.store.addresses import shown, sqlite_path
from erpsyncd.store.database import Database
from erpsyncd.store.engine import make_engine, to_write
from erpsyncd.store.failures import database_errors_translated
from erpsyncd.store.tables import HEAD, REVISIONS, tenants

#: Any number; it keeps two `db upgrade` on one PostgreSQL apart.
_UPGRADE_LOCK = 0x657270

#: After so many instructions SQLite's machine tells that it still works: some milliseconds.
_INSTRUCTIONS = 100_000


class Standing(StrEnum):
    """How a store's revision relates to the program's."""

    EMPTY = "empty"
    BEHIND = "behind"
    CURRENT = "current"


def standing(connection: Connection, place: str) -> Standing:
    """Say how the store stands to this program.

    Raises:
        ConfigurationError: the store is newer than the program, or it is no store of erpsyncd.
    """
    present = inspect(connection).get_table_names()
    found = _revisions(connection) if "alembic_version" in present else ()
    if not found:
        if tenants.name in present:
            raise ConfigurationError(f"the store {place} has tables, but not of erpsyncd; look at store.url")
        return Standing.EMPTY
    return _compare(found, place)


def refuse_if_not_current(connection: Connection, place: str) -> None:
    """Refuse to go on with a store that another process upgraded in the meantime.

    Raises:
        ConfigurationError: the store is not at this program's revision.
    """
    found = _revisions(connection)
    if found != (HEAD,):
        _refuse_if_newer(found, place)
        raise _behind(place)


def make_current(database: Database, *, may_be_empty: bool = True, upgrading: Callable[[], None] | None = None) -> None:
    """Bring a SQLite store to this program's revision; refuse a PostgreSQL store that is behind.

    `upgrading` is called again and again while an upgrade moves on.

    Raises:
        ConfigurationError: the store is newer, is none, or has to be upgraded by an operator.
        StoreError: it is empty, and may not be.
    """
    with database.read() as connection:
        found = standing(connection, database.place)
    if found is Standing.CURRENT:
        return
    if found is Standing.EMPTY and not may_be_empty:
        raise emptied(database.place)
    if not database.is_sqlite:
        raise _behind(database.place)
    upgrade(database.url, upgrading)


def upgrade(url: URL, upgrading: Callable[[], None] | None = None) -> bool:
    """Upgrade a store, whole or not at all; say whether there was anything to do.

    Raises:
        ConfigurationError: the store is newer than the program, or is none.
        StoreError: the database failed.
    """
    with upgraded(url, upgrading) as (_, was_behind):
        return was_behind


@contextmanager
def upgraded(url: URL, upgrading: Callable[[], None] | None = None) -> Iterator[tuple[Connection, bool]]:
    """Open a transaction on a store that is at this program's revision; say whether it was not before.

    The upgrade, which may make all tables, is undone together with whatever else fails in the transaction.

    Raises:
        ConfigurationError: the store is newer than the program, or is none.
        StoreError: the database failed.
    """
    place = shown(url)
    # Foreign keys are off, or dropping a table that SQLite can only change by making it anew would empty
    # the tables that refer to it.
    engine = make_engine(url, foreign_keys=False, time_limits=False)
    try:
        with database_errors_translated(place), to_write(engine).begin() as connection:
            if sqlite_path(url) is None:
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _UPGRADE_LOCK})
            is_behind = standing(connection, place) is not Standing.CURRENT
            if is_behind:
                with _watched(connection, upgrading):
                    migrate(connection, "upgrade", "head")
            yield connection, is_behind
    finally:
        engine.dispose()


def migrate(connection: Connection, direction: str, target: str) -> None:
    """Run alembic's `upgrade` or `downgrade` on this connection, inside its transaction."""
    from alembic import command  # noqa: PLC0415 -- a start with nothing to upgrade must not pay for it
    from alembic.config import Config  # noqa: PLC0415 -- as above

    with as_file(files("erpsyncd.migrations")) as scripts:
        config = Config(attributes={"connection": connection})
        # A percent sign in a path would be taken for an interpolation.
        config.set_main_option("script_location", str(scripts).replace("%", "%%"))
        config.set_main_option("path_separator", "newline")
        getattr(command, direction)(config, target)


@contextmanager
def _watched(connection: Connection, moves: Callable[[], None] | None) -> Iterator[None]:
    """Call `moves` while SQLite's machine works, and not while it stands still."""
    raw: object = connection.connection.dbapi_connection
    if moves is None or not isinstance(raw, sqlite3.Connection):
        yield
        return
    moves()
    # What it returns says whether to break off, and None is no.
    raw.set_progress_handler(moves, _INSTRUCTIONS)
    try:
        yield
    finally:
        raw.set_progress_handler(None, 0)


def _revisions(connection: Connection) -> tuple[str, ...]:
    return tuple(connection.execute(text("SELECT version_num FROM alembic_version")).scalars())


def _compare(found: tuple[str, ...], place: str) -> Standing:
    _refuse_if_newer(found, place)
    return Standing.CURRENT if found == (HEAD,) else Standing.BEHIND


def _refuse_if_newer(found: tuple[str, ...], place: str) -> None:
    unknown = sorted(set(found) - set(REVISIONS))
    if unknown:
        raise ConfigurationError(
            f"the store {place} is at revision {', '.join(unknown)}, which this version does not know (it is made "
            f"for {HEAD}); a newer erpsyncd upgraded it, so update erpsyncd here too"
        )


def emptied(place: str) -> StoreError:
    """Return the error for a store that was taken away while it was in use. Nobody begins a new one on his own."""
    return StoreError(
        f"the store {place} was replaced by an empty one while it was in use; put a backup there, or start erpsyncd "
        "anew to begin with it"
    )


def _behind(place: str) -> ConfigurationError:
    return ConfigurationError(
        f"the store {place} has to be upgraded first; stop all nodes and run: erpsyncd db upgrade"
    )

"""Engines: how a connection is set up, and how its transactions begin."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, ExceptionContext

from erpsyncd.files import file_error
from erpsyncd.store.addresses import sqlite_path
from erpsyncd.store.failures import directory_missing
from erpsyncd.store.sqlite_file import StoreFile

#: How long one SQLite connection waits for another one's transaction. An import of 10,000 connections is
#: one transaction.
_BUSY_SECONDS = 30.0

#: The execution option by which a transaction says that it will write.
_WRITES = "erpsyncd_writes"

#: After these SQLite connections are not used again. One that was opened while the file was read-only stays so for
#: ever, and a statement that failed in this way has ended the transaction around it, its savepoints with it.
_GIVEN_UP = frozenset(
    {
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)

#: PostgreSQL's word for a server that only answers questions, as the old one does after a failover.
_READ_ONLY_SERVER = "25006"


def make_engine(
    url: URL, *, file: StoreFile | None = None, foreign_keys: bool = True, time_limits: bool = True
) -> Engine:
    """Return an engine; nothing is connected yet. `file` is for who wants to know what becomes of a SQLite store's.

    Migrations want both switches off: `foreign_keys` on SQLite, and `time_limits` on PostgreSQL, where a table may
    take its time to change.

    Raises:
        ConfigurationError: there is no directory for the database's file, or it cannot be made.
        StoreError: there is no room for the file.
    """
    path = sqlite_path(url)
    if path is None:
        engine = create_engine(url, hide_parameters=True, pool_pre_ping=True)
        _limit_answers(engine, time_limits=time_limits)
        return engine
    create_file(path)
    opened = file or StoreFile(path)
    engine = create_engine(
        url,
        hide_parameters=True,
        creator=lambda: opened.connect(busy_seconds=_BUSY_SECONDS, foreign_keys=foreign_keys),
    )
    _control_transactions(engine)
    return engine


def to_write(engine: Engine) -> Engine:
    """Return the engine for transactions that write; both share one pool."""
    return engine.execution_options(**{_WRITES: True})


def create_file(path: Path) -> bool:
    """Make the database's file before SQLite does, so that nobody else can ever read it; say whether it is new.

    SQLite gives its `-wal` and `-shm` files the mode of the database.

    Raises:
        ConfigurationError: there is no directory for it, or it cannot be made.
        StoreError: there is no room for it.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return False
    except FileNotFoundError:
        raise directory_missing(path) from None
    except OSError as exc:
        raise file_error(f"the store {path} cannot be created", exc) from exc
    return True


def _control_transactions(engine: Engine) -> None:
    """Begin transactions ourselves: the driver (told not to: `isolation_level`) would begin them late or never."""

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first and writes later can fail with "database is locked" at once, without
        # any waiting, if somebody wrote in between: one that will write says so when it begins.
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN DEFERRED")

    @event.listens_for(engine, "handle_error")
    def give_up(context: ExceptionContext) -> None:
        code = getattr(context.original_exception, "sqlite_errorcode", None)
        # The low byte is the kind of error, the rest says more about it.
        if code is not None and code & 0xFF in _GIVEN_UP:
            context.is_disconnect = True


def _limit_answers(engine: Engine, *, time_limits: bool) -> None:
    """Let PostgreSQL connections give up on a server that does not answer, and on one that may not write."""

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, arguments: list[Any], options: dict[str, Any]) -> Any:
        if not time_limits:
            return None
        from erpsyncd.store import server_connection  # noqa: PLC0415 -- the driver is an extra

        return server_connection.connect(*arguments, **options)

    @event.listens_for(engine, "handle_error")
    def give_up(context: ExceptionContext) -> None:
        if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY_SERVER:
            context.is_disconnect = True

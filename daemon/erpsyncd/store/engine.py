"""Engines: how a connection is set up, and how its transactions begin."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection

from erpsyncd.errors import ConfigurationError
from erpsyncd.store.addresses import sqlite_path

#: How long one SQLite connection waits for another one's transaction. An import of 10,000 connections is
#: one transaction.
_BUSY_SECONDS = 30.0

#: The execution option by which a transaction says that it will write.
_WRITES = "erpsyncd_writes"


def make_engine(url: URL, *, foreign_keys: bool = True) -> Engine:
    """Return an engine; nothing is connected yet. Migrations of SQLite want `foreign_keys` off.

    Raises:
        ConfigurationError: there is no directory for the database's file, or it cannot be made.
    """
    path = sqlite_path(url)
    if path is None:
        return create_engine(url, hide_parameters=True, pool_pre_ping=True)
    _create_file(path)
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": _BUSY_SECONDS, "isolation_level": None})
    _control_transactions(engine, foreign_keys=foreign_keys)
    return engine


def to_write(engine: Engine) -> Engine:
    """Return the engine for transactions that write; both share one pool."""
    return engine.execution_options(**{_WRITES: True})


def _create_file(path: Path) -> None:
    """Make the database's file before SQLite does, so that nobody else can ever read it.

    SQLite gives its `-wal` and `-shm` files the mode of the database.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    except FileNotFoundError:
        raise ConfigurationError(
            f"the store's directory {path.parent} does not exist; create it or set store.url"
        ) from None
    except OSError as exc:
        raise ConfigurationError(f"the store {path} cannot be created: {exc.strerror}") from exc


def _control_transactions(engine: Engine, *, foreign_keys: bool) -> None:
    """Begin transactions ourselves: the driver (told not to: `isolation_level`) would begin them late or never."""

    @event.listens_for(engine, "connect")
    def set_up(connection: DBAPIConnection, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first and writes later can fail with "database is locked" at once, without
        # any waiting, if somebody wrote in between: one that will write says so when it begins.
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN DEFERRED")

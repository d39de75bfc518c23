"""Engines: how a connection is set up, and for whom it is given up."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.dialects import registry
from sqlalchemy.engine import URL, ExceptionContext

from erpsyncd.files import file_error
from erpsyncd.store.addresses import sqlite_path
from erpsyncd.store.failures import directory_missing
from erpsyncd.store.sqlite_file import StoreFile

#: How long one SQLite connection waits for another one's transaction. An import of 10,000 connections is
#: one transaction.
_BUSY_SECONDS = 30.0

#: Ours for a file, by the name that addresses have for dialects.
_DRIVER = "erpsyncd"
registry.register(f"sqlite.{_DRIVER}", "erpsyncd.store.sqlite_dialect", "FileDialect")

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
    return create_engine(
        url.set(drivername=f"sqlite+{_DRIVER}"),
        hide_parameters=True,
        creator=lambda: opened.connect(busy_seconds=_BUSY_SECONDS, foreign_keys=foreign_keys),
    )


def to_write(engine: Engine) -> Engine:
    """Return the engine for transactions that write; both share one pool."""
    writing = engine.execution_options()
    if engine.dialect.name == "sqlite":
        writing.dialect = engine.dialect.to_write()  # type: ignore[attr-defined]  # it is ours
    return writing


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

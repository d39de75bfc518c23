"""The database: one engine, and transactions that speak in errors of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.engine import URL

from erpsyncd.store.addresses import shown, sqlite_path
from erpsyncd.store.engine import make_engine, to_write
from erpsyncd.store.failures import database_errors_translated


class Database:
    """An engine with its address."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self.place = shown(url)
        self.path: Path | None = sqlite_path(url)
        self.engine = make_engine(url)
        self._writing = to_write(self.engine)
        # SQLite's transactions see one moment anyway; PostgreSQL's do when they are told to.
        self._reading = (
            self.engine if self.is_sqlite else self.engine.execution_options(isolation_level="REPEATABLE READ")
        )

    @property
    def is_sqlite(self) -> bool:
        """Whether this is one file for one process's passes; else a server for many."""
        return self.path is not None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that only reads, and sees the store as it is at one moment."""
        with database_errors_translated(self.place), self._reading.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that writes; it commits at the end, and not at all after an error."""
        with database_errors_translated(self.place), self._writing.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

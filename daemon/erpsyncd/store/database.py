"""The database: one engine, and transactions that speak in errors of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL

from erpsyncd.store.addresses import shown, sqlite_path
from erpsyncd.store.engine import make_engine, to_write
from erpsyncd.store.failures import database_errors_translated
from erpsyncd.store.sqlite_file import FileConnection, StoreFile


class Database:
    """An engine with its address, and the file behind it where it is one."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self.place = shown(url)
        self.path: Path | None = sqlite_path(url)
        self._file = None if self.path is None else StoreFile(self.path)
        self.engine = make_engine(url, file=self._file)
        self._writing = to_write(self.engine)
        # SQLite's transactions see one moment anyway; PostgreSQL's do when they are told to.
        self._reading = (
            self.engine if self.is_sqlite else self.engine.execution_options(isolation_level="REPEATABLE READ")
        )
        self._written = False

    @property
    def is_sqlite(self) -> bool:
        """Whether this is one file for one process's passes; else a server for many."""
        return self.path is not None

    @property
    def is_lost(self) -> bool:
        """Whether the file that was open is known not to be at its path any more."""
        return self._file is not None and self._file.is_lost

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that only reads, and sees the store as it is at one moment."""
        with self.errors_translated(), self._connected(self._reading) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that writes; it commits at the end, and not at all after an error."""
        with self.errors_translated(), self._connected(self._writing) as connection:
            with connection.begin():
                yield connection
            # What was committed into a file that is not there any more is not in the store.
            self._refuse_if_lost(connection)
        self._written = True

    def errors_translated(self) -> AbstractContextManager[None]:
        """Translate what the driver raises. What has been possible before is no matter of configuration any more."""
        return database_errors_translated(self.place, has_worked=self._written)

    @contextmanager
    def found_again(self) -> Iterator[None]:
        """Go on with the file that is at the path now; after an error inside it counts as lost as before.

        Raises:
            StoreError: there is none, or it has another one's log.
        """
        assert self._file is not None, "only files are lost"
        try:
            with self._file.found_again():
                yield
        except BaseException:
            self.engine.dispose()
            raise

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    @contextmanager
    def _connected(self, engine: Engine) -> Iterator[Connection]:
        if self._file is not None:
            self._file.refuse_if_lost()
        with engine.connect() as connection:
            try:
                self._refuse_if_lost(connection)
                yield connection
            finally:
                if self.is_lost and not connection.invalidated:
                    _file_connection(connection).let_go()
                    connection.invalidate()
                    self.engine.dispose()

    def _refuse_if_lost(self, connection: Connection) -> None:
        """Refuse to go on with a connection whose files are not at their path any more."""
        if self._file is not None:
            self._file.refuse_if_lost(_file_connection(connection))


def _file_connection(connection: Connection) -> FileConnection:
    raw: object = connection.connection.dbapi_connection
    assert isinstance(raw, FileConnection), "engines of files make no others"
    return raw

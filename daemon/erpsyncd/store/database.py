"""The database: one engine, and transactions that speak in errors of ours."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL

from erpsyncd.errors import StoreError
from erpsyncd.store.addresses import shown, sqlite_path
from erpsyncd.store.engine import make_engine, to_write
from erpsyncd.store.failures import database_errors_translated
from erpsyncd.store.sqlite_file import FileConnection, Loss, OpenFiles, log_and_index, lost_sentence


class Database:
    """An engine with its address.

    Where the file at a SQLite store's path is not the one that is open any more, everything is refused from then on,
    until `found_again`: what one pass knows of one store must not get into another.
    """

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
        self._written = False
        self._lost: tuple[Loss, OpenFiles] | None = None
        self._looking = threading.Lock()

    @property
    def is_sqlite(self) -> bool:
        """Whether this is one file for one process's passes; else a server for many."""
        return self.path is not None

    @property
    def is_lost(self) -> bool:
        """Whether the file that was open is known not to be at its path any more."""
        return self._lost is not None

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
        assert self.path is not None, "only files are lost"
        lost = self._lost
        if lost is not None and lost[1].left_log_at(self.path):
            log, index = log_and_index(self.path)
            raise StoreError(
                f"the store {self.path} was replaced, but {log.name} is still the old file's; stop erpsyncd and "
                f"remove {log.name} and {index.name}"
            )
        self._lost = None
        try:
            yield
        except BaseException:
            self._lost = lost
            self.engine.dispose()
            raise

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    @contextmanager
    def _connected(self, engine: Engine) -> Iterator[Connection]:
        self._refuse_if_known_to_be_lost()
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
        self._refuse_if_known_to_be_lost()
        if self.path is None:
            return
        opened = _file_connection(connection)
        loss = opened.lost_at(self.path)
        if loss is not None:
            self._lose(loss, opened.files)
            self._refuse_if_known_to_be_lost()

    def _lose(self, loss: Loss, files: OpenFiles) -> None:
        with self._looking:
            if self._lost is None:
                self._lost = (loss, files)

    def _refuse_if_known_to_be_lost(self) -> None:
        if self._lost is not None and self.path is not None:
            raise StoreError(lost_sentence(self.path, self._lost[0]))


def _file_connection(connection: Connection) -> FileConnection:
    raw: object = connection.connection.dbapi_connection
    assert isinstance(raw, FileConnection), "engines of files make no others"
    return raw

"""SQLAlchemy's dialect for a store's file: how its transactions begin, and which errors end a connection.

Both could be engine events too, but SQLAlchemy asks for listeners several times with each statement as soon as
there is one. Loaded by its name (`engine.py`), so that only who has a file pays for it.
"""

from __future__ import annotations

import sqlite3
from typing import Any, ClassVar

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

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


class FileDialect(SQLiteDialect_pysqlite):
    """Begins transactions itself: the driver (told not to: `isolation_level`) would begin them late or never."""

    supports_statement_cache = True
    begins: ClassVar[str] = "BEGIN DEFERRED"

    def do_begin(self, dbapi_connection: Any) -> None:
        """Begin."""
        dbapi_connection.cursor().execute(self.begins)

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        """Say whether this error is the connection's end."""
        code = getattr(e, "sqlite_errorcode", None)
        # The low byte is the kind of error, the rest says more about it.
        return (code is not None and code & 0xFF in _GIVEN_UP) or super().is_disconnect(e, connection, cursor)

    def to_write(self) -> WritingDialect:
        """Return the dialect of transactions that write. What the first connection teaches one of them, both know."""
        twin = WritingDialect.__new__(WritingDialect)
        twin.__dict__ = self.__dict__
        return twin


class WritingDialect(FileDialect):
    """Says at once that it will write.

    A transaction that reads first and writes later can fail with "database is locked" at once, without any waiting, if
    somebody wrote in between.
    """

    supports_statement_cache = True
    begins = "BEGIN IMMEDIATE"

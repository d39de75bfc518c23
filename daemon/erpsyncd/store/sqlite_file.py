"""The files of a SQLite store: opened, never made, and compared with what stands at their path later.

SQLite goes on with the file it has opened, also when that was moved away or deleted: what is written then is in
no file that anybody else can find.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self, TypeAlias
from urllib.parse import quote

from erpsyncd.errors import StoreError

#: Device and inode; None where there is no file.
FileId: TypeAlias = tuple[int, int] | None

#: How often a file may be replaced at the very moment at which it is opened.
_ATTEMPTS = 3


class Loss(StrEnum):
    """What became of files that are open."""

    GONE = "gone"
    """There is no database at its path any more."""

    REPLACED = "replaced"
    """Another file stands in its place."""

    STRIPPED = "stripped"
    """The database is there, but not the `-wal` or the `-shm` that belongs to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFiles:
    """Which files they are: the database, its write-ahead log and that one's index."""

    database: FileId
    log: FileId
    index: FileId

    @classmethod
    def at(cls, path: Path) -> Self:
        """Look at what stands at a database's path now."""
        log, index = log_and_index(path)
        return cls(database=_file_id(path), log=_file_id(log), index=_file_id(index))

    def lost_for(self, now: OpenFiles) -> Loss | None:
        """Say what became of these files, if `now` other ones stand at their path."""
        if now.database is None:
            return Loss.GONE
        if now.database != self.database:
            return Loss.REPLACED
        return None if (self.log, self.index) in ((None, None), (now.log, now.index)) else Loss.STRIPPED

    def left_log_at(self, path: Path) -> bool:
        """Whether the path has another database now, but still this one's log, with something in it.

        SQLite cannot tell whose log it is: it would read this one's pages into the other.
        """
        now = OpenFiles.at(path)
        if now.database == self.database or now.log is None or now.log != self.log:
            return False
        return log_and_index(path)[0].stat().st_size > 0


class FileConnection(sqlite3.Connection):
    """A connection that knows which files it was opened on."""

    files: OpenFiles

    def lost_at(self, path: Path) -> Loss | None:
        """Say what became of its files, if they are not what stands at their path."""
        now = OpenFiles.at(path)
        loss = self.files.lost_for(now)
        if loss is None:
            self.files = now  # a database in which nothing was ever written has no log yet
        return loss

    def let_go(self) -> None:
        """Bring into the database what is only in its log, so that both are whole wherever they are now."""
        with suppress(sqlite3.Error):
            self.rollback()
            self.execute("PRAGMA busy_timeout = 0")
            self.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def log_and_index(path: Path) -> tuple[Path, Path]:
    """Return the names of the two files that SQLite keeps beside an open database."""
    return path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")


def connect(path: Path, *, busy_seconds: float, foreign_keys: bool) -> FileConnection:
    """Open a database that exists.

    Raises:
        StoreError: there is none, or it is replaced all the time.
        sqlite3.Error: it cannot be opened.
    """
    for _ in range(_ATTEMPTS):
        before = _file_id(path)
        if before is None:
            raise StoreError(lost_sentence(path, Loss.GONE))
        connection = sqlite3.connect(
            # Not "rwc": a database that comes into being because somebody looked for one hides that it was lost.
            f"file:{quote(os.fsencode(path))}?mode=rw",
            uri=True,
            timeout=busy_seconds,
            isolation_level=None,
            check_same_thread=False,
            factory=FileConnection,
        )
        try:
            _set_up(connection, foreign_keys=foreign_keys)
            connection.files = OpenFiles.at(path)
        except BaseException:
            connection.close()
            raise
        if connection.files.database == before:
            return connection
        connection.close()
    raise StoreError(lost_sentence(path, Loss.REPLACED))


def lost_sentence(path: Path, loss: Loss) -> str:
    """Say what happened to the store, and what to do."""
    log, index = log_and_index(path)
    match loss:
        case Loss.GONE:
            return (
                f"the store {path} is gone: it was moved or deleted while it was in use; put it back, or start "
                "erpsyncd anew to begin with an empty one"
            )
        case Loss.REPLACED:
            return (
                f"the store {path} was replaced by another file while it was in use; the next pass works with the one "
                f"that is there now. To restore a backup, stop erpsyncd first, and remove {log.name} and "
                f"{index.name} together with the old file"
            )
        case Loss.STRIPPED:
            return (
                f"the store {path} lost its {log.name} or {index.name} while it was in use; these belong to it and "
                "must not be removed while erpsyncd runs. The next pass goes on with what the store holds"
            )


def _set_up(connection: sqlite3.Connection, *, foreign_keys: bool) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")


def _file_id(path: Path) -> FileId:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino

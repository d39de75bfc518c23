"""The files of a SQLite store: opened, never made, and compared with what stands at their path later.

SQLite goes on with the file it has opened, also when that was moved away or deleted: what is written then is in
no file that anybody else can find. And it takes the log that stands beside a database for that database's own, so
one that came in another's place is not opened while the other one's connections are.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self, TypeAlias
from urllib.parse import quote
from weakref import WeakSet

from erpsyncd.errors import StoreError

#: Device and inode; None where there is no file.
FileId: TypeAlias = tuple[int, int] | None


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
        log = _status(log_and_index(path)[0])
        is_ours = log is not None and (log.st_dev, log.st_ino) == self.log and log.st_size > 0
        return is_ours and _file_id(path) != self.database


class FileConnection(sqlite3.Connection):
    """A connection that knows which files it was opened on."""

    files: OpenFiles

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._cursors: WeakSet[sqlite3.Cursor] = WeakSet()

    def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
        """Return a cursor, and remember it."""
        made = super().cursor(factory)
        self._cursors.add(made)
        return made

    def close(self) -> None:
        """Close it now.

        SQLite would keep it, locks included, until its last cursor is forgotten, which may be one that an error's
        traceback holds. SQLAlchemy closes none on a connection that it gives up.
        """
        for cursor in tuple(self._cursors):
            cursor.close()
        super().close()

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


def delete_if_empty(path: Path) -> None:
    """Delete a database and its log, unless there is anything in it. Who is about to write finds it gone."""
    with suppress(sqlite3.Error), closing(_opened(path, seconds=0.0)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
            for left in (path, *log_and_index(path)):
                left.unlink(missing_ok=True)


class StoreFile:
    """The one file that a database works with.

    Where that is not at its path any more, everything is refused from then on, until `found_again`: what one pass
    knows of one store must not get into another.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: OpenFiles | None = None
        self._lost: tuple[Loss, OpenFiles] | None = None
        self._looking = threading.Lock()

    @property
    def is_lost(self) -> bool:
        """Whether it is known not to be at its path any more."""
        return self._lost is not None

    def connect(self, *, busy_seconds: float, foreign_keys: bool) -> FileConnection:
        """Open it. The first connection decides which file it is.

        Raises:
            StoreError: there is none, or not the one that the other connections have.
            sqlite3.Error: it cannot be opened.
        """
        before = OpenFiles.at(self.path)
        known = self._files or before
        if before.database is None:
            self._lose(Loss.GONE, known)
        elif before.database != known.database:
            self._lose(Loss.REPLACED, known)
        self.refuse_if_lost()
        connection = _opened(self.path, seconds=busy_seconds)
        try:
            _set_up(connection, foreign_keys=foreign_keys)
            connection.files = OpenFiles.at(self.path)
            if connection.files.database != before.database:
                self._lose(Loss.REPLACED, before)
            self.refuse_if_lost()
        except BaseException:
            connection.close()
            raise
        self._files = connection.files
        return connection

    def refuse_if_lost(self, connection: FileConnection | None = None) -> None:
        """Refuse to go on, if its file is known to be lost, or if those of this connection are.

        Raises:
            StoreError: with what happened, and what to do.
        """
        if connection is not None:
            loss = connection.lost_at(self.path)
            if loss is not None:
                self._lose(loss, connection.files)
            else:
                self._files = connection.files  # a new store's log came into being after it was opened
        if self._lost is not None:
            raise StoreError(lost_sentence(self.path, self._lost[0]))

    @contextmanager
    def found_again(self) -> Iterator[None]:
        """Go on with what is at the path now; after an error inside it counts as lost as before.

        Raises:
            StoreError: another database is there, with the log of the one that was lost.
        """
        lost = self._lost
        if lost is not None and lost[1].left_log_at(self.path):
            log, index = log_and_index(self.path)
            raise StoreError(
                f"the store {self.path} was replaced, but {log.name} is still the old file's; stop erpsyncd and "
                f"remove {log.name} and {index.name}"
            )
        self._lost = self._files = None
        try:
            yield
        except BaseException:
            self._lost = lost
            raise

    def _lose(self, loss: Loss, files: OpenFiles) -> None:
        with self._looking:
            if self._lost is None:
                self._lost = (loss, files)


def lost_sentence(path: Path, loss: Loss) -> str:
    """Say what happened to the store, and what to do."""
    log, index = log_and_index(path)
    if loss is Loss.GONE:
        return (
            f"the store {path} is gone: it was moved or deleted while it was in use; put it back, or start "
            "erpsyncd anew to begin with an empty one"
        )
    if loss is Loss.REPLACED:
        return (
            f"the store {path} was replaced by another file while it was in use; the next pass works with the one "
            f"that is there now. To restore a backup, stop erpsyncd first, and remove {log.name} and "
            f"{index.name} together with the old file"
        )
    return (
        f"the store {path} lost its {log.name} or {index.name} while it was in use; these belong to it and "
        "must not be removed while erpsyncd runs. The next pass goes on with what the store holds"
    )


def _opened(path: Path, *, seconds: float) -> FileConnection:
    return sqlite3.connect(
        # Not "rwc": a database that comes into being because somebody looked for one hides that it was lost.
        f"file:{quote(os.fsencode(path))}?mode=rw",
        uri=True,
        timeout=seconds,
        isolation_level=None,
        check_same_thread=False,
        factory=FileConnection,
    )


def _set_up(connection: sqlite3.Connection, *, foreign_keys: bool) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")


def _file_id(path: Path) -> FileId:
    status = _status(path)
    return None if status is None else (status.st_dev, status.st_ino)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        # It may be there: nobody knows, so it does not count as lost.
        raise StoreError(f"the store's file {path} cannot be found: {exc.strerror}; look at its directory") from exc

"""What the database's driver says, in words of ours: what failed, where, and what to do.

Neither a statement's parameters nor a password get into a message.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError

from erpsyncd.errors import ConfigurationError, DaemonError, StoreError

#: SQLite's words for a file that has to be put right by an operator: (ours, what to do).
_UNUSABLE = {
    "SQLITE_CANTOPEN": "cannot be opened; this user has to be able to write it and its directory; look at their modes",
    "SQLITE_NOTADB": "is not a SQLite database; look at store.url, or stop erpsyncd and restore it from a backup",
    "SQLITE_READONLY": "is not writable for this user; look at its owner, its mode and those of its directory",
    "SQLITE_PERM": "is not accessible for this user; look at its owner and mode",
}
_LOCKED = "is locked by another program for too long; look for one that has it open"
_NO_ROOM = "cannot be written: the disk failed or is full, or a quota or a limit on the size of files is reached"
_BROKEN = {
    "SQLITE_BUSY": _LOCKED,
    "SQLITE_PROTOCOL": _LOCKED,
    "SQLITE_FULL": "cannot grow: the disk is full",
    # SQLite asks only whether the disk is full; a quota and a limit (ulimit -f, LimitFSIZE=) look like failures.
    "SQLITE_IOERR_WRITE": _NO_ROOM,
    "SQLITE_IOERR_SHMSIZE": _NO_ROOM,
    "SQLITE_IOERR": "cannot be read or written: the disk failed",
    "SQLITE_CORRUPT": "is damaged; stop erpsyncd and restore it from a backup",
}

#: PostgreSQL's codes that need more than its sentence: what to do.
_SERVER_HINTS = {
    "42501": "grant its user what it needs",
    "25006": "this server only answers questions; look whether another one is the primary now",
    "53100": "its disk is full",
    "55P03": "another program locks these rows for too long; look for one that has a transaction open",
    "57014": "it took too long, or somebody cancelled it",
    "57P01": "it was restarted, or somebody cut the connection; the next pass connects again",
}


def directory_missing(path: Path) -> ConfigurationError:
    """Return the error for a store whose directory does not exist."""
    return ConfigurationError(f"the store's directory {path.parent} does not exist; create it or set store.url")


@contextmanager
def database_errors_translated(place: str, *, has_worked: bool = False) -> Iterator[None]:
    """Turn what the driver raises into `StoreError`, or `ConfigurationError` where only an operator can help.

    `place` is the store's address as `shown` renders it. A store that `has_worked` in this process is set up right:
    whatever fails then is a `StoreError`, which may pass, and must not end a daemon for good.
    """
    try:
        yield
    except DBAPIError as exc:
        error = _translated(exc, place)
        raise (StoreError(str(error)) if has_worked else error) from exc
    except StatementError as exc:
        if exc.orig is None:
            raise StoreError(f"the store {place} failed: {type(exc).__name__}") from exc
        # Ours, raised while a parameter was prepared: a defect, not a failure of the database.
        raise exc.orig from None
    except SQLAlchemyError as exc:
        raise StoreError(f"the store {place} failed: {_first_line(exc)}") from exc


def _translated(error: DBAPIError, place: str) -> DaemonError:
    driver_error = error.orig
    if isinstance(driver_error, sqlite3.Error):
        return _of_sqlite(driver_error, place)
    return _of_postgres(driver_error, place)


def _of_sqlite(error: sqlite3.Error, place: str) -> DaemonError:
    name = getattr(error, "sqlite_errorname", None) or ""
    for known, words in _UNUSABLE.items():
        if name.startswith(known):
            return ConfigurationError(f"the store {place} {words}")
    for known, words in _BROKEN.items():
        if name.startswith(known):
            return StoreError(f"the store {place} {words}")
    words = _first_line(error)
    # Somebody emptied the file while it was open: each connection goes on with what it found then.
    hint = "; stop erpsyncd and restore it from a backup" if words.startswith("no such table") else ""
    return StoreError(f"the store {place} failed: {words}{hint}")


def _of_postgres(error: BaseException | None, place: str) -> DaemonError:
    code = getattr(error, "sqlstate", None) or ""
    # The server's sentence alone: its details repeat whole rows.
    words = getattr(getattr(error, "diag", None), "message_primary", None) or _first_line(error)
    if not code:
        return StoreError(f"the store {place} does not answer: {words}; look at the server and at store.url")
    hint = f"; {_SERVER_HINTS[code]}" if code in _SERVER_HINTS else ""
    if code == "42501":
        return ConfigurationError(f"the store {place} refuses: {words}{hint}")
    return StoreError(f"the store {place} failed: {words} ({code}){hint}")


def _first_line(error: BaseException | None) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

"""What the database's driver says, in words of ours: what failed, where, and what to do.

Neither a statement's parameters nor a password get into a message.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError

from erpsyncd.errors import ConfigurationError, DaemonError, StoreError

#: SQLite's words for a file that has to be put right by an operator: (ours, what to do).
_UNUSABLE = {
    "SQLITE_CANTOPEN": "cannot be opened; its directory must exist and be writable for this user",
    "SQLITE_NOTADB": "is not a SQLite database; look at store.url",
    "SQLITE_READONLY": "is not writable for this user; look at its owner, its mode and those of its directory",
    "SQLITE_PERM": "is not accessible for this user; look at its owner and mode",
}
_BROKEN = {
    "SQLITE_BUSY": "is locked by another program for too long; look for one that has it open",
    "SQLITE_FULL": "cannot grow: the disk is full",
    "SQLITE_IOERR": "cannot be read or written: the disk failed",
    "SQLITE_CORRUPT": "is damaged; restore it from a backup",
}


@contextmanager
def database_errors_translated(place: str) -> Iterator[None]:
    """Turn what the driver raises into `StoreError`, or `ConfigurationError` where only an operator can help.

    `place` is the store's address as `shown` renders it.
    """
    try:
        yield
    except DBAPIError as exc:
        raise _translated(exc, place) from exc
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
    return StoreError(f"the store {place} failed: {_first_line(error)}")


def _of_postgres(error: BaseException | None, place: str) -> DaemonError:
    code = getattr(error, "sqlstate", None) or ""
    # The server's sentence alone: its details repeat whole rows.
    words = getattr(getattr(error, "diag", None), "message_primary", None) or _first_line(error)
    if code == "42501":
        return ConfigurationError(f"the store {place} refuses: {words}; grant its user what it needs")
    if not code:
        return StoreError(f"the store {place} does not answer: {words}; look at the server and at store.url")
    return StoreError(f"the store {place} failed: {words} ({code})")


def _first_line(error: BaseException | None) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

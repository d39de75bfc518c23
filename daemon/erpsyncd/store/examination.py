"""The store as its doctor sees it: whether it answers, of which version it is, whether it can be written and opened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import text

from erpsyncd.domain.findings import Finding, Result, finding_from
from erpsyncd.errors import DaemonError
from erpsyncd.files import is_missing
from erpsyncd.store.addresses import read_url, shown
from erpsyncd.store.database import Database
from erpsyncd.store.existing import existing_store, store_exists
from erpsyncd.store.keys import read_key_ring
from erpsyncd.store.lock import ProcessLock
from erpsyncd.store.schema import Standing, standing
from erpsyncd.store.tables import HEAD

_BEGIN = "it comes into being with: erpsyncd import FILE"
_CHANGE_NOTHING = text("UPDATE alembic_version SET version_num = version_num WHERE 1 = 0")
_LOOK = "look at store.url, and whether the database runs and lets this user in"


def examine_store(url: str, *, key_path: Path) -> Iterator[Finding]:
    """Yield what there is to say about the store; nothing of it is made, upgraded or changed."""
    try:
        if not store_exists(url):
            yield Finding(
                check="database", result=Result.NOTE, detail=f"{shown(read_url(url))} is not there yet", remedy=_BEGIN
            )
            return
        database = Database(read_url(url))
    except DaemonError as exc:
        yield finding_from(exc, "database", otherwise=_LOOK)
        return
    try:
        yield from _examine(database)
    finally:
        database.close()
    yield from _examine_key(url, key_path)


def _examine(database: Database) -> Iterator[Finding]:
    try:
        with database.read() as connection:
            found = standing(connection, database.place)
    except DaemonError as exc:
        yield finding_from(exc, "database", otherwise=_LOOK)
        return
    yield Finding(check="database", result=Result.OK, detail=f"{database.place} answers")
    yield _revision(found, is_sqlite=database.is_sqlite)
    if found is not Standing.EMPTY:
        yield _writable(database)
    if database.path is not None:
        yield _process(database.path)


def _revision(found: Standing, *, is_sqlite: bool) -> Finding:
    match found:
        case Standing.CURRENT:
            return Finding(check="database version", result=Result.OK, detail=f"revision {HEAD}, as this program's")
        case _ if is_sqlite:
            detail = f"it is {'empty' if found is Standing.EMPTY else 'of an older version'}"
            remedy = "the next command that works with the store brings it up to date; make a backup before"
            return Finding(check="database version", result=Result.NOTE, detail=detail, remedy=remedy)
        case _:
            detail = f"it is {'empty' if found is Standing.EMPTY else 'of an older version'}"
            remedy = "stop all nodes and run: erpsyncd db upgrade"
            return Finding(check="database version", result=Result.FAILED, detail=detail, remedy=remedy)


def _writable(database: Database) -> Finding:
    """Change nothing in a transaction that writes: to begin one is allowed on what can only be read."""
    try:
        with database.write() as connection:
            connection.execute(_CHANGE_NOTHING)
    except DaemonError as exc:
        return finding_from(exc, "database writable", otherwise="look at the owner and the mode of the file")
    return Finding(check="database writable", result=Result.OK, detail="it can be written")


def _process(path: Path) -> Finding:
    lock = ProcessLock(path)
    try:
        held = lock.is_held()
        holder = lock.path.read_text(errors="replace").strip() if held else ""
    except (DaemonError, OSError) as exc:
        detail = f"the lock file {lock.path} cannot be looked at: {exc}"
        return Finding(check="process", result=Result.FAILED, detail=detail, remedy="look at its owner and mode")
    detail = f"process {holder or 'of unknown number'} makes passes" if held else "no process makes passes now"
    return Finding(check="process", result=Result.OK, detail=detail)


def _examine_key(url: str, key_path: Path) -> Iterator[Finding]:
    """Yield whether the key is the store's; a store that nobody used yet has none."""
    restore = f"put the store's key at {key_path}, with mode 600"
    try:
        with existing_store(url, key_path=key_path) as store:
            if store is not None:
                store.unlock()
                yield Finding(check="key", result=Result.OK, detail=f"{key_path} opens the store")
            elif not is_missing(key_path):
                read_key_ring(key_path)
                yield Finding(check="key", result=Result.OK, detail=f"{key_path} can be read; nothing needs it yet")
            else:
                yield Finding(check="key", result=Result.NOTE, detail=f"there is no {key_path} yet", remedy=_BEGIN)
    except DaemonError as exc:
        yield finding_from(exc, "key", otherwise=restore)

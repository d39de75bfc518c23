"""A SQLite store copied to a file while others work with it.

SQLite's own backup takes the store as it is at one moment, whatever is written meanwhile. The copy has another name
until it was looked through: what stands under the name that was asked for is whole.
"""

from __future__ import annotations

import os
import secrets
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from sqlalchemy.engine import URL

from erpsyncd.errors import StoreError, UsageError
from erpsyncd.files import file_error
from erpsyncd.store.addresses import sqlite_path
from erpsyncd.store.existing import store_exists
from erpsyncd.store.sqlite_file import log_and_index
from erpsyncd.store.tables import store_metadata
from erpsyncd.store.views import Backup

#: So long is waited for who has the whole file to himself, as a migration does.
_BUSY_SECONDS = 30.0


def back_up(url: URL, target: Path, *, replace: bool) -> Backup:
    """Write the store as it is now to a file that only its owner can read; `replace` allows that there is one.

    Raises:
        UsageError: the store is no file (the message says what to run instead), or the target may not be written.
        ConfigurationError: there is no store, or the target cannot be made.
        StoreError: the store cannot be read, or the copy is not whole; nothing was left behind.
    """
    source = sqlite_path(url)
    if source is None:
        raise UsageError(
            f"the store is on a PostgreSQL server, which makes its own backups; run: {_pg_dump(url, target)}"
        )
    if not store_exists(url.render_as_string()):
        raise UsageError(f"there is no store {source} to make a backup of")
    target = Path(os.path.realpath(target))
    _refuse(source, target, replace=replace)
    with _beside(target) as copy:
        _copy(source, copy)
        backup = _looked_through(copy, target)
        _put_in_place(copy, target, replace=replace)
    return backup


def _pg_dump(url: URL, target: Path) -> str:
    """Return the command; the password is left to ~/.pgpass or PGPASSWORD, where no process list shows it."""
    address = URL.create("postgresql", url.username, None, url.host, url.port, url.database).render_as_string()
    return f"pg_dump --format=custom --file={shlex.quote(str(target))} {shlex.quote(address)}"


def _refuse(source: Path, target: Path, *, replace: bool) -> None:
    if target in (source, *log_and_index(source), source.with_name(f"{source.name}.lock")):
        raise UsageError(f"{target} is a file of the store itself; name another one")
    if any(map(_is_there, log_and_index(target))):
        raise UsageError(f"{target} is a store that is in use, or was left by one; name another file")
    if not replace and _is_there(target):
        raise UsageError(f"{target} is there already; name another file, or replace it with --force")


def _is_there(path: Path) -> bool:
    """Say whether there is something; what may not be looked at cannot be written either, and fails with its reason."""
    with suppress(OSError):
        return path.exists()
    return False


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Yield a new file in the target's directory, which nobody else can read; whatever is left of it goes."""
    copy = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError as exc:
        raise file_error(f"the backup {target} cannot be made", exc) from exc
    try:
        yield copy
    finally:
        for left in (copy, *log_and_index(copy)):
            left.unlink(missing_ok=True)


def _copy(source: Path, copy: Path) -> None:
    try:
        with (
            closing(sqlite3.connect(f"{source.as_uri()}?mode=rw", uri=True, timeout=_BUSY_SECONDS)) as there,
            closing(sqlite3.connect(copy)) as here,
        ):
            # All pages at once: in steps it would begin anew whenever somebody writes. Who writes is not held up.
            there.backup(here)
            # A file of its own, to be copied and opened read-only: with a log it would be two.
            here.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as exc:
        raise StoreError(f"no backup of {source} was made: {exc}") from exc


def _looked_through(copy: Path, target: Path) -> Backup:
    """Read the copy from its beginning to its end."""
    try:
        with closing(sqlite3.connect(f"{copy.as_uri()}?mode=ro", uri=True)) as connection:
            said = [line for (line,) in connection.execute("PRAGMA integrity_check")]
            loose = connection.execute("PRAGMA foreign_key_check").fetchall()
            founded = connection.execute(f"SELECT key_id FROM {store_metadata.name}").fetchone()  # noqa: S608 -- ours
    except sqlite3.Error as exc:
        raise StoreError(f"the copy cannot be read, so there is no backup: {exc}") from exc
    if said != ["ok"] or loose:
        what = said[0] if said != ["ok"] else f"{len(loose)} rows belong to others that are not there"
        raise StoreError(f"the store is damaged, so there is no backup: {what}; run: erpsyncd db check")
    return Backup(file=target, size=copy.stat().st_size, key_id=founded[0] if founded else None)


def _put_in_place(copy: Path, target: Path, *, replace: bool) -> None:
    try:
        _to_disk(copy)
        if replace:
            copy.replace(target)
        else:
            # Unlike a rename this never takes the place of a file that came meanwhile.
            os.link(copy, target)
        _to_disk(target.parent)
    except FileExistsError:
        raise UsageError(f"{target} is there already; name another file, or replace it with --force") from None
    except OSError as exc:
        raise file_error(f"the backup {target} cannot be put in place", exc) from exc


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

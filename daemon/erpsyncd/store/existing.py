"""The store as it is, for who only looks: nothing is made, upgraded or written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from erpsyncd.files import file_error
from erpsyncd.store.addresses import read_url, sqlite_path
from erpsyncd.store.database import Database
from erpsyncd.store.schema import Standing, standing
from erpsyncd.store.sql_store import SqlStore
from erpsyncd.store.vault import Vault, has_key


def store_standing(url: str) -> Standing | None:
    """Say how the store stands to this program; None where there is none yet.

    Raises:
        ConfigurationError: it is newer than the program, or its URL or its file cannot be used.
        StoreError: the database does not answer.
    """
    if not store_exists(url):
        return None
    database = Database(read_url(url))
    try:
        with database.read() as connection:
            return standing(connection, database.place)
    finally:
        database.close()


@contextmanager
def existing_store(url: str, *, key_path: Path) -> Iterator[SqlStore | None]:
    """Yield the store where there is one that this program can read, else None.

    One without a key holds nothing; where its key is missing, that is found when the key is first needed.

    Raises:
        ConfigurationError: it is newer than the program, or its URL or its file cannot be used.
        StoreError: the database does not answer.
    """
    if store_standing(url) is not Standing.CURRENT:
        yield None
        return
    database = Database(read_url(url))
    with SqlStore(database, Vault(database, key_path=key_path, state_directory=key_path.parent)) as store:
        with database.read() as connection:
            founded = has_key(connection)
        yield store if founded else None


def store_exists(url: str) -> bool:
    """Whether there is anything to connect to. A file with nothing in it would become a database by being opened."""
    path = sqlite_path(read_url(url))
    if path is None:
        return True
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False
    except OSError as exc:
        raise file_error(f"the store {path} cannot be looked at", exc) from exc

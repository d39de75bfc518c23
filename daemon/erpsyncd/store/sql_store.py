"""The store itself: everything that erpsyncd remembers, for passes and for the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from erpsyncd.store import schema
from erpsyncd.store.addresses import read_url
from erpsyncd.store.commands import CommandOperations
from erpsyncd.store.sql_pass_store import SqlPassStore


class SqlStore(SqlPassStore, CommandOperations):
    """A store in SQLite or PostgreSQL: `PassStore` for passes, and synchronous calls for the command line."""


def open_store(
    url: str, *, key_path: Path | None, state_directory: Path, upgrading: Callable[[], None] | None = None
) -> SqlStore:
    """Open the store for passes and for commands; see `SqlPassStore.opened`.

    Raises:
        ConfigurationError: the URL, the driver, the file or the store's revision cannot be used.
        StoreError: the database does not answer.
    """
    return SqlStore.opened(url, key_path=key_path, state_directory=state_directory, upgrading=upgrading)


def upgrade_store(url: str) -> bool:
    """Upgrade a store to this program's revision; say whether there was anything to do.

    Raises:
        ConfigurationError: the store is newer than the program, or its URL cannot be used.
        StoreError: the database failed; nothing was changed.
    """
    return schema.upgrade(read_url(url))

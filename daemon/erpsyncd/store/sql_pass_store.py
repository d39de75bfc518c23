"""A store opened for passes: what `erpsyncd --run-once` needs of it, and nothing that only other commands need."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from sqlalchemy import select

from erpsyncd.errors import RunInProgress
from erpsyncd.store import history, leases, schema
from erpsyncd.store.addresses import read_url
from erpsyncd.store.database import Database
from erpsyncd.store.lock import ProcessLock
from erpsyncd.store.passes import PassOperations
from erpsyncd.store.tables import connections, tenants
from erpsyncd.store.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from erpsyncd.domain.watching import Census, CommitWatcher


class SqlPassStore(PassOperations):
    """`PassStore` in SQLite or PostgreSQL: opened once, closed once."""

    def __init__(self, database: Database, vault: Vault) -> None:
        super().__init__(database, vault)
        self._lock = ProcessLock(database.path) if database.path is not None else None
        self._makes_passes = False

    @classmethod
    def opened(
        cls, url: str, *, key_path: Path | None, state_directory: Path, upgrading: Callable[[], None] | None = None
    ) -> Self:
        """Open the store; a SQLite one is created or upgraded where that is needed. `upgrading` is called meanwhile.

        `key_path` names a key file that must exist; without it the key is `erpsyncd.key` in the state directory,
        made there together with a new store. The key is read when it is first needed.

        Raises:
            ConfigurationError: the URL, the driver, the file or the store's revision cannot be used.
            StoreError: the database does not answer.
        """
        database = Database(read_url(url))
        try:
            schema.make_current(database, upgrading=upgrading)
        except BaseException:
            database.close()
            raise
        return cls(database, Vault(database, key_path=key_path, state_directory=state_directory))

    @property
    def place(self) -> str:
        """Where it is, as messages may show it."""
        return self._database.place

    def unlock(self) -> None:
        """Read the key now, so that a wrong one is found before work starts.

        Raises:
            ConfigurationError: the key is missing, open to other users, or another store's.
        """
        self._vault.unlock()

    async def start_run(self, *, trigger: str, dry_run: bool, started_at: datetime) -> int:
        """Record that a run began. A store whose file was found replaced before is opened anew, as at a start.

        Raises:
            ConfigurationError: what is there now is no store for this program or its key.
            RunInProgress: another process has it.
        """
        if self._database.is_lost:
            await asyncio.to_thread(self._take_up_again)
        return await super().start_run(trigger=trigger, dry_run=dry_run, started_at=started_at)

    def lock_process(self) -> None:
        """Become the one process that makes writing passes over a SQLite store, until `close`.

        What dead processes left is put right: their leases are freed, their runs marked as interrupted.
        PostgreSQL needs no such lock; leases do.

        Raises:
            RunInProgress: another process is that one.
        """
        self._makes_passes = True
        if self._lock is not None and self._lock.acquire():
            self.free_leases()

    def lock_if_free(self) -> None:
        """Become that process if nobody is; where somebody is, he honours leases, and frees none.

        For who needs a lease but makes no pass. Without this the next process to start would take it for dead, and
        its lease for free.
        """
        with suppress(RunInProgress):
            self.lock_process()

    def holds_lock(self) -> bool:
        """Say whether this process may make writing passes; on PostgreSQL every one may."""
        return self._lock is None or self._lock.is_ours()

    def tenant_names(self) -> frozenset[str]:
        """Return the names of all tenants."""
        with self._database.read() as connection:
            return frozenset(connection.execute(select(tenants.c.name)).scalars())

    def connection_keys(self, tenant: str) -> tuple[str, ...]:
        """Return the keys of a tenant's connections."""
        query = select(connections.c.key).join(tenants, tenants.c.id == connections.c.tenant_id)
        with self._database.read() as connection:
            return tuple(connection.execute(query.where(tenants.c.name == tenant)).scalars())

    def census(self) -> Census:
        """Return how everything stands, in numbers.

        Raises:
            StoreError: the store does not answer.
        """
        from erpsyncd.store.census import take_census  # noqa: PLC0415 -- for who is told of passes, which is rare

        with self._database.read() as connection:
            return take_census(connection, now=datetime.now(UTC))

    def watch_commits(self, watcher: CommitWatcher) -> None:
        """Tell somebody how long each transaction of passes takes."""
        self._writer.on_commit = watcher

    def free_leases(self) -> None:
        """Free all leases and mark all open runs as interrupted. Only for who knows that their owners are dead."""
        with self._database.write() as connection:
            leases.free_all(connection)
            history.mark_interrupted(connection)

    def _take_up_again(self) -> None:
        """Begin with what is at the store's place now."""
        with self._database.found_again():
            schema.make_current(self._database, may_be_empty=False)
            self._vault.unlock_again()
            # Asked for again with each pass, also after another process was quicker once.
            if self._lock is not None and self._makes_passes:
                self._lock.acquire()
                self.free_leases()

    def close(self) -> None:
        """Write what waits to be written, and let go of everything."""
        self._close()
        self._database.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

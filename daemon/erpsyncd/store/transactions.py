"""What the operations of a pass have in common: each is one short transaction off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection

from erpsyncd.store.reader import SharedReader
from erpsyncd.store.writer import GroupCommitWriter, limit_idling

if TYPE_CHECKING:
    from erpsyncd.domain.intents import Lease
    from erpsyncd.store.database import Database
    from erpsyncd.store.sealing import Sealer
    from erpsyncd.store.vault import Vault

T = TypeVar("T")

#: Transactions that read, of one process at a time; more only wait for the disk.
_READERS = 4


class Transactions:
    """Reads and writes of one store, which share transactions."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault
        self._writer = GroupCommitWriter(database)
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="erpsyncd-reader")
        self._reader = SharedReader(database, self._readers)

    def _close(self) -> None:
        self._writer.close()
        self._readers.shutdown()

    async def _sealer(self) -> Sealer:
        unlocked = self._vault.unlocked
        if unlocked is None:
            unlocked = await asyncio.get_running_loop().run_in_executor(self._readers, self._vault.unlock)
        return unlocked.sealer

    async def _write(self, lease: Lease, write: Callable[[Connection], T]) -> T:
        return await self._writer.write(write, order=lease.tenant_id)

    async def _write_apart(self, write: Callable[[Connection], T]) -> T:
        """Run a write in a transaction of its own, because it waits for others before it locks its tenant.

        Shared, that transaction would hold the tenants of its neighbours meanwhile.
        """

        def run() -> T:
            with self._database.write() as connection:
                limit_idling(connection)
                return write(connection)

        return await asyncio.get_running_loop().run_in_executor(self._readers, run)

    async def _read(self, read: Callable[[Connection], T]) -> T:
        return await self._reader.read(read)

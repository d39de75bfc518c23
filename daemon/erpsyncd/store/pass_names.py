"""What a pass reads and writes of a tenant's lists, and of the connections that are described by names in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from erpsyncd.store import names
from erpsyncd.store.transactions import Transactions

if TYPE_CHECKING:
    from erpsyncd.domain.connections import ConnectionRowId, StoredConnection
    from erpsyncd.domain.intents import Lease
    from erpsyncd.domain.lists import NamedConnection, TenantList
    from erpsyncd.domain.tenants import TenantId


class NameOperations(Transactions):
    """`erpsyncd.domain.store_ports.NameStore` over a database."""

    async def tenant_lists(self, tenant_id: TenantId) -> tuple[TenantList, ...]:
        """Return the lists of the tenant that were kept."""
        return await self._read(lambda connection: names.read_lists(connection, tenant_id))

    async def keep_list(self, lease: Lease, listed: TenantList, outdated: frozenset[ConnectionRowId]) -> None:
        """Keep a list in the place of what was kept before; make due whose names stand for something else in it."""
        await self._write(lease, lambda connection: names.keep_list(connection, lease, listed, outdated))

    async def forget_lists(self, lease: Lease) -> None:
        """Forget the lists of a tenant that has no names any more."""
        await self._write(lease, lambda connection: names.forget_lists(connection, lease))

    async def has_names(self, tenant_id: TenantId) -> bool:
        """Say whether any connection of the tenant has something by name."""
        return await self._read(lambda connection: names.has_names(connection, tenant_id))

    async def named_connections(self, tenant_id: TenantId) -> tuple[NamedConnection, ...]:
        """Return the connections with names that a changed list may make due."""
        return await self._read(lambda connection: names.named_connections(connection, tenant_id))

    async def find_namesake(self, connection: StoredConnection) -> str | None:
        """Return the key of another present connection with this connector's id and, in any language, this name."""
        return await self._read(lambda transaction: names.find_namesake(transaction, connection))

    async def record_ids(self, lease: Lease, connection: StoredConnection) -> str | None:
        """Record what the names of a connection stand for, unless it has a namesake by that, which is returned."""
        return await self._write(lease, lambda transaction: names.record_ids(transaction, lease, connection))

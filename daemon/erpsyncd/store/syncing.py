"""Whether a tenant's sync engine is owed a start: something was saved, and no SyncAll was sent since."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from sqlalchemy import Connection, bindparam, select, update

from erpsyncd.store import leases
from erpsyncd.store.tables import tenants

if TYPE_CHECKING:
    from erpsyncd.domain.intents import Lease
    from erpsyncd.domain.tenants import TenantId

#: Noted once: a tenant's row is not written with every save.
_NOTED = (
    update(tenants)
    .where(
        tenants.c.id.in_(bindparam("ids", expanding=True)),
        tenants.c.sync_all_after_save,
        ~tenants.c.sync_all_due,
    )
    .values(sync_all_due=True)
)


def saved(connection: Connection, tenant_ids: Collection[TenantId]) -> None:
    """Note that something was saved in tenants; it counts where one wants a SyncAll after that."""
    connection.execute(_NOTED, {"ids": sorted(tenant_ids)})


def is_due(connection: Connection, tenant_id: TenantId) -> bool:
    """Say whether a SyncAll is owed."""
    query = select(tenants.c.sync_all_due).where(tenants.c.id == tenant_id)
    return bool(connection.execute(query).scalar_one_or_none())


def owe(connection: Connection, lease: Lease, *, due: bool) -> None:
    """Record whether a SyncAll is owed.

    Raises:
        LeaseLost: the lease is not current.
    """
    leases.check(connection, lease)
    connection.execute(update(tenants).where(tenants.c.id == lease.tenant_id).values(sync_all_due=due))

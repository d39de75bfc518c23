"""Two parts of `PassStore`: what a pass asks of it for names, and what for looks at a tenant.

Their adapters stand in `store/`.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from erpsyncd.domain.connections import ConnectionRowId, StoredConnection
    from erpsyncd.domain.documents import Document
    from erpsyncd.domain.drift import Drift, KnownDrift
    from erpsyncd.domain.intents import Lease
    from erpsyncd.domain.lists import NamedConnection, TenantList
    from erpsyncd.domain.results import Verdict
    from erpsyncd.domain.tenants import TenantId


class NameStore(Protocol):
    """A tenant's lists as they were last read, and the connections that are described by names in them."""

    async def tenant_lists(self, tenant_id: TenantId) -> tuple[TenantList, ...]:
        """Return the lists of the tenant that were kept."""
        ...

    async def keep_list(self, lease: Lease, listed: TenantList, outdated: frozenset[ConnectionRowId]) -> None:
        """Keep a list in the place of what was kept before; make due whose names stand for something else in it."""
        ...

    async def forget_lists(self, lease: Lease) -> None:
        """Forget the lists of a tenant that has no names any more."""
        ...

    async def has_names(self, tenant_id: TenantId) -> bool:
        """Say whether any connection of the tenant has something by name."""
        ...

    async def named_connections(self, tenant_id: TenantId) -> tuple[NamedConnection, ...]:
        """Return the connections with names that a changed list may make due."""
        ...

    async def find_namesake(self, connection: StoredConnection) -> str | None:
        """Return the key of another present connection with this connector's id and, in any language, this name."""
        ...

    async def record_ids(self, lease: Lease, connection: StoredConnection) -> str | None:
        """Record what the names of a connection stand for, unless it has a namesake by that, which is returned.

        What was described otherwise since it was read stays as it is.
        """
        ...


class LookStore(Protocol):
    """What looks at a tenant found, and what was decided about it."""

    async def compared_connections(
        self, tenant_id: TenantId, *, after: ConnectionRowId, limit: int, keys: frozenset[str] | None = None
    ) -> tuple[StoredConnection, ...]:
        """Return the next connections that can be compared with what the tenant shows, by their numbers."""
        ...

    async def drifting_connections(
        self, tenant_id: TenantId, *, enforced: bool
    ) -> tuple[tuple[StoredConnection, tuple[KnownDrift, ...]], ...]:
        """Return the connections over whose drift ours may be pushed: all that have any, or those of a decision."""
        ...

    async def record_look(
        self,
        lease: Lease,
        *,
        connection: StoredConnection,
        found: tuple[Drift, ...],
        hidden: frozenset[str],
        pushed: bool,
        at: datetime,
    ) -> tuple[KnownDrift, ...]:
        """Record what one look at a connection found; return it with what was decided about it.

        Nothing is recorded where the desired side was changed since `connection` was read. `pushed` says that ours
        was pushed just before.
        """
        ...

    async def finish_look(self, lease: Lease, *, at: datetime) -> None:
        """Record that all of a tenant was looked at."""
        ...

    async def adopt_drift(
        self, lease: Lease, document: Document, verdict: Verdict, fields: tuple[str, ...], *, at: datetime
    ) -> None:
        """Describe a connection as its tenant shows it in these fields, and record a verdict on it: both or neither.

        Raises `ConfigurationError` for a description that cannot stand.
        """
        ...

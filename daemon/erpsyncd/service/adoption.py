"""Taking over connections that a tenant has already: read, described as they are, and in sync without a save."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from erpsyncd.domain.adoption import Found, KnownConnection, conflict, hidden_fields, key_for
from erpsyncd.domain.connections import ErpConnection, ListedConnection, State
from erpsyncd.domain.results import ChangeKind, Verdict
from erpsyncd.errors import ConfigurationError, ConnectionFailed, TenantLeased, Unauthorized, UsageError
from erpsyncd.service.access import refused_before, resolve_access
from erpsyncd.service.clocks import boot_seconds
from erpsyncd.service.description import connection_table
from erpsyncd.service.document import read_entries
from erpsyncd.service.remote import LeaseHolder, Remote
from erpsyncd.service.whereabouts import find_whereabouts

if TYPE_CHECKING:
    from erpsyncd.domain.documents import Document
    from erpsyncd.domain.intents import Lease
    from erpsyncd.domain.ports import PassStore, TenantApis
    from erpsyncd.domain.tenants import Tenant
    from erpsyncd.service.policy import Policy
    from erpsyncd.service.secrets import SecretResolver

log = structlog.stdlib.get_logger(__name__)


@dataclass(kw_only=True)
class Adoption:
    """One tenant whose connections are taken over. It is leased meanwhile, so that no pass works on it."""

    tenant: Tenant
    store: PassStore
    described: Callable[[], Iterable[KnownConnection]]
    """Reads what the store has of this tenant."""

    apis: TenantApis
    resolver: SecretResolver
    policy: Policy
    owner: str
    now: Callable[[], datetime]
    elapsed: Callable[[], float] = boot_seconds
    _lease: Lease | None = field(default=None, init=False)
    _known: list[KnownConnection] = field(default_factory=list, init=False)
    """As `described`, read under the lease, and what was taken over since."""

    async def run(self, *, only: int | None = None, key: str | None = None, dry_run: bool = False) -> tuple[Found, ...]:
        """Take over what nobody owns, or only one of it, under a key of one's choice; a dry run only says what.

        Raises:
            UsageError: the tenant does not list that one, or it is ours already.
            TenantLeased: another process works on the tenant.
            Unauthorized, RemoteError: the tenant cannot be asked.
        """
        async with self._leased(dry_run=dry_run) as holder:
            credentials, proxy = await asyncio.to_thread(resolve_access, self.tenant.spec, self.resolver)
            fingerprint = self.store.fingerprinter.of_credentials(credentials)
            if self.tenant.refused_auth == fingerprint:
                raise refused_before(self.tenant.spec)
            whereabouts = await find_whereabouts(
                self.tenant, self.apis, proxy, store=self.store, lease=self._lease, now=self.now
            )
            async with self.apis.open(
                self.tenant.spec, credentials, proxy=proxy, read_only=True, whereabouts=whereabouts
            ) as api:
                remote = Remote(
                    api=api,
                    store=self.store,
                    tenant_id=self.tenant.id,
                    holder=holder,
                    breaker_failures=self.policy.breaker_failures,
                    transient_failures=0,
                    stopping=asyncio.Event(),
                )
                self._known = [*await self._unanswered(), *await asyncio.to_thread(self.described)]
                try:
                    return tuple([await self._found(remote, item, key) for item in await self._unowned(remote, only)])
                except Unauthorized:
                    await self._remember_refused(fingerprint)
                    raise

    @asynccontextmanager
    async def _leased(self, *, dry_run: bool) -> AsyncIterator[LeaseHolder | None]:
        if dry_run:
            yield None
            return
        taken_at, seconds = self.elapsed(), self.policy.lease.total_seconds()
        self._lease = await self.store.claim(self.tenant.id, owner=self.owner, now=self.now(), seconds=seconds)
        if self._lease is None:
            raise TenantLeased(
                f"another erpsyncd process is working on {self.tenant.name!r}; try again when it is done"
            )
        try:
            yield LeaseHolder(
                store=self.store,
                lease=self._lease,
                policy=self.policy,
                now=self.now,
                clock=self.elapsed,
                taken_at=taken_at,
            )
        finally:
            await self.store.release(self._lease)

    async def _remember_refused(self, fingerprint: str) -> None:
        """Keep what the tenant refused from being tried again, by this or by passes. A dry run writes nothing."""
        if self._lease is not None:
            await self.store.remember_tenant(
                self._lease,
                refused_auth=fingerprint,
                parked_until=self.tenant.parked_until,
                transient_failures=self.tenant.transient_failures,
            )

    async def _unanswered(self) -> list[KnownConnection]:
        """Return creates without an answer: what they made, if anything, is for a pass to settle."""
        intents = [one for one in await self.store.open_intents(self.tenant.id) if one.kind is ChangeKind.CREATE]
        rows = frozenset(intent.connection_row_id for intent in intents)
        keys = {row.id: row.key for row in await self.store.connections_by_row_id(self.tenant.id, rows)}
        return [
            KnownConnection(
                key=keys[intent.connection_row_id],
                erp_connector_id=intent.erp_connector_id,
                display_name=intent.display_name,
                is_unanswered=True,
            )
            for intent in intents
        ]

    async def _unowned(self, remote: Remote, only: int | None) -> list[ListedConnection]:
        listed = await remote.listed()
        owned = {one.erp_connection_id: one.key for one in self._known if one.erp_connection_id is not None}
        if only is None:
            return [item for item in listed if item.erp_connection_id not in owned]
        if only in owned:
            raise UsageError(f"connection {only} of tenant {self.tenant.name!r} is {owned[only]!r} already")
        found = [item for item in listed if item.erp_connection_id == only]
        if not found:
            raise UsageError(f"tenant {self.tenant.name!r} lists no connection {only}")
        return found

    async def _found(self, remote: Remote, item: ListedConnection, key: str | None) -> Found:
        """Take one over. A failure is this connection's, not its neighbours'."""
        found = Found(erp_connection_id=item.erp_connection_id, display_name=item.display_name)
        try:
            observed = await remote.observe(item.erp_connection_id)
        except ConnectionFailed as exc:
            return replace(found, error_class=exc.error_class, error=str(exc))
        if observed is None or observed.deleted:
            return replace(found, error_class="missing", error="it was deleted in the tenant just now")
        spec = observed.spec
        found = replace(
            found,
            display_name=spec.display_name,
            connection_id=observed.connection_id,
            erp_connector_id=spec.erp_connector_id,
            active=spec.active,
            hidden=hidden_fields(spec),
        )
        reason = conflict(spec, self.tenant.name, item.erp_connection_id, self._known)
        if reason is not None:
            return replace(found, error_class="exists", error=reason)
        key = key or key_for(spec.display_name, {one.key for one in self._known})
        try:
            await self._take(observed, key, found.hidden)
        except ConfigurationError as exc:
            return replace(found, error_class=exc.error_class, error="; ".join(exc.problems) or str(exc))
        return replace(found, key=key)

    async def _take(self, observed: ErpConnection, key: str, hidden: tuple[str, ...]) -> None:
        """Describe it as it was read, and count what was read as what we pushed: nothing has to be saved."""
        table = connection_table(self.tenant.name, key, observed.spec, hidden)
        document = read_entries(f"connection {observed.erp_connection_id}", connections=[table])
        if self._lease is not None:
            verdict = self._verdict(document, observed, hidden)
            await self.store.adopt(self._lease, document, verdict, at=self.now())
            log.info(
                "connection.adopted",
                tenant=self.tenant.name,
                key=key,
                erp_connection_id=observed.erp_connection_id,
                hidden=list(hidden),
            )
        self._known.append(
            KnownConnection(
                key=key,
                erp_connector_id=observed.spec.erp_connector_id,
                display_name=observed.spec.display_name,
                erp_connection_id=observed.erp_connection_id,
            )
        )

    def _verdict(self, document: Document, observed: ErpConnection, hidden: tuple[str, ...]) -> Verdict:
        """Say which one it is. What lacks a value is not in sync, and the store makes nothing due that does."""
        if hidden:
            verdict = Verdict(state=State.PENDING, applied={})
        else:
            (entry,) = document.connections
            applied = self.store.fingerprinter.of_spec(entry.template.resolve({}))
            verdict = Verdict(state=State.IN_SYNC, applied=applied)
        return replace(verdict, erp_connection_id=observed.erp_connection_id, connection_id=observed.connection_id)

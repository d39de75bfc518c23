"""One tenant's API as a pass uses it: under its lease, counted, and with its list read once."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from erpsyncd.domain.connections import ConnectionSpec, ErpConnection, ListedConnection, is_owned, name_variants
from erpsyncd.domain.plan import candidates, is_twin
from erpsyncd.errors import (
    DaemonError,
    MalformedResponse,
    NotTried,
    PermanentRemoteError,
    ProxyUnauthorized,
    RemoteError,
    TemporaryRemoteError,
    TenantNotRunning,
    Unauthorized,
)

if TYPE_CHECKING:
    from erpsyncd.domain.intents import Lease
    from erpsyncd.domain.lists import ListItem, ListName
    from erpsyncd.domain.ports import BeforeSend, PassStore, StillAllowed, TenantApi
    from erpsyncd.domain.results import PluginResponse
    from erpsyncd.domain.secrets import Secret
    from erpsyncd.service.policy import Policy

T = TypeVar("T")
OnSend: TypeAlias = Callable[[], Awaitable[None]]

#: To try them again and again can lock an account.
_REFUSALS = (Unauthorized, ProxyUnauthorized)


@dataclass(kw_only=True)
class LeaseHolder:
    """Keeps a lease longer than the call that is about to be made."""

    store: PassStore
    lease: Lease
    policy: Policy
    now: Callable[[], datetime]
    clock: Callable[[], float]
    """Seconds, those included during which this process or machine stood still."""

    taken_at: float
    """What `clock` said before the claim was sent, so that our idea of its end is never too late."""

    _renewing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _spare: float = field(init=False)
    """Seconds that a new lease may grow old before it has to be renewed for a call."""

    def __post_init__(self) -> None:
        """Reckon once what is asked before each call."""
        self._spare = (self.policy.lease - self.policy.call_budget).total_seconds()

    async def cover_call(self) -> None:
        """Return once the lease outlasts a call.

        Raises:
            LeaseLost: another process has the tenant now.
        """
        if self._covers(self.clock()):
            return
        async with self._renewing:
            asked_at = self.clock()
            if not self._covers(asked_at):
                await self.store.renew(self.lease, now=self.now(), seconds=self.policy.lease.total_seconds())
                self.taken_at = asked_at

    def _covers(self, moment: float) -> bool:
        return moment - self.taken_at <= self._spare

    def departure(self) -> StillAllowed:
        """Return what says, from now on, whether a request that was prepared now may still leave."""
        last_moment = self.clock() + self.policy.leave_within.total_seconds()
        return lambda: self.clock() <= last_moment


@dataclass(kw_only=True)
class Remote:
    """A tenant in a pass. Counts what answered and what did not, and says when to stop asking."""

    api: TenantApi
    store: PassStore
    tenant_id: int
    holder: LeaseHolder | None
    """None in a dry run, which has no lease and cannot write."""

    breaker_failures: int
    transient_failures: int
    answered: int = 0
    last_error: DaemonError | None = None
    stopped_by: DaemonError | None = None
    """Why no further call should be made: credentials that the tenant or its proxy refused, too many transient
    failures in a row, or a tenant that does not run any more."""

    stopping: asyncio.Event
    """Set when the process is about to end: nothing new is begun."""

    _listed: tuple[ListedConnection, ...] | None = None
    _seen: frozenset[int] = frozenset()
    """The ids in it. One set for all creates: to make it for each would cost them the size of the tenant."""

    _list_error: PermanentRemoteError | None = None
    _by_name: dict[str, list[ListedConnection]] = field(default_factory=lambda: defaultdict(list))
    _owned: set[int] = field(default_factory=set)
    """What is listed and ours, and what this pass has made or taken over."""

    _owned_by_number: set[int] = field(default_factory=set)
    """Of these no GUID says that they are really the ones that are ours."""

    _listing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def save_connection(
        self, connection: ErpConnection, on_send: OnSend, hidden: tuple[Secret, ...] = (), *, begun: bool = False
    ) -> ErpConnection:
        """Save it; see the port. `on_send` records that it is about to leave, under a lease that covers it.

        What was listed before, or is ours already, was not created just now: such a reply answers another call.
        `begun` says that it is part of what must not be left half done: only refused credentials keep it from being
        tried.
        """
        saved = await self._call(self.api.save_connection, connection, self._covered(on_send), hidden, begun=begun)
        identity = saved.erp_connection_id
        if connection.erp_connection_id == 0 and (identity in await self.seen_ids() or identity in self._owned):
            raise MalformedResponse("SaveConnection", f"a create was answered with connection {identity}, an older one")
        self.own(identity)
        return saved

    async def delete_connection(self, erp_connection_id: int, on_send: OnSend) -> None:
        """Delete it; see the port, and `save_connection`."""
        await self._call(self.api.delete_connection, erp_connection_id, self._covered(on_send))

    async def list_of(self, name: ListName) -> tuple[ListItem, ...]:
        """Read one of its lists; see the port."""
        return await self._call(self.api.get_list, name)

    async def has_connections(self, hidden: tuple[Secret, ...]) -> PluginResponse:
        """Ask it; see the port."""
        return await self._call(self.api.has_connections, hidden)

    async def connection_startup_errors(self, hidden: tuple[Secret, ...]) -> tuple[PluginResponse, ...]:
        """Ask it; see the port."""
        return await self._call(self.api.connection_startup_errors, hidden)

    async def sync_all(self, on_send: OnSend, hidden: tuple[Secret, ...]) -> PluginResponse:
        """Call it; see the port, and `save_connection`."""
        return await self._call(self.api.sync_all, self._covered(on_send), hidden)

    async def test_config(self, spec: ConnectionSpec, hidden: tuple[Secret, ...] = (), *, begun: bool = False) -> bool:
        """Let the connector try a connection that is not saved yet; see the port."""
        return await self._call(
            self.api.test_connection_by_config, spec.erp_connector_id, spec.config_fields, hidden, begun=begun
        )

    async def test_connection(
        self, erp_connection_id: int, hidden: tuple[Secret, ...] = (), *, begun: bool = False
    ) -> bool:
        """Let the connector try a connection as it stands; see the port."""
        return await self._call(self.api.test_connection_by_id, erp_connection_id, hidden, begun=begun)

    async def observe(
        self, erp_connection_id: int, hidden: tuple[Secret, ...] = (), *, begun: bool = False
    ) -> ErpConnection | None:
        """Read a connection; None when it is certain that the tenant does not have it.

        "Nothing" is also how a failed read can look (contract.md), so it counts only when the tenant's list
        does not show the id either.
        """
        observed = await self._call(self.api.get_connection, erp_connection_id, hidden, begun=begun)
        if observed is None and any(item.erp_connection_id == erp_connection_id for item in await self.listed()):
            raise MalformedResponse(
                "GetConnection", f"the answer for connection {erp_connection_id} is empty, but the tenant lists it"
            )
        return observed

    async def listed(self) -> tuple[ListedConnection, ...]:
        """Return what the tenant has, as listed once in this pass."""
        if self._listed is not None:  # as for all but the first
            return self._listed
        async with self._listing:
            if self._list_error is not None:
                raise self._list_error.with_traceback(None)
            if self._listed is None:
                try:
                    listed = await self._call(self.api.list_connections)
                except PermanentRemoteError as exc:
                    self._list_error = exc  # asking again for each connection would not make it better
                    raise
                owned = await self.store.owned_ids(self.tenant_id)
                self._seen = frozenset(item.erp_connection_id for item in listed)
                for item in listed:
                    ours = is_owned(item.erp_connection_id, item.connection_id, owned)
                    if ours is not False:
                        self.own(item.erp_connection_id)
                    if ours is None:
                        self._owned_by_number.add(item.erp_connection_id)
                    for name in name_variants(item.display_name):
                        self._by_name[name].append(item)
                # Last: where the store failed, whoever waits here must not take half of it for the whole.
                self._listed = listed
            return self._listed

    async def seen_ids(self) -> frozenset[int]:
        """Return the ids in the tenant's list."""
        await self.listed()
        return self._seen

    @property
    def is_stopped(self) -> bool:
        """Whether no further call will be made in this pass."""
        return self.stopped_by is not None or self.stopping.is_set()

    def own(self, erp_connection_id: int) -> None:
        """Count this id as ours from now on."""
        self._owned.add(erp_connection_id)

    async def find_unowned(
        self, *, erp_connector_id: int, display_name: str, unless_seen: frozenset[int] = frozenset()
    ) -> tuple[ErpConnection, ...]:
        """Return the connections with this connector and name that nobody owns, each confirmed by reading it."""
        found = candidates(
            await self._listed_as(display_name), erp_connector_id=erp_connector_id, owned=self._owned | unless_seen
        )
        # An empty answer about something that the list shows is a failed call, not "no twin".
        read = [await self.observe(item.erp_connection_id) for item in found]
        return tuple(
            observed
            for observed in read
            if observed and is_twin(observed, erp_connector_id=erp_connector_id, display_name=display_name)
        )

    async def find_doubtful(
        self, *, erp_connector_id: int, display_name: str, unless_seen: frozenset[int]
    ) -> tuple[int, ...]:
        """Return what may have this connector and has this name, and is known to be somebody's by its number only."""
        found = candidates(await self._listed_as(display_name), erp_connector_id=erp_connector_id, owned=unless_seen)
        return tuple(item.erp_connection_id for item in found if item.erp_connection_id in self._owned_by_number)

    async def _listed_as(self, display_name: str) -> tuple[ListedConnection, ...]:
        await self.listed()
        same_name = {
            item.erp_connection_id: item for name in name_variants(display_name) for item in self._by_name.get(name, ())
        }
        return tuple(same_name.values())

    def _covered(self, on_send: OnSend) -> BeforeSend:
        async def covered() -> StillAllowed:
            assert self.holder is not None, "a dry run sends nothing"
            # Taken before the lease is looked at and the intent gets its time: whatever holds us up from here
            # on, the request leaves while both are true, or not at all.
            still_allowed = self.holder.departure()
            await self.holder.cover_call()
            await on_send()
            return still_allowed

        return covered

    async def _call(self, operation: Callable[..., Awaitable[T]], *arguments: object, begun: bool = False) -> T:
        if self.stopping.is_set() and not begun:
            raise NotTried("not tried, because erpsyncd was told to stop")
        if self.stopped_by is not None and not (begun and not isinstance(self.stopped_by, _REFUSALS)):
            raise NotTried(f"not tried, because the pass over its tenant ended: {self.stopped_by}")
        if self.holder is not None:
            await self.holder.cover_call()
        try:
            result = await operation(*arguments)
        except Unauthorized as exc:
            self.last_error = self.stopped_by = exc
            raise
        except TenantNotRunning as exc:  # no failure: neither the breaker nor what is remembered of the tenant moves
            self.stopped_by = exc
            raise
        except TemporaryRemoteError as exc:
            self.last_error = exc
            self.transient_failures += 1
            if self.transient_failures >= self.breaker_failures or isinstance(exc, ProxyUnauthorized):
                self.stopped_by = exc
            raise
        except RemoteError as exc:
            self.last_error = exc
            self.transient_failures = 0
            raise
        self.answered += 1
        self.transient_failures = 0
        return result

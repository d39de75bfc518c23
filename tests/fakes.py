"""A tenant with a memory, for tests of the service. The real adapters are judged elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from uuid import UUID

from erpsyncd.domain.connections import ErpConnection, ListedConnection
from erpsyncd.domain.lists import ListItem, ListName
from erpsyncd.domain.ports import BeforeSend, TenantApi
from erpsyncd.domain.proxies import Proxy
from erpsyncd.domain.results import PluginResponse
from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.sessions import SessionMemory
from erpsyncd.domain.state_ports import Whereabouts
from erpsyncd.domain.tenant_states import ReportedState
from erpsyncd.domain.tenants import Credentials, TenantSpec
from erpsyncd.errors import RemoteUnreachable


@dataclass
class FakeTenant:
    """Does what NetServer does, as far as the service can tell."""

    connections: dict[int, ErpConnection] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    lists: dict[ListName, tuple[ListItem, ...]] = field(default_factory=lambda: defaultdict(tuple))
    response: PluginResponse = field(default_factory=lambda: PluginResponse(is_ok=True))
    startup_errors: tuple[PluginResponse, ...] = ()
    synchronized: PluginResponse = field(default_factory=lambda: PluginResponse(is_ok=True))
    mask: Callable[[Secret], Secret] = lambda value: value
    fail: dict[str, list[Exception]] = field(default_factory=lambda: defaultdict(list))
    """Errors to raise instead of working, first come first served, by operation."""

    lose: dict[str, list[Exception]] = field(default_factory=lambda: defaultdict(list))
    """Errors to raise after the work was done."""

    says: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))
    """What connection tests answer, first come first served, by operation; then yes."""

    before: Callable[[str], Awaitable[None]] | None = None
    """Awaited when a call arrives."""

    hold: Callable[[str], Awaitable[None]] | None = None
    """Awaited before a writing call is about to leave."""

    reported: ReportedState | Exception = field(default_factory=lambda: ReportedState(word="Running", is_running=True))
    """What the vendor says of it, or why nobody knows."""

    asked: int = 0
    """How often the vendor was asked."""

    trusted: bool = True
    """Whether its address may be sent credentials."""

    whereabouts: Whereabouts | None = None
    credentials: Credentials | None = None
    proxy: Proxy | None = None
    read_only: bool | None = None
    memory: SessionMemory | None = None
    cursor: int = 0
    made: int = 0

    def type_in(self, connection: ErpConnection) -> None:
        """Put a connection there as somebody in the CRM would."""
        self.connections[connection.erp_connection_id] = connection

    @property
    def saves(self) -> int:
        """How often SaveConnection was called."""
        return self.calls.count("SaveConnection")

    async def list_connections(self) -> tuple[ListedConnection, ...]:
        """See the port."""
        await self._enter("GetList")
        return tuple(
            ListedConnection(
                erp_connection_id=item.erp_connection_id,
                display_name=item.spec.display_name,
                connection_id=item.connection_id,
            )
            for item in self.connections.values()
            if not item.deleted
        )

    async def get_list(self, name: ListName) -> tuple[ListItem, ...]:
        """See the port."""
        await self._enter(f"GetList {name}")
        return self.lists[name]

    async def get_connection(self, erp_connection_id: int, hidden: tuple[Secret, ...] = ()) -> ErpConnection | None:
        """See the port. The cursor moves with every look."""
        await self._enter("GetConnection")
        found = self.connections.get(erp_connection_id)
        if found is None:
            return None
        self.cursor += 1
        found = replace(found, most_recent_timestamp=f"cursor {self.cursor}")
        self.connections[erp_connection_id] = found
        fields = {name: self.mask(value) for name, value in found.spec.config_fields.items()}
        return replace(found, spec=replace(found.spec, config_fields=fields))

    async def save_connection(
        self, connection: ErpConnection, before_send: BeforeSend, hidden: tuple[Secret, ...] = ()
    ) -> ErpConnection:
        """See the port."""
        await self._send("SaveConnection", before_send)
        number = connection.erp_connection_id or max(self.connections, default=0) + 1
        self.made += 1  # numbers may come again, as after a restore; GUIDs do not
        guid = connection.connection_id or str(UUID(int=self.made)).upper()
        saved = replace(connection, erp_connection_id=number, connection_id=guid)
        self.connections[number] = saved
        self._leave("SaveConnection")
        return saved

    async def delete_connection(self, erp_connection_id: int, before_send: BeforeSend) -> None:
        """See the port."""
        await self._send("DeleteConnection", before_send)
        found = self.connections[erp_connection_id]
        self.connections[erp_connection_id] = replace(found, deleted=True)
        self._leave("DeleteConnection")

    async def test_connection_by_config(
        self, erp_connector_id: int, config_fields: Mapping[str, Secret], hidden: tuple[Secret, ...] = ()
    ) -> bool:
        """See the port."""
        return await self._tested("TestConnectionByConfig")

    async def test_connection_by_id(self, erp_connection_id: int, hidden: tuple[Secret, ...] = ()) -> bool:
        """See the port."""
        return await self._tested("TestConnectionById")

    async def _tested(self, operation: str) -> bool:
        await self._enter(operation)
        return self.says[operation].pop(0) if self.says[operation] else True

    async def has_connections(self, hidden: tuple[Secret, ...] = ()) -> PluginResponse:
        """See the port."""
        await self._enter("HasConnections")
        return self.response

    async def connection_startup_errors(self, hidden: tuple[Secret, ...] = ()) -> tuple[PluginResponse, ...]:
        """See the port."""
        await self._enter("GetConnectionStartupErrors")
        return self.startup_errors

    async def sync_all(self, before_send: BeforeSend, hidden: tuple[Secret, ...] = ()) -> PluginResponse:
        """See the port."""
        await self._send("SyncAll", before_send)
        self._leave("SyncAll")
        return self.synchronized

    async def _send(self, operation: str, before_send: BeforeSend) -> None:
        if self.hold is not None:
            await self.hold(operation)
        still_allowed = await before_send()
        if not still_allowed():
            raise RemoteUnreachable(operation, "held up for too long; nothing was sent")
        await self._enter(operation)

    async def _enter(self, operation: str) -> None:
        self.calls.append(operation)
        if self.before is not None:
            await self.before(operation)
        if self.fail[operation]:
            raise self.fail[operation].pop(0)

    def _leave(self, operation: str) -> None:
        if self.lose[operation]:
            raise self.lose[operation].pop(0)


@dataclass
class FakeTenants:
    """Opens fake tenants by name."""

    by_name: dict[str, FakeTenant] = field(default_factory=lambda: defaultdict(FakeTenant))

    def __getitem__(self, name: str) -> FakeTenant:
        return self.by_name[name]

    async def read_state(
        self, tenant: TenantSpec, *, proxy: Proxy | None = None, only_once: bool = False
    ) -> ReportedState:
        """See the port."""
        del proxy, only_once
        fake = self.by_name[tenant.name]
        fake.asked += 1
        if isinstance(fake.reported, Exception):
            raise fake.reported
        return fake.reported

    def trusts(self, tenant: TenantSpec, state: ReportedState) -> bool:
        """See the port."""
        del state
        return self.by_name[tenant.name].trusted

    @asynccontextmanager
    async def open(
        self,
        tenant: TenantSpec,
        credentials: Credentials,
        *,
        proxy: Proxy | None = None,
        read_only: bool = False,
        whereabouts: Whereabouts | None = None,
        memory: SessionMemory | None = None,
    ) -> AsyncIterator[TenantApi]:
        """See the port."""
        fake = self.by_name[tenant.name]
        fake.whereabouts, fake.memory = whereabouts, memory
        fake.credentials, fake.proxy, fake.read_only = credentials, proxy, read_only
        yield fake

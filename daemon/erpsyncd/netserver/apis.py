"""Opens tenants: checks the address, chooses the protocol and the session, owns what has to be closed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime

from erpsyncd.domain.proxies import Proxy
from erpsyncd.domain.sessions import SessionMemory
from erpsyncd.domain.state_ports import Whereabouts
from erpsyncd.domain.tenant_states import ReportedState
from erpsyncd.domain.tenants import AuthKind, Credentials, Environment, Protocol, TenantSpec
from erpsyncd.domain.watching import CallWatcher
from erpsyncd.errors import RemoteError
from erpsyncd.netserver.addresses import check_base_url, check_proxy, check_tenant
from erpsyncd.netserver.api import Caller, NetServerApi
from erpsyncd.netserver.authentication import FixedSession, LogIn, LoginSession, Session
from erpsyncd.netserver.inspection import NetServerInspector
from erpsyncd.netserver.limits import RemoteLimits
from erpsyncd.netserver.logins import PasswordLogin
from erpsyncd.netserver.network import Network
from erpsyncd.netserver.online import OnlineLogins
from erpsyncd.netserver.places import Places
from erpsyncd.netserver.rate import RateLimiter
from erpsyncd.netserver.rest import RestDialect
from erpsyncd.netserver.soap import SoapDialect
from erpsyncd.netserver.tenant_states import check_addresses, fetch_state, state_limits
from erpsyncd.netserver.tls import SystemTls, Tls, own_tls
from erpsyncd.netserver.transport import Transport
from erpsyncd.netserver.wire import Wire


class NetServerApis:
    """All tenants of one process, as `erpsyncd.domain.ports.TenantApis` describes them.

    The rate limiters live here, by the tenant's name, so that two passes in a row share one.
    """

    def __init__(
        self,
        limits: RemoteLimits | None = None,
        *,
        hosts: Mapping[Environment, str] | None = None,
        certificates: Mapping[Environment, str] | None = None,
        limiter: Callable[[], RateLimiter] = RateLimiter,
        wire: Callable[[], Wire] | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        on_call: CallWatcher | None = None,
    ) -> None:
        """`hosts` are the base addresses of the vendor's environments; `on_call` is told of each call.

        `certificates` are the paths of what signs their tokens, where that is not looked up there. `wire` replaces
        the network, `limiter`, `clock` and `now` the time; all of them are for tests.
        """
        self._limits = limits or RemoteLimits()
        self._hosts = dict(hosts or {})
        self._new_limiter = limiter
        self._wire = wire
        self._clock = clock
        self._now = now
        self._online = OnlineLogins(self._hosts, certificates or {}, clock=clock, now=now)
        self._on_call = on_call
        self._tls = SystemTls()
        self._limiters: dict[str, RateLimiter] = {}

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
    ) -> AsyncIterator[NetServerApi]:
        """Yield a client for one pass. Nothing is sent before its first call; read-only ones cannot write.

        Raises:
            ConfigurationError: the address, the credentials, the certificates or the proxy cannot be used as they
                are.
        """
        places = Places(tenant, whereabouts) if whereabouts is not None else None
        tenant = places.tenant if places is not None else tenant
        dialect = _dialect(tenant, credentials, proxy)
        async with self._transport(tenant, proxy, read_only=read_only) as transport:
            caller = Caller(transport, self._limits, places)
            session = await self._session(tenant, credentials, dialect, caller, memory, proxy)
            try:
                yield NetServerApi(dialect, session, caller)
            finally:
                await session.aclose()

    async def _session(
        self,
        tenant: TenantSpec,
        credentials: Credentials,
        dialect: SoapDialect | RestDialect,
        caller: Caller,
        memory: SessionMemory | None,
        proxy: Proxy | None,
    ) -> Session:
        if (given := dialect.fixed_credential) is not None:
            return FixedSession(given)
        if isinstance(dialect, SoapDialect) and credentials.kind is AuthKind.PASSWORD:
            log_in: LogIn = PasswordLogin(dialect.log_in(), caller.perform, now=self._now)
        else:
            way = (proxy.address if proxy is not None else None, tenant.ca_file)
            log_in = await self._online.login(tenant, credentials, caller, way=way)
        return LoginSession(log_in, memory or SessionMemory(), now=self._now, clock=self._clock)

    @asynccontextmanager
    async def inspect(self, tenant: TenantSpec, *, proxy: Proxy | None = None) -> AsyncIterator[NetServerInspector]:
        """Yield what looks at a tenant from outside, by the same way and at the same rate as everything else.

        Raises:
            ConfigurationError: the address, the certificates or the proxy cannot be used as they are.
        """
        check_tenant(tenant, proxy)
        async with self._transport(tenant, proxy, read_only=True) as transport:
            yield NetServerInspector(tenant, transport, self._limits)

    async def read_state(
        self, tenant: TenantSpec, *, proxy: Proxy | None = None, only_once: bool = False
    ) -> ReportedState:
        """Ask for the state of a tenant that has an environment, at the rate of everything else that is sent for it.

        Raises:
            ConfigurationError: the environment's address, the certificates or the proxy cannot be used as they are.
            RemoteError: there was no answer that can be read.
        """
        host = self._host(tenant)
        check_base_url(tenant.name, f"online.{tenant.environment}", host)
        check_proxy(tenant.name, host, proxy.address if proxy is not None else None)
        limits = state_limits(self._limits)
        async with self._transport(tenant, proxy, read_only=True, limits=limits) as transport:
            return await fetch_state(transport, host, tenant.context or "", limits, only_once=only_once)

    def trusts(self, tenant: TenantSpec, state: ReportedState) -> bool:
        """Say whether credentials may be sent where an earlier answer says that the tenant is."""
        try:
            check_addresses(state, self._host(tenant), tenant.context or "")
        except RemoteError:
            return False
        return True

    def _host(self, tenant: TenantSpec) -> str:
        assert tenant.environment is not None, "only tenants of Online have a state"
        return self._hosts[tenant.environment]

    @asynccontextmanager
    async def _transport(
        self, tenant: TenantSpec, proxy: Proxy | None, *, read_only: bool, limits: RemoteLimits | None = None
    ) -> AsyncIterator[Transport]:
        async with aclosing(await self._way_to(tenant, proxy)) as wire:
            yield Transport(
                wire,
                tenant=tenant.name,
                limits=limits or self._limits,
                limiter=self._limiters.setdefault(tenant.name, self._new_limiter()),
                calls_per_second=tenant.calls_per_second,
                proxy=proxy.address if proxy is not None else None,
                read_only=read_only,
                on_call=self._on_call,
            )

    async def _way_to(self, tenant: TenantSpec, proxy: Proxy | None) -> Wire:
        if self._wire is not None:
            return self._wire()
        tls: Tls = self._tls
        if tenant.files:
            tls = await asyncio.to_thread(own_tls, tenant, self._tls)
        return Network(tls, proxy)


def _dialect(tenant: TenantSpec, credentials: Credentials, proxy: Proxy | None) -> SoapDialect | RestDialect:
    check_tenant(tenant, proxy)
    return SoapDialect(tenant, credentials) if tenant.protocol is Protocol.SOAP else RestDialect(tenant, credentials)

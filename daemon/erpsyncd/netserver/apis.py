"""Opens tenants: checks the address, chooses the protocol and the session, owns what has to be closed."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cached_property

from erpsyncd.domain.tenants import Credentials, Protocol, TenantSpec
from erpsyncd.netserver.addresses import check_base_url
from erpsyncd.netserver.api import Caller, NetServerApi
from erpsyncd.netserver.authentication import FixedSession, LoginSession, Session
from erpsyncd.netserver.limits import RemoteLimits
from erpsyncd.netserver.rate import RateLimiter
from erpsyncd.netserver.rest import RestDialect
from erpsyncd.netserver.soap import SoapDialect
from erpsyncd.netserver.transport import Transport, Wire, http_client, tls_context


class NetServerApis:
    """All tenants of one process, as `erpsyncd.domain.ports.TenantApis` describes them.

    The rate limiters live here, by the tenant's name, so that two passes in a row share one.
    """

    def __init__(
        self,
        limits: RemoteLimits | None = None,
        *,
        limiter: Callable[[], RateLimiter] = RateLimiter,
        wire: Callable[[], Wire] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`wire` replaces the network, `limiter` and `clock` the time; all of them are for tests."""
        self._limits = limits or RemoteLimits()
        self._new_limiter = limiter
        self._wire = wire
        self._clock = clock
        self._limiters: dict[str, RateLimiter] = {}

    @asynccontextmanager
    async def open(
        self, tenant: TenantSpec, credentials: Credentials, *, read_only: bool = False
    ) -> AsyncIterator[NetServerApi]:
        """Yield a client for one pass. Nothing is sent before its first call; read-only ones cannot write.

        Raises:
            ConfigurationError: the address or the credentials cannot be used as they are.
        """
        dialect = self._dialect(tenant, credentials)
        client = http_client(self._limits, self._tls, self._wire() if self._wire is not None else None)
        async with client:
            transport = Transport(
                client,
                tenant=tenant.name,
                limits=self._limits,
                limiter=self._limiters.setdefault(tenant.name, self._new_limiter()),
                calls_per_second=tenant.calls_per_second,
                read_only=read_only,
            )
            caller = Caller(transport, self._limits)
            session = _session(dialect, caller, self._clock)
            try:
                yield NetServerApi(dialect, session, caller)
            finally:
                await session.aclose()

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Loaded with the first tenant: reading the system's certificates takes some milliseconds."""
        return tls_context()

    def _dialect(self, tenant: TenantSpec, credentials: Credentials) -> SoapDialect | RestDialect:
        if tenant.protocol is Protocol.SOAP:
            check_base_url(tenant.name, "soap_url" if tenant.soap_url else "url", tenant.soap_url or tenant.url)
            return SoapDialect(tenant, credentials)
        check_base_url(tenant.name, "rest_url" if tenant.rest_url else "url", tenant.rest_url or tenant.url)
        return RestDialect(tenant, credentials)


def _session(dialect: SoapDialect | RestDialect, caller: Caller, clock: Callable[[], float]) -> Session:
    if isinstance(dialect, SoapDialect) and dialect.fixed_credential is None:
        return LoginSession(dialect.log_in(), caller.perform, clock=clock)
    assert dialect.fixed_credential is not None
    return FixedSession(dialect.fixed_credential)

"""The login services of SuperOffice online, one for each environment, and how a tenant there is logged in to.

What a kind needs is imported where it is needed: most tenants have neither tokens to validate nor keys to sign with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from erpsyncd.domain.tenants import AuthKind, Credentials, Environment, TenantSpec
from erpsyncd.errors import ConfigurationError
from erpsyncd.netserver.addresses import check_base_url
from erpsyncd.netserver.api import Caller
from erpsyncd.netserver.authentication import LogIn

if TYPE_CHECKING:
    from erpsyncd.netserver.signing_keys import KeySource, PublishedKeys


class OnlineLogins:
    """Makes the logins of online tenants. The keys of their login services are kept here, for the whole process."""

    def __init__(
        self,
        hosts: Mapping[Environment, str],
        certificates: Mapping[Environment, str],
        *,
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        """`certificates` are PEM files with what signs an environment's tokens, in the place of its JWKS."""
        self._hosts = hosts
        self._certificates = certificates
        self._clock = clock
        self._now = now
        self._published: PublishedKeys | None = None

    async def login(self, tenant: TenantSpec, credentials: Credentials, caller: Caller, *, way: Hashable) -> LogIn:
        """Return how this tenant is logged in to.

        Raises:
            ConfigurationError: its environment or its context is missing, or a certificate cannot be used.
        """
        host = self._host(tenant)
        if credentials.kind is AuthKind.REFRESH_TOKEN:
            from erpsyncd.netserver.oauth import RefreshTokenLogin, refresh_token_exchange  # noqa: PLC0415 -- see above

            return RefreshTokenLogin(
                refresh_token_exchange(tenant.name, host, credentials, tenant.context), caller.perform, now=self._now
            )
        return await self._system_user(tenant, host, credentials, caller, way)

    async def _system_user(
        self, tenant: TenantSpec, host: str, credentials: Credentials, caller: Caller, way: Hashable
    ) -> LogIn:
        from erpsyncd.netserver.system_user import SystemUserLogin, system_user_endpoint  # noqa: PLC0415 -- see above
        from erpsyncd.netserver.system_user_tokens import SystemUserTokens  # noqa: PLC0415 -- as above

        if tenant.context is None:
            raise ConfigurationError(f"tenant {tenant.name}: context is needed to log in as a system user")
        endpoint = system_user_endpoint(host)
        tokens = SystemUserTokens(
            endpoint=endpoint,
            context=tenant.context,
            keys=await self._keys(tenant, host, caller, way),
            now=self._now,
        )
        return SystemUserLogin(
            tenant=tenant.name,
            endpoint=endpoint,
            context=tenant.context,
            credentials=credentials,
            perform=caller.perform,
            tokens=tokens,
            now=self._now,
        )

    async def _keys(self, tenant: TenantSpec, host: str, caller: Caller, way: Hashable) -> KeySource:
        from erpsyncd.netserver.signing_keys import PublishedKeys, read_certificates  # noqa: PLC0415 -- see above

        assert tenant.environment is not None
        path = self._certificates.get(tenant.environment)
        if path is not None:
            return await asyncio.to_thread(read_certificates, path)
        if self._published is None:
            self._published = PublishedKeys(self._clock)
        return self._published.of(host, way, caller.fetch)

    def _host(self, tenant: TenantSpec) -> str:
        """Return the login service's address, which gets secrets and is checked like a tenant's own."""
        if tenant.environment is None:
            raise ConfigurationError(f"tenant {tenant.name}: environment is needed to log in online")
        host = self._hosts.get(tenant.environment)
        if host is None:
            raise ConfigurationError(f"tenant {tenant.name}: [online] has no address for {tenant.environment}")
        check_base_url(tenant.name, f"online.{tenant.environment}", host)
        return host

"""What a tenant's doctor needs from the outside. The adapters stand in `netserver/`."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from erpsyncd.domain.inspections import ContractReport, Greeting
from erpsyncd.domain.ports import TenantApi
from erpsyncd.domain.proxies import Proxy
from erpsyncd.domain.state_ports import TenantStates, Whereabouts
from erpsyncd.domain.tenants import Credentials, TenantSpec


class ExaminableApi(TenantApi, Protocol):
    """A tenant's API as its doctor uses it."""

    async def log_in(self) -> None:
        """Log in now, where that is a call of its own."""
        ...


class TenantInspector(Protocol):
    """A tenant seen from outside: no credential is sent, nothing but documents is asked for."""

    async def addresses(self) -> tuple[str, ...]:
        """Return what the host's name resolves to; raises `RemoteUnreachable`."""
        ...

    async def greet(self) -> Greeting:
        """Connect and look at who answers; raises `RemoteError`."""
        ...

    async def contracts(self) -> tuple[ContractReport, ...]:
        """Compare what the tenant says of its agents with what we send, as far as it says anything."""
        ...


class ExaminableApis(TenantStates, Protocol):
    """Opens tenants for their doctor."""

    def open(
        self,
        tenant: TenantSpec,
        credentials: Credentials,
        *,
        proxy: Proxy | None = None,
        read_only: bool = False,
        whereabouts: Whereabouts | None = None,
    ) -> AbstractAsyncContextManager[ExaminableApi]:
        """Return a client, as `TenantApis.open` does."""
        ...

    def inspect(
        self, tenant: TenantSpec, *, proxy: Proxy | None = None
    ) -> AbstractAsyncContextManager[TenantInspector]:
        """Return what looks at a tenant from outside, by the same way and at the same rate as everything else."""
        ...

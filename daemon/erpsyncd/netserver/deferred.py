"""Tenants that are opened by the first call to them.

A pass has mostly nothing to do. It then neither builds a client nor imports what clients are made of, which takes as
long as all the rest of `netserver` and of its libraries.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from erpsyncd.domain.ports import TenantApi, TenantApis
from erpsyncd.domain.tenants import ONLINE_KINDS, Credentials, Protocol, TenantSpec
from erpsyncd.netserver.addresses import check_tenant

if TYPE_CHECKING:
    from erpsyncd.domain.proxies import Proxy
    from erpsyncd.domain.sessions import SessionMemory
    from erpsyncd.domain.state_ports import Whereabouts
    from erpsyncd.domain.tenant_states import ReportedState

_Opening: TypeAlias = Callable[[], AbstractAsyncContextManager[TenantApi]]


class DeferredApis:
    """All tenants of one process, as `erpsyncd.domain.ports.TenantApis` describes them; made when they are needed."""

    def __init__(self, make: Callable[[], TenantApis]) -> None:
        self._make = make

    @cached_property
    def _apis(self) -> TenantApis:
        return self._make()

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
        """Yield a client for one pass. What entering it refuses is refused now, whatever there is to do.

        Raises:
            ConfigurationError: as the port says.
        """

        def opening() -> AbstractAsyncContextManager[TenantApi]:
            return self._apis.open(
                tenant, credentials, proxy=proxy, read_only=read_only, whereabouts=whereabouts, memory=memory
            )

        async with AsyncExitStack() as stack:
            if _is_checked_by_opening(tenant) or credentials.kind in ONLINE_KINDS:
                yield await stack.enter_async_context(opening())
                return
            check_tenant(tenant, proxy)
            # It has each method of the port, by its name.
            yield cast("TenantApi", _Unopened(stack, opening))

    async def read_state(
        self, tenant: TenantSpec, *, proxy: Proxy | None = None, only_once: bool = False
    ) -> ReportedState:
        """Ask for the state of a tenant; see the port."""
        return await self._apis.read_state(tenant, proxy=proxy, only_once=only_once)

    def trusts(self, tenant: TenantSpec, state: ReportedState) -> bool:
        """Say whether credentials may be sent there; see the port."""
        return self._apis.trusts(tenant, state)


def _is_checked_by_opening(tenant: TenantSpec) -> bool:
    """Whether more than the address can be wrong: certificates, an environment, what a header does not carry."""
    return bool(tenant.files) or tenant.environment is not None or tenant.protocol is Protocol.REST


class _Unopened:
    """A tenant that is opened before the first call, and closed with the stack."""

    def __init__(self, stack: AsyncExitStack, opening: _Opening) -> None:
        self._stack = stack
        self._opening = opening
        self._opened: TenantApi | None = None
        self._turn = asyncio.Lock()

    def __getattr__(self, operation: str) -> Callable[..., Awaitable[Any]]:
        async def call(*arguments: Any, **options: Any) -> Any:
            if self._opened is None:
                await self._open()
            return await getattr(self._opened, operation)(*arguments, **options)

        return call

    async def _open(self) -> None:
        """Open it, unless somebody else did so meanwhile."""
        async with self._turn:
            if self._opened is None:
                self._opened = await self._stack.enter_async_context(self._opening())

"""Where calls to a tenant of Online go: hosts change while a pass is under way, and installations stop.

A call that was turned away at the old host (421), or never got there, was not carried out; so it is made once more
where the tenant is now, even if it creates something. What may have been carried out is never repeated here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeAlias, TypeVar

from erpsyncd.domain.ports import BeforeSend
from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.state_ports import Whereabouts
from erpsyncd.domain.tenant_states import ReportedState
from erpsyncd.domain.tenants import TenantSpec, located
from erpsyncd.errors import (
    Effect,
    MalformedResponse,
    Misdirected,
    ProxyUnauthorized,
    RemoteError,
    RemoteUnavailable,
    TemporaryRemoteError,
    TenantNotRunning,
)
from erpsyncd.netserver.calls import Call, Exchange, Reply

T = TypeVar("T")
Send: TypeAlias = Callable[[Call, BeforeSend | None], Awaitable[Reply]]


class Places:
    """One tenant of Online in one pass."""

    def __init__(self, tenant: TenantSpec, whereabouts: Whereabouts) -> None:
        self._described = tenant
        self._whereabouts = whereabouts
        self.tenant = located(tenant, whereabouts.current)
        """At the address that all calls are written for; those that come later may go elsewhere."""

    async def carry_out(
        self, exchange: Exchange[T], credential: Secret, send: Send, before_send: BeforeSend | None
    ) -> T:
        """Make a call where the tenant is; once more where it has moved to, if the first one was not carried out.

        Raises:
            TenantNotRunning: it failed, and the tenant does not run any more.
            RemoteError: the call failed.
        """
        known, written = self._whereabouts.current, exchange.write(credential)
        call = self._at(known, written)
        try:
            return exchange.read(call, await send(call, before_send))
        except RemoteError as error:
            if not _may_be_elsewhere(error) or not self._is_to_tenant(written):
                raise
            found = await self._whereabouts.ask_again(known)
            moved = self._at(found, written)
            if not _is_to_repeat(error, call, moved, found):
                raise
        return exchange.read(moved, await send(moved, before_send))

    def _at(self, state: ReportedState, call: Call) -> Call:
        """Return a call as it goes to where the tenant is; what is for somebody else stays as it is."""
        url = call.endpoint.url
        for old, new in zip(_bases(self.tenant), _bases(located(self._described, state)), strict=True):
            if old != new and url.startswith(f"{old}/"):
                return replace(call, endpoint=replace(call.endpoint, url=f"{new}{url.removeprefix(old)}"))
        return call

    def _is_to_tenant(self, call: Call) -> bool:
        return call.endpoint.url.startswith(tuple(f"{base}/" for base in _bases(self.tenant)))


def _bases(tenant: TenantSpec) -> tuple[str, str]:
    return tenant.soap_base, tenant.rest_base


def _is_to_repeat(error: RemoteError, call: Call, moved: Call, found: ReportedState) -> bool:
    """Return whether a failed call is to be made at the new address.

    Raises:
        TenantNotRunning: the tenant is nowhere now.
        Misdirected: the vendor says that it is just where it is not.
    """
    if not found.is_running:
        message = f"the tenant does not run any more: {found.word}"
        raise TenantNotRunning(
            error.operation, message, effect=error.effect, needs_operator=found.needs_operator
        ) from error
    if moved.endpoint.url != call.endpoint.url:
        return error.effect is not Effect.UNCERTAIN
    if isinstance(error, Misdirected):
        message = (
            f"{call.endpoint.where} does not serve this tenant (421), and nobody names another address; "
            "the vendor may be moving it just now, and the next pass asks again"
        )
        raise Misdirected(error.operation, message) from error
    return False


def _may_be_elsewhere(error: RemoteError) -> bool:
    """Whether a call can have failed because the tenant moved or stopped; not for its rate or the proxy's password."""
    if isinstance(error, ProxyUnauthorized):
        return False
    if isinstance(error, RemoteUnavailable):
        return error.effect is not Effect.REFUSED
    return isinstance(error, Misdirected | MalformedResponse | TemporaryRemoteError)

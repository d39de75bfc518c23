"""Where a tenant of Online is and whether it runs, as one pass learns it: from the store, or from the vendor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from erpsyncd.domain.tenant_states import ReportedState, for_operators, good_until
from erpsyncd.errors import Effect, RemoteError, RemoteNotFound, TenantNotRunning, UntrustedAddress

if TYPE_CHECKING:
    from erpsyncd.domain.intents import Lease
    from erpsyncd.domain.ports import PassStore
    from erpsyncd.domain.proxies import Proxy
    from erpsyncd.domain.state_ports import TenantStates
    from erpsyncd.domain.tenants import Tenant, TenantSpec

log = structlog.stdlib.get_logger(__name__)

#: What a failing pass does not ask again within, so that a tenant in trouble does not cost a question per call.
AGAIN_SECONDS = 60.0

_OPERATION = "TenantState"


@dataclass(kw_only=True)
class KnownWhereabouts:
    """`erpsyncd.domain.ports.Whereabouts` of one tenant in one pass."""

    current: ReportedState
    read: Callable[[], Awaitable[ReportedState]]
    """Asks the vendor, and keeps the answer."""

    clock: Callable[[], float] = time.monotonic
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _asked_at: float | None = None

    async def ask_again(self, known: ReportedState) -> ReportedState:
        """See the port. Who failed under an older answer than the newest one gets that; nobody asks for him."""
        async with self._asking:
            lately = self._asked_at is not None and self.clock() - self._asked_at < AGAIN_SECONDS
            if self.current is known and not lately:
                self._asked_at = self.clock()
                try:
                    self.current = await self.read()
                except RemoteError as exc:
                    log.warning("tenant_state.unread", error_class=exc.error_class, error=str(exc))
            return self.current


@dataclass(kw_only=True)
class Finder:
    """Finds one tenant of Online at the beginning of a pass."""

    tenant: Tenant
    states: TenantStates
    proxy: Proxy | None
    now: Callable[[], datetime]
    store: PassStore
    lease: Lease | None
    """None in a dry run, which writes nothing."""

    async def find(self) -> KnownWhereabouts:
        """Return where it is. The vendor is asked where the last answer is no longer good, or says "not running".

        Raises:
            TenantNotRunning: it does not run; nothing was sent to it.
            RemoteError: nobody says where it is.
        """
        known = self.tenant.reported
        if known is not None and not (known.is_running and self.states.trusts(self.tenant.spec, known)):
            known = None
        if known is None or not known.is_good(self.now()):
            known = await self._ask(known)
        if not known.is_running:
            raise not_running(known)
        return KnownWhereabouts(current=known, read=lambda: self._read(only_once=True))

    async def _ask(self, known: ReportedState | None) -> ReportedState:
        """Ask the vendor; where that is not possible, take what was so before, or what is described."""
        try:
            return await self._read(only_once=False)
        except (UntrustedAddress, RemoteNotFound):
            raise
        except RemoteError as exc:
            url = self.tenant.spec.url
            if known is None and not url:
                raise
            log.warning("tenant_state.unread", error_class=exc.error_class, error=str(exc))
            return known or ReportedState(word="Unknown", is_running=True, endpoint=url)

    async def _read(self, *, only_once: bool) -> ReportedState:
        found = await self.states.read_state(self.tenant.spec, proxy=self.proxy, only_once=only_once)
        found = replace(found, valid_until=good_until(found.valid_until, is_running=found.is_running, now=self.now()))
        if self.lease is not None:
            await self.store.remember_state(self.lease, found, at=self.now())
        log.info(
            "tenant_state.read",
            state=found.word,
            is_running=found.is_running,
            until=None if found.valid_until is None else found.valid_until.isoformat(),
            endpoint=found.endpoint,
        )
        return found


async def find_whereabouts(
    tenant: Tenant,
    states: TenantStates,
    proxy: Proxy | None,
    *,
    store: PassStore,
    lease: Lease | None,
    now: Callable[[], datetime],
) -> KnownWhereabouts | None:
    """Return where a tenant is; None for one that is where it is described. Raises what `Finder.find` raises."""
    if tenant.spec.environment is None:
        return None
    return await Finder(tenant=tenant, states=states, proxy=proxy, store=store, lease=lease, now=now).find()


async def look_at(tenant: TenantSpec, states: TenantStates, proxy: Proxy | None, *, now: datetime) -> ReportedState:
    """Ask the vendor how a tenant is, for somebody who waits for the answer; nothing is kept.

    Raises:
        TenantNotRunning: it does not run.
        RemoteError: there was no answer that can be believed.
    """
    state = _bounded(await states.read_state(tenant, proxy=proxy), now)
    if not state.is_running:
        raise not_running(state)
    return state


def not_running(state: ReportedState) -> TenantNotRunning:
    """Return why nothing is sent to a tenant that does not run."""
    until = "" if state.valid_until is None else f"; asked again from {state.valid_until:%Y-%m-%dT%H:%M:%SZ}"
    why = for_operators(state.word)
    message = f"the tenant does not run ({state.word}){f': {why}' if why else ''}{until}"
    return TenantNotRunning(_OPERATION, message, effect=Effect.NEVER_SENT, needs_operator=state.needs_operator)


def raise_if_parked(tenant: Tenant, now: datetime) -> None:
    """Leave a tenant alone that does not run, as long as the vendor's answer is good.

    Raises:
        TenantNotRunning: it does not run.
    """
    if tenant.spec.environment is None or tenant.reported is None:
        return
    if not tenant.reported.is_running and tenant.reported.is_good(now):
        raise not_running(tenant.reported)


def _bounded(state: ReportedState, now: datetime) -> ReportedState:
    until = good_until(state.valid_until, is_running=state.is_running, now=now)
    return replace(state, valid_until=until)

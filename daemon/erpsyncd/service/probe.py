"""Trying a tenant out: can we log in, list, and ask? Nothing is changed there, and nothing remembered here.

What was refused is not tried again, unless one insists.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from erpsyncd.domain.items import command
from erpsyncd.domain.sessions import LOGIN_OPERATIONS
from erpsyncd.domain.tenants import Credentials, Tenant, TenantSpec, located
from erpsyncd.errors import ConfigurationError, ConnectionFailed, DaemonError, RemoteError, Unauthorized
from erpsyncd.service.access import resolve_access
from erpsyncd.service.checks import ask
from erpsyncd.service.whereabouts import look_at

if TYPE_CHECKING:
    from erpsyncd.domain.ports import TenantApi, TenantApis
    from erpsyncd.domain.proxies import Proxy
    from erpsyncd.service.secrets import SecretResolver


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that was tried."""

    name: str
    is_ok: bool | None
    """None where it was not tried, because what it needs had failed."""

    what: str
    error_class: str | None = None
    do: str | None = None
    """The command to mend it with, where there is one."""


class _NotThere(Exception):
    """Nobody says where the tenant is, or it does not run."""

    def __init__(self, error: RemoteError) -> None:
        super().__init__()
        self.error = error


@dataclass(kw_only=True)
class Probe:
    """One trial of a tenant. A failure is a step's result; what depends on it is not tried."""

    tenant: Tenant
    fingerprint: Callable[[Credentials], str]
    retry: bool = False
    """Whether credentials that the tenant refused before are tried all the same."""

    steps: list[Step] = field(default_factory=list)
    error: DaemonError | None = None
    """The first failure, whose exit code the command has."""

    _were_refused: bool = field(default=False, init=False)
    """Whether the tenant refused just these credentials before."""

    async def run(self, apis: TenantApis, resolver: SecretResolver) -> None:
        """Resolve the secrets, log in, list, ask HasConnections."""
        try:
            async with self._opened(apis, resolver) as api:
                self._passed("secrets", "all of them are here")
                if self._were_refused and not self.retry:
                    self._leave_it()
                else:
                    await self._list(api)
                    await self._ask(api)
        except _NotThere as exc:
            self._failed("tenant state", exc.error)
        except (ConfigurationError, ConnectionFailed) as exc:
            self._failed("secrets", exc)
        for name in ("log in", "list connections", "HasConnections"):
            if name not in {step.name for step in self.steps}:
                self.steps.append(Step(name=name, is_ok=None, what="not tried"))

    @asynccontextmanager
    async def _opened(self, apis: TenantApis, resolver: SecretResolver) -> AsyncIterator[TenantApi]:
        credentials, proxy = await asyncio.to_thread(resolve_access, self.tenant.spec, resolver)
        self._were_refused = self.tenant.refused_auth == self.fingerprint(credentials)
        spec = await self._located(apis, proxy)
        async with apis.open(spec, credentials, proxy=proxy, read_only=True) as api:
            yield api

    async def _located(self, apis: TenantApis, proxy: Proxy | None) -> TenantSpec:
        """Return the tenant where it is: as described, or as the vendor says of one that has an environment."""
        spec = self.tenant.spec
        if spec.environment is None:
            return spec
        try:
            state = await look_at(spec, apis, proxy, now=datetime.now(UTC))
        except RemoteError as exc:
            raise _NotThere(exc) from exc
        self._passed("tenant state", f"{state.word}, at {state.endpoint or state.api}")
        return located(spec, state)

    def _leave_it(self) -> None:
        retry = command("tenants", "test", "--retry", self.tenant.name)
        what = "the tenant refused these credentials before; not tried again, lest the account be locked"
        self._failed("log in", Unauthorized(f"{what}; to try them all the same: {retry}"))

    async def _list(self, api: TenantApi) -> None:
        try:
            found = await api.list_connections()
        except (RemoteError, Unauthorized) as exc:
            if isinstance(exc, Unauthorized) or exc.operation in LOGIN_OPERATIONS:
                self._failed("log in", exc)
            else:
                logged_in = self.tenant.spec.logs_in
                # Without a call of its own, a login shows only in a call that is answered.
                what = "the tenant knows us" if logged_in else "not known, because this call does not tell"
                self.steps.append(Step(name="log in", is_ok=True if logged_in else None, what=what))
                self._failed("list connections", exc)
            return
        self._let_in()
        self._passed("list connections", f"{len(found)} connection{'' if len(found) == 1 else 's'}")

    async def _ask(self, api: TenantApi) -> None:
        if any(step.name == "log in" and step.is_ok is False for step in self.steps):
            return
        try:
            is_ok, why = await ask(api, self.tenant.spec.language)
        except (RemoteError, Unauthorized) as exc:
            self._failed("HasConnections", exc)
            return
        self._passed("HasConnections", "yes" if is_ok else f"no{f' ({why})' if why else ''}")

    def _let_in(self) -> None:
        refused = self._were_refused
        what = "the tenant knows us"
        self.steps.append(
            Step(
                name="log in",
                is_ok=True,
                what=f"{what}; it refused us before, and passes leave it alone until" if refused else what,
                do=command("tenants", "resume", self.tenant.name) if refused else None,
            )
        )

    def _passed(self, name: str, what: str) -> None:
        self.steps.append(Step(name=name, is_ok=True, what=what))

    def _failed(self, name: str, error: DaemonError) -> None:
        self.error = self.error or error
        do = command("tenants", "edit", self.tenant.name, "--ask-secret") if isinstance(error, Unauthorized) else None
        online = self.tenant.spec.environment is not None
        if not online and error.error_class in {"unreachable", "not_found", "configuration"}:
            do = command("tenants", "edit", self.tenant.name, "--url", "URL")
        self.steps.append(Step(name=name, is_ok=False, what=str(error), error_class=error.error_class, do=do))

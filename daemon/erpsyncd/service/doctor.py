"""The doctor of one tenant: from its name to what its agents grant. It reads, and does not try what was refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from ssl import SSLError
from typing import TYPE_CHECKING

from erpsyncd.domain.findings import Finding, Result, finding_from
from erpsyncd.domain.items import command
from erpsyncd.domain.tenants import ONLINE_KINDS, AuthKind, Credentials, Protocol, Tenant, located
from erpsyncd.errors import (
    ClockSkewed,
    ConfigurationError,
    DaemonError,
    RemoteError,
    RemoteFault,
    SecretMissing,
    TenantNotRunning,
    Unauthorized,
)
from erpsyncd.service.access import Resolved, resolve_credentials, resolve_proxy
from erpsyncd.service.checks import ask
from erpsyncd.service.whereabouts import look_at

if TYPE_CHECKING:
    from erpsyncd.domain.examination_ports import ExaminableApi, ExaminableApis, TenantInspector
    from erpsyncd.domain.inspections import ContractReport, Greeting
    from erpsyncd.domain.proxies import Proxy

_EXPIRES_SOON = timedelta(days=21)
_MAX_SKEW = timedelta(seconds=60)
_REACH = "look at url, the network, the firewall and the name servers"
_ANSWER = "look at the tenant's own log; the next pass tries again"
_WAIT = "it ends by itself, and passes ask again"
_ENVIRONMENT = "look at environment and context, and the addresses under [online]"
_GRANT = "give the user's role the right to this agent in the tenant"
_CLOCK = "set this machine's clock: timedatectl set-ntp true"
_ELSEWHERE = "run this where the service's secrets are"
#: An id that an installation may have or not have: either answer shows that the agent works for us.
_ANY_ID = 1


@dataclass(kw_only=True)
class TenantDoctor:
    """Examines one tenant, once."""

    tenant: Tenant
    apis: ExaminableApis
    resolved: Resolved
    fingerprint: Callable[[Credentials], str]
    now: Callable[[], datetime]
    retry: bool = False
    """Whether credentials that the tenant refused before are tried all the same."""

    _findings: list[Finding] = field(default_factory=list, init=False)

    async def examine(self) -> tuple[Finding, ...]:
        """Return what was found, from the outside in; what lies behind a closed door is not looked at."""
        self._look_at_state()
        try:
            proxy = resolve_proxy(self.tenant.spec, self.resolved)
            if not await self._locate(proxy):
                return tuple(self._findings)
            async with self.apis.inspect(self.tenant.spec, proxy=proxy) as inspector:
                is_there = await self._find_it(inspector, proxy) and await self._greet(inspector)
                if is_there:
                    for report in await inspector.contracts():
                        self._compare(report)
            if is_there:
                await self._enter(proxy)
        except SecretMissing as exc:
            self._found("connection", Result.NOTE, f"not tried: {exc}", _ELSEWHERE)
        except ConfigurationError as exc:
            self._failed("description", exc, "correct the tenant and import it again")
        return tuple(self._findings)

    @property
    def _credentials_remedy(self) -> str:
        return (
            f"give the right ones, by an import or with: {command('tenants', 'edit', self.tenant.name, '--ask-secret')}"
        )

    def _look_at_state(self) -> None:
        parked_until, resume = self.tenant.parked_until, command("tenants", "resume", self.tenant.name)
        if self.tenant.paused:
            self._found("state", Result.NOTE, "it is paused, so passes leave it alone", resume)
        elif parked_until is not None and parked_until > self.now():
            detail = f"it is parked until {parked_until:%Y-%m-%d %H:%M:%S} UTC, after failures in a row"
            self._found("state", Result.NOTE, detail, resume)

    async def _locate(self, proxy: Proxy | None) -> bool:
        """Ask the vendor where a tenant of Online is, and look at it there; say whether it is anywhere."""
        spec = self.tenant.spec
        if spec.environment is None:
            return True
        try:
            state = await look_at(spec, self.apis, proxy, now=self.now())
        except TenantNotRunning as exc:
            self._failed("tenant state", exc, _WAIT, result=Result.FAILED if exc.needs_operator else Result.NOTE)
            return False
        except RemoteError as exc:
            self._failed("tenant state", exc, _ENVIRONMENT)
            return False
        self.tenant = replace(self.tenant, spec=located(spec, state))
        until = f", good until {state.valid_until:%Y-%m-%d %H:%M:%S} UTC" if state.valid_until else ""
        self._found("tenant state", Result.OK, f"{state.word}, at {state.endpoint or state.api}{until}")
        return True

    # From outside ----------------------------------------------------------------------------------------------

    async def _find_it(self, inspector: TenantInspector, proxy: Proxy | None) -> bool:
        if proxy is not None:
            self._found("dns", Result.NOTE, f"the proxy {proxy.address.where} looks the name up")
            return True
        try:
            addresses = await inspector.addresses()
        except RemoteError as exc:
            self._failed("dns", exc, _REACH)
            return False
        self._found("dns", Result.OK, ", ".join(addresses))
        return True

    async def _greet(self, inspector: TenantInspector) -> bool:
        before = self.now()
        try:
            greeting = await inspector.greet()
        except RemoteError as exc:
            self._failed("tls" if _is_about_tls(exc) else "connection", exc, _REACH)
            return False
        self._found("connection", Result.OK, "the tenant answers")
        self._look_at_tls(greeting)
        self._compare_clocks(greeting, before, self.now())
        return True

    def _look_at_tls(self, greeting: Greeting) -> None:
        expires = greeting.certificate_expires_at
        if expires is None:
            self._found("tls", Result.NOTE, "plain http, on this machine")
            return
        detail = f"{greeting.tls_version}, certificate good until {expires:%Y-%m-%d}"
        if expires - self.now() < _EXPIRES_SOON:
            self._found("tls", Result.WARNING, detail, "have it renewed by whoever runs the tenant's web server")
        else:
            self._found("tls", Result.OK, detail)

    def _compare_clocks(self, greeting: Greeting, before: datetime, after: datetime) -> None:
        """Look how far the tenant's clock is off. Its answer was dated between two moments, in whole seconds."""
        if greeting.date is None:
            self._found("clock", Result.NOTE, "the tenant does not say what time it has")
            return
        skew = max(greeting.date - after, before - greeting.date, timedelta())
        if skew <= _MAX_SKEW:
            self._found("clock", Result.OK, "the tenant's clock and ours agree")
            return
        way = "ahead of" if greeting.date > after else "behind"
        detail = f"the tenant's clock is {round(skew.total_seconds())} s {way} ours"
        self._found("clock", Result.WARNING, detail, "set whichever is wrong; here: timedatectl set-ntp true")

    def _compare(self, report: ContractReport) -> None:
        check = f"wsdl {report.agent}"
        if report.not_compared:
            remedy = "nothing to do, unless calls to this agent fail"
            self._found(check, Result.NOTE, f"not compared: {report.not_compared}", remedy)
        elif report.mismatches:
            setting = "quote_services" if report.agent == "Quote" else "erpsync_services"
            remedy = f"set {setting} to a version (84 to 88) that fits: what stands in another place gets lost"
            self._found(check, Result.FAILED, "; ".join(report.mismatches), remedy)
        else:
            self._found(check, Result.OK, f"{_counted(report.operations, 'operation')}, as we send them")

    # From inside -----------------------------------------------------------------------------------------------

    async def _enter(self, proxy: Proxy | None) -> None:
        """Log in, and try what that opens."""
        spec = self.tenant.spec
        try:
            credentials = resolve_credentials(spec, self.resolved)
        except SecretMissing as exc:
            self._found("login", Result.NOTE, f"not tried: {exc}", _ELSEWHERE)
            return
        if self.tenant.refused_auth == self.fingerprint(credentials) and not self.retry:
            detail = "the tenant refused these credentials before; not tried again, lest the account be locked"
            remedy = f"{self._credentials_remedy}; to try them all the same: erpsyncd doctor --retry {self.tenant.name}"
            self._found("login", Result.FAILED, detail, remedy)
            return
        async with self.apis.open(spec, credentials, proxy=proxy, read_only=True) as api:
            try:
                if self.tenant.spec.logs_in:
                    await api.log_in()
                    self._found("login", Result.OK, f"{self._host} gave {self._given}")
                await self._try_agents(api)
            except Unauthorized as exc:
                self._failed("login", exc, self._credentials_remedy)
            except RemoteError as exc:  # of the login: an agent's own failures are findings about the agent
                self._failed("login", exc, _CLOCK if isinstance(exc, ClockSkewed) else _ANSWER)

    @property
    def _host(self) -> str:
        return "the login service" if self.tenant.spec.auth.kind in ONLINE_KINDS else "the tenant"

    @property
    def _given(self) -> str:
        return "an access token" if self.tenant.spec.auth.kind is AuthKind.REFRESH_TOKEN else "a ticket"

    async def _try_agents(self, api: ExaminableApi) -> None:
        """Ask each agent for something that changes nothing. Raises `Unauthorized`."""
        listed: list[int] = []

        async def list_them() -> str:
            listed.extend(connection.erp_connection_id for connection in await api.list_connections())
            return f"lists {_counted(len(listed), 'connection')}"

        async def read_one() -> str:
            one = next(iter(listed), _ANY_ID)
            found = await api.get_connection(one)
            return f"connection {one} can be read" if found else f"says that there is no connection {one}"

        async def ask_quote() -> str:
            is_ok, why = await ask(api, spec.language)
            if is_ok:
                return "says yes: this user has Quote connections"
            return f"answers, and says no ({why or 'without a reason'}); that is about Quote connections of this user"

        spec = self.tenant.spec
        if spec.protocol is Protocol.REST:
            await self._try("ErpSync", list_them)
        else:
            await self._try("MDO", list_them)
            # How a tenant says that it does not have what was asked for is its own affair.
            await self._try("ErpSync", read_one, fault=Result.FAILED if listed else Result.WARNING)
        await self._try("Quote", ask_quote)
        if not self.tenant.spec.logs_in and self._findings[-1].result is Result.OK:
            self._found("login", Result.OK, "every call carries the credentials, and they are taken")

    async def _try(self, agent: str, call: Callable[[], Awaitable[str]], *, fault: Result = Result.FAILED) -> None:
        check = f"agent {agent}"
        try:
            self._found(check, Result.OK, await call())
        except RemoteFault as exc:
            self._failed(check, exc, _GRANT, result=fault)
        except RemoteError as exc:
            self._failed(check, exc, _GRANT if exc.error_class == "forbidden" else _ANSWER)

    # Findings --------------------------------------------------------------------------------------------------

    def _found(self, check: str, result: Result, detail: str, remedy: str = "") -> None:
        found = Finding(check=check, result=result, detail=detail, remedy=remedy, tenant=self.tenant.name)
        self._findings.append(found)

    def _failed(self, check: str, error: DaemonError, otherwise: str, *, result: Result = Result.FAILED) -> None:
        found = finding_from(error, check, otherwise=otherwise, tenant=self.tenant.name, result=result)
        self._findings.append(found)


def _is_about_tls(error: BaseException) -> bool:
    """Whether a connection failed in the handshake: below the errors of the libraries stands OpenSSL's own."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, SSLError):
            return True
        link = link.__cause__ or link.__context__
    return False


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"

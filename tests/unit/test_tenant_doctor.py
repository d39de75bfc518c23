"""The doctor of one tenant: what it makes of what it sees, and what it does not do."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from erpsyncd.domain.examination_ports import ExaminableApi, TenantInspector
from erpsyncd.domain.findings import Finding, Result
from erpsyncd.domain.inspections import ContractReport, Greeting
from erpsyncd.domain.proxies import Proxy
from erpsyncd.domain.results import PluginResponse
from erpsyncd.domain.secrets import Reference, Scheme, Secret, parse_template
from erpsyncd.domain.state_ports import Whereabouts
from erpsyncd.domain.tenant_states import ReportedState
from erpsyncd.domain.tenants import Auth, AuthKind, Credentials, Protocol, Tenant, TenantSpec
from erpsyncd.errors import (
    ConfigurationError,
    RemoteError,
    RemoteFault,
    RemoteForbidden,
    RemoteNotFound,
    RemoteUnreachable,
    Unauthorized,
)
from erpsyncd.service.access import Resolved
from erpsyncd.service.doctor import TenantDoctor
from factories import make_erp_connection
from fakes import FakeTenant
from netserver_support import tenant_spec

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FRESH = Greeting(date=NOW, tls_version="TLSv1.3", certificate_expires_at=NOW + timedelta(days=22))
PASSWORD = Reference(Scheme.ENV, "P")
UNRESOLVED = Resolved(values={}, reasons={PASSWORD: "@{env:P} is not set"})


@dataclass
class Examined(FakeTenant):
    """A fake tenant that can be looked at from outside, and logs in."""

    greeting: Greeting | RemoteError = FRESH
    reports: tuple[ContractReport, ...] = ()
    opened: list[bool] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    proxies: list[Proxy | None] = field(default_factory=list)

    async def log_in(self) -> None:
        await self._enter("LogIn")

    async def addresses(self) -> tuple[str, ...]:
        await self._enter("addresses")
        return ("192.0.2.1", "192.0.2.2")

    async def greet(self) -> Greeting:
        if isinstance(self.greeting, RemoteError):
            raise self.greeting
        return self.greeting

    async def contracts(self) -> tuple[ContractReport, ...]:
        return self.reports

    async def read_state(
        self, tenant: TenantSpec, *, proxy: Proxy | None = None, only_once: bool = False
    ) -> ReportedState:
        del tenant, proxy, only_once
        if isinstance(self.reported, Exception):
            raise self.reported
        return self.reported

    def trusts(self, tenant: TenantSpec, state: ReportedState) -> bool:
        del tenant, state
        return self.trusted

    @asynccontextmanager
    async def open(
        self,
        tenant: TenantSpec,
        credentials: Credentials,
        *,
        proxy: Proxy | None = None,
        read_only: bool = False,
        whereabouts: Whereabouts | None = None,
    ) -> AsyncIterator[ExaminableApi]:
        self.urls.append(tenant.url)
        self.whereabouts = whereabouts
        self.opened.append(read_only)
        self.proxies.append(proxy)
        self.credentials = credentials
        yield self

    @asynccontextmanager
    async def inspect(self, tenant: TenantSpec, *, proxy: Proxy | None = None) -> AsyncIterator[TenantInspector]:
        self.proxies.append(proxy)
        if tenant.url.startswith("http:"):
            raise ConfigurationError("url must be https; correct it")
        yield self


def doctor_of(fake: Examined, protocol: Protocol = Protocol.SOAP, **fields: Any) -> TenantDoctor:
    auth = Auth(
        kind=AuthKind.PASSWORD, fields={"username": parse_template("u"), "password": parse_template("@{env:P}")}
    )
    spec = {name: fields.pop(name) for name in ("url", "proxy", "environment", "context") if name in fields}
    resolved = Resolved(values={PASSWORD: Secret("secret")}, reasons={})
    own: dict[str, Any] = {name: fields.pop(name) for name in ("resolved", "retry") if name in fields}
    return TenantDoctor(
        tenant=Tenant(id=1, spec=tenant_spec(protocol, auth=auth, **spec), **fields),
        apis=fake,
        fingerprint=lambda credentials: f"print of {credentials.password.reveal()}",
        now=lambda: NOW,
        **({"resolved": resolved} | own),
    )


async def examine(fake: Examined, protocol: Protocol = Protocol.SOAP, **fields: Any) -> dict[str, Finding]:
    found = await doctor_of(fake, protocol, **fields).examine()
    assert {"acme"} == {finding.tenant for finding in found}
    assert len(found) == len({finding.check for finding in found})
    return {finding.check: finding for finding in found}


async def test_a_healthy_soap_tenant() -> None:
    """Everything is looked at, from the outside in, with a client that cannot write, and one login."""
    fake = Examined(reports=(ContractReport(agent="ErpSync", operations=3),), connections={7: make_erp_connection(7)})

    found = await examine(fake)

    outside, inside = ["dns", "connection", "tls", "clock", "wsdl ErpSync"], ["login", "agent MDO"]
    assert [*outside, *inside, "agent ErpSync", "agent Quote"] == list(found)
    assert {Result.OK} == {finding.result for finding in found.values()}
    assert ["addresses", "LogIn", "GetList", "GetConnection", "HasConnections"] == fake.calls
    assert [True] == fake.opened
    assert "connection 7 can be read" == found["agent ErpSync"].detail
    assert "192.0.2.1, 192.0.2.2" == found["dns"].detail


async def test_a_healthy_rest_tenant() -> None:
    """There is no login of its own: the agents show that the credentials are taken."""
    fake = Examined()

    found = await examine(fake, Protocol.REST)

    assert ["dns", "connection", "tls", "clock", "agent ErpSync", "agent Quote", "login"] == list(found)
    assert ["addresses", "GetList", "HasConnections"] == fake.calls


async def test_refused_credentials_are_not_tried() -> None:
    """Without --retry, nothing is sent that could lock the account; with it, they are tried once."""
    fake = Examined()

    found = await examine(fake, refused_auth="print of secret")
    other = await examine(Examined(), refused_auth="print of an older secret")

    assert (Result.FAILED, []) == (found["login"].result, fake.opened)
    assert "doctor --retry acme" in found["login"].remedy
    assert Result.OK is other["login"].result

    again = await examine(fake, refused_auth="print of secret", retry=True)

    assert (Result.OK, [True]) == (again["login"].result, fake.opened)


@pytest.mark.parametrize("protocol", list(Protocol))
async def test_a_refusal_ends_the_visit(protocol: Protocol) -> None:
    """No further call is made with credentials that were just refused."""
    first = "LogIn" if protocol is Protocol.SOAP else "GetList"
    fake = Examined()
    fake.fail[first] = [Unauthorized("they are refused")]

    found = await examine(fake, protocol)

    assert (Result.FAILED, "they are refused") == (found["login"].result, found["login"].detail)
    assert "erpsyncd tenants edit acme --ask-secret" in found["login"].remedy
    assert ["addresses", first] == fake.calls


async def test_a_login_that_fails_otherwise_ends_the_visit() -> None:
    """Its message says what to look at."""
    fake = Examined()
    fake.fail["LogIn"] = [RemoteNotFound("Authenticate", "there is no such address; check erpsync_services = 86")]

    found = await examine(fake)

    assert (Result.FAILED, "check erpsync_services = 86") == (found["login"].result, found["login"].remedy)
    assert "agent MDO" not in found


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (RemoteForbidden("HasConnections", "not granted"), "give the user's role"),
        (RemoteFault("HasConnections", "SoException: no"), "give the user's role"),
        (RemoteUnreachable("HasConnections", "cannot reach it"), "the next pass tries again"),
    ],
)
async def test_one_agent_may_fail_while_others_work(error: RemoteError, remedy: str) -> None:
    """What failed is that agent's finding."""
    fake = Examined()
    fake.fail["GetList"] = [error]

    found = await examine(fake)

    assert (Result.FAILED, True) == (found["agent MDO"].result, remedy in found["agent MDO"].remedy)
    assert (Result.OK, Result.OK) == (found["agent ErpSync"].result, found["agent Quote"].result)


async def test_how_a_tenant_says_that_it_has_nothing_is_its_own_affair() -> None:
    """A fault about an id that was only tried is a warning; about one that it lists, a failure."""
    strange, broken = Examined(), Examined(connections={7: make_erp_connection(7)})
    for fake in (strange, broken):
        fake.fail["GetConnection"] = [RemoteFault("GetConnection", "SoException: no")]

    assert Result.WARNING is (await examine(strange))["agent ErpSync"].result
    assert Result.FAILED is (await examine(broken))["agent ErpSync"].result


async def test_a_no_is_an_answer() -> None:
    """It is about Quote connections of this user, and not a fault."""
    fake = Examined(response=PluginResponse(is_ok=False, user_explanation="none\nhere"))

    found = await examine(fake)

    assert Result.OK is found["agent Quote"].result
    assert "answers, and says no (none here)" in found["agent Quote"].detail


async def test_credentials_that_are_not_known_here() -> None:
    """Nothing is tried without them; the tenant is looked at from outside all the same."""
    fake = Examined()

    found = await examine(fake, resolved=UNRESOLVED)

    assert (Result.NOTE, []) == (found["login"].result, fake.opened)
    assert "not tried: cannot log in: @{env:P} is not set" == found["login"].detail
    assert Result.OK is found["connection"].result


def tls_error() -> RemoteUnreachable:
    error = RemoteUnreachable("GET", "cannot reach it: certificate verify failed; check the certificate")
    error.__cause__ = ConnectionError()
    error.__cause__.__context__ = ssl.SSLCertVerificationError()
    return error


@pytest.mark.parametrize(
    ("error", "check"), [(RemoteUnreachable("GET", "cannot reach it"), "connection"), (tls_error(), "tls")]
)
async def test_behind_a_closed_door_nothing_is_looked_at(error: RemoteUnreachable, check: str) -> None:
    """No login is tried where there is no connection that can be trusted."""
    fake = Examined(greeting=error)

    found = await examine(fake)

    assert ["dns", check] == list(found)
    assert (Result.FAILED, []) == (found[check].result, fake.opened)


async def test_a_name_that_does_not_resolve() -> None:
    """It is the only finding."""
    fake = Examined()
    fake.fail["addresses"] = [RemoteUnreachable("GET", "x does not resolve")]

    found = await examine(fake)

    assert ["dns"] == list(found)
    assert "name servers" in found["dns"].remedy


async def test_an_address_that_must_not_be_called() -> None:
    """It is told like everything else, and the others are still examined."""
    found = await examine(Examined(), url="http://crm.acme.example")

    assert ["description"] == list(found)
    assert "correct it" == found["description"].remedy


async def test_a_proxy_is_gone_through() -> None:
    """By every look and call; the tenant's name is the proxy's to look up."""
    fake = Examined()

    found = await examine(fake, proxy=parse_template("http://p:@{env:P}@proxy.example:3128"))

    assert (Result.NOTE, "the proxy proxy.example:3128 looks the name up") == (found["dns"].result, found["dns"].detail)
    assert "addresses" not in fake.calls
    assert ["secret", "secret"] == [proxy.password.reveal() for proxy in fake.proxies if proxy]


async def test_a_proxy_that_cannot_be_used_from_here() -> None:
    """Its password is not known here: nothing is tried around it."""
    fake = Examined()

    found = await examine(fake, resolved=UNRESOLVED, proxy=parse_template("http://p:@{env:P}@proxy.example:3128"))

    assert ["connection"] == list(found)
    assert (Result.NOTE, []) == (found["connection"].result, fake.proxies)
    assert "@{env:P} is not set" in found["connection"].detail


@pytest.mark.parametrize(
    ("greeting", "result", "detail"),
    [
        (FRESH, Result.OK, "TLSv1.3, certificate good until 2026-03-23"),
        (
            Greeting(date=NOW, tls_version="TLSv1.2", certificate_expires_at=NOW + timedelta(days=20, hours=23)),
            Result.WARNING,
            "TLSv1.2, certificate good until 2026-03-22",
        ),
        (Greeting(date=NOW), Result.NOTE, "plain http, on this machine"),
    ],
)
async def test_certificates(greeting: Greeting, result: Result, detail: str) -> None:
    """One that ends within 21 days is a warning."""
    found = await examine(Examined(greeting=greeting))

    assert (result, detail) == (found["tls"].result, found["tls"].detail)


@pytest.mark.parametrize(
    ("date", "result", "detail"),
    [
        (NOW + timedelta(seconds=60), Result.OK, "the tenant's clock and ours agree"),
        (NOW - timedelta(seconds=60), Result.OK, "the tenant's clock and ours agree"),
        (NOW + timedelta(seconds=61), Result.WARNING, "the tenant's clock is 61 s ahead of ours"),
        (NOW - timedelta(hours=2), Result.WARNING, "the tenant's clock is 7200 s behind ours"),
        (None, Result.NOTE, "the tenant does not say what time it has"),
    ],
)
async def test_clocks(date: datetime | None, result: Result, detail: str) -> None:
    """More than a minute apart is a warning: tickets and retention depend on the time."""
    found = await examine(Examined(greeting=Greeting(date=date)))

    assert (result, detail) == (found["clock"].result, found["clock"].detail)


async def test_contracts() -> None:
    """What differs is a failure that names the setting; what cannot be compared is a note."""
    fake = Examined(
        reports=(
            ContractReport(agent="SoPrincipal", operations=1),
            ContractReport(agent="MDO", operations=1, not_compared="it is not served"),
            ContractReport(agent="ErpSync", operations=3, mismatches=("a", "b")),
            ContractReport(agent="Quote", operations=1, mismatches=("c",)),
        )
    )

    found = await examine(fake)

    results = {agent: found[f"wsdl {agent}"] for agent in ("SoPrincipal", "MDO", "ErpSync", "Quote")}
    assert [Result.OK, Result.NOTE, Result.FAILED, Result.FAILED] == [each.result for each in results.values()]
    assert "1 operation, as we send them" == results["SoPrincipal"].detail
    assert ("a; b", True) == (results["ErpSync"].detail, "erpsync_services" in results["ErpSync"].remedy)
    assert "quote_services" in results["Quote"].remedy


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"paused": True}, "it is paused"),
        ({"parked_until": NOW + timedelta(seconds=1)}, "it is parked until 2026-03-01 12:00:01 UTC"),
        ({"parked_until": NOW}, None),
    ],
)
async def test_what_passes_do_with_it(fields: dict[str, Any], detail: str | None) -> None:
    """A tenant that is left alone is examined all the same, and said to be."""
    found = await examine(Examined(), **fields)

    assert (detail is not None) == ("state" in found)
    assert detail is None or found["state"].detail.startswith(detail)
    assert Result.OK is found["agent Quote"].result

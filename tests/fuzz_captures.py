"""Real replies for the fuzz: what the sandbox answered to the real client, whole, over loopback."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from erpsyncd.domain.lists import ListName
from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.tenants import AuthKind, Credentials, Protocol, TenantSpec
from erpsyncd.errors import RemoteError, Unauthorized
from erpsyncd.netserver import wire
from erpsyncd.netserver.api import NetServerApi
from erpsyncd.netserver.apis import NetServerApis
from erpsyncd.netserver.calls import LOGIN_OPERATION
from erpsyncd.netserver.network import Network
from erpsyncd.sandbox import Absent, Answer, ConfigReading, Raise, RestErrors, Rule, SandboxServer, SandboxTenant
from netserver_support import PLAIN, QUICK, credentials, erp_connection, operation_asked_for, tenant_spec

#: The connection that is read, updated and deleted; the sandbox counts from 1.
KNOWN_ID = 1
#: The one that was never there.
UNKNOWN_ID = 4711
ANYWHERE = "https://crm.acme.example"
LOGIN = "login"
CREATE, UPDATE = "create", "update"

ACTIONS: Mapping[str, Callable[[NetServerApi], Awaitable[Any]]] = {
    "list": NetServerApi.list_connections,
    "names": lambda api: api.get_list(ListName.ASSOCIATES),
    "get": lambda api: api.get_connection(KNOWN_ID),
    CREATE: lambda api: api.save_connection(erp_connection(0)),
    UPDATE: lambda api: api.save_connection(erp_connection(KNOWN_ID)),
    "delete": lambda api: api.delete_connection(KNOWN_ID),
    "check": NetServerApi.has_connections,
    LOGIN: NetServerApi.has_connections,
}
_OPERATIONS: Mapping[str, str | Mapping[Protocol, str]] = {
    "list": {Protocol.SOAP: "GetList", Protocol.REST: "GetAllConnections"},
    "names": "GetList",
    "get": "GetConnection",
    CREATE: "SaveConnection",
    "delete": "DeleteConnection",
    "check": "HasConnections",
}

PASSWORD, TOKEN, TICKET = "placeholder-password", "placeholder-app-token", "7T:placeholder-ticket"
CONFIG_SECRETS = ("placeholder & <secret>", "F0001")
SECRETS = (PASSWORD, TOKEN, TICKET, *CONFIG_SECRETS)
_BLABBING = " ".join(("Cannot log in with", *SECRETS, "Basic c3luYy11c2VyOnBsYWNlaG9sZGVyLXBhc3N3b3Jk"))


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpReply:
    """One whole reply."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a tenant is spoken to."""

    protocol: Protocol
    erpsync_services: int = 86
    quote_services: int = 83

    def tenant(self, url: str) -> TenantSpec:
        services = {"erpsync_services": self.erpsync_services, "quote_services": self.quote_services}
        return tenant_spec(self.protocol, url=url, **services)

    @property
    def name(self) -> str:
        return f"{self.protocol}-{self.erpsync_services}-{self.quote_services}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """What came back when a tenant was asked for something."""

    dialect: Dialect
    action: str
    reply: HttpReply


SOAP_DIALECTS = tuple(
    Dialect(protocol=Protocol.SOAP, erpsync_services=erpsync, quote_services=quote)
    for erpsync, quote in ((86, 83), (84, 84), (88, 88))
)
REST_DIALECTS = (Dialect(protocol=Protocol.REST),)

_BASE = SandboxTenant(
    users={"sync-user": PASSWORD},
    application_token=TOKEN,
    bearer_tokens=frozenset({"8A:placeholder-token"}),
    newer_services88=True,
    headings={1: frozenset({2})},
)
#: Every way in which an installation says things that erpsyncd has to understand.
_INSTALLATIONS = (
    _BASE,
    replace(_BASE, wrap_exceptions=False, rest_errors=RestErrors.OBJECT, unknown_id=Absent.EXCEPTION),
    replace(_BASE, rest_errors=RestErrors.NULL, config_reading=ConfigReading.MASKED, deleted_readable=False),
)
_RAISED = (
    ("SoServerException", _BLABBING),
    ("SoNotFoundException", "It is not there."),
    ("SoSessionException", "Authentication failed! A valid session is missing."),
    ("System.NullReferenceException", ""),
)
_BUSY = Answer(status=503, headers={"Retry-After": "120", "Content-Type": "text/html"}, body=b"<html>busy</html>")
_WALK = (
    "check",
    "list",
    "names",
    "get",
    CREATE,
    CREATE,
    "check",
    "check",
    "get",
    UPDATE,
    "list",
    "check",
    "delete",
    "get",
)


class _Recorder:
    """Passes everything on and keeps what came back, by the action that it answers."""

    def __init__(self, dialect: Dialect, action: str, kept: list[Capture]) -> None:
        self._inner = Network(PLAIN)
        self._dialect, self._action, self._kept = dialect, action, kept

    async def ask(self, request: wire.Request, max_body: int) -> wire.Answer:
        answer = await self._inner.ask(request, max_body)
        reply = HttpReply(status=answer.status, headers=tuple(answer.headers), body=answer.body)
        action = LOGIN if operation_asked_for(request) == LOGIN_OPERATION else self._action
        self._kept.append(Capture(dialect=self._dialect, action=action, reply=reply))
        return answer

    async def aclose(self) -> None:
        await self._inner.aclose()


async def captured(dialect: Dialect) -> tuple[Capture, ...]:
    """Ask sandboxes of every kind for everything, in good and in bad times."""
    kept: list[Capture] = []
    with SandboxServer(open_tenants=True) as server:
        for number, options in enumerate(_INSTALLATIONS):
            name = f"{dialect.name}-{number}"
            server.tenant(name).configure(**{each: getattr(options, each) for each in type(options).__slots__})
            await _walk(server, name, dialect, kept)
    return tuple(kept)


async def _walk(server: SandboxServer, name: str, dialect: Dialect, kept: list[Capture]) -> None:
    ask = partial(_ask, dialect, dialect.tenant(server.tenant_url(name)), kept)
    known = credentials(AuthKind.PASSWORD)
    ticket = credentials(AuthKind.TICKET, ticket=Secret(server.tenant(name).issue_ticket()))
    for action in _WALK:
        await ask(action, ticket)
    for action, rule in _faults(name, dialect):
        server.add_faults(rule)
        await ask(action, ticket)
    for action, rule in _refused_logins(name) if dialect.protocol is Protocol.SOAP else ():
        server.add_faults(rule)
        await ask(action, known)
    await ask("check", known)
    await ask("check", replace(known, password=Secret("another password")))
    server.tenant(name).configure(services=frozenset())
    await ask("get", ticket)


def _faults(name: str, dialect: Dialect) -> Iterator[tuple[str, Rule]]:
    for action, operations in _OPERATIONS.items():
        operation = operations if isinstance(operations, str) else operations[dialect.protocol]
        for kind, message in _RAISED:
            yield action, Rule(action=Raise(exception_type=kind, message=message), tenant=name, operation=operation)
        yield action, Rule(action=_BUSY, tenant=name, operation=operation)


def _refused_logins(name: str) -> Iterator[tuple[str, Rule]]:
    for kind, message in _RAISED:
        yield "check", Rule(action=Raise(exception_type=kind, message=message), tenant=name, operation=LOGIN_OPERATION)


async def _ask(dialect: Dialect, tenant: TenantSpec, kept: list[Capture], action: str, given: Credentials) -> None:
    apis = NetServerApis(replace(QUICK, attempts=1), wire=lambda: _Recorder(dialect, action, kept))
    vars(apis)["_tls"] = None  # nothing is encrypted here, and to load certificates takes longer than to ask
    async with apis.open(tenant, given) as api:
        with contextlib.suppress(RemoteError, Unauthorized):
            await ACTIONS[action](api)

"""What the tests of the remote side share: tenants, replies as NetServer writes them, and a scripted wire."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from erpsyncd.domain.connections import ConnectionSpec, ErpConnection
from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.tenants import Auth, AuthKind, Credentials, Protocol, TenantSpec
from erpsyncd.netserver.api import NetServerApi
from erpsyncd.netserver.apis import NetServerApis
from erpsyncd.netserver.calls import Call, Endpoint, Reply
from erpsyncd.netserver.limits import RemoteLimits
from erpsyncd.netserver.rate import RateLimiter
from erpsyncd.netserver.tls import OwnTls
from erpsyncd.netserver.wire import Answer, BodyTooLarge, Request

ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
ARRAYS = "http://schemas.microsoft.com/2003/10/Serialization/Arrays"
NIL = 'xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:nil="true"'

#: For the network where nothing of it is encrypted; there are no certificates to load.
PLAIN = OwnTls(tenant=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), proxy=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))

#: No pauses between attempts, a deadline that no healthy loopback call reaches.
QUICK = RemoteLimits(wait_initial_seconds=0, wait_jitter_seconds=0, wait_max_seconds=0, deadline_seconds=20)


def tenant_spec(protocol: Protocol = Protocol.SOAP, **overrides: Any) -> TenantSpec:
    fields: dict[str, Any] = {
        "name": "acme",
        "url": "https://crm.acme.example",
        "protocol": protocol,
        "auth": Auth(kind=AuthKind.PASSWORD, fields={}),
        "calls_per_second": 1e6,
    }
    return TenantSpec(**(fields | overrides))


def credentials(kind: AuthKind = AuthKind.TICKET, **overrides: Secret) -> Credentials:
    fields = {
        AuthKind.PASSWORD: {"username": Secret("sync-user"), "password": Secret("placeholder-password")},
        AuthKind.TICKET: {"ticket": Secret("7T:placeholder-ticket")},
        AuthKind.BEARER: {"token": Secret("8A:placeholder-token")},
    }[kind]
    return Credentials(kind=kind, **{"application_token": Secret("placeholder-app-token"), **fields, **overrides})


def erp_connection(erp_connection_id: int = 7, **overrides: Any) -> ErpConnection:
    own: dict[str, Any] = {
        "connection_id": "0F8FAD5B-D9CB-469F-A165-70867728950E",
        "most_recent_timestamp": "cursor 42",
        "deleted": False,
    }
    spec: dict[str, Any] = {
        "erp_connector_id": 2,
        "display_name": "Visma Norway",
        "display_description": 'US:"Norway";NO:"Norge"',
        "active": True,
        "all_access": False,
        "user_group_access_ids": (1, 3),
        "associate_access_ids": (),
        "config_fields": {"Client": Secret("F0001"), "Password": Secret("placeholder & <secret>")},
    }
    for name in overrides.keys() & own.keys():
        own[name] = overrides.pop(name)
    return ErpConnection(erp_connection_id=erp_connection_id, spec=ConnectionSpec(**(spec | overrides)), **own)


def namespace(version: int) -> str:
    return f"http://www.superoffice.net/ws/crm/NetServer/Services{version}"


def soap_body(operation: str, inner: str, *, version: int = 86, headers: str = "", wrapper: str = "") -> bytes:
    """Write a reply with default namespaces; `inner` stands inside the wrapper, in ServicesNN."""
    wrapper = wrapper or f"{operation}Response"
    head = f'<s:Header xmlns="{namespace(version)}">{headers or "<Succeeded>true</Succeeded>"}</s:Header>'
    body = f'<s:Body><{wrapper} xmlns="{namespace(version)}">{inner}</{wrapper}></s:Body>'
    return f'<s:Envelope xmlns:s="{ENVELOPE}">{head}{body}</s:Envelope>'.encode()


def connection_xml(erp_connection_id: int = 7) -> str:
    """The members of `erp_connection()` as a server that writes plainly has them."""
    return (
        f"<ErpConnectionId>{erp_connection_id}</ErpConnectionId><ErpConnectorId>2</ErpConnectorId>"
        "<DisplayName>Visma Norway</DisplayName>"
        '<DisplayDescription>US:"Norway";NO:"Norge"</DisplayDescription><Active>true</Active>'
        "<ConnectionId>0F8FAD5B-D9CB-469F-A165-70867728950E</ConnectionId>"
        "<MostRecentTimestamp>cursor 42</MostRecentTimestamp>"
        "<ConfigFields><StringKeyValuePair><Key>Client</Key><Value>F0001</Value></StringKeyValuePair>"
        "<StringKeyValuePair><Key>Password</Key><Value>placeholder &amp; &lt;secret></Value></StringKeyValuePair>"
        "</ConfigFields><Deleted>false</Deleted><AllAccess>false</AllAccess>"
        f'<UserGroupAccessIds xmlns:b="{ARRAYS}"><b:int>1</b:int><b:int>3</b:int></UserGroupAccessIds>'
        "<AssociateAccessIds/>"
    )


def connection_json(erp_connection_id: int = 7) -> dict[str, Any]:
    return {
        "ErpConnectionId": erp_connection_id,
        "ErpConnectorId": 2,
        "DisplayName": "Visma Norway",
        "DisplayDescription": 'US:"Norway";NO:"Norge"',
        "Active": True,
        "ConnectionId": "0F8FAD5B-D9CB-469F-A165-70867728950E",
        "MostRecentTimestamp": "cursor 42",
        "ConfigFields": {"Client": "F0001", "Password": "placeholder & <secret>"},
        "Deleted": False,
        "AllAccess": False,
        "UserGroupAccessIds": [1, 3],
        "AssociateAccessIds": [],
        "TableRight": None,
        "FieldProperties": {},
    }


def login_body(ticket: str = "7T:fresh", *, succeeded: str = "true", version: int = 86) -> bytes:
    inner = (
        "<Response><UserType>InternalAssociate</UserType></Response>"
        f"<Credentials><Ticket>{ticket}</Ticket></Credentials>"
        f"<AuthenticationSucceeded>{succeeded}</AuthenticationSucceeded>"
    )
    return soap_body("", inner, version=version, wrapper="AuthenticateResponse")


def answer(body: bytes | str | dict[str, Any] | list[Any] | None, status: int = 200, **headers: str) -> httpx.Response:
    """Write a response whose body comes through a stream, as a real one does."""
    if not isinstance(body, bytes):
        kind = "application/json; charset=utf-8" if not isinstance(body, str) else "text/html"
        body = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    else:
        kind = "text/xml; charset=utf-8"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, headers={"Content-Type": kind, **named}, stream=httpx.ByteStream(body))


def damaged(sources: list[bytes], seed: int) -> bytes:
    """Return one of the sources with up to six places overwritten, cut out or doubled; the same for the same seed."""
    dice = random.Random(seed)
    body = bytearray(dice.choice(sources))
    for _ in range(dice.randint(1, 6)):
        start = dice.randrange(len(body) + 1)
        again = bytes(body[start : start + dice.randint(1, 40)])
        piece = dice.choice([b"", b"<", b"\x00", b"&", again, bytes([dice.randrange(256)])])
        body[start : start + dice.randint(0, 30)] = piece
    return bytes(body)


def operation_of(request: httpx.Request) -> str:
    return str(request.headers.get("SOAPAction", request.url.path)).strip('"').rpartition("/")[2]


def operation_asked_for(request: Request) -> str:
    """The operation of a request to the network."""
    named = dict(request.headers).get(b"SOAPAction", request.address.target)
    return named.decode().strip('"').rpartition("/")[2]


Handler = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]


class HttpxWire(httpx.AsyncBaseTransport):
    """A wire whose other side speaks httpx's words, which say much with little."""

    async def ask(self, request: Request, max_body: int) -> Answer:
        asked = httpx.Request(
            request.method.decode(),
            request.address.url.decode(),
            headers=request.headers,
            stream=httpx.ByteStream(request.body),
        )
        answered = await self.handle_async_request(asked)
        assert isinstance(answered.stream, httpx.AsyncByteStream)
        body = b"".join([piece async for piece in answered.stream])
        if len(body) > max_body:
            raise BodyTooLarge
        return Answer(answered.status_code, answered.headers.raw, body)


class Wire(HttpxWire):
    """Answers with what the script of an operation says next; its last line is repeated. Remembers all requests."""

    def __init__(self, **scripts: httpx.Response | Exception | Handler | list[Any]) -> None:
        self.scripts = {name: list(each) if isinstance(each, list) else [each] for name, each in scripts.items()}
        self.requests: list[httpx.Request] = []

    @property
    def operations(self) -> list[str]:
        return [operation_of(request) for request in self.requests]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        script = self.scripts[operation_of(request)]
        line = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(line, Exception):
            raise line
        if isinstance(line, httpx.Response):
            body = line.stream
            assert isinstance(body, httpx.ByteStream)
            return httpx.Response(line.status_code, headers=line.headers, stream=body)
        found = line(request)
        return found if isinstance(found, httpx.Response) else await found


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until something has happened that no event tells of."""
    while not condition():  # noqa: ASYNC110 -- there is no event to wait for in the code under test
        await asyncio.sleep(0)


@asynccontextmanager
async def opened(
    wire: Wire,
    tenant: TenantSpec | None = None,
    given: Credentials | None = None,
    *,
    limits: RemoteLimits = QUICK,
    read_only: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[NetServerApi]:
    apis = NetServerApis(limits, wire=lambda: wire, clock=clock)
    async with apis.open(tenant or tenant_spec(), given or credentials(), read_only=read_only) as api:
        yield api


class FakeTime:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def limiter(self) -> RateLimiter:
        return RateLimiter(clock=self.clock, sleep=self.sleep)


def endpoint(operation: str = "SaveConnection", url: str = "https://crm.acme.example/x") -> Endpoint:
    return Endpoint(agent="ErpSync", operation=operation, url=url, advice="check url")


def call(operation: str = "SaveConnection", *, secrets: tuple[Secret, ...] = (), url: str = "") -> Call:
    return Call(endpoint=endpoint(operation, url or "https://crm.acme.example/x"), headers={}, secrets=secrets)


def reply(body: bytes, status: int = 200, content_type: str = "text/xml") -> Reply:
    return Reply(status=status, content_type=content_type, body=body)

"""A forward proxy on a real socket: what goes through it, what it gets to know, and what it cannot break."""

from __future__ import annotations

import asyncio
import base64
import gc
import re
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from netserver_sockets import OK_JSON, ONCE, Server, http, rest, serving

from certificates import Authority
from erpsyncd.domain.proxies import Proxy, parse_proxy
from erpsyncd.domain.secrets import parse_template
from erpsyncd.domain.tenants import Protocol
from erpsyncd.errors import (
    ConfigurationError,
    Effect,
    OutcomeUnknown,
    ProxyUnauthorized,
    RemoteError,
    RemoteRejected,
    RemoteUnreachable,
)
from erpsyncd.netserver.api import NetServerApi
from erpsyncd.netserver.apis import NetServerApis
from erpsyncd.netserver.limits import RemoteLimits
from forward_proxy import ForwardProxy, forward_proxy
from netserver_support import credentials, erp_connection, tenant_spec

LOGIN = "us%3Aer:p%40ss word"
BASIC = base64.b64encode(b"us:er:p@ss word")
CONNECT_ONLY_BRIEFLY = replace(ONCE, connect_seconds=0.3)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(directory=tmp_path_factory.mktemp("ours"))


def resolved(url: str) -> Proxy:
    return parse_proxy(parse_template(url)).resolve({})


@asynccontextmanager
async def through(
    proxy: ForwardProxy, server: Server, ours: Authority | None, limits: RemoteLimits = ONCE, **settings: Any
) -> AsyncIterator[NetServerApi]:
    """Open a tenant behind a proxy; over TLS where an authority signs for it."""
    if ours is not None:
        settings["ca_file"] = str(ours.file)
    scheme = "http" if ours is None else "https"
    async with rest(server, limits, scheme, proxy=resolved(proxy.url(LOGIN)), **settings) as api:
        yield api


async def fails(api: NetServerApi) -> RemoteError:
    """Save a connection in vain; return the error, which shows nothing that is secret."""
    with pytest.raises(RemoteError) as caught:
        await api.save_connection(erp_connection())
    shown = f"{caught.value} {caught.value!r} {caught.value.__cause__}"
    assert not any(secret in shown for secret in ("p@ss", "p%40ss", BASIC.decode()))
    return caught.value


@pytest.mark.parametrize("secured", [False, True])
async def test_a_tunnel(ours: Authority, *, secured: bool) -> None:
    """The tenant's certificate is checked inside of it, and only the proxy sees the proxy's password."""
    async with (
        serving(http(OK_JSON), ours.server()) as server,
        forward_proxy(ours.server() if secured else None) as proxy,
        through(proxy, server, ours) as api,
    ):
        assert (await api.has_connections()).is_ok
        assert (await api.has_connections()).is_ok

    (tunnel,) = proxy.heads  # kept for the second call
    assert tunnel.startswith(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n" % server.port)
    assert b"\r\nProxy-Authorization: Basic %b\r\n" % BASIC in tunnel
    assert 2 == len(server.requests)
    assert not any(b"proxy" in head.lower() for head, _ in server.requests)


async def test_bytes_behind_an_answer_in_a_tunnel(ours: Authority) -> None:
    """They are not taken for the answer to the next question, which goes through a tunnel of its own."""
    async with (
        serving(http(OK_JSON) + http(b'{"IsOk": false}'), ours.server()) as server,
        forward_proxy() as proxy,
        through(proxy, server, ours) as api,
    ):
        answers = [(await api.has_connections()).is_ok for _ in range(2)]

    assert ([True, True], 2, 2) == (answers, len(server.requests), len(proxy.heads))


async def test_a_proxy_without_credentials(ours: Authority) -> None:
    """Nothing is sent to identify us where nothing is described."""
    async with serving(http(OK_JSON), ours.server()) as server, forward_proxy() as proxy:
        open_to_all = resolved(proxy.url())
        async with rest(server, scheme="https", proxy=open_to_all, ca_file=str(ours.file)) as api:
            assert (await api.has_connections()).is_ok

    assert [] == [head for head in proxy.heads if b"Authorization" in head]


async def test_a_proxy_is_not_shown_who_we_are(ours: Authority) -> None:
    """The tenant's client certificate is for the tenant, also where the proxy would like to see one."""
    certificate, curious = str(ours.issue("a client")), ours.server()
    curious.load_verify_locations(ours.file)
    curious.verify_mode = ssl.CERT_OPTIONAL
    async with (
        serving(http(OK_JSON), ours.server(demands=ours)) as server,
        forward_proxy(curious) as proxy,
        through(proxy, server, ours, client_certificate=certificate) as api,
    ):
        assert (await api.has_connections()).is_ok

    assert (1, []) == (len(proxy.heads), proxy.shown)


async def test_a_plain_tenant_on_this_machine() -> None:
    """There is no tunnel then; the proxy passes the request on."""
    async with serving(http(OK_JSON)) as server, forward_proxy() as proxy, through(proxy, server, None) as api:
        assert (await api.has_connections()).is_ok

    ((asked, _),) = server.requests
    assert proxy.heads[0].startswith(b"POST http://127.0.0.1:%d/" % server.port)
    assert b"\r\nProxy-Authorization: Basic %b\r\n" % BASIC in proxy.heads[0]
    assert b"proxy" not in asked.lower()


async def test_a_plain_tenant_and_a_proxy_elsewhere() -> None:
    """What is not encrypted, because it stays on this machine, is not sent through another one."""
    spec = tenant_spec(Protocol.REST, url="http://127.0.0.1:1")
    elsewhere = resolved("https://proxy.example:3128")

    with pytest.raises(ConfigurationError, match="tenant acme: proxy must be on this machine too"):
        async with NetServerApis(ONCE).open(spec, credentials(), proxy=elsewhere):
            """It cannot even be opened."""


async def test_the_environment_decides_nothing(ours: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither is its proxy used, nor does it lead around the one that is described."""
    async with serving(http(OK_JSON), ours.server()) as server, forward_proxy() as wrong, forward_proxy() as right:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, wrong.url())
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "*")
        async with rest(server, scheme="https", ca_file=str(ours.file)) as api:
            assert (await api.has_connections()).is_ok
        async with through(right, server, ours) as api:
            assert (await api.has_connections()).is_ok

    assert (0, 1, 2) == (len(wrong.heads), len(right.heads), len(server.requests))


@pytest.mark.parametrize(
    ("answer", "kind", "told"),
    [
        (b"HTTP/1.1 407 p@ss word\r\n\r\n", ProxyUnauthorized, r"\(407 Proxy Authentication Required\); check proxy"),
        (b"HTTP/1.1 403 p@ss word\r\n\r\n", RemoteUnreachable, r"refused \(403 Forbidden\); check proxy"),
        (b"HTTP/1.1 502 Bad\r\n\r\n", RemoteUnreachable, r"refused \(502 Bad Gateway\); check proxy"),
        (b"HTTP/1.1 599 p@ss word\r\n\r\n", RemoteUnreachable, r"refused \(599\); check proxy"),
        (b"SSH-2.0-OpenSSH\r\n", RemoteUnreachable, r"through the proxy 127.0.0.1:\d+: .*; check proxy"),
        (b"HTTP/1.1 200 OK\r\n\r\n", RemoteUnreachable, r"through the proxy 127.0.0.1:\d+: .*; check proxy"),
    ],
)
async def test_no_tunnel(ours: Authority, answer: bytes, kind: type[RemoteError], told: str) -> None:
    """Whatever a proxy says instead, nothing was sent; of its words only the number is repeated."""
    async with serving(http(OK_JSON), ours.server()) as server, forward_proxy() as proxy:
        proxy.answer = answer
        async with through(proxy, server, ours) as api:
            found = await fails(api)

    assert (kind, Effect.NEVER_SENT, "unreachable") == (type(found), found.effect, found.error_class)
    assert 1 == len(proxy.heads)
    assert re.search(told, str(found))
    assert [] == server.requests


async def test_a_plain_tenant_whose_proxy_wants_credentials() -> None:
    """Its 407 comes as an answer, and cannot be the tenant's."""
    async with serving(http(OK_JSON)) as server, forward_proxy() as proxy:
        proxy.answer = http(status="407 Proxy Authentication Required")
        async with through(proxy, server, None) as api:
            found = await fails(api)

    assert (RemoteRejected, Effect.REFUSED) == (type(found), found.effect)
    assert "check proxy" in str(found)
    assert [] == server.requests


@pytest.mark.parametrize(
    "limits", [CONNECT_ONLY_BRIEFLY, replace(ONCE, deadline_seconds=0.3)], ids=["connecting", "deadline"]
)
async def test_a_silent_proxy(ours: Authority, limits: RemoteLimits) -> None:
    """The time for connecting covers what a proxy takes to answer, and no socket stays behind."""
    async with serving(http(OK_JSON), ours.server()) as server, forward_proxy() as proxy:
        proxy.is_silent = True
        started = time.monotonic()
        async with through(proxy, server, ours, limits) as api:
            found = await fails(api)
        took = time.monotonic() - started
        gc.collect()  # an open socket would be reported here, and fail the test

    assert (RemoteUnreachable, Effect.NEVER_SENT) == (type(found), found.effect)
    assert 0.3 <= took < 5
    assert "within 0.3 s; check proxy" in str(found)


async def test_a_handshake_in_a_tunnel_that_never_ends(ours: Authority) -> None:
    """It counts as connecting, too."""
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        gone.set()

    listener = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with serving(http(OK_JSON), ours.server()) as server, forward_proxy() as proxy:
        proxy.leads_to = listener.sockets[0].getsockname()[1]
        async with through(proxy, server, ours, CONNECT_ONLY_BRIEFLY) as api:
            found = await fails(api)
        await gone.wait()
    listener.close()
    await listener.wait_closed()
    gc.collect()  # an open socket would be reported here, and fail the test

    assert (RemoteUnreachable, Effect.NEVER_SENT) == (type(found), found.effect)


async def test_a_deadline_inside_a_tunnel(ours: Authority) -> None:
    """Once connected, it is the call's deadline that counts, and nobody knows what became of the call."""

    async def never(_head: bytes, _body: bytes, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    limits = replace(ONCE, deadline_seconds=2, connect_seconds=1)
    async with (
        serving(never, ours.server()) as server,
        forward_proxy() as proxy,
        through(proxy, server, ours, limits) as api,
    ):
        found = await fails(api)

    assert (OutcomeUnknown, 1) == (type(found), len(server.requests))
    assert "gave no whole answer in 2 s" in str(found)


async def test_an_impostor_behind_a_proxy(ours: Authority, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A proxy that leads elsewhere gets nothing, however often it is tried; the way stays open for a better one."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the server's side of the handshake
    stranger = Authority(directory=tmp_path_factory.mktemp("stranger"))
    started = time.monotonic()
    async with (
        serving(http(OK_JSON), stranger.server()) as impostor,
        serving(http(OK_JSON), ours.server()) as server,
        forward_proxy() as proxy,
        through(proxy, server, ours) as api,
    ):
        proxy.leads_to = impostor.port
        errors = [await fails(api) for _ in range(2 * ONCE.max_connections)]
        proxy.leads_to = None
        assert (await api.has_connections()).is_ok

    assert {RemoteUnreachable} == {type(error) for error in errors}
    assert all("certificate verify failed" in str(error) for error in errors)
    assert [] == impostor.requests
    assert time.monotonic() - started < ONCE.deadline_seconds

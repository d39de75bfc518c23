"""The real transport against real sockets: what breaks there, and how many of them there are."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from netserver_sockets import OK_JSON, ONCE, http, rest, serving

from erpsyncd.domain.ports import StillAllowed
from erpsyncd.domain.tenants import AuthKind, Protocol
from erpsyncd.errors import (
    Effect,
    MalformedResponse,
    OutcomeUnknown,
    RemoteForbidden,
    RemoteNotFound,
    RemoteRejected,
    RemoteUnavailable,
    RemoteUnreachable,
    Unauthorized,
)
from erpsyncd.netserver.apis import NetServerApis
from erpsyncd.netserver.limits import RemoteLimits
from erpsyncd.netserver.network import Network
from erpsyncd.netserver.wire import Answer, Request
from netserver_support import (
    PLAIN,
    FakeTime,
    connection_json,
    connection_xml,
    credentials,
    erp_connection,
    login_body,
    soap_body,
    tenant_spec,
    until,
)


async def test_a_call_and_its_bytes() -> None:
    """A call goes out as HTTP/1.1 with a length even where there is no body, and its answer comes back."""
    async with serving(http(OK_JSON)) as server, rest(server) as api:
        assert (await api.has_connections()).is_ok
        assert (await api.has_connections()).is_ok

    head, body = server.requests[0]
    assert head.startswith(b"POST /api/v1/Agents/Quote/HasConnections HTTP/1.1\r\n")
    assert b"content-length: 0\r\n" in head.lower()
    assert b"" == body
    assert 1 == server.connections


async def test_nobody_listens() -> None:
    """A refused connection was never sent, for a save as well."""
    async with serving(http()) as server:
        pass
    async with rest(server) as api:
        with pytest.raises(RemoteUnreachable) as caught:
            await api.save_connection(erp_connection())

    assert Effect.NEVER_SENT is caught.value.effect
    assert f"127.0.0.1:{server.port}/api/v1/Agents/ErpSync/SaveConnection" in str(caught.value)


async def test_a_request_that_may_not_leave_any_more() -> None:
    """Asked when the connection stands: what was held up for too long sends no byte, and the next one goes."""
    asked: list[bool] = [False, True]

    async def before_send() -> StillAllowed:
        return lambda: asked.pop(0)

    async with serving(http(json.dumps(connection_json()).encode())) as server, rest(server) as api:
        with pytest.raises(RemoteUnreachable, match="held up here for too long") as caught:
            await api.save_connection(erp_connection(), before_send)
        assert [] == server.requests
        await api.save_connection(erp_connection(), before_send)

    assert Effect.NEVER_SENT is caught.value.effect
    assert (1, []) == (len(server.requests), asked)


async def test_impossible_host_was_never_sent() -> None:
    """A name that cannot be one is unreachable; what Python makes of it does not get out."""
    tenant = tenant_spec(Protocol.REST, url=f"https://{'a' * 64}.example")
    async with NetServerApis(ONCE).open(tenant, credentials()) as api:
        with pytest.raises(RemoteUnreachable):
            await api.get_connection(7)


async def _reset(_head: bytes, _body: bytes, writer: asyncio.StreamWriter) -> None:
    transport = writer.transport
    assert isinstance(transport, asyncio.WriteTransport)
    transport.abort()


async def _close(_head: bytes, _body: bytes, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _half(_head: bytes, _body: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(http(OK_JSON)[:-3])
    writer.close()


async def _no_http(_head: bytes, _body: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 smtp.acme.example ready\r\n\r\n")


@pytest.mark.parametrize("respond", [_reset, _close, _half, _no_http])
async def test_broken_answers_are_uncertain(respond: Any) -> None:
    """Once the request has left, a connection that breaks leaves doubt."""
    async with serving(respond) as server, rest(server) as api:
        with pytest.raises(OutcomeUnknown) as caught:
            await api.save_connection(erp_connection())

    assert Effect.UNCERTAIN is caught.value.effect
    assert 1 == len(server.requests)


async def _hang(_head: bytes, _body: bytes, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def _drip(_head: bytes, _body: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(http(b"x" * 10)[:-10])
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("respond", [_hang, _drip])
async def test_deadline_is_for_the_whole_call(respond: Any) -> None:
    """Neither silence nor a slow drip gets past the deadline; the save may have happened."""
    limits = RemoteLimits(attempts=1, deadline_seconds=0.15)
    async with serving(respond) as server, rest(server, limits) as api:
        with pytest.raises((OutcomeUnknown, MalformedResponse)) as caught:
            await api.save_connection(erp_connection())

    assert Effect.UNCERTAIN is caught.value.effect
    if respond is _hang:
        assert "no whole answer in 0.15 s" in str(caught.value)


async def test_oversized_answers() -> None:
    """A body over the limit is not read to its end, announced or not."""

    async def chunked(_head: bytes, _body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
            await writer.drain()

    for respond in (http(b" " * 100_001), chunked):
        async with serving(respond) as server, rest(server) as api:
            with pytest.raises(MalformedResponse, match="more than 100000 bytes"):
                await api.has_connections()


@pytest.mark.parametrize(
    ("response", "error", "match"),
    [
        (http(b"<!DOCTYPE html>", Content_Type="text/html"), MalformedResponse, "HTML page"),
        (
            http(status="302 Found", Location="https://user:placeholder@login.example/x?ticket=placeholder"),
            RemoteRejected,
            r"redirects to login\.example \(302\); set url",
        ),
        (http(status="307 Temporary Redirect", Location="/elsewhere"), RemoteRejected, "redirects to an unnamed host"),
        (http(status="401 Unauthorized"), Unauthorized, "refused the credentials"),
        (http(status="403 Forbidden"), RemoteForbidden, "does not grant"),
        (http(status="404 Not Found"), RemoteNotFound, "check url"),
        (http(status="421 Misdirected Request"), RemoteNotFound, "set url to its current host"),
        (http(status="503 Service Unavailable", Retry_After="120"), RemoteUnavailable, "come back later"),
        (http(status="504 Gateway Timeout"), OutcomeUnknown, "got no answer"),
    ],
)
async def test_statuses(response: bytes, error: type[Exception], match: str) -> None:
    """Each answer has its class; no redirection is followed and nothing of its target repeated but the host."""
    async with serving(response) as server, rest(server) as api:
        with pytest.raises(error, match=match) as caught:
            await api.has_connections()

    assert 1 == len(server.requests)
    assert "placeholder" not in str(caught.value)
    if error is RemoteUnavailable:
        assert 120.0 == getattr(caught.value, "retry_after", None)


async def test_at_most_four_connections() -> None:
    """Twenty calls at once use four connections, and all of them succeed within one deadline each."""
    waiting = asyncio.Semaphore(0)
    busy = 0
    most_busy = 0

    async def slow(_head: bytes, _body: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal busy, most_busy
        busy += 1
        most_busy = max(most_busy, busy)
        if busy >= 4:
            waiting.release()
        await asyncio.sleep(0.005)
        busy -= 1
        writer.write(http(OK_JSON))

    async with serving(slow) as server, rest(server) as api:
        answers = await asyncio.gather(*(api.has_connections() for _ in range(20)))

    assert 20 == len([each for each in answers if each.is_ok])
    assert (4, 4) == (most_busy, server.most_open)


async def test_slow_connects_do_not_make_calls_leave_together() -> None:
    """The tenant's limit holds at the moment of sending, however long connecting took."""
    time = FakeTime()
    arrived: list[float] = []
    connect = asyncio.Event()

    class SlowNetwork(Network):
        async def ask(self, request: Request, max_body: int) -> Answer:
            await connect.wait()
            return await super().ask(request, max_body)

    async def respond(_head: bytes, _body: bytes, writer: asyncio.StreamWriter) -> None:
        arrived.append(time.now)
        writer.write(http(OK_JSON))

    async with serving(respond) as server:
        tenant = tenant_spec(Protocol.REST, url=f"http://127.0.0.1:{server.port}", calls_per_second=3)
        apis = NetServerApis(ONCE, wire=lambda: SlowNetwork(PLAIN), limiter=time.limiter)
        async with apis.open(tenant, credentials(AuthKind.PASSWORD)) as api:
            calls = [asyncio.create_task(api.has_connections()) for _ in range(9)]
            await until(lambda: apis._limiters["acme"]._about_to_leave == 3)
            time.now += 10
            connect.set()
            await asyncio.gather(*calls)

    assert 9 == len(arrived)
    assert all(later - earlier >= 1 for earlier, later in zip(arrived, arrived[3:], strict=False))


async def test_a_call_has_left_when_its_headers_do() -> None:
    """A call that waits for its answer counts from the moment of sending; the next may leave meanwhile."""
    time = FakeTime()
    both = asyncio.Barrier(2)

    async def respond(_head: bytes, _body: bytes, writer: asyncio.StreamWriter) -> None:
        await both.wait()
        writer.write(http(OK_JSON))

    async with serving(respond) as server:
        tenant = tenant_spec(Protocol.REST, url=f"http://127.0.0.1:{server.port}", calls_per_second=1)
        async with NetServerApis(ONCE, limiter=time.limiter).open(tenant, credentials(AuthKind.PASSWORD)) as api:
            await asyncio.gather(api.has_connections(), api.has_connections())

    assert [pytest.approx(1.05)] == time.slept


async def test_login_repeat_and_single_flight() -> None:
    """Over SOAP: many calls, one login; the session is lost, many calls, one more login; nothing else."""
    logins = 0
    valid = ""

    async def netserver(head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal logins, valid
        if b"AuthenticateUsernamePassword" in head:
            logins += 1
            valid = f"7T:{logins}"
            await asyncio.sleep(0.01)
            writer.write(http(login_body(valid)))
        elif f"<n:Ticket>{valid}</n:Ticket>".encode() not in body:
            writer.write(http(status="401 Unauthorized"))
        else:
            writer.write(http(soap_body("GetConnection", f"<Response>{connection_xml()}</Response>")))

    async with serving(netserver) as server:
        tenant = tenant_spec(url=f"http://127.0.0.1:{server.port}")
        async with NetServerApis(ONCE).open(tenant, credentials(AuthKind.PASSWORD)) as api:
            first = await asyncio.gather(*(api.get_connection(7) for _ in range(12)))
            valid = "7T:the server forgot"
            second = await asyncio.gather(*(api.get_connection(7) for _ in range(12)))

    assert {True} == {each == erp_connection() for each in (*first, *second)}
    assert 2 == logins
    assert b'SOAPAction: "http://www.superoffice.net/ws/crm/NetServer/Services86/' in server.requests[0][0]


async def test_idle_connection_that_was_closed_is_not_used() -> None:
    """A server that closes after each answer costs a new connection and no failure."""

    async def once(_head: bytes, _body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(http(json.dumps(connection_json()).encode()))
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with serving(once) as server, rest(server) as api:
        for _ in range(5):
            assert erp_connection() == await api.save_connection(erp_connection())
            await until(lambda: not server.open_now)

    assert (5, 5) == (len(server.requests), server.connections)


async def test_cancelled_call_gives_its_connection_back() -> None:
    """A pass that is stopped in the middle of a call leaves nothing open, and others may go on."""
    started = asyncio.Event()

    async def hang_once(_head: bytes, _body: bytes, writer: asyncio.StreamWriter) -> None:
        if not started.is_set():
            started.set()
            await asyncio.Event().wait()
        writer.write(http(OK_JSON))

    limits = RemoteLimits(attempts=1, max_connections=1)
    async with serving(hang_once) as server, rest(server, limits) as api:
        call = asyncio.create_task(api.has_connections())
        await started.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await api.has_connections()).is_ok


async def test_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that somebody's environment names does not get our passwords."""
    async with serving(http(status="407 Proxy Authentication Required")) as proxy, serving(http(OK_JSON)) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        async with rest(server) as api:
            assert (await api.has_connections()).is_ok

    assert [] == proxy.requests

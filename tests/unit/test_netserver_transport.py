"""The edge of the network: what can go wrong there, and what we let out at all."""

from __future__ import annotations

import gzip
import ssl
import zlib
from typing import Any

import httpx
import pytest
import structlog

from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.tenants import AuthKind, Protocol
from erpsyncd.errors import Effect, MalformedResponse, OutcomeUnknown, RemoteError, RemoteRejected, RemoteUnreachable
from erpsyncd.netserver.calls import READING_OPERATIONS, Call
from erpsyncd.netserver.headers import decompressed
from erpsyncd.netserver.limits import RemoteLimits
from erpsyncd.netserver.progress import Progress, Stage
from erpsyncd.netserver.rate import RateLimiter
from erpsyncd.netserver.transport import Transport, errors_translated
from netserver_support import (
    QUICK,
    Wire,
    answer,
    call,
    connection_json,
    credentials,
    endpoint,
    erp_connection,
    opened,
    soap_body,
    tenant_spec,
)

REST = tenant_spec(Protocol.REST)
BASIC = credentials(AuthKind.PASSWORD)
NEVER_SENT = {
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
}
ALL = [each for each in vars(httpx).values() if isinstance(each, type) and issubclass(each, httpx.RequestError)]


def translated(error: BaseException, stage: Stage) -> RemoteError:
    progress = Progress()
    progress.stage = stage
    with pytest.raises(RemoteError) as caught, errors_translated(endpoint(), progress, QUICK):
        raise error
    return caught.value


def test_httpx_has_the_errors_we_know() -> None:
    """A new version of httpx with more errors is looked at before it is used."""
    assert 19 == len(ALL)


@pytest.mark.parametrize("error", ALL)
def test_every_error_of_httpx_is_translated(error: type[httpx.RequestError]) -> None:
    """None of httpx's errors gets out; what was surely not sent is told from what may have been."""
    found = translated(error("m"), Stage.HANDED_OVER)

    if error in NEVER_SENT:
        assert (RemoteUnreachable, Effect.NEVER_SENT) == (type(found), found.effect)
    elif error is httpx.DecodingError:
        assert MalformedResponse is type(found)
    elif error is httpx.TooManyRedirects:
        assert RemoteRejected is type(found)
    else:
        assert (OutcomeUnknown, Effect.UNCERTAIN) == (type(found), found.effect)


@pytest.mark.parametrize(
    "error",
    [
        httpx.WriteError("m"),
        httpx.ReadError("m"),
        TimeoutError(),
        ssl.SSLError(1, "[SSL] m"),
        UnicodeError("label too long"),
        OSError(5, "m"),
        httpx.InvalidURL("m"),
    ],
)
@pytest.mark.parametrize("stage", Stage)
def test_stage_decides_where_the_class_does_not(error: Exception, stage: Stage) -> None:
    """While still connecting nothing has been sent; when unsure, it may have been."""
    found = translated(error, stage)

    expected = RemoteUnreachable if stage in (Stage.BUILDING, Stage.CONNECTING) else OutcomeUnknown
    assert expected is type(found)


def test_messages_have_no_secrets() -> None:
    """h11 quotes the header it refuses; we do not, and cut its words from the chain."""
    found = translated(httpx.LocalProtocolError("Illegal header value b'Bearer placeholder'"), Stage.SENDING)

    assert "placeholder" not in str(found)
    assert found.__suppress_context__


@pytest.mark.parametrize(
    "words",
    [
        "illegal status line: bytearray(b'7T:placeholder 200 OK')",
        'illegal header line: bytearray(b"it\'s 7T:placeholder")',
        "malformed chunk footer: bytearray(b'7T:placeholder') (expected b'\\r\\n')",
        "Illegal header value b'7T:placeholder'",
    ],
)
def test_what_h11_cannot_read_is_not_quoted(words: str) -> None:
    """A line of the answer may be anything, our ticket too."""
    said = str(translated(httpx.RemoteProtocolError(words), Stage.SENDING))

    assert f"broke: {words.partition(' b')[0].rstrip(':')}; nobody" in said


@pytest.mark.parametrize(
    "location",
    [
        *(
            "javascript:alert(1)",
            "http://[",
            "//[x",
            "https://placeholder-user.example:x/",
            "http://a:99999/",
            "/elsewhere",
        ),
        *("https://placeholder-password.example/", "https://PLACEHOLDER-app-token/", "/" + "x" * 65_530),
        *("https://not a host/", "https://" + "a." * 3000),
    ],
)
async def test_redirects_are_answers(location: str) -> None:
    """Whatever a redirection points at, the call was answered: it is not taken for one that never left."""
    wire = Wire(SaveConnection=answer(b"", 302, Location=location))
    async with opened(wire, REST, BASIC) as api:
        with pytest.raises(RemoteRejected, match=r"redirects to .{1,40} \(302\); set url") as caught:
            await api.save_connection(erp_connection(0))

    assert Effect.UNCERTAIN is caught.value.effect
    assert 1 == len(wire.requests)
    assert not {"placeholder-password", "placeholder-app-token"} & set(str(caught.value).replace(".", " ").split())


def test_progress_goes_forward() -> None:
    """The stage follows what is done for a request, and never goes back."""
    progress = Progress()
    progress.connect()  # for somebody else: ours has not been handed over
    assert Stage.BUILDING is progress.stage
    progress.stage = Stage.HANDED_OVER
    for step, stage in (
        (progress.connect, Stage.CONNECTING),
        (progress.leave, Stage.SENDING),
        (progress.connect, Stage.SENDING),
    ):
        step()
        assert stage is progress.stage


async def test_connecting_has_less_time_than_the_answer() -> None:
    """What bounds connecting bounds nothing any more once the request leaves; the deadline goes on from the start."""
    progress = Progress()
    async with progress.bound(RemoteLimits(connect_seconds=5, deadline_seconds=20)) as bound:
        deadline = bound.when()
        assert deadline is not None
        progress.stage = Stage.HANDED_OVER

        progress.connect()
        assert deadline - 15 == pytest.approx(bound.when())

        progress.leave()
        assert deadline == bound.when()


async def test_bugs_are_not_caught() -> None:
    """An error that is none of the network's passes through as it is."""
    wire = Wire(HasConnections=[ZeroDivisionError("a bug")])
    async with opened(wire, REST, BASIC) as api:
        with pytest.raises(ZeroDivisionError):
            await api.has_connections()


@pytest.mark.parametrize("protocol", Protocol)
async def test_read_only_cannot_write(protocol: Protocol) -> None:
    """A read-only client passes reading operations and raises for all others before they are sent."""
    wire = Wire(
        GetConnection=answer(None) if protocol is Protocol.REST else answer(soap_body("GetConnection", "")),
    )
    async with opened(wire, tenant_spec(protocol), read_only=True) as api:
        assert await api.get_connection(7) is None
        calls = (
            api.save_connection(erp_connection()),
            api.delete_connection(7),
            # They write nothing, but they call the external connector.
            api.test_connection_by_config(2, {"Client": Secret("F0001")}),
            api.test_connection_by_id(7),
        )
        for write in calls:
            with pytest.raises(RemoteRejected, match="read-only") as caught:
                await write
            assert Effect.NEVER_SENT is caught.value.effect

    assert ["GetConnection"] == wire.operations


@pytest.mark.parametrize(
    ("headers", "url"),
    [
        ({"SOAPAction": '"http://x/Services86/ErpSync/SaveConnection"'}, "https://h.example/GetConnection"),
        ({}, "https://h.example/api/v1/Agents/ErpSync/SyncAll"),
        ({}, "https://h.example/"),
        ({"SOAPAction": '""'}, "https://h.example/GetConnection"),
    ],
)
async def test_read_only_looks_at_the_wire(headers: dict[str, str], url: str) -> None:
    """What a call claims to be does not matter; what the other side will do does."""
    wire = Wire()
    transport = Transport(wire, tenant="a", limits=QUICK, limiter=RateLimiter(), calls_per_second=10, read_only=True)
    with pytest.raises(RemoteRejected, match="read-only"):
        await transport.send(Call(endpoint=endpoint("GetConnection", url), headers=headers))

    assert [] == wire.requests
    assert not READING_OPERATIONS & {"SaveConnection", "DeleteConnection", "SyncAll", "ToggleErpConnectionActive"}


async def test_headers_of_every_request() -> None:
    """No compression is asked for, nothing is translated, no cookie comes back."""
    wire = Wire(HasConnections=answer({"IsOk": True}, Set_Cookie="session=placeholder"))
    async with opened(wire, REST, BASIC) as api:
        await api.has_connections()
        await api.has_connections()

    for request in wire.requests:
        assert "identity" == request.headers["Accept-Encoding"]
        assert request.headers["User-Agent"].startswith("erpsyncd/")
        assert not {"Cookie", "Accept-Language"} & {name.title() for name in request.headers}


async def test_finished_calls_are_logged_without_content(caplog: pytest.LogCaptureFixture) -> None:
    """One debug event per call has sizes and timings and nothing that was said."""
    caplog.set_level("DEBUG", "erpsyncd.netserver.transport")
    wire = Wire(SaveConnection=answer(connection_json()))
    with structlog.testing.capture_logs() as events:
        async with opened(wire, REST, BASIC) as api:
            await api.save_connection(erp_connection())

    (event,) = events
    assert {"tenant", "agent", "operation", "status", "duration_ms", "bytes", "event", "log_level"} == set(event)
    assert ("call.finished", "debug", "acme", 200) == (
        event["event"],
        event["log_level"],
        event["tenant"],
        event["status"],
    )


@pytest.mark.parametrize("squeeze", [gzip.compress, zlib.compress])
async def test_compression_that_was_not_asked_for(squeeze: Any) -> None:
    """A proxy that compresses all the same is understood, within the limit."""
    encoding = "gzip" if squeeze is gzip.compress else "deflate"
    wire = Wire(
        HasConnections=[
            answer(squeeze(b'{"IsOk": true}'), Content_Encoding=encoding),
            answer(squeeze(b" " * 2_000_000), Content_Encoding=encoding),
            answer(squeeze(b'{"IsOk": true}')[:-6], Content_Encoding=encoding),
            answer(b"plain", Content_Encoding=encoding),
            answer(b"x", Content_Encoding="br"),
        ]
    )
    limits = RemoteLimits(max_body_bytes=100_000)
    async with opened(wire, REST, BASIC, limits=limits) as api:
        assert (await api.has_connections()).is_ok
        for message in ("more than 100000 bytes", "ends in the middle", "that is not", "which was not asked for"):
            with pytest.raises(MalformedResponse, match=message):
                await api.has_connections()


async def test_encodings_are_named_if_they_are_known() -> None:
    """Another encoding is a text of the tenant's, and may be our password."""
    wire = Wire(
        HasConnections=[
            answer(b"x", Content_Encoding="br"),
            answer(b"x", Content_Encoding="placeholder-password"),
        ]
    )
    async with opened(wire, REST, BASIC) as api:
        for what in ("the encoding 'br'", "an unknown encoding"):
            with pytest.raises(MalformedResponse, match=f"sent a body in {what}, which was not asked for"):
                await api.has_connections()


def test_decompression_holds_at_most_the_limit() -> None:
    """A bomb is not unpacked any further than it takes to see that it is one."""
    assert 1001 == len(decompressed(gzip.compress(b"0" * 10_000_000), "gzip", 1000))
    assert b"" == decompressed(b"", "gzip", 1000)


def test_calls_do_not_show_their_headers() -> None:
    """A call's and a reply's repr hold no content."""
    shown = repr(call(secrets=(Secret("placeholder"),)))

    assert "placeholder" not in shown
    assert "crm.acme.example" in shown

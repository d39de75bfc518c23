"""Connections themselves, over real sockets: what does not fit, what breaks, what is given up, what stays open."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

import pytest
from netserver_sockets import visited

from certificates import Authority
from erpsyncd.netserver import streams
from erpsyncd.netserver.streams import READ_AHEAD, Stream, TcpStream, TlsStream
from erpsyncd.netserver.tls import tls_context
from netserver_support import until as happened

Serve: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
MEGABYTES = 8 * 1024 * 1024
PATTERN = bytes(range(256)) * (MEGABYTES // 256)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(directory=tmp_path_factory.mktemp("streams"))


class Port:
    """A loopback server whose tasks end with it, and that knows how many connections are open."""

    def __init__(self) -> None:
        self.number = 0
        self.open_now = 0
        self.seen = 0


@asynccontextmanager
async def listening(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[Port]:
    port = Port()

    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port.open_now += 1
        port.seen += 1
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await serve(reader, writer)
        finally:
            port.open_now -= 1
            writer.close()

    async with visited(visit, tls) as port.number:
        yield port


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        await happened(condition)


def trusting(authority: Authority) -> ssl.SSLContext:
    return tls_context(str(authority.file))


async def connected(port: Port, authority: Authority | None) -> Stream:
    stream: Stream = await TcpStream.to("127.0.0.1", port.number)
    return stream if authority is None else await TlsStream.over(stream, trusting(authority), "127.0.0.1")


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def secured(request: pytest.FixtureRequest, ours: Authority) -> Authority | None:
    return ours if request.param else None


def server_side(authority: Authority | None) -> ssl.SSLContext | None:
    if authority is None:
        return None
    context = authority.server()
    context.num_tickets = 0  # they come by themselves, and what comes ends a wait to write
    return context


async def read_all(stream: Stream) -> bytes:
    gathered = bytearray()
    while arrived := await stream.read():
        gathered += arrived
    return bytes(gathered)


def tcp_under(stream: Stream) -> TcpStream:
    while isinstance(stream, TlsStream):
        stream = stream._inner
    assert isinstance(stream, TcpStream)
    return stream


async def test_what_nobody_reads_waits_at_the_other_side(secured: Authority | None) -> None:
    """A large answer is not taken in before it is asked for, and then comes whole."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        writer.write(PATTERN)
        writers.append(writer)
        await writer.drain()

    async with listening(serve, server_side(secured)) as port:
        stream = await connected(port, secured)
        await stream.write(b"?")
        tcp = tcp_under(stream)
        await until(lambda: not tcp._may_read)
        for _ in range(100):
            await asyncio.sleep(0)
        assert READ_AHEAD < len(tcp._arrived) <= 3 * READ_AHEAD

        assert PATTERN == await read_all(stream)
        stream.abort()


async def test_what_the_other_side_does_not_read_waits_here(secured: Authority | None) -> None:
    """Writing ends when it was taken, and everything arrives."""
    may_read = asyncio.Event()
    came: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await may_read.wait()
        came.append(await reader.readexactly(MEGABYTES))

    async with listening(serve, server_side(secured)) as port:
        stream = await connected(port, secured)
        writing = asyncio.create_task(stream.write(PATTERN))
        await until(lambda: not tcp_under(stream)._may_write)
        assert not writing.done()

        may_read.set()
        await writing
        await until(lambda: bool(came))
        stream.abort()

    assert [PATTERN] == came


async def test_tls_inside_tls(ours: Authority) -> None:
    """What an https proxy carries is encrypted twice; large amounts go both ways, and the inner end is the end."""
    inner_context = ours.server()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", inner_port.number)
        try:
            await asyncio.gather(copy(reader, back), copy(there, writer))
        finally:
            back.close()

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while came := await source.read(64 * 1024):
            target.write(came)
            await target.drain()
        if target.can_write_eof():
            target.write_eof()
        else:
            target.close()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        whole = await reader.readexactly(MEGABYTES)
        writer.write(whole)
        await writer.drain()

    async with listening(echo, inner_context) as inner_port, listening(carry, ours.server()) as outer_port:
        outer = await connected(outer_port, ours)
        inner = await TlsStream.over(outer, trusting(ours), "127.0.0.1")
        await inner.write(PATTERN)

        assert PATTERN == await read_all(inner)
        assert b"" == await inner.read()
        inner.abort()


async def test_half_closed() -> None:
    """Who has said all may still listen: what we write arrives."""
    came: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"that is all")
        writer.write_eof()
        came.append(await reader.readexactly(MEGABYTES))

    async with listening(serve) as port:
        stream = await TcpStream.to("127.0.0.1", port.number)
        assert b"that is all" == await read_all(stream)
        assert stream.is_stale()  # of no use for another question
        await stream.write(PATTERN)
        await until(lambda: bool(came))
        stream.abort()

    assert [PATTERN] == came


async def test_an_idle_connection_that_was_closed(secured: Authority | None) -> None:
    """It is seen, whether or not the end comes with a goodbye."""
    closing = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        writer.write(b"!")
        await closing.wait()

    async with listening(serve, server_side(secured)) as port:
        stream = await connected(port, secured)
        await stream.write(b"?")
        assert b"!" == await stream.read()
        assert not stream.is_stale()

        closing.set()
        await until(stream.is_stale)
        stream.abort()


async def test_news_in_the_kernel() -> None:
    """A connection is not taken for idle because the loop has not come round to look."""
    listener = socket.create_server(("127.0.0.1", 0))
    with listener:
        stream = await TcpStream.to("127.0.0.1", listener.getsockname()[1])
        there, _ = listener.accept()
        assert not stream.is_stale()

        there.close()  # without a turn of the loop in between

        assert stream.is_stale()
        stream.abort()


async def test_what_came_before_a_reset_is_read_first() -> None:
    """Then the reset is an error, for reading and for writing."""
    listener = socket.create_server(("127.0.0.1", 0))
    with listener:
        stream = await TcpStream.to("127.0.0.1", listener.getsockname()[1])
        there, _ = listener.accept()
        there.sendall(b"half an ans")
        await until(lambda: bool(stream._arrived))
        there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        there.close()
        await until(lambda: stream._lost)

        assert b"half an ans" == await stream.read()
        with pytest.raises(ConnectionResetError):
            await stream.read()
        with pytest.raises(ConnectionResetError):
            await stream.write(b"more")


async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Answer nothing, and notice the end."""
    while await reader.read(1):
        await asyncio.Event().wait()


async def listen_on(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Answer nothing, read everything."""
    while await reader.read(64 * 1024):
        pass


@pytest.mark.parametrize("doing", ["read", "write"])
async def test_cancelled_and_closed(doing: str, secured: Authority | None) -> None:
    """A wait that is given up ends at once; the other side sees the end when the connection is closed."""
    may_read = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await may_read.wait()
        await listen_on(reader, writer)

    async with listening(serve, server_side(secured)) as port:
        stream = await connected(port, secured)
        tcp = tcp_under(stream)
        waiting: asyncio.Task[Any] = asyncio.create_task(stream.read() if doing == "read" else stream.write(PATTERN))
        await until(lambda: tcp._reader is not None if doing == "read" else not tcp._may_write)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        stream.abort()
        may_read.set()
        await until(lambda: not port.open_now)


async def test_cancelled_in_the_middle_of_a_handshake(ours: Authority) -> None:
    """The connection under it is closed."""
    async with listening(listen_on) as port:
        stream = await TcpStream.to("127.0.0.1", port.number)
        handshake = asyncio.create_task(TlsStream.over(stream, trusting(ours), "127.0.0.1"))
        await until(lambda: stream._reader is not None and port.seen == 1)
        handshake.cancel()
        with pytest.raises(asyncio.CancelledError):
            await handshake
        await until(lambda: not port.open_now)


async def test_a_handshake_that_fails(ours: Authority, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The other side is told why, and the connection is closed."""
    stranger = Authority(directory=tmp_path_factory.mktemp("stranger"))
    told: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session_in, session_out = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = stranger.server().wrap_bio(session_in, session_out, server_side=True)
        try:
            while True:
                try:
                    session.do_handshake()
                    session.read(1)
                except ssl.SSLWantReadError:
                    writer.write(session_out.read())
                    if not (came := await reader.read(64 * 1024)):
                        return
                    session_in.write(came)
        except ssl.SSLError as exc:
            told.append(str(exc.reason).encode())

    async with listening(serve) as port:
        stream = await TcpStream.to("127.0.0.1", port.number)
        with pytest.raises(ssl.SSLCertVerificationError, match="certificate verify failed"):
            await TlsStream.over(stream, trusting(ours), "127.0.0.1")
        await until(lambda: not port.open_now)

    assert [b"TLSV1_ALERT_UNKNOWN_CA"] == told


async def test_another_host_than_it_shows(ours: Authority) -> None:
    """A certificate is for whom it names."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the server's side of the handshake
    async with listening(hang, ours.server()) as port:
        stream = await TcpStream.to("127.0.0.1", port.number)
        with pytest.raises(ssl.SSLCertVerificationError, match=r"is not valid for .elsewhere\.example"):
            await TlsStream.over(stream, trusting(ours), "elsewhere.example")


async def test_an_end_without_a_goodbye(ours: Authority) -> None:
    """Anybody on the way can cut a connection: what came is read, and then it is an error and no end."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        writer.write(b"!")
        await writer.drain()
        writer.transport.get_extra_info("socket")
        transport = writer.transport
        assert isinstance(transport, asyncio.WriteTransport)
        transport._ssl_protocol._transport.close()  # type: ignore[attr-defined]

    async with listening(serve, ours.server()) as port:
        stream = await connected(port, ours)
        await stream.write(b"?")
        assert b"!" == await stream.read()
        with pytest.raises(OSError, match="without TLS's goodbye"):
            await stream.read()
        stream.abort()


async def test_a_name_that_no_certificate_is_for(ours: Authority) -> None:
    """It is an error of the network's, and the connection is closed."""
    async with listening(hang) as port:
        stream = await TcpStream.to("127.0.0.1", port.number)
        with pytest.raises(OSError, match="no name that a certificate"):
            await TlsStream.over(stream, trusting(ours), ".acme.example")
        await until(lambda: port.seen == 1 and not port.open_now)


def resolving_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    async def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address) for address in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


async def test_an_address_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one of the same host is tried."""
    async with listening(listen_on) as port:
        resolving_to(monkeypatch, ("127.0.0.2", port.number), ("127.0.0.1", port.number))
        stream = await TcpStream.to("crm.acme.example", port.number)
        await until(lambda: port.open_now == 1)
        stream.abort()
        await until(lambda: not port.open_now)


async def test_an_address_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one is tried beside it; the attempt that lost leaves nothing open."""
    monkeypatch.setattr(streams, "_NEXT_ADDRESS_SECONDS", 0.01)
    with silent_address() as silent:
        async with listening(listen_on) as port:
            resolving_to(monkeypatch, silent, ("127.0.0.1", port.number))
            stream = await TcpStream.to("crm.acme.example", port.number)
            await until(lambda: port.open_now == 1)
            stream.abort()
            await until(lambda: not port.open_now)


async def test_no_address_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error of the operating system's, whose words name them all."""
    async with listening(listen_on) as port:
        resolving_to(monkeypatch, ("127.0.0.2", port.number), ("127.0.0.3", port.number))
        with pytest.raises(OSError, match=r"127\.0\.0\.2.*127\.0\.0\.3"):
            await TcpStream.to("crm.acme.example", port.number)


async def test_connecting_that_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing stays open of an attempt that nobody waits for any more."""
    with silent_address() as silent:
        resolving_to(monkeypatch, silent)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await TcpStream.to("crm.acme.example", silent[1])
        await asyncio.sleep(0)


class silent_address:  # noqa: N801 -- used as a context manager
    """A port that neither accepts nor refuses: the queue before it is full."""

    def __enter__(self) -> tuple[str, int]:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.2", 0))
        self._listener.listen(0)
        self._waiting = [socket.socket() for _ in range(4)]
        for each in self._waiting:
            each.setblocking(False)  # noqa: FBT003 -- the socket module's own signature
            each.connect_ex(self._listener.getsockname())
        found: tuple[str, int] = self._listener.getsockname()
        return found

    def __exit__(self, *_: object) -> None:
        for each in (*self._waiting, self._listener):
            each.close()

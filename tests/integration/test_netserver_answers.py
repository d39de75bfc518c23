"""How answers may begin and end, over real sockets: what is whole, what is not, and what may be used again."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import chain

import httpx
import pytest
from netserver_sockets import serving

from certificates import Authority
from erpsyncd.netserver.http1 import HttpConnection
from erpsyncd.netserver.network import Network
from erpsyncd.netserver.progress import Progress
from erpsyncd.netserver.tls import OwnTls, tls_context
from erpsyncd.netserver.wire import BodyTooLarge, Request, address_of
from netserver_support import PLAIN, until

MAX_BODY = 1_000_000
PLAIN_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def network(tls: OwnTls = PLAIN) -> AsyncIterator[Network]:
    made = Network(tls)
    try:
        yield made
    finally:
        await made.aclose()


async def asked(made: Network, url: str, body: bytes = b"?", most: int = MAX_BODY) -> tuple[int, bytes]:
    """Return status and body of the answer to one request."""
    address = address_of(url)
    headers = [(b"Host", address.host), (b"Content-Length", b"%d" % len(body))]
    answer = await made.ask(Request(b"POST", address, headers, body, Progress()), most)
    return answer.status, answer.body


WHOLE = {
    "length": (PLAIN_OK, (200, b"ok"), True),
    "announced": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" + PLAIN_OK,
        (200, b"ok"),
        True,
    ),
    "no content": (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", (204, b""), True),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", (304, b""), True),
    "chunks and trailers": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\no\r\n1\r\nk\r\n0\r\nA: b\r\n\r\n",
        (200, b"ok"),
        True,
    ),
    "closing": (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", (200, b"ok"), False),
    "old": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", (200, b"ok"), False),
    "more than it says": (PLAIN_OK + b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad", (200, b"ok"), False),
    "a body that must not be": (b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", (204, b""), False),
}


@pytest.mark.parametrize("case", WHOLE)
async def test_whole_answers(case: str) -> None:
    """They are read to their end; what follows them is never taken for the next answer."""
    sent, expected, is_kept = WHOLE[case]
    async with serving(sent) as server, network() as made:
        for _ in range(2):
            assert expected == await asked(made, f"http://127.0.0.1:{server.port}/")

        assert (1 if is_kept else 2) == server.connections


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: " + b"b" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
    ],
)
async def test_answers_that_are_not_whole(sent: bytes) -> None:
    """They are errors, and their connection is closed."""

    async def respond(_head: bytes, _body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        writer.close()

    async with serving(respond) as server, network() as made:
        with pytest.raises(httpx.RequestError):
            await asked(made, f"http://127.0.0.1:{server.port}/")

        assert not any(made._idle.values())


@pytest.mark.parametrize("says_goodbye", [True, False])
@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n"])
async def test_a_body_that_ends_with_its_connection(
    *, head: bytes, says_goodbye: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Over TLS it is whole where the end was said: anybody on the way can make up the other one."""
    ours = Authority(directory=tmp_path_factory.mktemp("ours"))

    async def respond(_head: bytes, _body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(head + b"ok")
        await writer.drain()
        if says_goodbye:
            writer.close()
        else:
            writer.transport._ssl_protocol._transport.close()  # type: ignore[attr-defined]

    context = tls_context(str(ours.file))
    async with serving(respond, ours.server()) as server, network(OwnTls(tenant=context, proxy=context)) as made:
        url = f"https://127.0.0.1:{server.port}/"
        if says_goodbye:
            assert (200, b"ok") == await asked(made, url)
        else:
            with pytest.raises(httpx.ReadError, match="without TLS's goodbye"):
                await asked(made, url)


async def test_an_answer_before_the_request_was_read() -> None:
    """Who refuses a large request without reading it is heard, and his connection is not used again."""
    answered = asyncio.Event()

    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await answered.wait()
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
    async with network() as made, asyncio.timeout(20):
        assert (413, b"") == await asked(made, url, b"x" * 32 * 1024 * 1024)
        assert (413, b"") == await asked(made, url)
        assert 2 == connections
    answered.set()
    listener.close()
    await listener.wait_closed()


class Pieces:
    """A connection from which a head comes, and then piece after piece."""

    def __init__(self, head: bytes, pieces: Iterator[bytes]) -> None:
        self._pieces = chain([head], pieces)

    async def read(self) -> bytes:
        return next(self._pieces)

    async def write(self, content: bytes) -> None: ...

    def abort(self) -> None: ...

    def is_stale(self) -> bool:
        return False


async def answered(head: bytes, pieces: Iterator[bytes]) -> HttpConnection:
    """Return a connection after the head of its answer."""
    connection = HttpConnection(Pieces(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n", pieces))
    await connection.ask(b"GET", b"/", [(b"Host", b"x")], b"", Progress())
    return connection


async def test_small_pieces_take_little_memory() -> None:
    """A body that comes two bytes at a time takes no more room than another."""
    connection = await answered(b"Content-Length: 400000", (b"%02x" % (number % 256) for number in range(200_000)))
    tracemalloc.start()
    body = await connection.body(MAX_BODY)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert 400_000 == len(body)
    assert connection.is_reusable()
    assert peak < 4 * 400_000


@pytest.mark.parametrize("head", [b"Content-Length: 1000000", b"Transfer-Encoding: chunked"])
async def test_oversized_body_is_not_read(head: bytes) -> None:
    """Reading ends where the limit is crossed."""
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b"3e8\r\n%b\r\n" % (b"x" * 1000) if head.startswith(b"T") else b"x" * 1000

    connection = await answered(head, endless())
    with pytest.raises(BodyTooLarge):
        await connection.body(10_000)

    assert 11 == read
    assert not connection.is_reusable()


async def test_a_body_may_be_as_large_as_the_limit() -> None:
    """It is one byte more that is too much, also where all of it came with the head."""
    async with serving(PLAIN_OK) as server, network() as made:
        url = f"http://127.0.0.1:{server.port}/"

        assert (200, b"ok") == await asked(made, url, most=2)
        with pytest.raises(BodyTooLarge):
            await asked(made, url, most=1)

        assert not any(made._idle.values())


async def test_what_comes_back_after_the_end_is_not_kept() -> None:
    """An answer that was under way when everything was closed is still one, and its connection is closed."""
    asked_for, closed = asyncio.Event(), asyncio.Event()

    async def respond(_head: bytes, _body: bytes, writer: asyncio.StreamWriter) -> None:
        asked_for.set()
        await closed.wait()
        writer.write(PLAIN_OK)

    async with serving(respond) as server, asyncio.timeout(20):
        made = Network(PLAIN)
        call = asyncio.create_task(asked(made, f"http://127.0.0.1:{server.port}/"))
        await asked_for.wait()
        await made.aclose()
        closed.set()

        assert (200, b"ok") == await call
        assert not any(made._idle.values())
        await until(lambda: not server.open_now)

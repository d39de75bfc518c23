"""A forward proxy on loopback, as companies put them between their machines and the rest of the world."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_TUNNEL = re.compile(rb"CONNECT ([^ :]+):(\d+) HTTP/1\.1\r\n")
_PLAIN = re.compile(rb"(\w+) http://([^ :/]+):(\d+)([^ ]*) HTTP/1\.1\r\n")
_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)", re.IGNORECASE)
_OURS = re.compile(rb"\r\nProxy-[^\r]*", re.IGNORECASE)


@dataclass(kw_only=True)
class ForwardProxy:
    """Makes tunnels and passes plain requests on, unless a test wants something else of it."""

    tls: ssl.SSLContext | None = None
    """What it secures its own side with; None where it is spoken to over http."""

    answer: bytes = b""
    """What it says instead of making a tunnel; it closes the connection after that."""

    is_silent: bool = False
    leads_to: int | None = None
    """The port where its tunnels really end, if not where they should."""

    heads: list[bytes] = field(default_factory=list)
    """What it was asked, without bodies."""

    shown: list[object] = field(default_factory=list)
    """The certificates that its clients showed to it."""

    _place: socket.socket = field(default_factory=socket.socket, init=False)
    _listener: asyncio.Server | None = field(default=None, init=False)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        # It never listens: it keeps the port ours, so that nobody else answers there while we refuse.
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._place.bind(("127.0.0.1", 0))

    @property
    def port(self) -> int:
        return int(self._place.getsockname()[1])

    def url(self, login: str = "") -> str:
        """Return what goes into `proxy`."""
        return f"{'https' if self.tls else 'http'}://{login}{'@' if login else ''}127.0.0.1:{self.port}"

    async def listen(self) -> None:
        self.refuse()
        self._listener = await asyncio.start_server(
            self._accept, "127.0.0.1", self.port, reuse_address=True, ssl=self.tls
        )

    def refuse(self) -> None:
        """Stop accepting connections. Those that stand stay."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def aclose(self) -> None:
        self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._place.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            self.shown += filter(None, [writer.get_extra_info("peercert")])
            if self.is_silent:
                await reader.read()
            elif self.answer:
                writer.write(self.answer)
            elif tunnel := _TUNNEL.match(head):
                await self._tunnel(self.leads_to or int(tunnel[2]), reader, writer)
            else:
                await _pass_on(head, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            """One of the two sides has gone."""
        finally:
            await _closed(writer)

    async def _tunnel(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_copy(reader, back), _copy(there, writer))


async def _pass_on(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass one plain request on, without what was meant for us, and its answer back."""
    target, length = _PLAIN.match(head), _LENGTH.search(head)
    assert target is not None, head
    there, back = await asyncio.open_connection("127.0.0.1", int(target[3]))
    rest = _OURS.sub(b"", head[target.end() - 2 : -4])
    body = await reader.readexactly(int(length[1])) if length else b""
    back.write(b"%b %b HTTP/1.1%b\r\nConnection: close\r\n\r\n%b" % (target[1], target[4], rest, body))
    try:
        await _copy(there, writer)
    finally:
        back.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes one way until there are no more, then close that way's end."""
    try:
        with suppress(ConnectionError):
            while piece := await reader.read(65536):
                writer.write(piece)
                await writer.drain()
    finally:
        writer.close()


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()


@asynccontextmanager
async def forward_proxy(tls: ssl.SSLContext | None = None) -> AsyncIterator[ForwardProxy]:
    """Run a forward proxy."""
    proxy = ForwardProxy(tls=tls)
    try:
        await proxy.listen()
        yield proxy
    finally:
        await proxy.aclose()

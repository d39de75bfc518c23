"""A proxy on loopback between erpsyncd and a tenant, which spoils what a test names: real sockets, byte by byte.

What is not named passes through it unchanged, and all of it is remembered. A fault decides about one request:
whether the tenant gets to see it (`Visit.forward`), and what comes back.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeAlias

_ACTION = re.compile(rb'\r\nSOAPAction: "?[^"\r\n]*/(\w+)', re.IGNORECASE)
_TARGET = re.compile(rb"POST /([^/ ]+)/(?:[^ ]*/)?([\w.]+) ")
_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)", re.IGNORECASE)
_DISPLAY_NAME = re.compile(rb'DisplayName(?:>|":")([^<"]*)')
_CONNECTION_ID = re.compile(rb'ErpConnectionId(?:>|":)(\d+)')
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as it came from erpsyncd."""

    head: bytes
    body: bytes
    at: float
    """When it was read, in seconds of the monotonic clock."""

    @property
    def protocol(self) -> str:
        return "soap" if _ACTION.search(self.head) else "rest"

    @property
    def operation(self) -> str:
        found = _ACTION.search(self.head)
        return (found[1] if found else self._target[2]).decode()

    @property
    def tenant(self) -> str:
        return self._target[1].decode()

    @property
    def display_name(self) -> str:
        """Of the connection that it saves; empty where it saves none."""
        found = _DISPLAY_NAME.search(self.body)
        return found[1].decode() if found else ""

    @property
    def erp_connection_id(self) -> int | None:
        """Of the connection that it is about; None where it names none."""
        found = _CONNECTION_ID.search(self.body)
        return int(found[1]) if found else None

    @property
    def _target(self) -> re.Match[bytes]:
        found = _TARGET.match(self.head)
        assert found is not None, self.head
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer as it came from the tenant."""

    head: bytes
    body: bytes

    @property
    def raw(self) -> bytes:
        return self.head + self.body


@dataclass(slots=True, kw_only=True)
class Visit:
    """One request in the hands of a fault, with what can be done to it."""

    request: Request
    proxy: FaultyProxy
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def forward(self) -> Answer:
        """Let the tenant do the work, and return what it answered."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.proxy.tenants_port)
        try:
            writer.write(self.request.head + self.request.body)
            return Answer(head=(head := await reader.readuntil(b"\r\n\r\n")), body=await _body(head, reader))
        finally:
            await _closed(writer)

    async def send(self, answer: bytes) -> None:
        """Send bytes as they are; a client that is gone is no error."""
        with suppress(ConnectionError):
            self.writer.write(answer)
            await self.writer.drain()

    async def finish(self) -> None:
        """Close the connection in an orderly way (FIN)."""
        await _closed(self.writer)

    async def reset(self) -> None:
        """Close the connection with a TCP reset."""
        connection: socket.socket = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.writer.transport.abort()
        await _closed(self.writer)

    async def has_left(self, within: float | None = None) -> bool:
        """Wait until the client has closed the connection, or for so many seconds."""
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(within):
                while await self.reader.read(65536):
                    """It sends nothing more that anybody would want."""
        return self.reader.at_eof() or self.reader.exception() is not None


Fault: TypeAlias = Callable[[Visit], Awaitable[None]]
"""What becomes of one request."""


@dataclass(slots=True, kw_only=True)
class Rule:
    """Which requests a fault is for. Empty fields match everything."""

    fault: Fault
    operation: str = ""
    display_name: str = ""
    erp_connection_id: int | None = None
    nth: int = 1
    """The first matching request it is for, counted from 1."""

    times: int | None = None
    """How many matching requests from there on; None = all."""

    matched: int = field(default=0, init=False)

    def takes(self, request: Request) -> bool:
        """Say whether it is for this request, and count it."""
        same = (
            self.operation in ("", request.operation)
            and self.display_name in ("", request.display_name)
            and self.erp_connection_id in (None, request.erp_connection_id)
        )
        self.matched += same
        return same and self.nth <= self.matched and (self.times is None or self.matched < self.nth + self.times)


async def pass_through(visit: Visit) -> None:
    """Spoil nothing."""
    await visit.send((await visit.forward()).raw)


@dataclass(kw_only=True)
class FaultyProxy:
    """Listens on a port of its own in front of a tenant's."""

    tenants_port: int
    rules: list[Rule] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    """How many it has accepted."""

    visitors: int = 0
    """How many connections came in at another host's door, where nobody may knock."""

    crashes: list[Exception] = field(default_factory=list)
    """What went wrong with faults themselves."""

    _elsewhere: asyncio.Server | None = field(default=None, init=False)
    _place: socket.socket = field(default_factory=socket.socket, init=False)
    _stuffing: list[socket.socket] = field(default_factory=list, init=False)
    _listener: asyncio.Server | None = field(default=None, init=False)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        # It never listens: it keeps the port ours, so that nobody else answers there while we refuse.
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._place.bind(("127.0.0.1", 0))

    @property
    def port(self) -> int:
        return int(self._place.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def elsewhere(self) -> str:
        """Host and port of somebody who has nothing to do with the tenant."""
        assert self._elsewhere is not None
        return f"127.0.0.1:{self._elsewhere.sockets[0].getsockname()[1]}"

    def spoil(self, fault: Fault, operation: str = "", **which: str | int | None) -> None:
        """Put a fault into force."""
        self.rules.append(Rule(fault=fault, operation=operation, **which))  # type: ignore[arg-type]  # by name

    def lift(self) -> None:
        """Put all faults out of force."""
        self.rules.clear()

    def made(self, operation: str, display_name: str = "", erp_connection_id: int | None = None) -> list[Request]:
        """Return the requests of an operation, for one connection where it is named."""
        rule = Rule(
            fault=pass_through, operation=operation, display_name=display_name, erp_connection_id=erp_connection_id
        )
        return [request for request in self.requests if rule.takes(request)]

    async def listen(self) -> None:
        """Accept connections; those that come before that, or after `refuse`, are refused."""
        self.refuse()
        if self._elsewhere is None:
            self._elsewhere = await asyncio.start_server(self._visited, "127.0.0.1", 0)
        self._listener = await asyncio.start_server(
            self._accept, "127.0.0.1", self._place.getsockname()[1], reuse_address=True
        )

    def refuse(self) -> None:
        """Stop accepting connections. Those that stand stay."""
        while self._stuffing:
            self._stuffing.pop().close()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def swallow(self) -> None:
        """Leave connects without an answer, as a firewall does: the queue of a socket that nobody serves is full."""
        self.refuse()
        deaf = self._stuff()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        deaf.bind(self._place.getsockname())
        deaf.listen(0)
        for _ in range(3):
            with suppress(BlockingIOError):
                self._stuff().connect(self._place.getsockname())

    def _stuff(self) -> socket.socket:
        stuffing = socket.socket()
        stuffing.setblocking(False)  # noqa: FBT003 -- its name says it
        self._stuffing.append(stuffing)
        return stuffing

    async def aclose(self) -> None:
        self.refuse()
        if self._elsewhere is not None:
            self._elsewhere.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._place.close()

    def _visited(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visitors += 1
        writer.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                request = Request(head=head, body=await _body(head, reader), at=time.monotonic())
                self.requests.append(request)
                fault = next((rule.fault for rule in tuple(self.rules) if rule.takes(request)), pass_through)
                await fault(Visit(request=request, proxy=self, reader=reader, writer=writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            """The client has closed it."""
        except Exception as exc:  # noqa: BLE001 -- a test looks at it; in a task nobody would
            self.crashes.append(exc)
        finally:
            await _closed(writer)


@asynccontextmanager
async def faulty_proxy(tenants_port: int) -> AsyncIterator[FaultyProxy]:
    """Run a proxy in front of a port on loopback."""
    proxy = FaultyProxy(tenants_port=tenants_port)
    try:
        await proxy.listen()
        yield proxy
    finally:
        await proxy.aclose()


async def _body(head: bytes, reader: asyncio.StreamReader) -> bytes:
    length = _LENGTH.search(head)
    return await reader.readexactly(int(length[1])) if length else b""


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()

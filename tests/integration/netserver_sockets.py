"""A loopback server that says, byte by byte, what a test wants it to."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from erpsyncd.domain.proxies import Proxy
from erpsyncd.domain.tenants import AuthKind, Protocol
from erpsyncd.netserver.api import NetServerApi
from erpsyncd.netserver.apis import NetServerApis
from erpsyncd.netserver.limits import RemoteLimits
from netserver_support import credentials, tenant_spec

#: What a server does with one visitor.
Visit: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]

ONCE = RemoteLimits(attempts=1, deadline_seconds=10, max_body_bytes=100_000)
OK_JSON = json.dumps({"IsOk": True}).encode()


def http(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    named = {"Content-Length": str(len(body)), "Content-Type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


@dataclass(slots=True)
class Server:
    """A loopback server that says, byte by byte, what a test wants it to."""

    respond: Callable[[bytes, bytes, asyncio.StreamWriter], Awaitable[None]]
    port: int = 0
    requests: list[tuple[bytes, bytes]] = field(default_factory=list)
    connections: int = 0
    open_now: int = 0
    most_open: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lengths = [line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
                length = int(lengths[0]) if lengths or not head.startswith(b"GET ") else 0
                body = await reader.readexactly(length)
                self.requests.append((head, body))
                await self.respond(head, body, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open_now -= 1
            writer.close()


@asynccontextmanager
async def serving(respond: Any, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """Run a server; `respond` is bytes, or a coroutine function of head, body and writer."""

    async def fixed(_head: bytes, _body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(respond)

    server = Server(fixed if isinstance(respond, bytes) else respond)
    async with visited(server.serve, tls) as server.port:
        yield server


@asynccontextmanager
async def visited(visit: Visit, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Listen on loopback and yield the port; what `visit` still does for visitors ends with it."""
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(visit(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listener = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listener.wait_closed()


@asynccontextmanager
async def rest(
    server: Server,
    limits: RemoteLimits = ONCE,
    scheme: str = "http",
    *,
    apis: NetServerApis | None = None,
    proxy: Proxy | None = None,
    **settings: Any,
) -> AsyncIterator[NetServerApi]:
    tenant = tenant_spec(Protocol.REST, **({"url": f"{scheme}://127.0.0.1:{server.port}"} | settings))
    apis = apis or NetServerApis(limits)
    async with apis.open(tenant, credentials(AuthKind.PASSWORD), proxy=proxy) as api:
        yield api

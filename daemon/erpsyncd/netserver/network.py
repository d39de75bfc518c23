"""One tenant's way to the network: connections that are kept between calls, direct or through a forward proxy.

It speaks httpx's words, so that tests can put their own in its place, and none of httpx's client: that follows
redirections, keeps cookies, reads the environment, and takes seven times the CPU.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections import defaultdict
from typing import NamedTuple, TypeAlias

import httpx

from erpsyncd.domain.proxies import Proxy
from erpsyncd.netserver.certificates import Certificate, certificate_shown
from erpsyncd.netserver.http1 import HttpConnection
from erpsyncd.netserver.plain_http import Headers
from erpsyncd.netserver.progress import Progress
from erpsyncd.netserver.streams import Stream, TcpStream, TlsStream
from erpsyncd.netserver.tls import Tls

#: What stands between a transport and the network; tests put their own in its place.
Wire: TypeAlias = httpx.AsyncBaseTransport

_KEEPALIVE_SECONDS = 5.0
_PORTS = {"http": 80, "https": 443}


class _Origin(NamedTuple):
    """Whom a connection leads to."""

    scheme: str
    host: str
    port: int


class Network(httpx.AsyncBaseTransport):
    """One tenant's connections. Through a proxy everything goes, also what is on this machine.

    How many there are at a time is up to who asks.
    """

    def __init__(self, tls: Tls, proxy: Proxy | None = None) -> None:
        self._tls = tls
        self._proxy = proxy
        self._introduction = _introduction(proxy) if proxy is not None else []
        self._idle: defaultdict[_Origin, list[tuple[float, HttpConnection]]] = defaultdict(list)
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return the head of its answer; the extension `progress` follows it.

        Raises:
            HeldUp: it may not leave any more.
            httpx.RequestError: it was not sent, or the connection broke.
            OSError, UnicodeError: there is no connection.
        """
        url = request.url
        progress = request.extensions.get("progress") or Progress()
        origin = _Origin(url.scheme, url.raw_host.decode("ascii"), url.port or _PORTS.get(url.scheme, 0))
        target, headers, body = url.raw_path, request.headers.raw, await request.aread()
        if self._proxy is not None and url.scheme == "http":
            target, headers = str(url).encode("ascii"), [*self._introduction, *headers]
        connection = self._kept(origin)
        if connection is None:
            connection = await self._connected(origin, progress)
        try:
            answer = await connection.ask(request.method.encode("ascii"), target, headers, body, progress)
        except BaseException:
            connection.abort()
            raise
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(self, origin, connection),
            extensions={"certificate": connection.certificate},
        )

    def keep(self, origin: _Origin, connection: HttpConnection) -> None:
        """Keep a connection for the next request, if it is good for one."""
        if connection.is_reusable() and not self._closed:
            self._idle[origin].append((time.monotonic() + _KEEPALIVE_SECONDS, connection))
        else:
            connection.abort()

    async def aclose(self) -> None:
        """Close what is kept, and what comes back later."""
        self._closed = True
        for waiting in self._idle.values():
            for _, connection in waiting:
                connection.abort()
        self._idle.clear()
        await asyncio.sleep(0)  # asyncio closes a socket in its next turn

    def _kept(self, origin: _Origin) -> HttpConnection | None:
        """Return the connection that was used last, unless it is of no use any more."""
        waiting = self._idle[origin]
        while waiting:
            until, connection = waiting.pop()
            if time.monotonic() < until and not connection.is_stale():
                return connection
            connection.abort()
        return None

    async def _connected(self, origin: _Origin, progress: Progress) -> HttpConnection:
        if origin.scheme not in _PORTS:
            raise httpx.UnsupportedProtocol("it is neither http nor https")
        progress.connect()
        if origin.scheme == "https" or (self._proxy is not None and self._proxy.address.scheme == "https"):
            await self._tls.prepare()
        stream = await self._way_to(origin)
        certificate: Certificate | None = None
        if origin.scheme == "https":
            secured = await TlsStream.over(stream, self._tls.tenant, origin.host)
            stream, certificate = secured, certificate_shown(secured.session)
        return HttpConnection(stream, certificate)

    async def _way_to(self, origin: _Origin) -> Stream:
        if self._proxy is None:
            return await TcpStream.to(origin.host, origin.port)
        address = self._proxy.address
        host = address.host.strip("[]")
        stream: Stream = await TcpStream.to(host, address.port)
        if address.scheme == "https":
            stream = await TlsStream.over(stream, self._tls.proxy, host)
        if origin.scheme == "https":
            await self._dig(stream, origin)
        return stream

    async def _dig(self, stream: Stream, origin: _Origin) -> None:
        """Make a proxy pass everything on to where a request goes.

        Raises:
            httpx.ProxyError: it refused; the message begins with its status.
            httpx.RequestError: it broke the connection, or does not speak HTTP.
        """
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        target = f"{host}:{origin.port}".encode("ascii")
        headers = [(b"Host", target), (b"Accept", b"*/*"), *self._introduction]
        proxy = HttpConnection(stream)
        try:
            answer = await proxy.ask(b"CONNECT", target, headers, b"", Progress())
            _check_tunnel(answer.status, proxy)
        except BaseException:
            stream.abort()
            raise


class _Body(httpx.AsyncByteStream):
    """What follows the head of an answer, and then its connection."""

    def __init__(self, network: Network, origin: _Origin, connection: HttpConnection) -> None:
        self._network = network
        self._origin = origin
        self._connection: HttpConnection | None = connection

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        if self._connection is None or not (chunk := await self._connection.chunk()):
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """Give the connection back; one with something left to read is closed."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._network.keep(self._origin, connection)


def _check_tunnel(status: int, proxy: HttpConnection) -> None:
    if not 200 <= status < 300:  # noqa: PLR2004 -- the range of success
        raise httpx.ProxyError(str(status))
    if proxy.has_said_more():
        raise httpx.RemoteProtocolError("something came before the TLS handshake")


def _introduction(proxy: Proxy) -> Headers:
    """Return the header that tells a proxy who we are."""
    username = proxy.username.reveal()
    if not username:
        return []
    login = f"{username}:{proxy.password.reveal()}".encode()
    return [(b"Proxy-Authorization", b"Basic " + base64.b64encode(login))]

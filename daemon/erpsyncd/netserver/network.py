"""One tenant's way to the network: connections that are kept between calls, direct or through a forward proxy.

It names errors as httpx does, and has nothing of httpx's client: that follows redirections, keeps cookies, reads the
environment, and takes seven times the CPU.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections import defaultdict

import httpx

from erpsyncd.domain.proxies import Proxy
from erpsyncd.netserver.certificates import Certificate, certificate_shown
from erpsyncd.netserver.http1 import HttpConnection
from erpsyncd.netserver.plain_http import Headers
from erpsyncd.netserver.progress import Progress
from erpsyncd.netserver.streams import Stream, TcpStream, TlsStream
from erpsyncd.netserver.tls import Tls
from erpsyncd.netserver.wire import Answer, Origin, Request

_KEEPALIVE_SECONDS = 5.0


class Network:
    """One tenant's connections. Through a proxy everything goes, also what is on this machine.

    How many there are at a time is up to who asks.
    """

    def __init__(self, tls: Tls, proxy: Proxy | None = None) -> None:
        self._tls = tls
        self._proxy = proxy
        self._introduction = _introduction(proxy) if proxy is not None else []
        self._idle: defaultdict[Origin, list[tuple[float, HttpConnection]]] = defaultdict(list)
        self._closed = False

    async def ask(self, request: Request, max_body: int) -> Answer:
        """Send a request and return the answer to it; see `Wire`."""
        origin, _, target, url = request.address
        headers = request.headers
        if self._proxy is not None and origin.scheme == "http":
            target, headers = url, [*self._introduction, *headers]
        connection = self._kept(origin) or await self._connected(origin, request.progress)
        try:
            head = await connection.ask(request.method, target, headers, request.body, request.progress)
            body = await connection.body(max_body)
        except BaseException:
            connection.abort()
            raise
        self._keep(origin, connection)
        return Answer(head.status, head.headers, body, connection.certificate)

    def _keep(self, origin: Origin, connection: HttpConnection) -> None:
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

    def _kept(self, origin: Origin) -> HttpConnection | None:
        """Return the connection that was used last, unless it is of no use any more."""
        waiting = self._idle[origin]
        while waiting:
            until, connection = waiting.pop()
            if time.monotonic() < until and not connection.is_stale():
                return connection
            connection.abort()
        return None

    async def _connected(self, origin: Origin, progress: Progress) -> HttpConnection:
        progress.connect()
        if origin.scheme == "https" or (self._proxy is not None and self._proxy.address.scheme == "https"):
            await self._tls.prepare()
        stream = await self._way_to(origin)
        certificate: Certificate | None = None
        if origin.scheme == "https":
            secured = await TlsStream.over(stream, self._tls.tenant, origin.host)
            stream, certificate = secured, certificate_shown(secured.session)
        return HttpConnection(stream, certificate)

    async def _way_to(self, origin: Origin) -> Stream:
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

    async def _dig(self, stream: Stream, origin: Origin) -> None:
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

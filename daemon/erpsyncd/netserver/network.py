"""The network as httpx has it: built here, with everything switched off that would decide by itself."""

from __future__ import annotations

from http.cookiejar import CookieJar
from typing import TypeAlias

import httpx

from erpsyncd.domain.proxies import Proxy
from erpsyncd.netserver.limits import RemoteLimits
from erpsyncd.netserver.tls import Tls

#: What stands between a client and the network; tests put their own in its place.
Wire: TypeAlias = httpx.AsyncBaseTransport

_KEEPALIVE_SECONDS = 5.0


def network(limits: RemoteLimits, tls: Tls, proxy: Proxy | None) -> Wire:
    """Return one tenant's way to the network. Through a proxy everything goes, also what is on this machine."""
    # A handshake that fails behind a proxy leaves its connection in the pool of httpcore 1.0 for ever, where four
    # would be all. `Transport` has no more than `max_connections` requests under way anyway.
    most = limits.max_connections if proxy is None else None
    return httpx.AsyncHTTPTransport(
        verify=tls.tenant,
        trust_env=False,
        http2=False,
        limits=httpx.Limits(max_connections=most, max_keepalive_connections=most, keepalive_expiry=_KEEPALIVE_SECONDS),
        proxy=None if proxy is None else _http_proxy(proxy, tls),
    )


def _http_proxy(proxy: Proxy, tls: Tls) -> httpx.Proxy:
    address, username = proxy.address, proxy.username.reveal()
    return httpx.Proxy(
        f"{address.scheme}://{address.where}",
        ssl_context=tls.proxy if address.scheme == "https" else None,
        auth=(username, proxy.password.reveal()) if username else None,
    )


def http_client(wire: Wire) -> httpx.AsyncClient:
    """Return a client for one tenant on its way to the network, or on what replaces that in tests."""
    return httpx.AsyncClient(
        transport=wire,
        trust_env=False,
        follow_redirects=False,
        event_hooks={"response": [_keep_location]},
        cookies=_NoCookies(),
    )


class _NoCookies(CookieJar):
    """Neither keeps nor reads a cookie: nothing is sent back, and what is kept would grow with every answer."""

    def extract_cookies(self, *_: object) -> None:
        """Do nothing."""


async def _keep_location(response: httpx.Response) -> None:
    """Put the Location header where httpx does not look for it.

    httpx builds the request that would follow a redirection even if it is told to follow none. What it cannot
    make an address of it raises as if our own were wrong, and a call that was answered would pass for one that
    was never sent.
    """
    response.extensions["location"] = response.headers.pop("Location", "")

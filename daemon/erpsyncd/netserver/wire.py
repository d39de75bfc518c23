"""What stands between a transport and the network: a request as it leaves, an answer as it came.

There are no more words than are needed for one call. What goes wrong is raised as httpx names it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, Protocol

import httpx

from erpsyncd.netserver.certificates import Certificate
from erpsyncd.netserver.plain_http import Headers
from erpsyncd.netserver.progress import Progress

_PORTS = {"http": 80, "https": 443}


class BodyTooLarge(Exception):
    """An answer has more bytes than are read."""


class Origin(NamedTuple):
    """Whom a connection leads to."""

    scheme: str
    host: str
    port: int


class Address(NamedTuple):
    """A URL, taken apart."""

    origin: Origin
    host: bytes
    """Host and port as the Host header has them."""

    target: bytes
    """Path and query."""

    url: bytes
    """All of it, as a proxy wants to have it."""


@lru_cache(maxsize=1024)
def address_of(url: str) -> Address:
    """Return where a URL leads.

    Raises:
        httpx.InvalidURL: it is none.
        httpx.UnsupportedProtocol: it is neither http nor https.
        UnicodeError: it has a character that no request can carry.
    """
    parsed = httpx.URL(url)
    if parsed.scheme not in _PORTS:
        raise httpx.UnsupportedProtocol("it is neither http nor https")
    origin = Origin(parsed.scheme, parsed.raw_host.decode("ascii"), parsed.port or _PORTS[parsed.scheme])
    return Address(origin, parsed.netloc, parsed.raw_path, str(parsed).encode("ascii"))


class Request(NamedTuple):
    """A request as it leaves. Its headers and body hold secrets."""

    method: bytes
    address: Address
    headers: Headers
    body: bytes
    progress: Progress
    """Follows it."""


class Answer(NamedTuple):
    """An answer as it came, whole."""

    status: int
    headers: Headers
    body: bytes
    certificate: Certificate | None = None
    """What the other side showed when it was connected to."""


class Wire(Protocol):
    """One tenant's way to the network; tests put their own in its place."""

    async def ask(self, request: Request, max_body: int) -> Answer:
        """Send a request and return the answer to it.

        Raises:
            HeldUp: it may not leave any more.
            BodyTooLarge: the answer has more than `max_body` bytes; no more of it were read.
            httpx.RequestError: it was not sent, or the connection broke.
            OSError, UnicodeError: there is no connection.
        """
        ...

    async def aclose(self) -> None:
        """Close what is kept."""
        ...

"""One notification to one address: a POST with JSON, signed, in a bounded time.

Like the transport to tenants it follows no redirect and takes nothing from the environment; unlike that one it knows
no tenant, and what is answered does not matter beyond its status. A proxy is one for all addresses elsewhere.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from urllib.parse import urlsplit
from uuid import uuid4

import httpx

from erpsyncd import __version__
from erpsyncd.domain.input_rules import is_loopback
from erpsyncd.domain.notifications import Notification
from erpsyncd.domain.proxies import Proxy
from erpsyncd.domain.secrets import Secret
from erpsyncd.hooks.targets import NotDelivered

_PAUSE_SECONDS = 1.0
#: What may be different in a moment; every other refusal stays one.
_PASSING = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


def signature(secret: Secret, timestamp: int, body: bytes) -> str:
    """Return what `X-Erpsyncd-Signature` says: HMAC-SHA256 over the timestamp, a dot and the body.

    The timestamp is in it so that a recorded notification cannot be sent again later.
    """
    digest = hmac.new(secret.reveal().encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"v1={digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One address."""

    url: Secret
    secret: Secret | None
    proxy: Proxy | None = None
    """What stands between here and an address that is not this machine's."""

    deadline_seconds: float
    attempts: int
    now: Callable[[], float] = time.time
    pause: Callable[[float], Awaitable[None]] = field(default=asyncio.sleep)
    tls: Callable[[], ssl.SSLContext] = field(default=partial(ssl.create_default_context))

    async def deliver(self, notification: Notification) -> None:
        """Send it until somebody takes it.

        Raises:
            NotDelivered: nobody did, in all the time and tries that there are.
        """
        host = urlsplit(self.url.reveal()).hostname or "?"
        try:
            async with asyncio.timeout(self.deadline_seconds), self._client() as client:
                await self._try(client, notification, host)
        except TimeoutError:
            raise NotDelivered(f"{host} did not answer in {self.deadline_seconds:g} s") from None

    def _client(self) -> httpx.AsyncClient:
        tls = self.tls()
        return httpx.AsyncClient(trust_env=False, verify=tls, proxy=self._way(tls), timeout=self.deadline_seconds)

    def _way(self, tls: ssl.SSLContext) -> httpx.Proxy | None:
        if self.proxy is None or is_loopback(urlsplit(self.url.reveal()).hostname or ""):
            return None
        there, user = self.proxy.address, self.proxy.username.reveal()
        return httpx.Proxy(
            f"{there.scheme}://{there.host}:{there.port}",
            auth=(user, self.proxy.password.reveal()) if user else None,
            ssl_context=tls if there.scheme == "https" else None,
        )

    async def _try(self, client: httpx.AsyncClient, notification: Notification, host: str) -> None:
        body = json.dumps(notification.body).encode()
        delivery = str(uuid4())
        for attempt in range(1, self.attempts + 1):
            reason, passing = await self._once(client, notification, body, delivery, host)
            if reason is None:
                return
            if attempt == self.attempts or not passing:
                raise NotDelivered(reason)
            await self.pause(_PAUSE_SECONDS * attempt)

    async def _once(
        self, client: httpx.AsyncClient, notification: Notification, body: bytes, delivery: str, host: str
    ) -> tuple[str | None, bool]:
        """Send it once; return why it was not taken (None: it was), and whether that may pass."""
        timestamp = int(self.now())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"erpsyncd/{__version__}",
            "X-Erpsyncd-Event": str(notification.event),
            "X-Erpsyncd-Delivery": delivery,
            "X-Erpsyncd-Timestamp": str(timestamp),
        }
        if self.secret is not None:
            headers["X-Erpsyncd-Signature"] = signature(self.secret, timestamp, body)
        try:
            # As a stream: what is answered is nobody's concern, and may be large.
            async with client.stream("POST", self.url.reveal(), content=body, headers=headers) as response:
                status = response.status_code
        except (httpx.RequestError, httpx.InvalidURL, OSError, UnicodeError) as exc:
            # Their own words may repeat the address.
            through = f" through {self.proxy.address.where}" if isinstance(exc, httpx.ProxyError) and self.proxy else ""
            return f"{host} cannot be reached{through} ({type(exc).__name__})", True
        if response.is_success:
            return None, False
        return f"{host} answered {status}", response.is_server_error or status in _PASSING

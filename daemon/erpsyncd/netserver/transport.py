"""The only place that speaks HTTP: deadlines, limits, and the translation of everything that can go wrong.

httpx bounds each read, not the whole call, and no body; both are done here. It follows no redirect, keeps no
cookie for the next request and takes nothing from the environment: `HTTP_PROXY` or a `.netrc` of whoever
started the process must not decide where passwords go. (OpenSSL still honours `SSL_CERT_FILE`, which adds
trust where an administrator wants it.)
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import Enum, auto
from functools import lru_cache
from typing import Any, TypeAlias

import httpx
import structlog

from erpsyncd import __version__
from erpsyncd.domain.ports import BeforeSend, StillAllowed
from erpsyncd.errors import (
    Effect,
    MalformedResponse,
    OutcomeUnknown,
    RemoteRejected,
    RemoteUnreachable,
)
from erpsyncd.netserver.calls import READING_OPERATIONS, Call, Endpoint, Reply
from erpsyncd.netserver.failures import one_line
from erpsyncd.netserver.headers import decompressed, redirect_host, retry_after_seconds
from erpsyncd.netserver.leftovers import close_overfull
from erpsyncd.netserver.limits import RemoteLimits
from erpsyncd.netserver.rate import RateLimiter

log = structlog.get_logger(__name__)

#: What stands between a client and the network; tests put their own in its place.
Wire: TypeAlias = httpx.AsyncBaseTransport

_KEEPALIVE_SECONDS = 5.0

#: What httpx raises before a byte of the request has left.
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)
#: What else the network can raise, beside `httpx.RequestError` with all that hangs under it.
_FOREIGN = (httpx.RequestError, httpx.InvalidURL, ssl.SSLError, OSError, UnicodeError)


class Stage(Enum):
    """How far a request has got, as far as we know."""

    BUILDING = auto()
    """Not handed to httpx yet."""

    HANDED_OVER = auto()
    """Handed to httpx, which has not said anything: it may have been sent."""

    CONNECTING = auto()
    SENDING = auto()


class _HeldUpError(Exception):
    """A request was not allowed to leave any more when it could."""


class Progress:
    """Follows one request through httpcore's trace extension, so that "never sent" is known, not guessed."""

    __slots__ = ("_leave", "_still_allowed", "_stream", "stage")

    def __init__(self, leave: Callable[[], None] = lambda: None, still_allowed: StillAllowed = lambda: True) -> None:
        """`leave` is called when the first byte of the request goes out, if it is `still_allowed` to."""
        self.stage = Stage.BUILDING
        self._leave = leave
        self._still_allowed = still_allowed
        self._stream: Any = None

    async def trace(self, event: str, details: dict[str, Any]) -> None:
        """Take note of an event of httpcore, and close what it forgets.

        A TLS handshake that is cut short, by its timeout or by our deadline, leaves its socket open in
        httpcore 1.0: it closes after an `Exception`, which a cancellation is not.
        """
        if event == "http11.send_request_headers.started":
            if details["request"].method == b"CONNECT":  # a proxy's own: ours comes after it, or never
                return
            if not self._still_allowed():
                raise _HeldUpError
            self.stage = Stage.SENDING
            self._leave()
        elif event.startswith("connection.") and self.stage is Stage.HANDED_OVER:
            self.stage = Stage.CONNECTING
        elif event == "connection.connect_tcp.complete":
            self._stream = details["return_value"]
        elif event.endswith(".start_tls.failed"):
            await self._stream.aclose()

    @property
    def never_sent(self) -> bool:
        """Whether nothing can have arrived."""
        return self.stage in (Stage.BUILDING, Stage.CONNECTING)


class Transport:
    """One tenant's connections. `read_only` ones pass reading operations only, whatever is asked above."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        tenant: str,
        limits: RemoteLimits,
        limiter: RateLimiter,
        calls_per_second: float,
        read_only: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._http = http
        self._tenant = tenant
        self._limits = limits
        self._limiter = limiter
        self._calls_per_second = calls_per_second
        self._allowed = READING_OPERATIONS if read_only else None
        self._now = now
        # httpx would count waiting for a connection into the deadline; here it happens before.
        self._connections = asyncio.Semaphore(limits.max_connections)
        timeout = httpx.Timeout(limits.deadline_seconds, connect=limits.connect_seconds)
        self._timeout = timeout.as_dict()

    async def send(self, call: Call, before_send: BeforeSend | None = None) -> Reply:
        """Send one request, when it is its turn, and return the answer, whatever its status.

        `before_send` is awaited when its turn has come, and what it returns is asked when the connection stands.

        Raises:
            RemoteUnreachable: it never left.
            OutcomeUnknown: it left, or may have, and no whole answer came in time.
            MalformedResponse: the answer is too large or not encoded as it claims.
            RemoteRejected: a read-only transport was given something that writes; it was not sent.
        """
        self._refuse_writing(call)
        async with self._connections, self._limiter.turn(self._calls_per_second) as leave:
            progress = Progress(leave) if before_send is None else Progress(leave, await before_send())
            started = time.perf_counter()
            with errors_translated(call.endpoint, progress, self._limits):
                async with asyncio.timeout(self._limits.deadline_seconds):
                    reply = await self._exchange(call, progress)
        log.debug(
            "call.finished",
            tenant=self._tenant,
            agent=call.endpoint.agent,
            operation=call.endpoint.operation,
            status=reply.status,
            duration_ms=round((time.perf_counter() - started) * 1000),
            bytes=len(reply.body),
        )
        return reply

    def _refuse_writing(self, call: Call) -> None:
        if self._allowed is not None and call.wire_operation not in self._allowed:
            message = f"not sent: a read-only client does not pass {call.wire_operation or 'a nameless operation'}"
            raise RemoteRejected(call.endpoint.operation, message, effect=Effect.NEVER_SENT)

    async def _exchange(self, call: Call, progress: Progress) -> Reply:
        request = httpx.Request(
            "POST",
            _parsed(call.endpoint.url),
            headers={**call.headers, "Accept-Encoding": "identity", "User-Agent": f"erpsyncd/{__version__}"},
            content=call.body,
            extensions={"timeout": self._timeout, "trace": progress.trace},
        )
        progress.stage = Stage.HANDED_OVER
        response = await self._http.send(request, stream=True, auth=None, follow_redirects=False)
        try:
            body = await self._body(call.endpoint, response)
        finally:
            await response.aclose()
        await close_overfull(self._http)
        headers = response.headers
        return Reply(
            status=response.status_code,
            content_type=headers.get("Content-Type", ""),
            retry_after=retry_after_seconds(headers["Retry-After"], self._now()) if "Retry-After" in headers else None,
            redirect_host=redirect_host(headers["Location"]) if "Location" in headers else "",
            body=body,
        )

    async def _body(self, endpoint: Endpoint, response: httpx.Response) -> bytes:
        limit = self._limits.max_body_bytes
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.aiter_raw():
            size += len(chunk)
            if size > limit:
                raise _too_large(endpoint, limit)
            chunks.append(chunk)
        body = b"".join(chunks)
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding in ("identity", ""):
            return body
        try:
            body = decompressed(body, encoding, limit)
        except ValueError as problem:
            raise MalformedResponse(endpoint.operation, f"{endpoint.where} sent {problem}") from None
        if len(body) > limit:
            raise _too_large(endpoint, limit)
        return body


@contextmanager
def errors_translated(endpoint: Endpoint, progress: Progress, limits: RemoteLimits) -> Iterator[None]:
    """Turn every error of the network into one of ours; `progress` says whether anything can have arrived."""
    try:
        yield
    except _HeldUpError:
        message = f"{endpoint.where} was not called: the request was held up here for too long"
        raise RemoteUnreachable(endpoint.operation, message) from None
    except httpx.DecodingError as exc:
        raise MalformedResponse(endpoint.operation, f"{endpoint.where} sent a body that cannot be decoded") from exc
    except httpx.TooManyRedirects as exc:  # we follow none, but the class hangs under RequestError
        raise RemoteRejected(endpoint.operation, f"{endpoint.where} redirects without end; check url") from exc
    except TimeoutError as exc:
        message = f"{endpoint.where} gave no whole answer in {limits.deadline_seconds:g} s"
        raise _unanswered(endpoint, progress, message) from exc
    except httpx.LocalProtocolError:  # its own words quote the header that h11 refused: maybe a ticket
        message = f"{endpoint.where} was not called: the request is not valid HTTP"
        raise RemoteUnreachable(endpoint.operation, message) from None
    except _NEVER_SENT as exc:
        raise _unreachable(endpoint, f"cannot reach {endpoint.where}: {_reason(exc)}") from exc
    except _FOREIGN as exc:
        message = f"the connection to {endpoint.where} broke: {_reason(exc)}"
        raise _unanswered(endpoint, progress, message) from exc


def _unreachable(endpoint: Endpoint, message: str) -> RemoteUnreachable:
    return RemoteUnreachable(endpoint.operation, f"{message}; check url, the network and the certificate")


def _unanswered(endpoint: Endpoint, progress: Progress, message: str) -> RemoteUnreachable | OutcomeUnknown:
    if progress.never_sent:
        return _unreachable(endpoint, f"{message} (nothing was sent)")
    return OutcomeUnknown(endpoint.operation, f"{message}; nobody knows what became of the call")


def _reason(exc: BaseException) -> str:
    """Return the error's own words, which name hosts and certificates and never what was sent."""
    words = "" if isinstance(exc, UnicodeError) else one_line(str(exc))
    return words or type(exc).__name__


def _too_large(endpoint: Endpoint, limit: int) -> MalformedResponse:
    return MalformedResponse(endpoint.operation, f"{endpoint.where} answered with more than {limit} bytes")


@lru_cache(maxsize=1024)
def _parsed(url: str) -> httpx.URL:
    return httpx.URL(url)


def tls_context() -> ssl.SSLContext:
    """Return the context that all tenants share: the system's trust store, TLS 1.2 or newer."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def http_client(limits: RemoteLimits, tls: ssl.SSLContext, wire: Wire | None) -> httpx.AsyncClient:
    """Return a client for one tenant; `wire` replaces the network in tests."""
    return httpx.AsyncClient(
        verify=tls,
        trust_env=False,
        follow_redirects=False,
        http2=False,
        limits=httpx.Limits(
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_connections,
            keepalive_expiry=_KEEPALIVE_SECONDS,
        ),
        transport=wire,
    )

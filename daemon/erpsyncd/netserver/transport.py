"""One call over HTTP: deadlines, limits, and the translation of everything that can go wrong.

The whole call is bounded, and its body. No redirect is followed, no cookie kept for the next request, and nothing
taken from the environment: `HTTP_PROXY` or a `.netrc` of whoever started the process must not decide where passwords
go. (OpenSSL still honours `SSL_CERT_FILE`, which adds trust where an administrator wants it.)
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus

import httpx
import structlog

from erpsyncd import __version__
from erpsyncd.domain.ports import BeforeSend
from erpsyncd.domain.proxies import ProxyAddress
from erpsyncd.domain.watching import CallWatcher
from erpsyncd.errors import (
    Effect,
    MalformedResponse,
    OutcomeUnknown,
    ProxyUnauthorized,
    RemoteError,
    RemoteRejected,
    RemoteUnreachable,
)
from erpsyncd.netserver.calls import READING_OPERATIONS, Call, Endpoint, Reply
from erpsyncd.netserver.failures import one_line
from erpsyncd.netserver.headers import by_name, decompressed, moment_in, redirect_host, retry_after_seconds
from erpsyncd.netserver.limits import RemoteLimits
from erpsyncd.netserver.progress import HeldUp, Progress, Stage
from erpsyncd.netserver.rate import RateLimiter
from erpsyncd.netserver.wire import Address, BodyTooLarge, Request, Wire, address_of

log = structlog.get_logger(__name__)
_level = logging.getLogger(__name__)

#: How h11 quotes the line of the answer that it cannot read; it may repeat a ticket.
_QUOTATION = re.compile(r"\b(?:bytearray\(b|b)['\"]")

_ADVICE = "check url, the network and the certificate"

_OURS = ((b"Accept-Encoding", b"identity"), (b"User-Agent", f"erpsyncd/{__version__}".encode()))

#: What httpx raises before a byte of the request has left.
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
)
#: What else the network can raise, beside `httpx.RequestError` with all that hangs under it.
_FOREIGN = (httpx.RequestError, httpx.InvalidURL, ssl.SSLError, OSError, UnicodeError)


class Transport:
    """One tenant's connections. `read_only` ones pass reading operations only, whatever is asked above."""

    def __init__(
        self,
        wire: Wire,
        *,
        tenant: str,
        limits: RemoteLimits,
        limiter: RateLimiter,
        calls_per_second: float,
        proxy: ProxyAddress | None = None,
        read_only: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        on_call: CallWatcher | None = None,
    ) -> None:
        """`proxy` is what `wire` goes through; messages name it."""
        self._on_call = on_call or (lambda _operation, _outcome, _seconds: None)
        self._wire = wire
        self._proxy = proxy
        self._tenant = tenant
        self._limits = limits
        self._limiter = limiter
        self._calls_per_second = calls_per_second
        self._allowed = READING_OPERATIONS if read_only else None
        self._now = now
        # Waiting for one of them is not counted into the deadline.
        self._connections = asyncio.Semaphore(limits.max_connections)

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
        return await self._perform(call.method, call, before_send)

    async def fetch(self, endpoint: Endpoint) -> Reply:
        """GET a document, such as a WSDL: as `send` in everything else, and no credential goes with it."""
        return await self._perform("GET", Call(endpoint=endpoint, headers={"Accept": "*/*"}), None)

    async def _perform(self, method: str, call: Call, before_send: BeforeSend | None) -> Reply:
        async with self._connections:
            leave = await self._limiter.turn(self._calls_per_second)
            try:
                progress = Progress(leave) if before_send is None else Progress(leave, await before_send())
                return await self._answered(method, call, progress)
            finally:
                leave()

    async def _answered(self, method: str, call: Call, progress: Progress) -> Reply:
        endpoint, started = call.endpoint, time.perf_counter()
        try:
            async with progress.bound(self._limits):
                reply = await self._exchange(method, call, progress)
        except Exception:  # only now is it worth while to say in words where the call went
            with self._told(endpoint, started), errors_translated(endpoint, progress, self._limits, self._proxy):
                raise
        took = time.perf_counter() - started
        self._on_call(endpoint.operation, f"{reply.status // 100}xx", took)
        if _level.isEnabledFor(logging.DEBUG):  # structlog makes a logger of its own before it looks at the level
            log.debug(
                "call.finished",
                tenant=self._tenant,
                agent=endpoint.agent,
                operation=endpoint.operation,
                status=reply.status,
                duration_ms=round(took * 1000),
                bytes=len(reply.body),
            )
        return reply

    @contextmanager
    def _told(self, endpoint: Endpoint, started: float) -> Iterator[None]:
        """Tell who watches of a call that got no answer."""
        try:
            yield
        except RemoteError as exc:
            self._on_call(endpoint.operation, exc.error_class, time.perf_counter() - started)
            raise

    def _refuse_writing(self, call: Call) -> None:
        if self._allowed is None or call.method == "GET":
            return
        if call.wire_operation not in self._allowed:
            message = f"not sent: a read-only client does not pass {call.wire_operation or 'a nameless operation'}"
            raise RemoteRejected(call.endpoint.operation, message, effect=Effect.NEVER_SENT)

    async def _exchange(self, method: str, call: Call, progress: Progress) -> Reply:
        address = address_of(call.endpoint.url)
        request = Request(method.encode(), address, _headers(method, call, address), call.body, progress)
        progress.stage = Stage.HANDED_OVER
        limit = self._limits.max_body_bytes
        try:
            answer = await self._wire.ask(request, limit)
        except BodyTooLarge:
            raise _too_large(call.endpoint, limit) from None
        headers = by_name(answer.headers)
        body = answer.body
        if (encoding := headers.get("content-encoding", "").strip().lower()) not in ("identity", ""):
            body = _decompressed(call.endpoint, body, encoding, limit)
        return Reply(
            status=answer.status,
            content_type=headers.get("content-type", ""),
            retry_after=retry_after_seconds(headers["retry-after"], self._now()) if "retry-after" in headers else None,
            redirect_host=redirect_host(headers["location"]) if "location" in headers else "",
            date=moment_in(headers["date"]) if "date" in headers else None,
            certificate=answer.certificate,
            body=body,
        )


@contextmanager
def errors_translated(
    endpoint: Endpoint, progress: Progress, limits: RemoteLimits, proxy: ProxyAddress | None = None
) -> Iterator[None]:
    """Turn every error of the network into one of ours; `progress` says whether anything can have arrived."""
    via = f"{endpoint.where} through the proxy {proxy.where}" if proxy else endpoint.where
    advice = "check proxy, url, the network and the certificate" if proxy else _ADVICE
    try:
        yield
    except HeldUp:
        message = f"{endpoint.where} was not called: the request was held up here for too long"
        raise RemoteUnreachable(endpoint.operation, message) from None
    except httpx.DecodingError as exc:
        raise MalformedResponse(endpoint.operation, f"{endpoint.where} sent a body that cannot be decoded") from exc
    except httpx.TooManyRedirects as exc:  # we follow none, but the class hangs under RequestError
        raise RemoteRejected(endpoint.operation, f"{endpoint.where} redirects without end; check url") from exc
    except TimeoutError as exc:
        if progress.never_sent:
            message = f"cannot reach {via} within {min(limits.connect_seconds, limits.deadline_seconds):g} s; {advice}"
            raise RemoteUnreachable(endpoint.operation, message) from exc
        message = f"{via} gave no whole answer in {limits.deadline_seconds:g} s"
        raise _unanswered(endpoint, message) from exc
    except httpx.ProxyError as exc:  # its own words are the proxy's, which has seen a password
        raise _refused_by_proxy(endpoint, via, str(exc)) from None
    except httpx.LocalProtocolError:  # its own words quote the header that h11 refused: maybe a ticket
        message = f"{endpoint.where} was not called: the request is not valid HTTP"
        raise RemoteUnreachable(endpoint.operation, message) from None
    except _FOREIGN as exc:
        reason = _reason(exc)
        if isinstance(exc, _NEVER_SENT) or progress.never_sent:
            message = f"cannot reach {via}: {reason}; {_alert_advice(reason) or advice}"
            raise RemoteUnreachable(endpoint.operation, message) from exc
        raise _unanswered(endpoint, f"the connection to {via} broke: {reason}", _alert_advice(reason)) from exc


def _unanswered(endpoint: Endpoint, message: str, advice: str = "") -> OutcomeUnknown:
    tail = f"; {advice}" if advice else ""
    return OutcomeUnknown(endpoint.operation, f"{message}; nobody knows what became of the call{tail}")


def _refused_by_proxy(endpoint: Endpoint, via: str, words: str) -> RemoteUnreachable:
    """Return what it means that a proxy made no tunnel; of its answer only the number is told."""
    code = words.partition(" ")[0]
    known = {str(status.value): f"{status.value} {status.phrase}" for status in HTTPStatus}
    message = f"cannot reach {via}: it refused ({known.get(code, code if code.isdecimal() else 'no reason')})"
    if code == str(HTTPStatus.PROXY_AUTHENTICATION_REQUIRED.value):
        return ProxyUnauthorized(endpoint.operation, f"{message}; check proxy: its user name and password")
    return RemoteUnreachable(endpoint.operation, f"{message}; check proxy, and what it lets through")


def _alert_advice(reason: str) -> str:
    """Return what to check where the other side ended TLS with an alert: it wants something else of us."""
    if " alert " not in reason:
        return ""
    return "check that url speaks TLS 1.2 or newer" if "version" in reason else "check url and client_certificate"


def _reason(exc: BaseException) -> str:
    """Return the error's own words, which name hosts and certificates and never what was sent or answered."""
    words = "" if isinstance(exc, UnicodeError) else str(exc)
    if (quoted := _QUOTATION.search(words)) is not None:
        words = words[: quoted.start()].rstrip(" :")
    return one_line(words) or type(exc).__name__


def _too_large(endpoint: Endpoint, limit: int) -> MalformedResponse:
    return MalformedResponse(endpoint.operation, f"{endpoint.where} answered with more than {limit} bytes")


def _decompressed(endpoint: Endpoint, body: bytes, encoding: str, limit: int) -> bytes:
    try:
        plain = decompressed(body, encoding, limit)
    except ValueError as problem:
        raise MalformedResponse(endpoint.operation, f"{endpoint.where} sent {problem}") from None
    if len(plain) > limit:
        raise _too_large(endpoint, limit)
    return plain


def _headers(method: str, call: Call, address: Address) -> list[tuple[bytes, bytes]]:
    """Return the headers of a request, in the order in which they leave."""
    own = [(name.encode("ascii"), value.encode("ascii")) for name, value in call.headers.items()]
    length = [(b"Content-Length", b"%d" % len(call.body))] if call.body or method != "GET" else []
    return [(b"Host", address.host), *own, *_OURS, *length]

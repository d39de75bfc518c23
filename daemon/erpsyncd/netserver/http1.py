"""HTTP/1.1 on one connection: h11 knows the protocol where it is not plain, a stream carries the bytes.

What goes wrong is raised as httpx names it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

import h11
import httpx

from erpsyncd.netserver.certificates import Certificate
from erpsyncd.netserver.plain_http import Headers, plain_head, plain_request
from erpsyncd.netserver.progress import Progress
from erpsyncd.netserver.streams import Stream
from erpsyncd.netserver.wire import BodyTooLarge

#: The longest head of an answer, and the longest head of a chunk in it.
_MAX_HEAD = 100 * 1024


class Head(NamedTuple):
    """The head of an answer."""

    status: int
    headers: Headers


class HttpConnection:
    """A connection to one server, for one request at a time.

    What is plain is written and read as it stands (`plain_http.py`); h11 is only made for what is not.
    """

    __slots__ = ("_arrived", "_missing", "_state", "_stream", "certificate")

    def __init__(self, stream: Stream, certificate: Certificate | None = None) -> None:
        """`certificate` is what the other side showed when it was connected to."""
        self._stream = stream
        self._state: h11.Connection | None = None
        self._arrived = b""
        self._missing = 0
        self.certificate = certificate

    async def ask(self, method: bytes, target: bytes, headers: Headers, body: bytes, progress: Progress) -> Head:
        """Send a request and return the head of the answer.

        Raises:
            HeldUp: it may not leave any more.
            httpx.LocalProtocolError: it is not valid HTTP, and nothing of it has left.
            httpx.RequestError: the connection broke, or what came is not HTTP.
        """
        content = plain_request(method, target, headers, body)
        if content is None:
            self._state, content = _written(method, target, headers, body)
        progress.leave()
        with suppress(OSError):  # who does not want to read all of it may have answered before closing
            await self._stream.write(content)
        return await self.answer()

    async def answer(self) -> Head:
        """Return the head of the answer; those that only announce one are passed over."""
        if self._state is None:
            arrived = await self._read()
            if (head := plain_head(arrived)) is not None:
                self._arrived, self._missing = arrived[head.size :], head.length
                return Head(head.status, head.headers)
            self._state = _state_after_plain_request()
            self._receive(self._state, arrived)
        while True:
            event = await self._next_event(self._state)
            if isinstance(event, h11.Response):
                return Head(event.status_code, event.headers.raw_items())

    async def body(self, limit: int) -> bytes:
        """Return the answer's body.

        Raises:
            BodyTooLarge: it has more than `limit` bytes; no more of it were read.
            httpx.RequestError: the connection broke, or what came is not HTTP.
        """
        if self._missing and len(self._arrived) >= self._missing <= limit:  # it came with the head
            body, self._arrived, self._missing = self._arrived[: self._missing], self._arrived[self._missing :], 0
            return body
        gathered = bytearray()  # a list of pieces would take 25 times the bytes of a body that comes two by two
        while chunk := await self._chunk():
            if len(gathered) + len(chunk) > limit:
                raise BodyTooLarge
            gathered += chunk
        return bytes(gathered)

    async def _chunk(self) -> bytes:
        """Return some of the answer's body, or nothing at its end."""
        if self._state is None:
            return await self._plain_chunk()
        while True:
            event = await self._next_event(self._state)
            if isinstance(event, h11.Data):
                if event.data:
                    return bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) or event is h11.PAUSED:
                return b""

    async def _plain_chunk(self) -> bytes:
        if not self._missing:
            return b""
        arrived = self._arrived or await self._read()
        if not arrived:
            raise httpx.RemoteProtocolError(f"the connection ended {self._missing} bytes before the body")
        chunk, self._arrived = arrived[: self._missing], arrived[self._missing :]
        self._missing -= len(chunk)
        return chunk

    async def _next_event(self, state: h11.Connection) -> object:
        while True:
            with _remote_errors_named():
                event = state.next_event()
            if event is not h11.NEED_DATA:
                return event
            self._receive(state, await self._read())

    async def _read(self) -> bytes:
        try:
            return await self._stream.read()
        except OSError as exc:
            raise httpx.ReadError(str(exc) or type(exc).__name__) from exc

    def _receive(self, state: h11.Connection, arrived: bytes) -> None:
        if not arrived and state.their_state is h11.SEND_RESPONSE:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        with _remote_errors_named():
            state.receive_data(arrived)

    def is_reusable(self) -> bool:
        """Say whether another request may follow, and make ready for it.

        Not where more came than the answer that was asked for: it would be taken for the answer to the next one.
        """
        state, self._state = self._state, None
        if state is None:
            return not self._missing and not self._arrived
        return state.our_state is h11.DONE and state.their_state is h11.DONE and not state.trailing_data[0]

    def has_said_more(self) -> bool:
        """Whether more came with the answer than belongs to it."""
        return bool(self._arrived if self._state is None else self._state.trailing_data[0])

    def is_stale(self) -> bool:
        """Whether something has come that nobody asked for, the end included, or the request never left whole."""
        return self._stream.is_stale()

    def abort(self) -> None:
        """Close it now."""
        self._stream.abort()


def _written(method: bytes, target: bytes, headers: Headers, body: bytes) -> tuple[h11.Connection, bytes]:
    """Return the bytes of a request, and what is to read its answer. Raises `httpx.LocalProtocolError`."""
    state = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
    try:
        pieces = [state.send(h11.Request(method=method, target=target, headers=list(headers)))]
        if body:
            pieces.append(state.send(h11.Data(data=body)))
        pieces.append(state.send(h11.EndOfMessage()))
    except h11.LocalProtocolError as exc:
        raise httpx.LocalProtocolError(str(exc)) from exc
    return state, b"".join(piece for piece in pieces if piece)


def _state_after_plain_request() -> h11.Connection:
    """Return what reads the answer to any plain request: they only differ in what nobody needs for it."""
    state, _ = _written(b"GET", b"/", [(b"Host", b"-")], b"")
    return state


@contextmanager
def _remote_errors_named() -> Iterator[None]:
    try:
        yield
    except h11.RemoteProtocolError as exc:
        raise httpx.RemoteProtocolError(str(exc)) from exc

"""HTTP/1.1 on one connection: h11 knows the protocol, a stream carries the bytes.

What goes wrong is raised as httpx names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeAlias

import h11
import httpx

from erpsyncd.netserver.certificates import Certificate
from erpsyncd.netserver.progress import Progress
from erpsyncd.netserver.streams import Stream

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]

#: The longest head of an answer, and the longest head of a chunk in it.
_MAX_HEAD = 100 * 1024


class HttpConnection:
    """A connection to one server, for one request at a time."""

    __slots__ = ("_state", "_stream", "certificate")

    def __init__(self, stream: Stream, certificate: Certificate | None = None) -> None:
        """`certificate` is what the other side showed when it was connected to."""
        self._stream = stream
        self._state = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
        self.certificate = certificate

    async def ask(
        self, method: bytes, target: bytes, headers: Headers, body: bytes, progress: Progress
    ) -> h11.Response:
        """Send a request and return the head of the answer.

        Raises:
            HeldUp: it may not leave any more.
            httpx.LocalProtocolError: it is not valid HTTP, and nothing of it has left.
            httpx.RequestError: the connection broke, or what came is not HTTP.
        """
        content = self._written(method, target, headers, body)
        progress.leave()
        with suppress(OSError):  # who does not want to read all of it may have answered before closing
            await self._stream.write(content)
        return await self.answer()

    def _written(self, method: bytes, target: bytes, headers: Headers, body: bytes) -> bytes:
        try:
            request = h11.Request(method=method, target=target, headers=list(headers))
            pieces = [self._state.send(request)]
            if body:
                pieces.append(self._state.send(h11.Data(data=body)))
            pieces.append(self._state.send(h11.EndOfMessage()))
        except h11.LocalProtocolError as exc:
            raise httpx.LocalProtocolError(str(exc)) from exc
        return b"".join(piece for piece in pieces if piece)

    async def answer(self) -> h11.Response:
        """Return the head of the answer; those that only announce one are passed over."""
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Response):
                return event

    async def chunk(self) -> bytes:
        """Return some of the answer's body, or nothing at its end.

        Raises:
            httpx.RequestError: the connection broke, or what came is not HTTP.
        """
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Data):
                if event.data:
                    return bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) or event is h11.PAUSED:
                return b""

    async def _next_event(self) -> object:
        while True:
            with _remote_errors_named():
                event = self._state.next_event()
            if event is not h11.NEED_DATA:
                return event
            try:
                arrived = await self._stream.read()
            except OSError as exc:
                raise httpx.ReadError(str(exc) or type(exc).__name__) from exc
            if not arrived and self._state.their_state is h11.SEND_RESPONSE:
                raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
            with _remote_errors_named():
                self._state.receive_data(arrived)

    def is_reusable(self) -> bool:
        """Say whether another request may follow, and make ready for it.

        Not where more came than the answer that was asked for: it would be taken for the answer to the next one.
        """
        state = self._state
        if state.our_state is not h11.DONE or state.their_state is not h11.DONE or self.has_said_more():
            return False
        state.start_next_cycle()
        return True

    def has_said_more(self) -> bool:
        """Whether more came with the answer than belongs to it."""
        return bool(self._state.trailing_data[0])

    def is_stale(self) -> bool:
        """Whether something has come that nobody asked for, the end included, or the request never left whole."""
        return self._stream.is_stale()

    def abort(self) -> None:
        """Close it now."""
        self._stream.abort()


@contextmanager
def _remote_errors_named() -> Iterator[None]:
    try:
        yield
    except h11.RemoteProtocolError as exc:
        raise httpx.RemoteProtocolError(str(exc)) from exc

"""Bytes to and from another machine, straight on asyncio: TCP, and TLS over either of the two.

Nothing is bounded in time here: the deadline of the whole call is (`Transport`). All that goes wrong is an `OSError`,
TLS included.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, TypeVar

T = TypeVar("T")

#: Above so many bytes that nobody has read yet, the other side is made to wait.
READ_AHEAD = 256 * 1024
#: So long after the first address of a host the next one is tried beside it (RFC 8305).
_NEXT_ADDRESS_SECONDS = 0.25
#: A record of TLS holds 16 KiB.
_TLS_CHUNK = 64 * 1024


class Stream(Protocol):
    """A connection. Read and written by one task at a time."""

    async def read(self) -> bytes:
        """Return what has come, at least a byte, or nothing at the end. Raises `OSError`."""
        ...

    async def write(self, content: bytes) -> None:
        """Write all of it; return when the kernel has taken most, or when something has come. Raises `OSError`.

        Who answers before he has read everything may never read the rest.
        """
        ...

    def abort(self) -> None:
        """Close it now: nobody waits for a goodbye, or can be made to wait for one."""
        ...

    def is_stale(self) -> bool:
        """Whether it is of no use for another request: something came that was not read, the end included.

        Or something was not written yet.
        """
        ...


class TcpStream(asyncio.Protocol):
    """A connection without encryption; as asyncio's protocol it is told what comes."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._arrived = bytearray()
        self._ended = False
        self._lost = False
        self._error: Exception | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._may_write = True
        self._may_read = True
        self._poll = select.poll()

    @classmethod
    async def to(cls, host: str, port: int) -> TcpStream:
        """Return a connection to the first address of a host that answers. Raises `OSError`, or `UnicodeError`."""
        _, stream = await asyncio.get_running_loop().create_connection(
            cls, host, port, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS
        )
        return stream

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of what writes."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        connected: socket.socket = transport.get_extra_info("socket")
        self._poll.register(connected.fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        """Keep what has come; too much of it stops the reading."""
        self._arrived += data
        if len(self._arrived) > READ_AHEAD and self._may_read and self._transport is not None:
            self._may_read = False
            self._transport.pause_reading()
        _wake(self._reader)
        _wake(self._writer)

    def eof_received(self) -> bool:
        """Take note that the other side has said all; it may go on listening."""
        self._ended = True
        _wake(self._reader)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note of the end, and of what broke the connection."""
        self._lost, self._error = True, exc
        _wake(self._reader)
        _wake(self._writer)

    def pause_writing(self) -> None:
        """Make the writer wait."""
        self._may_write = False

    def resume_writing(self) -> None:
        """Let the writer go on."""
        self._may_write = True
        _wake(self._writer)

    async def read(self) -> bytes:
        """Return what has come, at least a byte, or nothing at the end. Raises `OSError`."""
        while not self._arrived:
            if self._error is not None:
                raise self._error.with_traceback(None)
            if self._ended or self._lost:
                return b""
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        arrived = bytes(self._arrived)
        self._arrived.clear()
        if not self._may_read and not self._lost and self._transport is not None:
            self._may_read = True
            self._transport.resume_reading()
        return arrived

    async def write(self, content: bytes) -> None:
        """Write all of it; return when the kernel has taken most, or when something has come. Raises `OSError`."""
        self._raise_if_lost()
        assert self._transport is not None, "it is made by `to`"
        self._transport.write(content)
        while not self._may_write and not self._arrived:
            self._writer = asyncio.get_running_loop().create_future()
            await self._writer
            self._raise_if_lost()

    def _raise_if_lost(self) -> None:
        if self._lost:
            raise self._error or ConnectionResetError("the connection is closed")

    def abort(self) -> None:
        """Close it now."""
        if self._transport is not None:
            self._transport.abort()

    def is_stale(self) -> bool:
        """Whether it is of no use for another request.

        The kernel is asked, too: what it has got may not have come to us yet.
        """
        if self._arrived or self._ended or self._lost or self._transport is None:
            return True
        if self._transport.get_write_buffer_size():
            return True
        return bool(self._poll.poll(0))


class TlsStream:
    """An encrypted connection over another one, which may be encrypted itself: a proxy's."""

    def __init__(self, inner: Stream, context: ssl.SSLContext, host: str) -> None:
        """`host` is who the other side has to be. The handshake is still to be made.

        Raises `OSError`: it is no name that a certificate can be for.
        """
        self._inner = inner
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        try:
            self.session = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        except ValueError:
            raise OSError("the host has no name that a certificate can be for") from None

    @classmethod
    async def over(cls, inner: Stream, context: ssl.SSLContext, host: str) -> TlsStream:
        """Return a connection after its handshake. Raises `OSError`; whatever ends it early, `inner` is closed."""
        try:
            stream = cls(inner, context, host)
            await stream._until_done(stream.session.do_handshake)
        except BaseException:
            inner.abort()
            raise
        return stream

    async def read(self) -> bytes:
        """Return what has come, at least a byte, or nothing at the end. Raises `OSError`."""
        try:
            return await self._until_done(lambda: self.session.read(_TLS_CHUNK))
        except ssl.SSLZeroReturnError:
            return b""
        except ssl.SSLEOFError:  # whoever can cut a connection could make half an answer pass for a whole one
            raise OSError("it was closed without TLS's goodbye, so something may be missing") from None

    async def write(self, content: bytes) -> None:
        """Write all of it; return when the kernel has taken most, or when something has come. Raises `OSError`."""
        for start in range(0, len(content), _TLS_CHUNK):
            self.session.write(content[start : start + _TLS_CHUNK])
            await self._send_what_is_due()

    def abort(self) -> None:
        """Close it now, without a goodbye."""
        self._inner.abort()

    def is_stale(self) -> bool:
        """Whether it is of no use for another request."""
        return bool(self.session.pending() or self._incoming.pending) or self._inner.is_stale()

    async def _until_done(self, step: Callable[[], T]) -> T:
        """Carry out a step of TLS, with as many bytes from there as it asks for."""
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                await self._send_what_is_due()
                if arrived := await self._inner.read():
                    self._incoming.write(arrived)
                else:
                    self._incoming.write_eof()
            except ssl.SSLError:
                await self._say_why()
                raise
            else:
                await self._send_what_is_due()
                return done

    async def _send_what_is_due(self) -> None:
        if self._outgoing.pending:
            await self._inner.write(self._outgoing.read())

    async def _say_why(self) -> None:
        """Send the alert that tells the other side what we did not like about it, if it still listens."""
        with suppress(OSError):
            await self._send_what_is_due()


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)

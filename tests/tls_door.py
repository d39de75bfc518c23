"""A door with TLS in front of a plain server on loopback.

It is made of blocking sockets, because asyncio's servers close a connection whose handshake failed without the alert
that says why; real ones send it.
"""

from __future__ import annotations

import select
import socket
import socketserver
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread


class TlsDoor(socketserver.ThreadingTCPServer):
    """Listens on a port of its own and lets in whom its present context lets in."""

    def __init__(self, leads_to: int, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Visitor)
        self.leads_to = leads_to
        self.context = context

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"


class _Visitor(socketserver.BaseRequestHandler):
    server: TlsDoor

    def handle(self) -> None:
        with (
            suppress(OSError),  # those who do not get in, and those who leave
            self.server.context.wrap_socket(self.request, server_side=True, do_handshake_on_connect=False) as tls,
        ):
            try:
                tls.do_handshake()
            except ssl.SSLError:
                _hear_out(tls)
                return
            with socket.create_connection(("127.0.0.1", self.server.leads_to)) as plain:
                _carry(tls, plain)


def _hear_out(turned_away: socket.socket) -> None:
    """Let somebody finish: closed at once, their next word would be answered by a reset, and the alert be lost."""
    turned_away.shutdown(socket.SHUT_WR)
    while socket.socket.recv(turned_away, 65536):
        """Nobody listens."""


def _carry(tls: ssl.SSLSocket, plain: socket.socket) -> None:
    """Carry bytes both ways until one side has closed."""
    while True:
        ready = [tls] if tls.pending() else select.select([tls, plain], [], [])[0]
        for source in ready:
            piece = source.recv(65536)
            if not piece:
                return
            (plain if source is tls else tls).sendall(piece)


@contextmanager
def tls_door(leads_to: int, context: ssl.SSLContext) -> Iterator[TlsDoor]:
    """Run a door; it closes when everybody has left."""
    with TlsDoor(leads_to, context) as door:
        thread = Thread(target=door.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield door
        finally:
            door.shutdown()
            thread.join()

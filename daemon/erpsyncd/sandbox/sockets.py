"""The HTTP/1.1 layer: reads requests, writes each answer with one send, and knows which connections are open."""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from erpsyncd.sandbox.messages import Hangup, Refused, Reply, Request, html_reply, json_reply

MAX_BODY = 16 * 1024 * 1024
IDLE_SECONDS = 120.0
_BODILESS = frozenset({204, 304})
_NO_LENGTH = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
_LINGER_NOT = struct.pack("ii", 1, 0)
_log = logging.getLogger("erpsyncd.sandbox")


class OpenConnections:
    """The TCP connections of a server and the tenants each of them has served. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._tenants: dict[socket.socket, set[str]] = {}
        self._accepted = 0

    def opened(self, connection: socket.socket) -> int:
        """Enter a connection and return its number."""
        with self._changed:
            self._accepted += 1
            self._tenants[connection] = set()
            return self._accepted

    def closed(self, connection: socket.socket) -> None:
        """Strike a connection out."""
        with self._changed:
            self._tenants.pop(connection, None)
            self._changed.notify_all()

    def used_for(self, connection: socket.socket, tenant: str) -> int:
        """Note what a connection is used for; return how many this tenant has open.

        A client may have closed one whose thread has not noticed yet: those are asked.
        """
        with self._changed:
            self._tenants.setdefault(connection, set()).add(tenant)
            others = [other for other, names in self._tenants.items() if tenant in names and other is not connection]
        return 1 + sum(not _is_ended(other) for other in others)

    def close_all(self, *, seconds: float = 5.0) -> None:
        """Shut every connection down and wait until their threads have let go of them."""
        with self._changed:
            for connection in self._tenants:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._tenants, timeout=seconds)


def _is_ended(connection: socket.socket) -> bool:
    """Tell whether the other side has closed a connection, without taking anything out of it."""
    try:
        # A duplicate: this one has a timeout, and Python would wait for it before it asks the kernel.
        with connection.dup() as peeking:
            peeking.settimeout(0)
            return peeking.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


class Server(ThreadingHTTPServer):
    """Listens on loopback; one thread per connection."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(
        self,
        address: tuple[str, int],
        family: socket.AddressFamily,
        answer: Callable[[Request], Reply | Hangup],
        tenant_of: Callable[[str], str | None],
    ) -> None:
        self.address_family = family
        self.answer = answer
        self.tenant_of = tenant_of
        self.connections = OpenConnections()
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        """Bind without asking the resolver for a host name, as HTTPServer would."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def shutdown_request(self, request: Any) -> None:
        """Close a connection; one that is to be reset must not say goodbye first."""
        if request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(_LINGER_NOT)) == _LINGER_NOT:
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  # the base class calls it so
        """Log what is not just a client that went away."""
        if not isinstance(sys.exception(), ConnectionError):
            _log.exception("sandbox.connection_failed")


class Handler(BaseHTTPRequestHandler):
    """One TCP connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE_SECONDS
    server: Server
    connection: socket.socket

    def setup(self) -> None:
        """Enter the connection before anything is read."""
        super().setup()
        self._number = self.server.connections.opened(self.connection)

    def finish(self) -> None:
        """Strike the connection out and let go of it."""
        self.server.connections.closed(self.connection)
        super().finish()

    def version_string(self) -> str:
        """Return the Server header: nobody should mistake this for the real one."""
        return "erpsyncd-sandbox"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class calls it that
        """Say nothing: the journal has it."""

    def _serve(self) -> None:
        path, _, query = self.path.partition("?")
        path = unquote(path)
        tenant = self.server.tenant_of(path)
        try:
            request = Request(
                method=self.command,
                path=path,
                query=query,
                headers=self._lower_headers(),
                body=self._read_body(),
                connection=self._number,
                open_connections=self.server.connections.used_for(self.connection, tenant) if tenant else 1,
            )
        except Refused as refused:
            self.close_connection = True
            self._send(refused.reply)
            return
        outcome = self.server.answer(request)
        if isinstance(outcome, Hangup):
            self._hang_up(reset=outcome.reset)
        else:
            self._send(outcome)

    # The names that http.server looks for.
    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = _serve  # noqa: N815  # its spelling

    def _lower_headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            key = name.lower()
            headers[key] = f"{headers[key]}, {value}" if key in headers else value
        return headers

    def _read_body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._read_chunks()
        length = self.headers.get("Content-Length")
        if length is None:
            if self.command in _NO_LENGTH:
                return b""
            raise Refused(html_reply(411, "Length Required"))
        if not (length.isascii() and length.isdigit()):
            raise Refused(html_reply(400, "Bad Request - Invalid Content Length"))
        return self._read_exactly(int(length))

    def _read_chunks(self) -> bytes:
        body = b""
        while True:
            size_line = self.rfile.readline(1024).partition(b";")[0].strip()
            try:
                size = int(size_line, 16)
            except ValueError:
                raise Refused(html_reply(400, "Bad Request - Invalid Chunk")) from None
            if size == 0:
                break
            body += self._read_exactly(size, already=len(body))
            self.rfile.readline(8)
        while self.rfile.readline(65536).strip():
            """Trailers mean nothing here."""
        return body

    def _read_exactly(self, length: int, *, already: int = 0) -> bytes:
        if already + length > MAX_BODY:
            raise Refused(json_reply({"Message": "Maximum request length exceeded."}, 413))
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionError("the client went away within its request")
        return body

    def _send(self, reply: Reply) -> None:
        """Write status line, headers and body in one go: two writes would meet delayed acknowledgements."""
        if reply.cut_after is not None:
            self.close_connection = True
        head, body = self._head(reply), reply.body[: reply.cut_after]
        self.wfile.write(head if self.command == "HEAD" or reply.status in _BODILESS else head + body)
        if reply.cut_after is not None:
            self._hang_up(reset=False)

    def _head(self, reply: Reply) -> bytes:
        reason = self.responses.get(reply.status, ("Unknown",))[0]
        lines = [f"{self.protocol_version} {reply.status} {reason}"]
        headers = {"Server": self.version_string(), "Date": self.date_time_string(), **reply.headers}
        if reply.status not in _BODILESS and "content-length" not in {name.lower() for name in headers}:
            headers["Content-Length"] = str(len(reply.body))
        if self.close_connection:
            headers["Connection"] = "close"
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _hang_up(self, *, reset: bool) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            if reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
            else:
                self.connection.shutdown(socket.SHUT_RDWR)

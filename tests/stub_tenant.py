"""A web server that answers GET with what a test gives it, and keeps what it was asked."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WSDL = {"Content-Type": "text/xml; charset=utf-8"}


@dataclass(kw_only=True)
class Page:
    """One answer."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: WSDL)


@dataclass(kw_only=True)
class StubTenant:
    """Pages by path and query; anything else is 404."""

    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """The request lines, in order."""

    headers: list[dict[str, str]] = field(default_factory=list)
    date: str | None = None
    """What the Date header says; None leaves it out."""

    url: str = ""


@contextmanager
def serving(stub: StubTenant, tls: ssl.SSLContext | None = None) -> Iterator[StubTenant]:
    """Serve from loopback until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer()

        def _answer(self) -> None:
            stub.asked.append(f"{self.command} {self.path}")
            stub.headers.append(dict(self.headers))
            page = stub.pages.get(self.path, Page(status=404, body=b"<html>", headers={"Content-Type": "text/html"}))
            self.send_response_only(page.status)
            for name, value in {**page.headers, "Content-Length": str(len(page.body))}.items():
                self.send_header(name, value)
            if stub.date is not None:
                self.send_header("Date", stub.date)
            self.end_headers()
            self.wfile.write(page.body)

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_arguments: Any) -> None:
            """Say nothing: clients that do not trust us hang up."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            # The handshake belongs to each connection's thread: here, the first bad one would end the server.
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        stub.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield stub
        finally:
            server.shutdown()
            thread.join()

"""More addresses of one sandbox: hosts of Online that a tenant can be moved to, and that can go away."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from erpsyncd.sandbox.messages import Hangup, Reply, Request
from erpsyncd.sandbox.sockets import Server

_POLL_SECONDS = 0.01


class Doors:
    """Listening sockets beside the first one, each with a port of its own."""

    def __init__(
        self,
        family: socket.AddressFamily,
        answer: Callable[[Request], Reply | Hangup],
        tenant_of: Callable[[str], str | None],
    ) -> None:
        self._family = family
        self._answer = answer
        self._tenant_of = tenant_of
        self._open: dict[str, tuple[Server, threading.Thread]] = {}

    def open(self, host: str) -> str:
        """Listen at a free port and return its base URL."""
        server = Server((host, 0), self._family, self._answer, self._tenant_of)
        thread = threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), name="sandbox-door", daemon=True)
        thread.start()
        named = f"[{host}]" if self._family is socket.AF_INET6 else host
        url = f"http://{named}:{server.server_port}"
        self._open[url] = (server, thread)
        return url

    def close(self, url: str) -> None:
        """Stop listening there and close what is connected. Raises KeyError."""
        server, thread = self._open.pop(url)
        server.shutdown()
        thread.join()
        server.server_close()
        server.connections.close_all()

    def close_all(self) -> None:
        """Close every one that is open."""
        for url in tuple(self._open):
            self.close(url)

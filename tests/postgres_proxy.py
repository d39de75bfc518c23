"""A proxy on loopback before a PostgreSQL server, which cuts or silences connections at a moment that a test names."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto

from sqlalchemy.engine import URL, make_url

_COMMIT = b"COMMIT\x00"


class AtCommit(Enum):
    """What becomes of a connection when its client asks for a COMMIT."""

    CUT_BEFORE = auto()
    """The server never hears of it."""

    CUT_AFTER = auto()
    """The server has committed, and the client is not told."""

    MUTE_AFTER = auto()
    """As `CUT_AFTER`, and the connection seems to stand."""


@dataclass(eq=False)
class Link:
    """One connection through the proxy."""

    client: socket.socket
    server: socket.socket
    muted: bool = False
    """Nothing that the server says gets through."""

    cut_at_answer: bool = False
    pumps: list[threading.Thread] = field(default_factory=list)

    def cut(self) -> None:
        """End it on both sides, in the middle of whatever goes on."""
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@dataclass(eq=False)
class PostgresProxy:
    """Passes everything on until it is told otherwise. `url` leads to the same database as the given one."""

    target: URL
    at_commit: AtCommit | None = None
    nth: int = 0
    """Which COMMIT from now on it is for; 0 for none."""

    commits: int = 0
    when_sprung: Callable[[], object] = lambda: None
    """Called when its turn has come."""

    frozen: bool = False
    links: list[Link] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def url(self) -> str:
        # In clear, so that the proxy sees what it passes on.
        through = self.target.set(host="127.0.0.1", port=self._listener.getsockname()[1], query={"sslmode": "disable"})
        return through.render_as_string(hide_password=False)

    @property
    def sprung(self) -> bool:
        return 0 < self.nth <= self.commits

    def spring_at(self, at_commit: AtCommit, nth: int) -> None:
        """Spoil a COMMIT that is still to come."""
        self.at_commit, self.nth, self.commits = at_commit, nth, 0

    def freeze(self) -> None:
        """Let nothing through of what the server says, on old connections and on new ones."""
        self.frozen = True

    def thaw(self) -> None:
        """Cut what was frozen, and serve new connections."""
        for link in self.links:
            link.cut()
        self.frozen = False

    def serve(self) -> None:
        """Accept connections until `close`."""
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                link = Link(client, self._dial())
            except OSError:
                client.close()
                continue
            self.links.append(link)
            for work in (self._from_client, self._from_server):
                link.pumps.append(threading.Thread(target=work, args=(link,), daemon=True))
                link.pumps[-1].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for link in self.links:
            link.cut()
            for pump in link.pumps:
                pump.join()
            link.client.close()
            link.server.close()

    def _dial(self) -> socket.socket:
        host = str(self.target.query.get("host") or self.target.host)
        port = int(str(self.target.query.get("port") or self.target.port or 5432))
        if not host.startswith("/"):
            return socket.create_connection((host, port))
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(f"{host}/.s.PGSQL.{port}")
        except OSError:
            server.close()
            raise
        return server

    def _from_client(self, link: Link) -> None:
        with suppress(OSError):
            while said := link.client.recv(65536):
                if _COMMIT in said and self._is_the_one():
                    if self.at_commit is AtCommit.CUT_BEFORE:
                        break
                    link.muted = self.at_commit is AtCommit.MUTE_AFTER
                    link.cut_at_answer = self.at_commit is AtCommit.CUT_AFTER
                link.server.sendall(said)
        link.cut()

    def _from_server(self, link: Link) -> None:
        with suppress(OSError):
            while said := link.server.recv(65536):
                if link.cut_at_answer:
                    break
                if not (link.muted or self.frozen):
                    link.client.sendall(said)
        link.cut()

    def _is_the_one(self) -> bool:
        with self._lock:
            self.commits += 1
            is_the_one = self.commits == self.nth
        if is_the_one:
            self.when_sprung()
        return is_the_one


@contextmanager
def postgres_proxy(url: str) -> Iterator[PostgresProxy]:
    """Run a proxy before the database of this URL."""
    proxy = PostgresProxy(make_url(url))
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()

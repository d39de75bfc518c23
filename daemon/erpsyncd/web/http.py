"""A small HTTP server for questions: GET and HEAD, a few fixed paths, nothing that a client can make large or slow.

It is for this machine only, and keeps no connection: who asks every fifteen seconds loses nothing by that.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TypeAlias

import structlog

from erpsyncd.domain.input_rules import is_loopback
from erpsyncd.domain.listening import Listen
from erpsyncd.errors import ConfigurationError

log = structlog.stdlib.get_logger(__name__)

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"

_MAX_HEAD = 8 * 1024
_MAX_CLIENTS = 16
#: So long may a client take to ask, and as long again to take its answer.
PATIENCE_SECONDS = 5.0

_REQUEST = re.compile(r"([A-Z]{1,16}) (\S{1,2048}) HTTP/1\.[01]")
_METHODS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is answered."""

    status: HTTPStatus = HTTPStatus.OK
    content_type: str = TEXT
    body: bytes = b""


Page: TypeAlias = Callable[[], Awaitable[Answer]]


class _Refused(Exception):
    """The request is answered with this status and nothing else."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


class Server:
    """Answers pages by their path."""

    def __init__(self, pages: Mapping[str, Page], *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._pages = pages
        self._patience = patience_seconds
        self._clients = 0

    @asynccontextmanager
    async def listening(self, where: Listen) -> AsyncIterator[None]:
        """Answer at this address until the end of the block.

        Raises:
            ConfigurationError: nobody can listen there.
        """
        try:
            server = await self._started(where)
        except OSError as exc:
            reason = exc.strerror or str(exc)
            raise ConfigurationError(f"web.listen: cannot listen at {where}: {reason}; name another address") from exc
        log.info("web.started", listen=str(where))
        try:
            yield
        finally:
            # Not `wait_closed`: it would wait for clients that take their time.
            server.close()
            _remove(where)

    async def _started(self, where: Listen) -> asyncio.Server:
        if not where.path:
            return await asyncio.start_server(self._serve, where.host, where.port, limit=_MAX_HEAD)
        return await asyncio.start_unix_server(self._serve, sock=_bound(Path(where.path)), limit=_MAX_HEAD)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        try:
            async with asyncio.timeout(2 * self._patience):
                await self._answer(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # it went away, or does not take its answer
        finally:
            self._clients -= 1
            # What is not sent by now never will be.
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_head = False
        try:
            method, path = await self._request(reader)
            is_head = method == "HEAD"
            answer = await self._page(path)
        except _Refused as exc:
            answer = Answer(status=exc.status, body=f"{exc}\n".encode())
        writer.write(_head(answer) + (b"" if is_head else answer.body))
        await writer.drain()
        writer.write_eof()
        # The other side closes when it has everything; an abort before that could take it away again.
        while await reader.read(_MAX_HEAD):
            pass

    async def _request(self, reader: asyncio.StreamReader) -> tuple[str, str]:
        if self._clients > _MAX_CLIENTS:
            raise _Refused(HTTPStatus.SERVICE_UNAVAILABLE)
        try:
            async with asyncio.timeout(self._patience):
                head = await reader.readuntil(b"\r\n\r\n")
        except TimeoutError:
            raise _Refused(HTTPStatus.REQUEST_TIMEOUT) from None
        except asyncio.LimitOverrunError:
            raise _Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE) from None
        line, *headers = head.decode("latin-1").split("\r\n")
        found = _REQUEST.fullmatch(line)
        if found is None:
            raise _Refused(HTTPStatus.BAD_REQUEST)
        if found[1] not in _METHODS:
            raise _Refused(HTTPStatus.METHOD_NOT_ALLOWED)
        if not _is_for_this_machine(headers):
            raise _Refused(HTTPStatus.MISDIRECTED_REQUEST)
        return found[1], found[2].partition("?")[0]

    async def _page(self, path: str) -> Answer:
        if path not in self._pages:
            raise _Refused(HTTPStatus.NOT_FOUND)
        try:
            return await self._pages[path]()
        except Exception:  # a defect here must not end up in the daemon
            log.exception("web.crashed", path=path)
            raise _Refused(HTTPStatus.INTERNAL_SERVER_ERROR) from None


def _head(answer: Answer) -> bytes:
    lines = (
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        *(("Allow: GET, HEAD",) if answer.status is HTTPStatus.METHOD_NOT_ALLOWED else ()),
        "Connection: close",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii")


def _is_for_this_machine(headers: list[str]) -> bool:
    """Say whether the host that was asked for is this machine.

    Else a page in a browser on this machine could read the answers, under a name that it made point here.
    """
    for header in headers:
        name, _, value = header.partition(":")
        if name.strip().lower() == "host":
            host = re.sub(r":\d*$", "", value.strip()).removeprefix("[").removesuffix("]")
            return not host or is_loopback(host.lower())
    return True


def _bound(path: Path) -> socket.socket:
    """Return a socket at this path, which the group may use too."""
    _remove_if_dead(path)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        door.bind(str(path))
        path.chmod(0o660)
    except BaseException:
        door.close()
        raise
    return door


def _remove(where: Listen) -> None:
    if where.path:
        Path(where.path).unlink(missing_ok=True)


def _remove_if_dead(path: Path) -> None:
    """Remove a socket that a process left behind when it died; one that is answered stays, and so does a file.

    Raises:
        OSError: somebody listens there.
    """
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()

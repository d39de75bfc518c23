"""A NetServer that costs next to nothing, in a process of its own: who is measured waits for it as little as can be.

It reads just enough of a request to answer it: the SOAPAction, the length, and of a save what was sent. It keeps
nothing but the last save. How much of a processor it took it says when it is asked (`GET /cpu`), so that a figure can
tell whether it measured the stub instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.measuring import Sample

_SERVICES = b"http://www.superoffice.net/ws/crm/NetServer/Services86"
_ARRAYS = b"http://schemas.microsoft.com/2003/10/Serialization/Arrays"
_ENVELOPE = (
    b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Header>'
    b'<h:ExceptionInfo i:nil="true" xmlns:i="http://www.w3.org/2001/XMLSchema-instance" xmlns:h="%(services)s"/>'
    b'<h:ExtraInfo xmlns:h="%(services)s"/><h:Succeeded xmlns:h="%(services)s">true</h:Succeeded></s:Header>'
    b'<s:Body><%%(name)sResponse xmlns="%(services)s">%%(inner)s</%%(name)sResponse></s:Body></s:Envelope>'
) % {b"services": _SERVICES}
_LOGIN = (
    b"<Response/><Credentials><Ticket>7T:stub</Ticket></Credentials>"
    b"<AuthenticationSucceeded>true</AuthenticationSucceeded>"
)
#: What is answered whatever was asked, by the operation's name; everything else gets an empty response.
_FIXED = {b"AuthenticateUsernamePassword": _LOGIN}

#: What a request says of the connection that it comes by, and not of itself.
_OF_THE_CONNECTION = {"host", "content-length", "connection"}

#: What a client of any make calls the vendor's namespace: ours says `n`, zeep `ns0`.
_CONNECTION = re.compile(rb"<(\w+):Connection>(.*)</\1:Connection>", re.DOTALL)
_NO_ID = re.compile(rb"(:ErpConnectionId)>0<")
_NO_GUID = re.compile(rb"(:ConnectionId)(?:/>|></\w+:ConnectionId>)")
_ACTION = re.compile(rb'\r\nsoapaction: *"?[^"\r]*/(\w+)"?\r', re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r", re.IGNORECASE)


def _http(body: bytes, content_type: bytes = b"text/xml; charset=utf-8") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s" % (content_type, len(body), body)


def reply_to_save(body: bytes, number: int = 1) -> bytes:
    """Return the envelope that says what was sent, under the id that it had, or under a new one.

    Raises:
        ValueError: there is no connection in it.
    """
    found = _CONNECTION.search(body)
    if found is None:
        raise ValueError("a SaveConnection without a connection")
    prefix, sent = found.groups()
    sent = _NO_ID.sub(rb"\1>%d<" % number, sent, count=1)
    guid = b"00000000-0000-4000-8000-%012x" % number
    sent = _NO_GUID.sub(rb"\1>%s</%s:ConnectionId>" % (guid, prefix), sent, count=1)
    response = b'<Response xmlns:%s="%s" xmlns:a="%s">%s</Response>' % (prefix, _SERVICES, _ARRAYS, sent)
    return _ENVELOPE % {b"name": b"SaveConnection", b"inner": response}


def _reply(name: bytes, inner: bytes) -> bytes:
    return _http(_ENVELOPE % {b"name": name, b"inner": inner})


class _Answers:
    """What is answered; counts."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._fixed: dict[bytes, bytes] = {}
        self._last_save = (b"", b"")

    def to(self, head: bytes, body: bytes) -> bytes:
        """Return the whole answer to a request."""
        action = _ACTION.search(head)
        if action is None:
            return _http(json.dumps(self._said()).encode(), b"application/json")
        name = action.group(1)
        if name == b"SaveConnection":
            self._last_save = (head, body)
            return _http(reply_to_save(body, next(self._ids)))
        if name not in self._fixed:
            self._fixed[name] = _reply(name, _FIXED.get(name, b"<Response/>"))
        return self._fixed[name]

    def _said(self) -> dict[str, object]:
        head, body = self._last_save
        return {"cpu_seconds": time.process_time(), "head": head.decode(), "body": body.decode()}


class _Answering(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, answers: _Answers, delay: float) -> None:
        self._answers = answers
        self._delay = delay
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is there as a whole."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[: end + 2]
            length = _LENGTH.search(head)
            whole = end + 4 + (int(length.group(1)) if length else 0)
            if len(self._buffer) < whole:
                return
            answer = self._answers.to(head, self._buffer[end + 4 : whole])
            self._buffer = self._buffer[whole:]
            if self._delay and head.startswith(b"POST"):
                asyncio.get_running_loop().call_later(self._delay, self._write, answer)
            else:
                self._write(answer)

    def _write(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


class _Orphaned(asyncio.Protocol):
    """Ends the stub with whoever started it, however that one ended."""

    def __init__(self, ended: asyncio.Event) -> None:
        self._ended = ended

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio: our standard input was closed."""
        del exc
        self._ended.set()


async def _serve(delay: float) -> None:
    loop, ended, answers = asyncio.get_running_loop(), asyncio.Event(), _Answers()
    server = await loop.create_server(lambda: _Answering(answers, delay), "127.0.0.1", 0, backlog=4096)
    await loop.connect_read_pipe(lambda: _Orphaned(ended), sys.stdin)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await ended.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stub:
    """A stub that runs."""

    url: str

    def cpu_seconds(self) -> float:
        """Return how much of a processor it took since it began."""
        seconds: float = self._said()["cpu_seconds"]
        return seconds

    def last_save(self) -> tuple[dict[str, str], bytes]:
        """Return the headers and the body of the last SaveConnection, without what names the connection it came by."""
        said = self._said()
        lines = (line.split(": ", 1) for line in said["head"].splitlines()[1:])
        headers = {name.lower(): value for name, value in lines}
        return {name: headers[name] for name in headers.keys() - _OF_THE_CONNECTION}, said["body"].encode()

    def watched(self, measured: Callable[[], Sample]) -> Sample:
        """Measure something, and how busy the stub was meanwhile."""
        cpu, started = self.cpu_seconds(), time.perf_counter()
        sample = measured()
        took = time.perf_counter() - started
        return replace(sample, stub_busy=(self.cpu_seconds() - cpu) / took)

    def _said(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/cpu") as answer:  # noqa: S310 -- our own, on loopback
            said: dict[str, Any] = json.loads(answer.read())
        return said


@contextlib.contextmanager
def stub(delay: float = 0.0) -> Iterator[Stub]:
    """Yield a stub of its own process that answers each POST `delay` seconds after it came."""
    process = subprocess.Popen(  # noqa: S603 -- our own module
        [sys.executable, "-m", "benchmarks.stub", str(delay)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Stub(url=f"http://127.0.0.1:{int(process.stdout.readline())}")
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(float(sys.argv[1])))

"""What can go wrong on the wire, as functions that a faulty proxy calls with one request."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, TypeAlias

from faulty_proxy import Answer, Fault, Visit
from netserver_support import ENVELOPE, NIL, connection_json, connection_xml, soap_body

Body: TypeAlias = Callable[[Visit], bytes]
_PACE = 0.02  # seconds between two bytes of a slow answer
_GIGABYTE = 1 << 30
#: Ids of one digit, of a connection or in a list.
_ANY_ID = re.compile(rb'(<(?:ErpConnection)?Id>|"ErpConnectionId":)\d')
QUOTING = "the value 'erp password' is not accepted"


# Connections that break.


async def reset(visit: Visit) -> None:
    """Answer with a TCP reset."""
    await visit.reset()


async def hang_up(visit: Visit) -> None:
    """Close the connection instead of answering."""
    await visit.finish()


async def hang(visit: Visit) -> None:
    """Say nothing until the client has had enough."""
    await visit.has_left()


def part_of_an_answer(part: slice, end: Fault) -> Fault:
    """Send some bytes of a good answer, then do something else."""

    async def fault(visit: Visit) -> None:
        await visit.send(http(good(visit), type_of(visit))[part])
        await end(visit)

    return fault


def headers_only(end: Fault) -> Fault:
    """Announce a good answer, then do something else."""

    async def fault(visit: Visit) -> None:
        body = good(visit)
        await visit.send(http(body, type_of(visit))[: -len(body)])
        await end(visit)

    return fault


def raw(data: bytes) -> Fault:
    """Send bytes, then close the connection."""

    async def fault(visit: Visit) -> None:
        await visit.send(data)
        await visit.finish()

    return fault


def dripping(head: bytes, byte: bytes) -> Fault:
    """Send a head, then a byte now and then until the client has had enough."""

    async def fault(visit: Visit) -> None:
        await visit.send(head)
        while not await visit.has_left(_PACE):
            await visit.send(byte)

    return fault


async def flood(visit: Visit) -> None:
    """Send as much as the client takes, with no end announced."""
    await visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not await visit.has_left(0):
        await visit.send(b"10000\r\n" + b" " * 0x10000 + b"\r\n")


drip_slowly = dripping(b"", b"H")
drip_a_gigabyte = dripping(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % _GIGABYTE, b" ")
cut_chunk = raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n<half")
endless_headers = raw(b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"y" * 1000) for n in range(150)))
garbage_status_line = raw(b"\x16\x03\x01 this is no HTTP\r\n\r\n")


# Whole answers instead of the tenant's.


def answering(body: Body | bytes = b"", status: str = "200 OK", kind: str = "", **headers: str) -> Fault:
    """Answer this, as what the protocol speaks unless another kind is named."""

    async def fault(visit: Visit) -> None:
        content = body if isinstance(body, bytes) else body(visit)
        await visit.send(http(content, kind or type_of(visit), status, **headers))

    return fault


def page(status: str = "200 OK", **headers: str) -> Fault:
    """Answer with the page that a proxy or a login form shows to people."""
    return answering(b"<!DOCTYPE html><html><body><h1>Sorry</h1></body></html>", status, "text/html", **headers)


def redirection(status: str, path: str) -> Fault:
    """Point at a place of this request on another host."""

    async def fault(visit: Visit) -> None:
        await page(status, Location=f"http://{visit.proxy.elsewhere}{path}")(visit)

    return fault


def with_retry_after(status: str, *, seconds: int, as_date: bool = False) -> Fault:
    """Ask for a pause, in seconds or up to a point in time, which HTTP tells in whole seconds."""

    async def fault(visit: Visit) -> None:
        moment = datetime.now(UTC) + timedelta(seconds=seconds)
        asked = format_datetime(moment, usegmt=True) if as_date else str(seconds)
        await page(status, Retry_After=asked)(visit)

    return fault


def saying(soap: Body, rest: Body) -> Body:
    """Say it in the request's protocol."""
    return lambda visit: soap(visit) if visit.request.protocol == "soap" else rest(visit)


def in_soap(inner: str, *, headers: str = "", wrapper: str = "") -> Body:
    """Return a reply with its headers and what stands in its wrapper."""
    return lambda visit: soap_body(visit.request.operation, inner, headers=headers, wrapper=wrapper)


def in_json(document: Any) -> Body:
    return lambda _visit: json.dumps(document).encode()


def refused_with(exception_type: str, *, inner: str = "", text: str = "") -> Body:
    """Return the reply that says Succeeded=false, or the error object, of an exception."""
    return saying(_in_header(exception_type, inner, text), _error_object(exception_type, inner, text))


def _in_header(exception_type: str, inner: str, text: str) -> Body:
    def body(visit: Visit) -> bytes:
        words = f"<Message>{text or said(visit)}</Message>"
        cause = f"<InnerException>{words}<ExceptionType>{inner}</ExceptionType></InnerException>" if inner else ""
        fields = f"{words}<ExceptionType>SuperOffice.Exceptions.{exception_type}</ExceptionType>{cause}"
        headers = f"<ExceptionInfo>{fields}</ExceptionInfo><Succeeded>false</Succeeded>"
        return in_soap(f"<Response {NIL}/>", headers=headers)(visit)

    return body


def _error_object(exception_type: str, inner: str, text: str) -> Body:
    def body(visit: Visit) -> bytes:
        words = text or said(visit)
        cause = {"InnerException": {"ErrorType": inner, "ErrorMessage": words}} if inner else {}
        source = "SuperOffice.Services.Implementation"
        error = {"Error": True, "ErrorType": exception_type, "ErrorMessage": words, "ErrorSource": source}
        return in_json({**error, **cause})(visit)

    return body


def soap_fault(exception_type: str) -> Body:
    """Return what WCF makes of an exception that NetServer did not wrap."""

    def body(visit: Visit) -> bytes:
        text = said(visit)
        kind = f"<Type>SuperOffice.Exceptions.{exception_type}</Type>"
        detail = f"<detail><ExceptionDetail><Message>{text}</Message>{kind}</ExceptionDetail></detail>"
        fault = f"<s:Fault><faultcode>s:Server</faultcode><faultstring>{text}</faultstring>{detail}</s:Fault>"
        return f'<s:Envelope xmlns:s="{ENVELOPE}"><s:Body>{fault}</s:Body></s:Envelope>'.encode()

    return body


def said(visit: Visit) -> str:
    """Return an exception's words. A save's quote a secret that the save sent, as validation messages may."""
    return QUOTING if visit.request.operation == "SaveConnection" else "not today"


def with_doctype(declaration: str, content: str = "") -> Body:
    """Return a good reply that begins with a document type, and quotes it in its display name."""

    def body(visit: Visit) -> bytes:
        quoting = good(visit).replace(b"Visma Norway<", f"Visma Norway{content}<".encode())
        return f"<!DOCTYPE x [{declaration.replace('ELSEWHERE', visit.proxy.elsewhere)}]>".encode() + quoting

    return body


def good_but(more: str, *, headers: str = "") -> Body:
    """Return a good SOAP reply with more elements in its connection, or with other headers."""
    return in_soap(f"<Response>{connection_xml()}{more}</Response>", headers=headers)


def nested(*, elements: int, lists: int) -> Body:
    """Return a good reply with something in it that stands inside itself so many times."""
    document = json.dumps(connection_json())[:-1] + f',"Deep":{"[" * lists}{"]" * lists}}}'
    return saying(good_but("<a>" * elements + "</a>" * elements), lambda _visit: document.encode())


def gzip_bomb(size: int) -> Body:
    """Return a good reply that unpacks to as many bytes more."""
    return lambda visit: gzip.compress(good(visit) + b" " * size, 1)


# The tenant's own answer, spoiled on its way back.


def spoiled(change: Callable[[Visit, bytes], bytes]) -> Fault:
    """Let the tenant do the work and change the body that it answers with."""

    async def fault(visit: Visit) -> None:
        answer = await visit.forward()
        body = change(visit, answer.body)
        assert body != answer.body, "this changes nothing"
        await visit.send(http(body, type_of(visit)))

    return fault


def rewritten(change: Callable[[Answer], bytes]) -> Fault:
    """Let the tenant do the work and write its answer in another way, head and all."""

    async def fault(visit: Visit) -> None:
        await visit.send(change(await visit.forward()))

    return fault


def then(end: Fault) -> Fault:
    """Let the tenant do the work, pass its answer on, and then do something else."""

    async def fault(visit: Visit) -> None:
        await visit.send((await visit.forward()).raw)
        await end(visit)

    return fault


async def answered_twice(visit: Visit) -> None:
    """Let the tenant do the work, and send its answer once more with another id behind it."""
    answer = await visit.forward()
    await visit.send(answer.raw + answer.head + _ANY_ID.sub(rb"\g<1>9", answer.body))


all_with_one_id = spoiled(lambda _visit, body: _ANY_ID.sub(rb"\g<1>1", body))


def done_but(fault: Fault) -> Fault:
    """Let the tenant do the work, and lose its answer."""

    async def done(visit: Visit) -> None:
        await visit.forward()
        await fault(visit)

    return done


# Bytes.


def http(body: bytes, kind: str = "text/html", status: str = "200 OK", **headers: str) -> bytes:
    """Write an answer with its length; underscores in header names become hyphens."""
    named = {"Content-Type": kind, "Content-Length": str(len(body))} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def chunked(body: bytes, size: int) -> bytes:
    """Write an answer in chunks."""
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks


def type_of(visit: Visit) -> str:
    return "text/xml; charset=utf-8" if visit.request.protocol == "soap" else "application/json; charset=utf-8"


def good(visit: Visit) -> bytes:
    """Write a good answer about a connection that nobody here has."""
    return saying(in_soap(f"<Response>{connection_xml()}</Response>"), in_json(connection_json()))(visit)

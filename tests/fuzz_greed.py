"""Bodies that are greedy for memory: as large as is read, and made of what costs most when it is read."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator

from erpsyncd.domain.tenants import Protocol
from erpsyncd.netserver.limits import RemoteLimits
from fuzz_captures import HttpReply
from fuzz_replies import with_header

#: The product's own: what is promised is a multiple of it.
SIZE = RemoteLimits().max_body_bytes
#: Fewer than the bound on tags, attributes and values, so that it is not what ends the reading.
_FEW = 200_000
_SOAP = '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
_END = "</s:Body></s:Envelope>"


def _filled(before: str, piece: str, after: str) -> bytes:
    """Return one piece as often as fits."""
    room = SIZE - len(before.encode()) - len(after.encode())
    return (before + piece * (room // len(piece.encode())) + after).encode()


def _numbered(before: str, piece: Callable[[int], str], after: str, most: int = _FEW) -> bytes:
    """Return pieces of which no two are the same, as many as fit."""
    count = min(most, (SIZE - len(before) - len(after)) // len(piece(SIZE)))
    return "".join((before, *map(piece, range(count)), after)).encode()


def _listed(piece: str, times: int) -> bytes:
    return f"[{piece * times}1]".encode()


def _xml() -> Iterator[tuple[str, bytes]]:
    yield "elements", _filled(_SOAP, "<a/>", _END)
    yield "elements that fit", f"{_SOAP}{'<a/>' * _FEW}{_END}".encode()
    yield "texts that fit", f"{_SOAP}{'<a>text</a>' * (_FEW // 2)}{_END}".encode()
    yield "attributes", _numbered("<a", lambda number: f" n{number:08}=''", "/>", SIZE)
    yield "one long text", _filled(f"{_SOAP}<a>", "x", f"</a>{_END}")
    yield "references", _filled(f"{_SOAP}<a>", "&#x1F600;", f"</a>{_END}")
    seven = '<?xml version="1.0" encoding="UTF-7"?>+ADw-a'
    yield "UTF-7", _numbered(seven, lambda number: f" n{number:08}+AD0-''", "/+AD4-", SIZE)
    yield "UTF-16", ("<a>" + "<b/>" * (SIZE // 8 - 4) + "</a>").encode("utf-16")


def _made_up_names(new: str) -> Iterator[tuple[str, bytes]]:
    """Yield bodies with a great many names, all of which begin with `new`."""
    yield "names of elements", _numbered(_SOAP, lambda number: f"<{new}{number:08}{'x' * 20}/>", _END)
    yield "names of attributes", _numbered("<a", lambda number: f" {new}{number:08}{'x' * 15}=''", "/>")
    yield "names of namespaces", _numbered("<a", lambda number: f" xmlns:{new}{number:08}='u:{new}{number}'", "/>")
    yield "names that are not closed", _numbered(_SOAP, lambda number: f"<{new}{number:08}{'x' * 20}>", "")


def _json() -> Iterator[tuple[str, bytes]]:
    yield "objects", _filled("[", "{},", "1]")
    yield "objects of one", _filled("[", '{"a":1},', "1]")
    yield "objects of one that fit", _listed('{"é":1},', _FEW // 2)
    yield "keys that fit", _numbered("{", lambda number: f'"{number:020}":1e1,', '"":1}')
    yield "lists in lists", _filled("[", "[" * 30 + "]" * 30 + ",", "1]")
    yield "lists in lists that fit", _listed("[" * 30 + "]" * 30 + ",", _FEW // 31)
    yield "objects in objects that fit", _listed('{"":' * 30 + "0" + "}" * 30 + ",", _FEW // 31)
    yield "numbers that fit", _listed("1e1,", _FEW)
    yield "texts that fit", _numbered("[", lambda number: f'"\U0001f600{number:08}",', "1]")
    yield "one wide text", _filled('["\U0001f600', "x", '"]')
    yield "escapes", _filled('["', "\\u0041", '"]')
    yield "one long message", _filled('{"Message":"', "x\\u0000 ", '"}')


def greedy_rounds(
    protocol: Protocol, headers: tuple[tuple[bytes, bytes], ...]
) -> Iterator[list[tuple[str, HttpReply]]]:
    """Yield labels and replies in rounds; what each round brings anew has to go with it."""
    for number in range(3 if protocol is Protocol.SOAP else 2):
        bodies = dict(_made_up_names(f"n{number}-") if protocol is Protocol.SOAP else _json())
        if number == 0 and protocol is Protocol.SOAP:
            bodies |= dict(_xml())
        bomb = HttpReply(status=200, headers=headers, body=gzip.compress(b" " * SIZE * 20, 1))
        replies = [(label, HttpReply(status=200, headers=headers, body=body)) for label, body in bodies.items()]
        yield [*replies, ("a bomb", with_header(bomb, "Content-Encoding", "gzip"))]

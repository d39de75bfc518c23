"""HTTP/1.1 in the form that nearly all of it has: a head of plain lines, and a body whose length it tells.

What is not exactly of this form is for h11 to write, to read or to refuse: these functions only ever say "not plain".
What they do take means the same to h11.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]

_NAME = rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+"
_VALUE = rb"[\x21-\x7e]+(?: [\x21-\x7e]+)*"

#: Headers that decide how long a message is, or what follows it.
_FRAMING = rb"(?i:host|content-length|transfer-encoding|connection|upgrade|expect|te|trailer):"
_REQUEST = re.compile(
    rb"(?:GET|POST) [\x21-\x7e]+ HTTP/1\.1\r\n"
    rb"Host: " + _VALUE + rb"\r\n"
    rb"(?:(?!" + _FRAMING + rb")" + _NAME + rb": " + _VALUE + rb"\r\n)*+"
    rb"(?:Content-Length: ([0-9]{1,18})\r\n)?\r\n",
)

_ANSWER = re.compile(
    rb"HTTP/1\.1 ([2-5][0-9]{2}) [\x20-\x7e]*\r\n((?:" + _NAME + rb": " + _VALUE + rb"\r\n)++)\r\n",
)
_LINE = re.compile(rb"(" + _NAME + rb"): (" + _VALUE + rb")\r\n")
_LENGTH = re.compile(rb"[0-9]{1,18}")

#: They have no body, whatever length they tell.
_BODILESS = (204, 304)


class PlainHead(NamedTuple):
    """The head of an answer, and what of it had to be known to read on."""

    status: int
    headers: Headers
    length: int
    """How many bytes of body follow."""

    size: int
    """How many bytes the head itself has."""


def plain_request(method: bytes, target: bytes, headers: Headers, body: bytes) -> bytes | None:
    """Return the bytes of a request, or None where it is not plain, or not valid."""
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    head = b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, lines)
    plain = _REQUEST.fullmatch(head)
    if plain is None or int(plain[1] or 0) != len(body) or head.count(b"\n") != len(headers) + 2:
        return None
    return head + body


def plain_head(arrived: bytes) -> PlainHead | None:
    """Return the head that `arrived` begins with, or None where it is not whole, not plain, or not valid."""
    head = _ANSWER.match(arrived)
    if head is None:
        return None
    status, headers = int(head[1]), _LINE.findall(head[2])
    length: bytes | None = None
    for name, value in headers:
        match name.lower():
            case b"content-length" if length is None and _LENGTH.fullmatch(value):
                length = value
            case b"content-length" | b"transfer-encoding" | b"upgrade":
                return None
            case b"connection" if value.lower() != b"keep-alive":
                return None
            case _:
                pass
    if length is None or status in _BODILESS:
        return None
    return PlainHead(status, headers, int(length), head.end())

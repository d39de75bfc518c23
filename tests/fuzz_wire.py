"""Damage to a reply as it goes over the wire: status line, headers, lengths, chunks."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from fuzz_captures import SECRETS, HttpReply

_STATUS_LINES = (
    *(
        b"HTTP/1.1 200 OK",
        b"HTTP/1.0 200 OK",
        b"HTTP/1.1 200",
        b"HTTP/2.0 200 OK",
        b"HTTP/1.1  200 OK",
        b"http/1.1 200 OK",
    ),
    *(
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 999 x",
        b"HTTP/1.1 099 x",
        b"HTTP/1.1 -1 x",
        b"HTTP/1.1 abc x",
    ),
    *(
        b"HTTP/1.1 101 Switching",
        b"HTTP/1.1 100 Continue",
        b"HTTP/1.1 204 No",
        b"HTTP/1.1 304 No",
        b"HTTP/1.1 205 Reset",
    ),
    *(b"ICY 200 OK", b"", b"\r\n", b"\x00", b"HTTP", b"<html>", b"220 smtp ready", b"\x16\x03\x01\x02\x00\x01\x00"),
    *(f"HTTP/1.1 200 {secret}".encode() for secret in SECRETS),
    *(f"{secret} 200 OK".encode() for secret in SECRETS),
)
_HEADERS = (
    *(
        b"Content-Length: -1",
        b"Content-Length: 0",
        b"Content-Length: 1",
        b"Content-Length: 9999999",
        b"Content-Length: x",
    ),
    *(b"Content-Length: " + b"9" * 5000, b"Content-Length: 5, 5", b"Content-Length: 5\r\nContent-Length: 6"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked, chunked"),
    *(
        b"no colon",
        b": no name",
        b"Na me: x",
        b"X:\x00",
        b"X:\x0b",
        b" folded",
        b"X: 1\r\n\tfolded",
        b"\xff\xfe: x",
        b"X:",
    ),
    *(
        b"X: " + b"x" * 200_000,
        b"\r\n".join(b"X%d: y" % n for n in range(5000)),
        b"Connection: close, x",
        b"Upgrade: h2c",
    ),
    *(b"Connection: upgrade", b"Trailer: x", b"Set-Cookie: " + b"c=" * 2000, b"Content-Length: \xc2\xb2"),
    *(f"{secret}".encode() for secret in SECRETS),
    *(f"X{{{secret}}}: x".encode() for secret in SECRETS),
)
_SIZES = (b"0", b"", b"-1", b"x", b"f" * 16, b"f" * 30, b"5;" + b"x" * 3000, b" 5", b"5 ", b"0x5", b"00005", b"1\r")


def as_sent(reply: HttpReply) -> bytes:
    """Return a reply as a server sends it."""
    return _joined(_status_line(reply), _headers(reply), reply.body)


def _status_line(reply: HttpReply) -> bytes:
    return b"HTTP/1.1 %d X" % reply.status


def _headers(reply: HttpReply) -> list[bytes]:
    kept = [b"%s: %s" % each for each in reply.headers if each[0].lower() not in (b"content-length", b"connection")]
    return [*kept, b"Content-Length: %d" % len(reply.body)]


def _joined(status_line: bytes, headers: list[bytes], body: bytes) -> bytes:
    return b"\r\n".join((status_line, *headers, b"", b"")) + body


def _other_status_line(dice: Random, reply: HttpReply) -> bytes:
    return _joined(dice.choice(_STATUS_LINES), _headers(reply), reply.body)


def _other_headers(dice: Random, reply: HttpReply) -> bytes:
    headers = _headers(reply)
    for _ in range(dice.choice((1, 1, 3))):
        headers.insert(dice.randrange(len(headers) + 1), dice.choice(_HEADERS))
    return _joined(_status_line(reply), headers[dice.choice((0, 0, 1)) :], reply.body)


def _chunked(dice: Random, reply: HttpReply) -> bytes:
    """Send the body in chunks, whose sizes are right or not, down to chunks of one byte."""
    step = dice.choice((1, 2, 7, 500, 5000))
    body = reply.body if step > 10 else reply.body[:1500]
    wrong = dice.choice((0.0, 0.0, 0.1))
    chunks = b""
    for start in range(0, len(body), step):
        chunk = body[start : start + step]
        size = dice.choice(_SIZES) if dice.random() < wrong else b"%x" % len(chunk)
        chunks += size + dice.choice((b"\r\n", b"\r\n", b"\r\n", b"\n") if wrong else (b"\r\n",)) + chunk + b"\r\n"
    end = dice.choice((b"0\r\n\r\n", b"0\r\n\r\n", b"", b"0\r\nX: y\r\n\r\n", b"0\r\n" + b"T: x\r\n" * 3000 + b"\r\n"))
    headers = [each for each in _headers(reply) if not each.startswith(b"Content-Length")]
    return _joined(_status_line(reply), [*headers, b"Transfer-Encoding: chunked"], chunks + end)


def _first_something_else(dice: Random, reply: HttpReply) -> bytes:
    """Send something before the answer: answers that are none yet, blank lines, half an answer."""
    before = dice.choice(
        (
            b"HTTP/1.1 100 Continue\r\n\r\n" * dice.choice((1, 3000)),
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            b"\r\n" * dice.choice((1, 5000)),
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n",
        )
    )
    return before + as_sent(reply)


def _damaged(dice: Random, reply: HttpReply) -> bytes:
    raw = bytearray(as_sent(reply))
    head = raw.index(b"\r\n\r\n") + 4
    for _ in range(dice.choice((1, 2, 5))):
        start = dice.randrange(head)
        piece = dice.choice((b"", b"\r\n", b"\n", b"\x00", b":", b" ", b"\xff", b"\r", bytes([dice.randrange(256)])))
        raw[start : start + dice.choice((0, 1, 3, 20))] = piece
    return bytes(raw)


def _cut(dice: Random, reply: HttpReply) -> bytes:
    raw = as_sent(reply)
    return raw[: dice.randrange(len(raw))]


def _twice(_dice: Random, reply: HttpReply) -> bytes:
    return as_sent(reply) * 2


_CHANGES: tuple[Callable[[Random, HttpReply], bytes], ...] = (
    *(
        _other_status_line,
        _other_headers,
        _other_headers,
        _chunked,
        _chunked,
        _first_something_else,
        _damaged,
        _damaged,
    ),
    *(_cut, _twice),
)


def damaged_transfer(dice: Random, reply: HttpReply) -> bytes:
    """Return the bytes of a reply that goes wrong on its way."""
    if dice.random() < 0.15:
        return as_sent(reply)
    return dice.choice(_CHANGES)(dice, reply)

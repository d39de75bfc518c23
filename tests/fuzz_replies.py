"""Damage to whole replies: status, headers and bodies, as text and as bytes."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from erpsyncd.domain.tenants import Protocol
from fuzz_captures import SECRETS, Capture, HttpReply
from fuzz_markup import damaged_markup
from fuzz_objects import damaged_object

_STATUSES = (
    *(200, 200, 200, 201, 204, 206, 301, 302, 303, 307, 308, 304, 400, 401, 401, 403, 404, 405, 407, 408, 409),
    *(413, 415, 421, 429, 500, 500, 501, 502, 503, 504, 505, 511, 599),
)
_CODECS = (
    *("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7", "iso-8859-1", "cp1252", "cp037"),
    *("iso2022_jp", "hz", "gb18030", "shift_jis", "utf-16-be"),
)
_CHARSETS = (
    *(*_CODECS, "UTF8", '"utf-8"', "'utf-16'", "latin1", "us-ascii", "klingon", "idna", "punycode", "rot13", "zlib"),
    *("unicode_escape", "undefined", "mbcs", "", "=", "../x", "utf-8" * 500, "ISO-8859-15"),
)
_TYPES = ("text/xml", "application/json", "text/html", "application/soap+xml", "", "text", "x/y", "multipart/mixed")
_LOCATIONS = (
    *("https://elsewhere.example/x?ticket=1", "/login", "", "//", "http://", "http://[", "//[x", "http://[::1]:99999/"),
    *("http://a:b@c:d/", "https://user:secret@host.example", "http://\xff\xfe/", "javascript:alert(1)", "http://a" * 3),
    *("http://" + "a" * 70_000, "/" + "x" * 65_530, "http://x:" + "9" * 5000, "http://" + "a." * 3000, "?" + "&" * 9),
    *("http://\x7f", "http://\u0130.example", "https://xn--/", "http://%zz/", "\\\\host\\x", "http://a b/", ":", "x:"),
    *("http://*.example\x1b[31m/", "http://" + "\u00e9" * 2000 + "/"),
    *(f"https://{secret}.example/" for secret in SECRETS),
)
_RETRY_AFTER = (
    *("0", "1", "120", "-1", "1.5", "1e5", "9" * 11, "9" * 13, "9" * 5000, "", " ", "soon", "\u0663", "+3", "0x10"),
    *("Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 9999 07:28:00 GMT", "Wed, 21 Oct 99999 07:28:00 GMT"),
    *("Wed, 21 Oct 2026 07:28:00 +9999", "Wed, 21 Oct 2026 07:28:00 -2400", "Fri, 01 Jan 0001 00:00:00 +1400"),
    *("Wed, 99 Foo 2026 99:99:99", "1 Jan", "1 Jan , 1:1", ", , , , ,", "1-Jan-70", "Mon Jan 1 1:1:1 +", "1 Jan 1 1 1"),
    *("Wed, 21 Oct 2026 07:28:00 " + "9" * 400, "a " * 2000, ":" * 2000, "1 1 1 1 1 1", "jan jan jan jan jan"),
)
_ENCODINGS = ("gzip", "x-gzip", "deflate", "br", "zstd", "identity", "", "gzip, gzip", "GZIP ", "x" * 900, *SECRETS)
_EDGES = (
    b"<",
    b">",
    b"&",
    b'"',
    b"\x00",
    b"\xff",
    b"\xfe\xff",
    b"\xef\xbb\xbf",
    b"\r\n",
    b"{",
    b"}",
    b"[",
    b",",
    b"\\",
)
#: What damage makes larger is cut; how large bodies are read is another test's.
_MAX_BODY = 1_000_000
_PUMPS = (
    " ",
    "\t",
    "\n",
    "\r\n",
    "<",
    ">",
    "&",
    "0",
    "9",
    "a",
    "=",
    '"',
    "'",
    ":",
    ";",
    ",",
    "-",
    ".",
    "[",
    "{",
    "\\",
    "?",
)

_Change = Callable[[Random, HttpReply], HttpReply]


def with_header(reply: HttpReply, name: str, value: str) -> HttpReply:
    """Return the reply with this header instead of those of its name, as far as HTTP can carry it."""
    raw = value.encode("latin-1", "ignore") if value.isascii() else value.encode("utf-8", "ignore")
    clean = b" ".join(raw.replace(b"\x00", b" ").split())
    kept = tuple(each for each in reply.headers if each[0].lower() != name.lower().encode())
    return replace(reply, headers=(*kept, (name.encode(), clean)))


def _status(dice: Random, reply: HttpReply) -> HttpReply:
    status = dice.choice(_STATUSES) if dice.random() < 0.8 else dice.randrange(100, 600)
    return replace(reply, status=status)


def _content_type(dice: Random, reply: HttpReply) -> HttpReply:
    charset = dice.choice((*_CHARSETS, f"x{dice.randrange(10**9)}"))
    return with_header(reply, "Content-Type", f"{dice.choice(_TYPES)}; charset={charset}")


def _retry_after(dice: Random, reply: HttpReply) -> HttpReply:
    return with_header(_status(dice, reply), dice.choice(("Retry-After", "Date")), dice.choice(_RETRY_AFTER))


def _location(dice: Random, reply: HttpReply) -> HttpReply:
    status = dice.choice((301, 302, 303, 307, 308, 308, 304, 200, 201))
    return with_header(replace(reply, status=status), "Location", dice.choice(_LOCATIONS))


def _encoding(dice: Random, reply: HttpReply) -> HttpReply:
    encoding = dice.choice(_ENCODINGS)
    squeezed = dice.choice((reply.body, gzip.compress(reply.body, 1), zlib.compress(reply.body, 1)))
    kept = squeezed[: dice.choice((len(squeezed), len(squeezed), dice.randrange(len(squeezed) + 1)))]
    return replace(with_header(reply, "Content-Encoding", encoding), body=kept)


def _noise(dice: Random, reply: HttpReply) -> HttpReply:
    name = dice.choice(("Set-Cookie", "Set-Cookie", "WWW-Authenticate", "Link", "Age", "Date", "X-Secret"))
    value = dice.choice(
        (
            f"c{dice.randrange(10**9)}={'v' * dice.choice((1, 3000))}; Path=/; Max-Age=999999; Domain=.example",
            "a=b; expires=" + "1" * dice.choice((3, 5000)),
            "=; =; ;;;" * 50,
            "x; path=" + "/" * 3000,
            *SECRETS,
        )
    )
    return with_header(reply, name, value)


_HEADER_CHANGES: tuple[_Change, ...] = (_status, _status, _content_type, _retry_after, _location, _encoding, _noise)


def _damaged_bytes(dice: Random, body: bytes, other: bytes) -> bytes:
    """Return the bytes with a few places flipped, cut out, doubled, overwritten or spliced with another reply's."""
    changed = bytearray(body)
    for _ in range(dice.choice((1, 1, 2, 4, 8))):
        start = dice.randrange(len(changed) + 1)
        end = min(start + dice.choice((0, 1, 1, 4, 40, 400)), len(changed))
        part = bytes(changed[start:end])
        kind = dice.randrange(8)
        if kind == 0 and start < len(changed):
            changed[start] ^= 1 << dice.randrange(8)
        elif kind == 1:
            del changed[start:end]
        elif kind == 2:
            changed[start:start] = part * dice.choice((1, 2, 200))
        elif kind == 3:
            changed[start:end] = dice.choice(_EDGES) * dice.choice((1, 1, 3, 300))
        elif kind == 4:
            del changed[start:]
        elif kind == 5:
            cut = dice.randrange(len(other) + 1)
            changed[start:] = other[cut:]
        elif kind == 6:
            changed[start:end] = dice.choice(_PUMPS).encode() * dice.choice((2, 20, 2000))
        else:
            changed[start:end] = dice.randbytes(end - start)
    return bytes(changed)


def _in_other_codec(dice: Random, text: str) -> bytes:
    """Write the text in some codec, which its declaration names, or another one."""
    codec = dice.choice(_CODECS)
    if dice.random() < 0.6:
        text = f'<?xml version="1.0" encoding="{dice.choice((codec, codec, *_CHARSETS))}"?>{text}'
    raw = text.encode(codec, "ignore")
    return dice.choice((b"", b"", b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\x00\x00\xfe\xff")) + raw


def _damaged_text(dice: Random, capture: Capture, other: Capture) -> bytes:
    try:
        text, more = capture.reply.body.decode(), other.reply.body.decode()
        if capture.dialect.protocol is Protocol.SOAP:
            damaged = damaged_markup(dice, text, more)
        else:
            damaged = damaged_object(dice, text, more)
    except json.JSONDecodeError:  # a page of HTML, or nothing
        return _damaged_bytes(dice, capture.reply.body, other.reply.body)
    damaged = damaged[:_MAX_BODY]
    if dice.random() < 0.1:
        return _in_other_codec(dice, damaged)
    return damaged.encode("utf-8", "surrogatepass" if dice.random() < 0.5 else "replace")


def damaged_reply(dice: Random, capture: Capture, captures: Sequence[Capture]) -> HttpReply:
    """Return a capture's reply with damage of one or more kinds; the same for the same dice."""
    reply = capture.reply
    other = dice.choice(captures)
    luck = dice.random()
    if luck < 0.55:
        reply = replace(reply, body=_damaged_text(dice, capture, other))
    elif luck < 0.8:
        reply = replace(reply, body=_damaged_bytes(dice, reply.body, other.reply.body))
    if luck > 0.7 or dice.random() < 0.2:
        for _ in range(dice.choice((1, 1, 2))):
            reply = dice.choice(_HEADER_CHANGES)(dice, reply)
    return reply


def pumped_replies(capture: Capture, times: int) -> list[tuple[str, HttpReply]]:
    """Return a reply with long runs of one character in every place where something looks for words in it."""
    reply = capture.reply
    middle = len(reply.body) // 2
    found = []
    for pump in _PUMPS:
        run = pump * (times // len(pump))
        raw = run.encode()
        found += [
            (f"{pump!r} before", replace(reply, body=raw + reply.body)),
            (f"{pump!r} inside", replace(reply, body=reply.body[:middle] + raw + reply.body[middle:])),
            (f"x{pump!r}", replace(reply, body=b"x" + raw)),
            (f"<?xml {pump!r}", replace(reply, body=b"<?xml " + raw + b"?>" + reply.body)),
            (f"{pump!r} in the fault", replace(reply, status=500, body=_quoting(capture, run))),
        ]
        short = run[:60_000]
        for name in ("Content-Type", "Retry-After", "Location", "Content-Encoding"):
            status = 302 if name == "Location" else 503
            for value in (short, f"charset{short}", f"x{short}x", f"http://{short}"):
                found.append((f"{pump!r} in {name}", with_header(replace(reply, status=status), name, value)))
    return found


def _quoting(capture: Capture, text: str) -> bytes:
    """Write an error of the tenant that says a text."""
    if capture.dialect.protocol is Protocol.REST:
        return json.dumps({"Message": text, "ErrorType": text, "MessageDetail": text}).encode()
    safe = text.replace("&", "&amp;").replace("<", "&lt;")
    fault = f"<faultcode>{safe}</faultcode><faultstring>{safe}</faultstring>"
    soap = 'xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"'
    return f"<s:Envelope {soap}><s:Body><s:Fault>{fault}</s:Fault></s:Body></s:Envelope>".encode()

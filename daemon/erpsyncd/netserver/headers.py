"""What a reply's headers say, in values."""

from __future__ import annotations

import re
import zlib
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from erpsyncd.netserver.plain_http import Headers

#: No tenant can make us wait longer than this; larger numbers are cut to it.
MAX_RETRY_AFTER = 86_400.0
_MAX_DIGITS = 12
#: What a host can look like in a message: names, IPv4 and IPv6 addresses.
_HOST = re.compile(r"[a-z0-9._:-]{1,253}")
#: Encodings that have a name in messages; any other is a text of the tenant's, and may be anything.
_OTHER_ENCODINGS = frozenset({"br", "zstd", "compress"})
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


def by_name(headers: Headers) -> dict[str, str]:
    """Return headers by their names in small letters; one that comes several times is one list, as HTTP has it."""
    found: dict[str, list[str]] = {}
    for raw_name, raw_value in headers:
        found.setdefault(raw_name.decode("latin-1").lower(), []).append(raw_value.decode("latin-1"))
    # Joined once: a list that grows by each of 85,000 lines, which a tenant can send, holds up all others.
    return {name: ", ".join(values) for name, values in found.items()}


def retry_after_seconds(value: str, now: datetime) -> float | None:
    """Return what a Retry-After header asks for, in seconds from `now`; None when it cannot be read."""
    text = value.strip()
    if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS:
        return min(float(text), MAX_RETRY_AFTER)
    moment = moment_in(text)
    return None if moment is None else min(max((moment - now).total_seconds(), 0.0), MAX_RETRY_AFTER)


def moment_in(value: str) -> datetime | None:
    """Return what a header with a date says; None when it cannot be read."""
    try:
        moment = parsedate_to_datetime(value.strip())
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def redirect_host(location: str) -> str:
    """Return the host that a Location header points at; never its path, query or userinfo, nor what is no host."""
    try:
        host = urlsplit(location.strip()).hostname or ""
    except ValueError:
        return ""
    return host if _HOST.fullmatch(host) is not None else ""


def decompressed(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo a compression that we did not ask for, reading at most one byte more than the limit.

    Raises:
        ValueError: the encoding is unknown, or the body is not in it.
    """
    if encoding not in ("gzip", "x-gzip", "deflate"):
        name = f"the encoding {encoding!r}" if encoding in _OTHER_ENCODINGS else "an unknown encoding"
        raise ValueError(f"a body in {name}, which was not asked for")
    inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        plain = inflater.decompress(body, limit + 1)
    except zlib.error:
        raise ValueError(f"a body that is not {encoding}, as it claims") from None
    if body and not inflater.eof and len(plain) <= limit:
        raise ValueError(f"a body that ends in the middle of its {encoding}")
    return plain

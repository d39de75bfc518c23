"""Answers whose only word about their charset stands in the HTTP header."""

from __future__ import annotations

import codecs
import re

_CHARSET = re.compile(r"""charset\s*=\s*["']?([\w.:-]{1,40})""", re.IGNORECASE)
#: Python's names of what a server may mean. Python knows more: some are no charsets, some are slow to decode.
_KNOWN = frozenset({"ascii", "utf-8", "utf-16", "utf-16-le", "utf-16-be", "iso8859-1", "iso8859-15", "cp1252"})


def decoded(body: bytes, content_type: str) -> str | None:
    """Return the text, if the header names a charset that we know and the body is in it."""
    named = _CHARSET.search(content_type)
    try:
        charset = codecs.lookup(named.group(1)).name if named is not None else ""
        return body.decode(charset).lstrip("\ufeff") if charset in _KNOWN else None
    except (LookupError, ValueError):
        return None

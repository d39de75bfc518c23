"""Charsets that an answer may be written in, by the name that its HTTP header or its XML declaration has for them."""

from __future__ import annotations

import re

_CHARSET = re.compile(r"""charset\s*=\s*["']?([\w.:-]{1,40})""", re.IGNORECASE)
#: Python's own table is not asked: some of what it knows are no charsets, some are slow to decode, and it keeps
#: every name that it was ever asked for. In all of these "<" is written as such, so that tags can be counted.
_KNOWN = re.compile(
    r"utf-?8|utf-?16(?:-?[lb]e)?|us-ascii|ascii|latin-?1|iso-?8859-?\d{1,2}|(?:windows-|cp)125\d", re.ASCII
)


def is_known(charset: str) -> bool:
    """Whether this is one of the charsets that answers are read in."""
    return _KNOWN.fullmatch(charset.lower()) is not None


def decoded(body: bytes, content_type: str) -> str | None:
    """Return the text, if the header names a charset that we know and the body is in it."""
    named = _CHARSET.search(content_type)
    if named is None or not is_known(named.group(1)):
        return None
    try:
        return body.decode(named.group(1)).lstrip("\ufeff")
    except (LookupError, ValueError):
        return None

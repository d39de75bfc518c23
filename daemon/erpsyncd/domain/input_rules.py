"""Rules for what people write: names, texts and addresses.

Each rule returns what is wrong as a phrase that goes after a place (`acme.toml: tenants[1].name: …`), or None.
No phrase repeats what was written: it may hold a password.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

#: The vendor's numbers have 32 bits.
_INT_MAX = 2**31 - 1

#: Long enough for any name; it goes into messages, file names of exports and metric labels.
MAX_NAME = 127

#: To compare a word with a thousand others takes milliseconds, and a document may have ten thousand of them.
_MOST_HINTS = 100

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CONTROL = re.compile("[\u0000-\u001f\u007f-\u009f\u2028\u2029]")


def near_miss(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean "…"?` for the known word that `word` resembles most, else an empty text."""
    meant = closest(word, known)
    return "" if meant is None else f'; did you mean "{meant}"?'


class NearMisses:
    """`near_miss` for many words. After a hundred it is no slip of the pen, and nothing is looked for any more."""

    def __init__(self, known: Iterable[str]) -> None:
        self._known = sorted(known)
        self._found: dict[str, str] = {}

    def of(self, word: str) -> str:
        """Return the hint for one word."""
        if word not in self._found:
            if len(self._found) == _MOST_HINTS:
                return ""
            self._found[word] = near_miss(word, self._known)
        return self._found[word]


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that `word` resembles most, if it resembles one at all."""
    close = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.7)
    return close[0] if close else None


def text_problem(text: str) -> str | None:
    """Refuse what XML 1.0 cannot carry, not even escaped."""
    found = _NOT_XML.search(text)
    if found is None:
        return None
    return f"must not contain U+{ord(found.group()):04X} (character {found.start() + 1}): XML cannot carry it"


def line_problem(text: str) -> str | None:
    """Refuse everything but one line of text."""
    found = _CONTROL.search(text)
    if found is None:
        return text_problem(text)
    return f"must be one line without control characters, but character {found.start() + 1} is one"


def title_problem(text: str) -> str | None:
    """Refuse a display name that is blank, has several lines, or has blanks around it.

    A connection whose create got no answer is looked for by this name, and a tenant may well trim it.
    """
    if not text.strip():
        return "must not be blank"
    return line_problem(text) if text == text.strip() else "must not begin or end with a blank"


def name_problem(text: str) -> str | None:
    """Refuse a tenant's name or a connection's key that cannot be told apart or written as `TENANT/KEY`."""
    if not text or len(text) > MAX_NAME:
        return f"must have 1 to {MAX_NAME} characters, not {len(text)}"
    if "/" in text:
        return 'must not contain "/", which separates TENANT/KEY'
    if text != text.strip():
        return "must not begin or end with a blank"
    return None if text.isprintable() else "must not contain characters that cannot be seen"


def url_problem(text: str) -> str | None:
    """Refuse an address that is not plain https (or http on this machine), or that carries more than a path."""
    if re.search(r"[\s\\]", text) or not text.isprintable():
        return "must not contain blanks, backslashes or control characters"
    parts = _split(text)
    host = parts.hostname if parts else None
    if parts is None or not host or parts.scheme not in {"http", "https"} or ".." in host or host.startswith("."):
        return "must be an address such as https://crm.example.com"
    if "@" in parts.netloc:
        return "must not contain a user name or password; they belong to the tenant's auth"
    if "?" in text or "#" in text:
        return 'must not contain a query ("?…") or a fragment ("#…")'
    if parts.scheme == "http" and not is_loopback(host):
        return "must be https; http is for this machine only (127.0.0.1, ::1, localhost)"
    return None


def context_problem(text: str) -> str | None:
    """Refuse what is no customer's identifier (domain.md §3.3): it becomes a part of addresses."""
    return None if re.fullmatch(r"Cust\d{1,10}", text, re.ASCII) else 'must be a customer such as "Cust12345"'


def language_problem(text: str) -> str | None:
    """Refuse what is no language or culture: it becomes a header."""
    usable = re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}", text)
    return None if usable else 'must be one such as "en" or "nb-NO"'


def header_problem(text: str) -> str | None:
    """Refuse what a header cannot carry."""
    usable = text.isascii() and text.isprintable() and text == text.strip() != ""
    return None if usable else "must be printable ASCII without blanks around it"


def time_zone_problem(text: str) -> str | None:
    """Refuse what is no code of a time zone's location, nor the vendor's number of one."""
    if text.isdecimal() and (len(text) > len(str(_INT_MAX)) or int(text) > _INT_MAX):
        return f"must be a code, or a number up to {_INT_MAX}"
    return header_problem(text)


def path_problem(text: str) -> str | None:
    """Refuse a path that would depend on where a process was started."""
    return line_problem(text) if text.startswith("/") else "must be an absolute path"


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        usable = parts.port != 0  # reading the port checks it
    except ValueError:
        return None
    return parts if usable else None


def is_loopback(host: str) -> bool:
    """Say whether a host as `urlsplit` gives it is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

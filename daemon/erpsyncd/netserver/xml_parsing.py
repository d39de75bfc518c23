"""From bytes to a SOAP envelope, or to the reason why they are none.

Entities, DTDs and the network are off; depth (256) and amplification are bounded by libxml2, which is not told to
be "huge", the number of elements and attributes by us.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import NamedTuple, TypeAlias
from xml.etree import ElementTree as ET

from lxml import etree

from erpsyncd.netserver.carriers import Unreadable
from erpsyncd.netserver.charsets import decoded, is_known
from erpsyncd.netserver.envelopes import SOAP11, SOAP12
from erpsyncd.netserver.short_answers import parse_short

Element: TypeAlias = etree._Element  # noqa: SLF001 -- lxml has no public name for the type of an element
#: An element of an answer, whoever parsed it: what is read there, both have by the same names.
Node: TypeAlias = Element | ET.Element

#: More tags and attributes than any answer of ours needs. libxml2 spends 120 bytes on an element that takes 4 on
#: the wire, and 300 on an attribute that takes 10.
MAX_TAGS = 250_000
#: After so many bytes another thread goes on with the parsing.
_BYTES_PER_THREAD = 256 * 1024
_SPACE = b" \t\r\n"
_MAX_DECLARATION = 200
_DECLARED = re.compile(rb"(?:\xef\xbb\xbf)?<\?xml\s")
_DECLARATION = re.compile(_DECLARED.pattern + rb"[^>]{0,180}\?>")
_ENCODING = re.compile(rb"""\sencoding\s*=\s*["']([^"'>]{0,80})""")
#: The names of the parts, by that of the envelope: header, body, fault.
_ENVELOPES: dict[object, tuple[str, str, str]] = {
    f"{{{soap}}}Envelope": (f"{{{soap}}}Header", f"{{{soap}}}Body", f"{{{soap}}}Fault") for soap in (SOAP11, SOAP12)
}
#: How XML in EBCDIC begins, which some builds of libxml2 read without being told.
_EBCDIC = b"\x4c\x6f\xa7\x94"


class _ParsingThread:
    """Parses in a thread that is replaced after so many bytes.

    libxml2 keeps every name it meets, of elements, attributes and namespaces, for as long as the thread lives that
    met it. A tenant that makes names up would take memory for good.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._thread: ThreadPoolExecutor | None = None
        self._left = 0

    def parse(self, body: bytes) -> Element:
        """Return the root; raises what lxml raises."""
        with self._lock:
            if self._thread is None:
                self._thread, self._left = ThreadPoolExecutor(1, "xml"), _BYTES_PER_THREAD
            thread = self._thread
            self._left -= len(body)
            if self._left <= 0:
                self._thread = None
            try:
                return thread.submit(_parsed, body).result()
            finally:
                if self._thread is None:
                    thread.shutdown(wait=False)


def _parsed(body: bytes) -> Element:
    """Parse with a parser of this thread's own: one that is shared takes the names along."""
    parser = etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        collect_ids=False,
    )
    return etree.fromstring(body, parser)


_PARSING = _ParsingThread()


def parse_answer(body: bytes, content_type: str = "") -> Node:
    """Return the root of a tenant's answer: parsed here if it is short, else as `parse_xml` does.

    Raises:
        Unreadable: as `parse_xml` says.
    """
    root = parse_short(body)
    return parse_xml(body, content_type) if root is None else root


def parse_xml(body: bytes, content_type: str = "") -> Element:
    """Return the document's root, whatever SOAP makes of it.

    Raises:
        Unreadable: this is no XML, too much of it, or has a DTD.
    """
    for spelling in _spellings(body, content_type):
        if spelling.count(b"<") + spelling.count(b"=") > MAX_TAGS:
            raise Unreadable(f"more than {MAX_TAGS} tags and attributes")
        try:
            root = _PARSING.parse(spelling)
        except (etree.LxmlError, ValueError, LookupError):  # its message may quote the body
            continue
        if root.getroottree().docinfo.internalDTD is not None:
            raise Unreadable("it has a document type declaration")
        return root
    raise Unreadable("this is not well-formed XML")


def _spellings(body: bytes, content_type: str) -> Iterator[bytes]:
    """Yield the body, then what it may have been meant to be: by the header's charset, without a wrong declaration."""
    stripped = body.lstrip(_SPACE)
    declaration = _declaration(stripped)
    if _can_be_counted(stripped, declaration):
        yield stripped
    if (text := decoded(body, content_type)) is not None:
        plain = text.encode().lstrip(_SPACE)
        yield plain[len(_declaration(plain)) :]
    if b"utf-16" in declaration.lower():
        yield stripped[len(declaration) :]


def _declaration(body: bytes) -> bytes:
    found = _DECLARATION.match(body[:_MAX_DECLARATION])
    return found.group() if found is not None else b""


def _can_be_counted(body: bytes, declaration: bytes) -> bool:
    """Whether the body is in a charset that writes "<" as such: not so UTF-7, EBCDIC, and what else iconv knows."""
    if body.startswith(_EBCDIC) or (not declaration and _DECLARED.match(body) is not None):
        return False
    named = _ENCODING.search(declaration)
    return named is None or is_known(named.group(1).decode("ascii", "replace"))


class Envelope(NamedTuple):
    """A SOAP envelope, 1.1 or 1.2, taken apart."""

    header: Sequence[Node]
    body: tuple[Node, ...]
    fault: Node | None


def as_envelope(root: Node) -> Envelope:
    """Return the parts of a SOAP envelope.

    Raises:
        Unreadable: it is none.
    """
    if (names := _ENVELOPES.get(root.tag)) is None:
        raise Unreadable("this is not a SOAP envelope")
    header_tag, body_tag, fault_tag = names
    header: list[Node] = []
    first: tuple[Node, ...] | None = None
    fault: Node | None = None
    for part in root:
        tag = part.tag
        if tag == header_tag:
            header += part
        elif tag == body_tag:
            body: tuple[Node, ...] = tuple(part)
            first = body if first is None else first
            for each in body:
                if fault is None and each.tag == fault_tag:
                    fault = each
    return Envelope(header, first or (), fault)

"""SOAP replies, read the way WCF writes them: any prefix, `i:nil`, unknown elements, any encoding XML has.

Elements are matched by namespace and local name. Entities, DTDs and the network are off; depth (256) and
amplification are bounded by libxml2, which is not told to be "huge", the number of elements by us.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar

from lxml import etree

from erpsyncd.domain.secrets import Secret
from erpsyncd.netserver.carriers import Carrier, Kind, Member, Unreadable
from erpsyncd.netserver.envelopes import ARRAYS, INT_MAX, INT_MIN, SOAP11, SOAP12, services_namespace
from erpsyncd.netserver.failures import CREDENTIAL_FAULTS, SESSION_FAULTS, Fault, short_type

T = TypeVar("T")
Element: TypeAlias = etree._Element  # noqa: SLF001 -- lxml has no public name for the type of an element
_Reader: TypeAlias = Callable[[Element], Any]

#: More tags than any answer of ours needs. libxml2 spends 120 bytes on an element that takes 4 on the wire.
MAX_TAGS = 250_000
_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_INT = re.compile(r"[+-]?[0-9]{1,20}")
_TRUE, _FALSE = frozenset({"true", "1"}), frozenset({"false", "0"})
_SPACE = " \t\r\n"
#: NetServer's own exceptions, as they stand in the text of a fault without details.
_TYPE_IN_TEXT = re.compile(r"\bSo[A-Za-z]{1,60}Exception\b")

_PARSER = etree.XMLParser(
    resolve_entities=False,
    load_dtd=False,
    no_network=True,
    huge_tree=False,
    remove_comments=True,
    remove_pis=True,
    collect_ids=False,
)


def parse_envelope(body: bytes) -> Element:
    """Return the envelope.

    Raises:
        Unreadable: this is no XML, too much of it, has a DTD, or is no SOAP envelope.
    """
    if body.count(b"<") > MAX_TAGS:
        raise Unreadable(f"more than {MAX_TAGS} tags")
    try:
        root = etree.fromstring(body, _PARSER)
    except (etree.LxmlError, ValueError, LookupError):  # its message may quote the body
        raise Unreadable("this is not well-formed XML") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise Unreadable("it has a document type declaration")
    if root.tag not in (f"{{{SOAP11}}}Envelope", f"{{{SOAP12}}}Envelope"):
        raise Unreadable("this is not a SOAP envelope")
    return root


def find_fault(envelope: Element, version: int) -> Fault | None:
    """Return what went wrong, if the envelope says so in any of the ways there are.

    Raises:
        Unreadable: `Succeeded` is neither true nor false.
    """
    soap = _namespace(envelope)
    for child in envelope.iterfind(f"{{{soap}}}Body/{{{soap}}}Fault"):
        return _soap_fault(child)
    namespace = services_namespace(version)
    headers = [header for part in envelope.iterfind(f"{{{soap}}}Header") for header in part]
    info = next((part for part in headers if part.tag == f"{{{namespace}}}ExceptionInfo"), None)
    chain = list(_exception_chain(info)) if info is not None else []
    if chain:
        return _innermost(chain)
    flag = next((part for part in headers if part.tag == f"{{{namespace}}}Succeeded"), None)
    if flag is not None and not _is_blank(flag) and not read_bool(flag):
        return Fault(text="it says that it did not succeed, and no reason")
    return None


def read_reply(envelope: Element, carrier: Carrier[T], version: int) -> T:
    """Return what the body's one element holds.

    Raises:
        Unreadable: it is another operation's reply, or a member of it cannot be read.
    """
    body = envelope.find(f"{{{_namespace(envelope)}}}Body")
    wrapper = next(iter(body), None) if body is not None else None
    if wrapper is None:
        raise Unreadable("its body is empty")
    if wrapper.tag != f"{{{services_namespace(version)}}}{carrier.name}":
        raise Unreadable(f"its body is not a {carrier.name} of Services{version}")
    result: T = carrier_reader(carrier, version)(wrapper)
    return result


@lru_cache(maxsize=256)
def carrier_reader(carrier: Carrier[T], version: int) -> Callable[[Element], T]:
    """Return a function that reads one carrier of ServicesNN; unknown elements are passed over."""
    namespace = services_namespace(version)
    readers: dict[str, tuple[str, _Reader]] = {}

    def read(element: Element) -> T:
        values = dict(carrier.defaults)
        for child in element:
            found = readers.get(child.tag)
            if found is not None and not _is_nil(child):
                name, read_member = found
                try:
                    values[name] = read_member(child)
                except Unreadable as problem:
                    raise Unreadable(f"{name}: {problem}") from None
        return carrier.build(values)

    for member in carrier.members:
        readers[f"{{{namespace}}}{member.name}"] = (member.name, _member_reader(member, carrier, version, read))
    return read


def _member_reader(member: Member, owner: Carrier[Any], version: int, read_owner: _Reader) -> _Reader:
    if member.kind is Kind.CARRIER and member.of is not None:
        return carrier_reader(member.of, version)
    if member.kind is Kind.CARRIERS:
        item = member.of or owner
        read_item = carrier_reader(item, version) if member.of is not None else read_owner
        tag = f"{{{services_namespace(version)}}}{item.name}"
        return lambda element: tuple(read_item(each) for each in element.iterchildren(tag) if not _is_nil(each))
    if member.kind is Kind.DICTIONARY:
        return _dictionary_reader(services_namespace(version))
    return _READERS[member.kind]


def _is_nil(element: Element) -> bool:
    nil = element.get(_NIL)
    return nil is not None and nil.strip(_SPACE) in _TRUE


def _is_blank(element: Element) -> bool:
    return _is_nil(element) or not (element.text or "").strip(_SPACE)


def _read_text(element: Element) -> str:
    return element.text or ""


def read_int(element: Element) -> int:
    """Return an xs:int.

    Raises:
        Unreadable: it is none.
    """
    text = (element.text or "").strip(_SPACE)
    if _INT.fullmatch(text) is None or not INT_MIN <= (value := int(text)) <= INT_MAX:
        raise Unreadable("not a 32-bit integer")
    return value


def read_bool(element: Element) -> bool:
    """Return an xs:boolean, of which "1" and "0" are two.

    Raises:
        Unreadable: it is none.
    """
    text = (element.text or "").strip(_SPACE)
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise Unreadable("neither true nor false")


def _read_ints(element: Element) -> tuple[int, ...]:
    return tuple(read_int(each) for each in element.iterchildren(f"{{{ARRAYS}}}int") if not _is_nil(each))


def _dictionary_reader(namespace: str) -> Callable[[Element], dict[str, Secret]]:
    pair, key_tag, value_tag = (f"{{{namespace}}}{name}" for name in ("StringKeyValuePair", "Key", "Value"))

    def read(element: Element) -> dict[str, Secret]:
        fields: dict[str, Secret] = {}
        for each in element.iterchildren(pair):
            if _is_nil(each):
                continue
            texts = {child.tag: child.text for child in each}
            key = texts.get(key_tag) or ""
            if key in fields:
                raise Unreadable("a key comes twice")
            fields[key] = Secret(texts.get(value_tag) or "")
        return fields

    return read


_READERS: dict[Kind, _Reader] = {
    Kind.INT: read_int,
    Kind.BOOL: read_bool,
    Kind.TEXT: _read_text,
    Kind.WORD: lambda element: (element.text or "").strip(_SPACE),
    Kind.INTS: _read_ints,
}


def _namespace(element: Element) -> str:
    return str(element.tag).partition("}")[0].lstrip("{")


def _local(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _exception_chain(info: Element) -> Iterator[Fault]:
    """Yield the exceptions that say something, outermost first: of an ExceptionInfo or a WCF ExceptionDetail."""
    level: Element | None = info
    while level is not None and not _is_nil(level):
        parts = {_local(part): part for part in level if not _is_nil(part)}
        said = {name: (part.text or "").strip() for name, part in parts.items() if name != "InnerException"}
        text = said.get("FriendlyText") or said.get("Message") or ""
        kind = short_type(said.get("ExceptionType") or said.get("Type") or "")
        if text or kind or said.get("Source") or said.get("StackTrace"):
            yield Fault(exception_type=kind, text=text)
        level = parts.get("InnerException")


def _innermost(chain: list[Fault]) -> Fault:
    """Return the cause: its own type and text, but the type of whoever says "not logged in"."""
    chain.reverse()
    known = (each for each in chain if each.exception_type in SESSION_FAULTS | CREDENTIAL_FAULTS)
    typed = (each for each in chain if each.exception_type)
    kind = next(known, None) or next(typed, chain[0])
    text = next((each.text for each in chain if each.text), "")
    return Fault(exception_type=kind.exception_type, text=text)


def _soap_fault(fault: Element) -> Fault:
    """Read a SOAP fault, 1.1 or 1.2, with or without WCF's details."""
    named = {_local(each): each for each in reversed(list(fault.iter()))}  # the outermost of each name stays
    detail = named.get("ExceptionDetail")
    if detail is None:
        detail = named.get("ExceptionInfo")
    chain = list(_exception_chain(detail)) if detail is not None else []
    reason = named.get("faultstring")
    if reason is None:
        reason = named.get("Text")
    text = (reason.text or "").strip() if reason is not None else ""
    found = _innermost(chain) if chain else Fault()
    kind = found.exception_type or _type_in(text) or _credential_code(named)
    return Fault(exception_type=kind, text=found.text or text or "a SOAP fault without a reason")


def _type_in(text: str) -> str:
    match = _TYPE_IN_TEXT.search(text)
    return match.group() if match is not None else ""


def _credential_code(named: dict[str, Element]) -> str:
    """Return the fault's code where it is one of WS-Security's ways to say "not logged in"."""
    codes = (named[name].text or "" for name in ("faultcode", "Value") if name in named)
    return next((code for text in codes if (code := text.strip().rpartition(":")[2]) in CREDENTIAL_FAULTS), "")

"""SOAP requests, read as WCF's BasicHttpBinding and DataContractSerializer read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lxml import etree

from erpsyncd.sandbox.contract import Dictionary, Kind, Many, Member, Record, Scalar, checked_int, defaults_of
from erpsyncd.sandbox.problems import UnreadableRequest

SOAP_11 = "http://schemas.xmlsoap.org/soap/envelope/"
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
ARRAYS = "http://schemas.microsoft.com/2003/10/Serialization/Arrays"
NET_SERVER = "http://www.superoffice.net/ws/crm/NetServer/Services"
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


class NotXml(Exception):
    """The body is no well-formed document, or has a DTD."""


class VersionMismatch(Exception):
    """The envelope is not one of SOAP 1.1."""


class MustUnderstand(Exception):
    """A header insists on being understood, and is not."""


def namespace_of(services: int) -> str:
    """Return the namespace of a version; body and header elements are both in it."""
    return f"{NET_SERVER}{services}"


def parse_envelope(body: bytes) -> etree._Element:
    """Return the envelope; raises `NotXml` or `VersionMismatch`."""
    # One parser per document: lxml lets only one thread at a time use a parser.
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError) as exc:
        raise NotXml from exc
    if root.getroottree().docinfo.internalDTD is not None:
        raise NotXml
    if root.tag != f"{{{SOAP_11}}}Envelope":
        raise VersionMismatch
    return root


def check_headers(envelope: etree._Element, namespace: str) -> None:
    """Raise `MustUnderstand` for a header that is not ours and must not be ignored."""
    for header in envelope.iterfind(f"{{{SOAP_11}}}Header/*"):
        demands = header.get(f"{{{SOAP_11}}}mustUnderstand") in {"1", "true"}
        if demands and etree.QName(header).namespace != namespace:
            raise MustUnderstand(str(header.tag))


def read_header(envelope: etree._Element, namespace: str, path: str) -> str | None:
    """Return the text of a header part such as `Credentials/Ticket`; only in soap:Header, only in that namespace."""
    qualified = "/".join(f"{{{namespace}}}{step}" for step in path.split("/"))
    element = envelope.find(f"{{{SOAP_11}}}Header/{qualified}")
    return None if element is None or _is_nil(element) else _text(element)


def read_body(envelope: etree._Element, namespace: str, name: str, arguments: tuple[Member, ...]) -> dict[str, Any]:
    """Return the arguments of an operation; raises `UnreadableRequest`."""
    element = envelope.find(f"{{{SOAP_11}}}Body/*")
    wanted = f"{{{namespace}}}{name}"
    if element is None or element.tag != wanted:
        found = "nothing" if element is None else str(element.tag)
        raise UnreadableRequest(f"Expected element {wanted} in the message body, found {found}.")
    return _members(element, arguments, namespace)


def _members(element: etree._Element, members: tuple[Member, ...], namespace: str) -> dict[str, Any]:
    """Read members in contract order. One that comes too late, or that nobody knows, is skipped without a word."""
    values = defaults_of(members)
    tags = [f"{{{namespace}}}{name}" for name, _ in members]
    position = 0
    for child in element:
        if child.tag in tags[position:]:
            position = tags.index(str(child.tag), position)
            name, kind = members[position]
            values[name] = _value(child, kind, namespace)
            position += 1
    return values


def _value(element: etree._Element, kind: Kind, namespace: str) -> Any:
    if isinstance(kind, Scalar):
        return _SCALARS[kind](element)
    if _is_nil(element):
        return None
    if isinstance(kind, Record):
        return _members(element, kind.members, namespace)
    if isinstance(kind, Many):
        item = f"{{{ARRAYS if kind.in_arrays else namespace}}}{kind.item}"
        return [_value(child, kind.kind, namespace) for child in element if child.tag == item]
    return _dictionary(element, kind, namespace)


def _dictionary(element: etree._Element, kind: Dictionary, namespace: str) -> dict[str, str]:
    entries: dict[str, str] = {}
    for pair in element.iterchildren(f"{{{namespace}}}{kind.item}"):
        tags = [str(child.tag) for child in pair if child.tag in {f"{{{namespace}}}Key", f"{{{namespace}}}Value"}]
        if tags != [f"{{{namespace}}}Key", f"{{{namespace}}}Value"]:
            raise UnreadableRequest(f"Error in {kind.item}: Key, Value is what must be there, in this order.")
        members = _members(pair, (("Key", Scalar.STRING), ("Value", Scalar.STRING)), namespace)
        if members["Key"] is None or members["Key"] in entries:
            raise UnreadableRequest(f"Error in {kind.item}: a key is null or has already been added.")
        entries[members["Key"]] = members["Value"] or ""
    return entries


def _string(element: etree._Element) -> str | None:
    return None if _is_nil(element) else _text(element)


def _int(element: etree._Element) -> int:
    text = _not_nil(element)
    try:
        return checked_int(int(text), _name(element))
    except ValueError as exc:
        raise UnreadableRequest(
            f"The value '{text}' of {_name(element)} cannot be parsed as the type 'Int32'."
        ) from exc


def _boolean(element: etree._Element) -> bool:
    text = _not_nil(element)
    if text not in _BOOLEANS:
        raise UnreadableRequest(f"The value '{text}' of {_name(element)} cannot be parsed as the type 'Boolean'.")
    return _BOOLEANS[text]


_SCALARS: dict[Scalar, Callable[[etree._Element], Any]] = {
    Scalar.STRING: _string,
    Scalar.INT: _int,
    Scalar.BOOLEAN: _boolean,
    Scalar.OPAQUE: lambda _element: None,
}


def _not_nil(element: etree._Element) -> str:
    if _is_nil(element):
        raise UnreadableRequest(f"{_name(element)} cannot be null: it is a value type.")
    return _text(element).strip(" \t\r\n")


def _is_nil(element: etree._Element) -> bool:
    return element.get(f"{{{INSTANCE}}}nil", "false").strip() in {"true", "1"}


def _text(element: etree._Element) -> str:
    return "".join(str(text) for text in element.itertext())


def _name(element: etree._Element) -> str:
    return etree.QName(element).localname

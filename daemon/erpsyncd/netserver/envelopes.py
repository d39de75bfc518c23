"""SOAP 1.1 requests: fixed pieces of text, compiled once per operation and version, joined with checked values.

Text is checked before anything is sent: XML 1.0 cannot carry every character, not even escaped, and what it
silently changes (a carriage return) is written so that it survives.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from erpsyncd.domain.secrets import Secret
from erpsyncd.errors import Effect, RemoteRejected
from erpsyncd.netserver.carriers import Kind, Member, Unreadable
from erpsyncd.netserver.failures import one_line
from erpsyncd.netserver.operations import Operation

SOAP11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP12 = "http://www.w3.org/2003/05/soap-envelope"
ARRAYS = "http://schemas.microsoft.com/2003/10/Serialization/Arrays"
_SERVICES = "http://www.superoffice.net/ws/crm/NetServer/Services"

INT_MIN, INT_MAX = -(2**31), 2**31 - 1
LONG_MIN, LONG_MAX = -(2**63), 2**63 - 1

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def services_namespace(version: int) -> str:
    """Return the namespace of bodies and headers in ServicesNN."""
    return f"{_SERVICES}{version}"


@lru_cache(maxsize=256)
def services_tag(name: str, version: int) -> str:
    """Return an element's name in ServicesNN, as parsers write it."""
    return f"{{{services_namespace(version)}}}{name}"


def soap_action(operation: Operation[Any], version: int) -> str:
    """Return the SOAPAction header's value, quoted as SOAP 1.1 wants it."""
    return f'"{services_namespace(version)}/{operation.agent}/{operation.name}"'


class Slot(NamedTuple):
    """A gap in a template: the member's name for messages, what it is, and what writes it."""

    name: str
    kind: Kind
    write: Callable[[str, Any], str]


@dataclass(frozen=True, slots=True)
class Template:
    """An envelope with a gap for each value, as `%` fills them."""

    text: str
    slots: tuple[Slot, ...]
    secret_places: tuple[int, ...]
    """Which of the values are secrets, or dictionaries of them."""

    def render(self, operation: str, values: tuple[Any, ...]) -> bytes:
        """Return the envelope with one value for each slot.

        Raises:
            RemoteRejected: with effect `never_sent`, a value cannot be carried; the message names its field.
        """
        try:
            pieces = [write(name, value) for (name, _, write), value in zip(self.slots, values, strict=True)]
        except Unreadable as problem:
            raise RemoteRejected(operation, f"not sent: {one_line(str(problem))}", effect=Effect.NEVER_SENT) from None
        return (self.text % tuple(pieces)).encode()

    def secrets_among(self, values: tuple[Any, ...]) -> list[Secret]:
        """Return what of the values must not come back in a message."""
        found: list[Secret] = []
        for place in self.secret_places:
            value = values[place]
            if isinstance(value, Secret):
                found.append(value)
            else:
                found += value.values()
        return found


@lru_cache(maxsize=256)
def envelope_template(operation: Operation[Any], version: int, headers: tuple[str, ...]) -> Template:
    """Return the compiled request of an operation; `headers` names the header parts that are sent.

    The values are those of the headers, then those of the parameters, a carrier's members one by one.
    """
    namespaces = f'xmlns:s="{SOAP11}" xmlns:n="{services_namespace(version)}" xmlns:a="{ARRAYS}"'
    marks: list[str | Slot] = [f'<?xml version="1.0" encoding="utf-8"?><s:Envelope {namespaces}>']
    if headers:
        marks.append("<s:Header>")
        for header in headers:
            marks += _HEADERS[header]
        marks.append("</s:Header>")
    marks.append(f"<s:Body><n:{operation.name}>")
    for parameter in operation.parameters:
        marks += _marks(parameter)
    marks.append(f"</n:{operation.name}></s:Body></s:Envelope>")
    return _compiled(marks)


def _marks(member: Member) -> list[str | Slot]:
    """Return the text and the slots of one member; a carrier's members stand in their own order."""
    if member.kind is Kind.CARRIER and member.of is not None:
        inner = [mark for each in member.of.members for mark in _marks(each)]
    else:
        inner = [Slot(member.name, member.kind, _WRITERS[member.kind])]
    return [f"<n:{member.name}>", *inner, f"</n:{member.name}>"]


def _compiled(marks: list[str | Slot]) -> Template:
    text = "".join("%s" if isinstance(mark, Slot) else mark.replace("%", "%%") for mark in marks)
    slots = tuple(mark for mark in marks if isinstance(mark, Slot))
    secret = tuple(place for place, slot in enumerate(slots) if slot.kind in (Kind.SECRET, Kind.DICTIONARY))
    return Template(text, slots, secret)


def _escaped(name: str, text: str) -> str:
    if text.isprintable() and "&" not in text and "<" not in text and ">" not in text:  # as almost all are
        return text
    if (bad := _NOT_XML.search(text)) is not None:
        place = f"U+{ord(bad.group()):04X} at position {bad.start() + 1}"
        raise Unreadable(f"{name} holds a character that XML cannot carry ({place})")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")


def write_int(name: str, value: int) -> str:
    """Return a 32-bit integer as text.

    Raises:
        Unreadable: it is out of the range of the vendor's ints.
    """
    if not INT_MIN <= value <= INT_MAX:
        raise Unreadable(f"{name} is not a 32-bit integer")
    return str(value)


def _write_bool(_name: str, value: bool) -> str:  # noqa: FBT001 -- a value on its way out, not a switch
    return "true" if value else "false"


def _write_secret(name: str, value: Secret) -> str:
    return _escaped(name, value.reveal())


def _write_ints(name: str, values: tuple[int, ...]) -> str:
    return "".join(f"<a:int>{write_int(name, value)}</a:int>" for value in values)


def _write_dictionary(name: str, values: Mapping[str, Secret]) -> str:
    return "".join(
        f"<n:StringKeyValuePair><n:Key>{_escaped(f'a key of {name}', key)}</n:Key>"
        f"<n:Value>{_escaped(f'{name}[{key}]', value.reveal())}</n:Value></n:StringKeyValuePair>"
        for key, value in values.items()
    )


_WRITERS: dict[Kind, Callable[[str, Any], str]] = {
    Kind.INT: write_int,
    Kind.BOOL: _write_bool,
    Kind.TEXT: _escaped,
    Kind.SECRET: _write_secret,
    Kind.INTS: _write_ints,
    Kind.DICTIONARY: _write_dictionary,
}


def time_zone_part(time_zone: str) -> tuple[str, int | str]:
    """Return the header part that says a time zone, and its value: a number is the vendor's id, the rest a location."""
    return ("TimeZoneId", int(time_zone)) if time_zone.isdecimal() else ("TimeZoneLocation", time_zone)


_HEADERS: dict[str, list[str | Slot]] = {
    "ApplicationToken": _marks(Member("ApplicationToken", Kind.SECRET)),
    "Credentials": ["<n:Credentials>", *_marks(Member("Ticket", Kind.SECRET)), "</n:Credentials>"],
    "TimeZoneId": ["<n:TimeZone>", *_marks(Member("SoTimeZoneId", Kind.INT)), "</n:TimeZone>"],
    "TimeZoneLocation": ["<n:TimeZone>", *_marks(Member("SoTimeZoneLocationCode", Kind.TEXT)), "</n:TimeZone>"],
}

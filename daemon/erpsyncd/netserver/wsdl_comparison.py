"""Whether a server understands what we send: its own WSDL against our tables. Pure.

WCF does not complain about an element that it does not expect or that stands in the wrong place: it drops the value.
A version that moved a member would lose part of every save, without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from erpsyncd.netserver.carriers import Kind, Member
from erpsyncd.netserver.envelopes import ARRAYS, services_namespace, soap_action
from erpsyncd.netserver.operations import AUTHENTICATE, Operation
from erpsyncd.netserver.wsdl import XSD, RequestMember, Wsdl, read_wsdl
from erpsyncd.netserver.xml_parsing import Element

_SIMPLE = {
    Kind.INT: f"{{{XSD}}}int",
    Kind.BOOL: f"{{{XSD}}}boolean",
    Kind.TEXT: f"{{{XSD}}}string",
    Kind.SECRET: f"{{{XSD}}}string",
    Kind.INTS: f"{{{ARRAYS}}}ArrayOfint",
}
_TEXT = Kind.TEXT
#: What a dictionary is on the wire: pairs, and what stands in each of them.
_PAIR = "StringKeyValuePair"
_IN_PAIR = (Member("Key", _TEXT), Member("Value", _TEXT))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """One thing that the server wants otherwise than it is sent."""

    operation: str
    """Empty where it is about all of them."""

    reason: str

    def __str__(self) -> str:
        return f"{self.operation}: {self.reason}" if self.operation else self.reason


def compare_wsdl(
    documents: Sequence[Element], operations: Sequence[Operation[Any]], *, version: int
) -> tuple[Mismatch, ...]:
    """Return what the WSDL of one agent says otherwise than our requests are written.

    `documents` are those that describe the agent together; `operations` are all of that agent.

    Raises:
        Unreadable: they are no WSDL of it, or do not describe it whole.
    """
    wsdl = read_wsdl(documents, operations[0].agent, {operation.name for operation in operations})
    if wsdl.namespace != services_namespace(version):
        return (Mismatch(operation="", reason=f"describes {wsdl.namespace}, not {services_namespace(version)}"),)
    return tuple(
        Mismatch(operation=operation.name, reason=reason)
        for operation in operations
        for reason in _differences(wsdl, operation, version)
    )


def _differences(wsdl: Wsdl, operation: Operation[Any], version: int) -> Iterator[str]:
    form = wsdl.operations.get(operation.name)
    namespace = services_namespace(version)
    if form is None:
        yield "the server does not have it"
        return
    action = soap_action(operation, version).strip('"')
    if form.soap_action != action:
        yield f"its SOAPAction is {form.soap_action}, not {action}"
    if form.body.name != f"{{{namespace}}}{operation.name}":
        yield f"its request is a {form.body.name}, not a {{{namespace}}}{operation.name}"
    headers = ("ApplicationToken",) if operation is AUTHENTICATE else ("ApplicationToken", "Credentials")
    for header in headers:
        if f"{{{namespace}}}{header}" not in form.headers:
            yield f"it does not take the header {header}"
    yield from _members(wsdl, operation.name, operation.parameters, form.body, namespace)


def _members(wsdl: Wsdl, where: str, sent: Sequence[Member], holder: RequestMember, namespace: str) -> Iterator[str]:
    """Compare what we write inside an element with what may stand there, and in which order."""
    described = wsdl.members_of(holder)
    known = {member.name: place for place, member in enumerate(described)}
    places = {member.name: known.get(f"{{{namespace}}}{member.name}") for member in sent}
    for name, place in places.items():
        if place is None:
            yield f"{where} has no {name}"
    present = [name for name, place in places.items() if place is not None]
    for earlier, later in pairwise(present):
        if (places[earlier] or 0) > (places[later] or 0):
            yield f"in {where}, {later} stands before {earlier}"
    written = {f"{{{namespace}}}{member.name}" for member in sent}
    for other in described:
        if other.required and other.name not in written:
            yield f"{where} needs {other.name.rpartition('}')[2]}, which is not sent"
    for member in sent:
        place = places[member.name]
        if place is not None:
            yield from _kind(wsdl, member, described[place], namespace)


def _kind(wsdl: Wsdl, sent: Member, described: RequestMember, namespace: str) -> Iterator[str]:
    if sent.kind is Kind.CARRIER and sent.of is not None:
        expected = f"{{{namespace}}}{sent.of.name}"
    elif sent.kind is Kind.DICTIONARY:
        expected = f"{{{namespace}}}StringDictionary"
    else:
        expected = _SIMPLE[sent.kind]
    if described.type != expected:
        yield f"{sent.name} is a {described.type or 'type without a name'}, not a {expected}"
    elif sent.kind is Kind.DICTIONARY:
        pairs = wsdl.members_of(described)
        if [pair.name for pair in pairs] != [f"{{{namespace}}}{_PAIR}"]:
            yield f"{sent.name} is not a list of {_PAIR}"
        for pair in pairs:
            yield from _members(wsdl, _PAIR, _IN_PAIR, pair, namespace)
    elif sent.of is not None:
        yield from _members(wsdl, sent.of.name, sent.of.members, described, namespace)

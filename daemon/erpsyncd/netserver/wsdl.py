"""A WSDL, read as far as it says how requests have to look: operations, SOAPActions, elements and their order.

What `compare_wsdl` needs and no more; requests are never made from it (design.md §6).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import urlsplit

from erpsyncd.netserver.carriers import Unreadable
from erpsyncd.netserver.xml_parsing import Element

WSDL = "http://schemas.xmlsoap.org/wsdl/"
WSDL_SOAP = "http://schemas.xmlsoap.org/wsdl/soap/"
XSD = "http://www.w3.org/2001/XMLSchema"

Name: TypeAlias = str
"""A qualified name, as lxml writes it: `{namespace}local`."""

#: Types that one extends in a row; the vendor's extend one.
_MAX_BASES = 20
#: Prefixes that are in force at one element; the vendor has ten.
_MAX_NAMESPACES = 200
#: How WCF names the parts of a WSDL: `…/ErpSync.svc?xsd=xsd0`.
_PART = re.compile(r"(wsdl|xsd|singlewsdl)(=\w{1,40})?", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestMember:
    """One element inside another, in a request."""

    name: Name
    type: Name
    """Empty where the type stands inside the element and has no name."""

    required: bool
    members: tuple[RequestMember, ...] = ()
    """Of a type without a name; the others are looked up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestForm:
    """How one operation is asked for."""

    soap_action: str
    body: RequestMember
    headers: frozenset[Name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wsdl:
    """What was read."""

    namespace: str
    operations: Mapping[str, RequestForm]
    """By name; of those that were asked about, the ones that a SOAP 1.1 binding has."""

    members_of: Callable[[RequestMember], tuple[RequestMember, ...]]
    """What stands inside an element, in order, what its type extends first. Raises `Unreadable`."""


def is_wsdl(root: Element) -> bool:
    """Whether a document is one."""
    return root.tag == f"{{{WSDL}}}definitions"


def parts_named_in(root: Element, agent: str) -> tuple[str, ...]:
    """Return the queries of the further documents of the same agent that a document names.

    Only the query counts: hosts in there are often names of machines behind a proxy, and nobody is followed to
    another host for being named in a document.
    """
    locations = (
        *(each.get("location", "") for each in root.iter(f"{{{WSDL}}}import")),
        *(each.get("schemaLocation", "") for each in root.iter(f"{{{XSD}}}import", f"{{{XSD}}}include")),
    )
    return tuple(dict.fromkeys(query for location in locations for query in _own_part(location, agent)))


def _own_part(location: str, agent: str) -> Iterator[str]:
    try:
        parts = urlsplit(location)
    except ValueError:
        return
    if parts.path.lower().endswith(f"/{agent.lower()}.svc") and _PART.fullmatch(parts.query):
        yield parts.query


def read_wsdl(roots: Sequence[Element], agent: str, operations: Collection[str]) -> Wsdl:
    """Read the documents of one agent together, as far as they are about these operations.

    Raises:
        Unreadable: they do not describe the agent, or not all of what was asked about.
    """
    definitions = [root for root in roots if is_wsdl(root)]
    schemas = [schema for root in roots for schema in root.iter(f"{{{XSD}}}schema")]
    described = [root for root in definitions if root.find(f"{{{WSDL}}}portType[@name='{agent}']") is not None]
    if not described:
        raise Unreadable(f"it does not describe {agent}")
    reader = _Reader(definitions, schemas)
    port = described[0].find(f"{{{WSDL}}}portType[@name='{agent}']")
    assert port is not None, "it was looked for above"
    return Wsdl(
        namespace=described[0].get("targetNamespace", ""),
        operations=dict(reader.forms(port, operations)),
        members_of=reader.members_of,
    )


class _Reader:
    """Looks names up in all documents."""

    def __init__(self, definitions: Sequence[Element], schemas: Sequence[Element]) -> None:
        self.elements = dict(_declared(schemas, "element"))
        self.types = dict(_declared(schemas, "complexType"))
        self._messages = {
            f"{{{root.get('targetNamespace')}}}{message.get('name')}": message
            for root in definitions
            for message in root.iterfind(f"{{{WSDL}}}message")
        }
        self._bound = {
            str(operation.get("name")): operation
            for root in definitions
            for binding in root.iterfind(f"{{{WSDL}}}binding")
            if binding.find(f"{{{WSDL_SOAP}}}binding") is not None
            for operation in binding.iterfind(f"{{{WSDL}}}operation")
        }

    def forms(self, port: Element, wanted: Collection[str]) -> Iterator[tuple[str, RequestForm]]:
        """Yield the wanted operations of a port, if SOAP 1.1 can ask for them."""
        for operation in port.iterfind(f"{{{WSDL}}}operation"):
            name = str(operation.get("name"))
            bound, asked = self._bound.get(name), operation.find(f"{{{WSDL}}}input")
            action = bound.find(f"{{{WSDL_SOAP}}}operation") if bound is not None else None
            if name not in wanted or bound is None or asked is None or action is None:
                continue
            (body, *_) = (*self._parts(asked, asked.get("message", "")).values(), "")
            if body not in self.elements:
                raise Unreadable(f"the request of {name} is described elsewhere")
            yield (
                name,
                RequestForm(
                    soap_action=action.get("soapAction", ""),
                    body=self._member(self.elements[body], body),
                    headers=frozenset(self._headers(bound)),
                ),
            )

    def members_of(self, holder: RequestMember) -> tuple[RequestMember, ...]:
        """Return what stands inside an element; see `Wsdl`."""
        if holder.members or not holder.type:
            return holder.members
        return tuple(self._members(self._type(holder.type), _MAX_BASES))

    def _type(self, name: Name) -> Element:
        if name not in self.types:
            raise Unreadable(f"the type {name} is described elsewhere")
        return self.types[name]

    def _members(self, node: Element, bases: int) -> Iterator[RequestMember]:
        """Yield the members of a complex type in order, those that it takes over first."""
        if not bases:
            raise Unreadable("its types extend each other without end")
        extension = node.find(f"{{{XSD}}}complexContent/{{{XSD}}}extension")
        if extension is not None:
            yield from self._members(self._type(_qualified(extension, extension.get("base", ""))), bases - 1)
        inside = node if extension is None else extension
        schema = next(node.iterancestors(f"{{{XSD}}}schema"))
        for element in inside.iterfind(f"{{{XSD}}}sequence/{{{XSD}}}element"):
            qualified = element.get("form", schema.get("elementFormDefault")) == "qualified"
            namespace = schema.get("targetNamespace", "") if qualified else ""
            reference = element.get("ref")
            name = _qualified(element, reference) if reference else f"{{{namespace}}}{element.get('name')}"
            yield self._member(element, name)

    def _member(self, element: Element, name: Name) -> RequestMember:
        inline = element.find(f"{{{XSD}}}complexType")
        return RequestMember(
            name=name,
            type=_qualified(element, element.get("type", "")) if element.get("type") else "",
            required=element.get("minOccurs", "1") != "0",
            members=tuple(self._members(inline, _MAX_BASES)) if inline is not None else (),
        )

    def _headers(self, bound: Element) -> Iterator[Name]:
        for header in bound.iterfind(f"{{{WSDL}}}input/{{{WSDL_SOAP}}}header"):
            part = self._parts(header, header.get("message", "")).get(header.get("part", ""))
            if part is not None:
                yield part

    def _parts(self, user: Element, message: str) -> dict[str, Name]:
        found = self._messages.get(_qualified(user, message))
        if found is None:
            raise Unreadable("it names a message that is described elsewhere")
        return {
            str(part.get("name")): _qualified(part, part.get("element", ""))
            for part in found.iterfind(f"{{{WSDL}}}part")
        }


def _declared(schemas: Sequence[Element], kind: str) -> Iterator[tuple[Name, Element]]:
    for schema in schemas:
        for node in schema.iterfind(f"{{{XSD}}}{kind}"):
            yield f"{{{schema.get('targetNamespace')}}}{node.get('name')}", node


def _qualified(user: Element, name: str) -> Name:
    """Return what a prefixed name in an attribute stands for."""
    prefix, _, local = name.rpartition(":")
    namespaces = user.nsmap  # made anew each time, of all that are in force here
    if len(namespaces) > _MAX_NAMESPACES:
        raise Unreadable("it has too many namespaces in one place")
    return f"{{{namespaces.get(prefix or None, '')}}}{local}"

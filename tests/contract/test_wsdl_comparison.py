"""The doctor's comparison of a WSDL with what we send, judged by the official files and by spoiled copies of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from lxml import etree
from wsdl_schemas import versions, wsdl_path

from erpsyncd.netserver.carriers import Unreadable
from erpsyncd.netserver.operations import Operation
from erpsyncd.netserver.soap import SOAP_OPERATIONS
from erpsyncd.netserver.wsdl import parts_named_in
from erpsyncd.netserver.wsdl_comparison import compare_wsdl
from erpsyncd.netserver.xml_parsing import parse_xml

XSD = "http://www.w3.org/2001/XMLSchema"
WSDL = "http://schemas.xmlsoap.org/wsdl/"
SERVICES = "http://www.superoffice.net/ws/crm/NetServer/Services"
SOAP = "http://schemas.xmlsoap.org/wsdl/soap/"
AGENTS = tuple(dict.fromkeys(operation.agent for operation in SOAP_OPERATIONS))
FILES = [(agent, version) for agent in AGENTS for version in versions(agent)]


def operations_of(agent: str) -> tuple[Operation[Any], ...]:
    return tuple(operation for operation in SOAP_OPERATIONS if operation.agent == agent)


def read(agent: str, version: int = 86) -> etree._Element:
    return parse_xml(wsdl_path(agent, version).read_bytes())


def mismatches(root: etree._Element, agent: str = "ErpSync", version: int = 86) -> list[str]:
    return [str(found) for found in compare_wsdl([root], operations_of(agent), version=version)]


@pytest.mark.parametrize(("agent", "version"), FILES)
def test_official_files_agree_with_what_is_sent(agent: str, version: int) -> None:
    """Every operation that we use, of every version at hand: nothing is found."""

    assert [] == mismatches(read(agent, version), agent, version)


def parent(element: etree._Element | None) -> etree._Element:
    found = element.getparent() if element is not None else None
    assert found is not None
    return found


def remove(element: etree._Element | None) -> None:
    assert element is not None
    parent(element).remove(element)


def member(root: etree._Element, type_name: str, name: str) -> etree._Element:
    (found,) = root.iterfind(f".//{{{XSD}}}complexType[@name='{type_name}']//{{{XSD}}}element[@name='{name}']")
    return found


def swap(root: etree._Element) -> None:
    first, second = member(root, "ErpConnection", "DisplayName"), member(root, "ErpConnection", "DisplayDescription")
    second.addnext(first)


def move_first(root: etree._Element) -> None:
    last = member(root, "ErpConnection", "AssociateAccessIds")
    member(root, "ErpConnection", "ErpConnectionId").addprevious(last)


def drop_operation(root: etree._Element) -> None:
    for path in (f"{{{WSDL}}}portType", f"{{{WSDL}}}binding"):
        for found in root.findall(f"{path}/{{{WSDL}}}operation[@name='SaveConnection']"):
            remove(found)


def drop_member(root: etree._Element) -> None:
    found = member(root, "ErpConnection", "AllAccess")
    remove(found)


def need_another(root: etree._Element) -> None:
    needed = etree.Element(f"{{{XSD}}}element", {"name": "Owner", "type": "xs:int"})
    member(root, "ErpConnection", "Active").addnext(needed)


def allow_another(root: etree._Element) -> None:
    allowed = etree.Element(f"{{{XSD}}}element", {"name": "Owner", "type": "xs:int", "minOccurs": "0"})
    member(root, "ErpConnection", "Active").addnext(allowed)


def change_type(root: etree._Element) -> None:
    member(root, "ErpConnection", "ErpConnectorId").set("type", "xs:string")


def rename_pairs(root: etree._Element) -> None:
    member(root, "StringDictionary", "StringKeyValuePair").set("name", "Pair")


def swap_in_pair(root: etree._Element) -> None:
    pair = parent(member(root, "StringDictionary", "Key"))
    pair[:] = reversed(pair)


def change_action(root: etree._Element) -> None:
    (found,) = root.iterfind(f".//{{{WSDL}}}operation[@name='GetConnection']/{{{SOAP}}}operation")
    found.set("soapAction", "urn:other")


def unqualify(root: etree._Element) -> None:
    next(root.iter(f"{{{XSD}}}schema")).set("elementFormDefault", "unqualified")


def drop_header(root: etree._Element) -> None:
    path = f".//{{{WSDL}}}operation[@name='DeleteConnection']/{{{WSDL}}}input/{{{SOAP}}}header[@part='Credentials']"
    (found,) = root.iterfind(path)
    remove(found)


def soap12_only(root: etree._Element) -> None:
    remove(root.find(f"{{{WSDL}}}binding/{{{SOAP}}}binding"))


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (swap, ["SaveConnection: in ErpConnection, DisplayDescription stands before DisplayName"]),
        (move_first, ["SaveConnection: in ErpConnection, AssociateAccessIds stands before UserGroupAccessIds"]),
        (drop_operation, ["SaveConnection: the server does not have it"]),
        (drop_member, ["SaveConnection: ErpConnection has no AllAccess"]),
        (need_another, ["SaveConnection: ErpConnection needs Owner, which is not sent"]),
        (allow_another, []),
        (
            change_type,
            [f"SaveConnection: ErpConnectorId is a {{{XSD}}}string, not a {{{XSD}}}int"],
        ),
        (
            rename_pairs,
            ["SaveConnection: ConfigFields is not a list of StringKeyValuePair"],
        ),
        (swap_in_pair, ["SaveConnection: in StringKeyValuePair, Value stands before Key"]),
        (
            change_action,
            [f"GetConnection: its SOAPAction is urn:other, not {SERVICES}86/ErpSync/GetConnection"],
        ),
        (drop_header, ["DeleteConnection: it does not take the header Credentials"]),
        (
            soap12_only,
            [
                f"{name}: the server does not have it"
                for name in ("GetConnection", "SaveConnection", "DeleteConnection", "SyncAll")
            ],
        ),
    ],
)
def test_what_differs_is_found(spoil: Callable[[etree._Element], None], expected: list[str]) -> None:
    """An operation that is gone, members in another place, of another type, or that are needed and not sent."""
    root = read("ErpSync")
    spoil(root)

    assert expected == mismatches(root)


def test_members_of_another_namespace_are_not_ours() -> None:
    """Matching by local name would hide what WCF drops."""
    root = read("ErpSync")
    unqualify(root)

    assert "GetConnection: GetConnection has no ErpConnectionId" in mismatches(root)


def test_a_request_element_of_another_name_is_found() -> None:
    """The body's own element counts, too."""
    root = read("Quote")
    (part,) = root.iterfind(f"{{{WSDL}}}message[@name='HasConnectionsRequest']/{{{WSDL}}}part")
    part.set("element", "tns:HasConnectionsResponse")

    found = mismatches(root, "Quote")

    ours = f"{{{SERVICES}86}}HasConnections"
    assert [f"HasConnections: its request is a {ours}Response, not a {ours}"] == found


def test_another_version_is_named() -> None:
    """It is one finding, not one for each element."""
    found = mismatches(parse_xml(wsdl_path("ErpSync", 86).read_bytes().replace(b"Services86", b"Services88")))

    assert [f"describes {SERVICES}88, not {SERVICES}86"] == found


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda root: next(root.iter(f"{{{WSDL}}}portType")).set("name", "Other"), "does not describe ErpSync"),
        (lambda root: root.remove(root.find(f"{{{WSDL}}}types")), "described elsewhere"),
        (
            lambda root: [root.remove(message) for message in root.findall(f"{{{WSDL}}}message")],
            "a message that is described elsewhere",
        ),
        (
            lambda root: root.find(f".//{{{XSD}}}complexType[@name='Carrier']").set("name", "Gone"),
            "Carrier is described elsewhere",
        ),
        (lambda root: parent(parent(member(root, "Carrier", "TableRight"))).append(endless()), "without end"),
    ],
    ids=["another agent", "no types", "no messages", "no base", "endless"],
)
def test_what_is_not_whole_cannot_be_compared(spoil: Callable[[Any], object], reason: str) -> None:
    """A description with holes is told as such and not taken for a difference."""
    root = read("ErpSync")
    spoil(root)

    with pytest.raises(Unreadable, match=reason):
        mismatches(root)


def test_prefixes_are_not_looked_up_among_thousands() -> None:
    """lxml makes a table of all of them each time one is asked for: a megabyte would take an hour."""
    text = wsdl_path("ErpSync", 86).read_bytes()
    many = b"".join(b' xmlns:p%d="u"' % number for number in range(200))
    text = text.replace(b"<wsdl:definitions", b"<wsdl:definitions" + many)

    with pytest.raises(Unreadable, match="too many namespaces"):
        mismatches(parse_xml(text))


def endless() -> etree._Element:
    """A type that extends itself."""
    text = f'<complexContent xmlns="{XSD}"><extension base="tns:Carrier"/></complexContent>'
    return etree.fromstring(text)


def test_parts_are_taken_by_their_query_only() -> None:
    """Another host, another service and any other address in a document lead nowhere; ours may have any host."""
    root = etree.fromstring(
        f"""<w:definitions xmlns:w="{WSDL}" xmlns:x="{XSD}">
          <w:import location="http://machine7/Remote/Services86/ErpSync.svc?wsdl=wsdl0"/>
          <w:import location="http://machine7/Remote/Services86/Quote.svc?wsdl=wsdl0"/>
          <w:import location="http://[/ErpSync.svc?wsdl=wsdl0"/>
          <w:types><x:schema>
            <x:import schemaLocation="https://evil.example/erpsync.svc?xsd=xsd0"/>
            <x:include schemaLocation="https://evil.example/ErpSync.svc?next=https://evil.example"/>
            <x:import schemaLocation="ErpSync.svc?xsd=xsd9"/>
            <x:import schemaLocation="/a/ErpSync.svc?xsd=xsd0"/>
            <x:import namespace="urn:none"/>
          </x:schema></w:types>
        </w:definitions>"""
    )

    assert ("wsdl=wsdl0", "xsd=xsd0") == parts_named_in(root, "ErpSync")

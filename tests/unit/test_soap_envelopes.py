"""Requests: what is written can be read back, and what XML cannot carry is not sent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from erpsyncd.domain.connections import ErpConnection
from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.tenants import AuthKind
from erpsyncd.errors import Effect, RemoteRejected
from erpsyncd.netserver.calls import Call
from erpsyncd.netserver.soap import SoapDialect
from netserver_support import (
    ARRAYS,
    ENVELOPE,
    connection_xml,
    credentials,
    erp_connection,
    namespace,
    reply,
    tenant_spec,
)

TICKET = Secret("7T:placeholder-ticket")
#: Every character that XML 1.0 has.
XML_TEXT = st.text(
    st.one_of(
        st.sampled_from("\t\n\r<>&\"' ]"),
        st.characters(min_codepoint=0x20, max_codepoint=0xD7FF),
        st.characters(min_codepoint=0xE000, max_codepoint=0xFFFD),
        st.characters(min_codepoint=0x10000, max_codepoint=0x10FFFF),
    ),
    max_size=40,
)
NOT_XML = st.one_of(
    st.characters(max_codepoint=0x1F, exclude_characters="\t\n\r"),
    st.integers(min_value=0xD800, max_value=0xDFFF).map(chr),
    st.sampled_from("\ufffe\uffff"),
)
INTS = st.integers(min_value=-(2**31), max_value=2**31 - 1)
CONNECTIONS = st.builds(
    erp_connection,
    st.integers(min_value=1, max_value=2**31 - 1),
    connection_id=XML_TEXT,
    most_recent_timestamp=XML_TEXT,
    erp_connector_id=INTS,
    display_name=XML_TEXT,
    display_description=XML_TEXT,
    active=st.booleans(),
    deleted=st.booleans(),
    all_access=st.booleans(),
    user_group_access_ids=st.lists(INTS, max_size=4).map(tuple),
    associate_access_ids=st.lists(INTS, max_size=4).map(tuple),
    config_fields=st.dictionaries(XML_TEXT, XML_TEXT.map(Secret), max_size=4),
)


def dialect(**overrides: Any) -> SoapDialect:
    return SoapDialect(tenant_spec(**overrides), credentials())


def save(connection: ErpConnection) -> Call:
    return dialect().save_connection(connection).write(TICKET)


def texts(element: etree._Element) -> dict[str, str]:
    return {etree.QName(child).localname: child.text or "" for child in element}


@given(connection=CONNECTIONS)
def test_every_text_survives_the_request(connection: ErpConnection) -> None:
    """A connection is read back from its own request as it was, whatever its texts hold."""
    root = etree.fromstring(save(connection).body)
    (sent,) = root.iter(f"{{{namespace(86)}}}Connection")

    as_reply = etree.tostring(sent).replace(b":Connection ", b":Response ").replace(b":Connection>", b":Response>")
    envelope = (
        f'<s:Envelope xmlns:s="{ENVELOPE}"><s:Body><SaveConnectionResponse xmlns="{namespace(86)}">'.encode()
        + as_reply
        + b"</SaveConnectionResponse></s:Body></s:Envelope>"
    )
    exchange = dialect().save_connection(connection)

    assert connection == exchange.read(exchange.write(TICKET), reply(envelope))


@given(text=XML_TEXT)
def test_credentials_survive_the_request(text: str) -> None:
    """Usernames, passwords, tickets and application tokens are read as they were written."""
    given_ = credentials(
        AuthKind.PASSWORD, username=Secret(text), password=Secret(text), application_token=Secret("t" + text)
    )
    soap = SoapDialect(tenant_spec(), given_)
    login = etree.fromstring(soap.log_in().write(Secret("")).body)
    call = etree.fromstring(soap.get_connection(1).write(Secret(text)).body)

    assert text == login.findtext(f".//{{{namespace(86)}}}UserName")
    assert text == login.findtext(f".//{{{namespace(86)}}}Password")
    assert text == call.findtext(f".//{{{namespace(86)}}}Ticket")
    assert "t" + text == call.findtext(f".//{{{namespace(86)}}}ApplicationToken")


@given(before=XML_TEXT, bad=NOT_XML, after=XML_TEXT)
def test_text_that_xml_cannot_carry_is_not_sent(before: str, bad: str, after: str) -> None:
    """A bad character is refused before sending, with its field and without its value."""
    with pytest.raises(RemoteRejected) as caught:
        save(erp_connection(config_fields={"Password": Secret(before + bad + after)}))

    assert Effect.NEVER_SENT is caught.value.effect
    assert "ConfigFields[Password]" in str(caught.value)
    assert f"position {len(before) + 1})" in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        ({"display_name": "a\x00b"}, "DisplayName"),
        ({"display_description": "\ud800"}, "DisplayDescription"),
        ({"connection_id": "\ufffe"}, "ConnectionId"),
        ({"config_fields": {"k\x0b": Secret("v")}}, "a key of ConfigFields"),
        ({"config_fields": {"two\nlines": Secret("\x00")}}, "ConfigFields[two lines]"),
        ({"erp_connector_id": 2**31}, "ErpConnectorId"),
        ({"user_group_access_ids": (1, -(2**31) - 1)}, "UserGroupAccessIds"),
    ],
)
def test_message_names_the_field(overrides: dict[str, Any], field: str) -> None:
    """Whichever member cannot be carried is named, on one line."""
    with pytest.raises(RemoteRejected) as caught:
        save(erp_connection(**overrides))

    assert str(caught.value).startswith(f"SaveConnection: not sent: {field} ")


def test_order_is_the_wsdls() -> None:
    """The members go out in the order of the WSDL, all of them, `Deleted` too, and nothing else."""
    root = etree.fromstring(save(erp_connection()).body)
    (sent,) = root.iter(f"{{{namespace(86)}}}Connection")

    assert (
        "ErpConnectionId,ErpConnectorId,DisplayName,DisplayDescription,Active,ConnectionId,MostRecentTimestamp,"
        "ConfigFields,Deleted,AllAccess,UserGroupAccessIds,AssociateAccessIds"
    ) == ",".join(texts(sent))
    assert [f"{{{ARRAYS}}}int"] * 2 == [each.tag for each in sent.iterfind("{*}UserGroupAccessIds/*")]


def test_carriage_returns_and_blanks_survive() -> None:
    """What an XML parser would change is written so that it stays."""
    body = save(erp_connection(display_name=" \r\n\t", display_description="  ")).body
    root = etree.fromstring(body)

    assert b"&#13;" in body
    assert " \r\n\t" == root.findtext(f".//{{{namespace(86)}}}DisplayName")
    assert "  " == root.findtext(f".//{{{namespace(86)}}}DisplayDescription")


@pytest.mark.parametrize("token", ["", "placeholder-app-token"])
def test_header_parts(token: str) -> None:
    """The application token is left out where there is none; SoPrincipal gets nothing but it."""
    soap = SoapDialect(tenant_spec(), credentials(AuthKind.PASSWORD, application_token=Secret(token)))
    call = etree.fromstring(soap.has_connections().write(TICKET).body)
    login = etree.fromstring(soap.log_in().write(Secret("")).body)

    ours = ["ApplicationToken"] if token else []
    assert [*ours, "Credentials"] == [etree.QName(part).localname for part in call[0]]
    assert ours == [etree.QName(part).localname for part in login.iterfind(f"{{{ENVELOPE}}}Header/*")]


def test_versions_are_per_agent() -> None:
    """Quote has its own ServicesNN, in the address, the namespace and the SOAPAction; MDO goes with ErpSync."""
    soap = dialect(erpsync_services=88, quote_services=84)
    quote, listing = soap.has_connections().write(TICKET), soap.list_connections().write(TICKET)

    assert "https://crm.acme.example/Remote/Services84/Quote.svc" == quote.endpoint.url
    assert f'"{namespace(84)}/Quote/HasConnections"' == quote.headers["SOAPAction"]
    assert namespace(84).encode() in quote.body
    assert "https://crm.acme.example/Remote/Services88/MDO.svc" == listing.endpoint.url
    assert f'"{namespace(88)}/MDO/GetList"' == listing.headers["SOAPAction"]


def test_plain_reply_is_read() -> None:
    """A reply that is written plainly is read as the connection it describes."""
    exchange = dialect().get_connection(7)
    body = (
        f'<s:Envelope xmlns:s="{ENVELOPE}"><s:Body><GetConnectionResponse xmlns="{namespace(86)}"><Response>'
        f"{connection_xml()}</Response></GetConnectionResponse></s:Body></s:Envelope>"
    )

    assert erp_connection() == exchange.read(exchange.write(TICKET), reply(body.encode()))


def test_requests_do_not_show_secrets() -> None:
    """A call's repr holds neither its headers nor its body."""
    shown = repr(save(erp_connection()))

    assert "placeholder" not in shown

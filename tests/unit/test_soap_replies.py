"""Replies: everything WCF writes is read, everything else is an error of the tree."""

from __future__ import annotations

import contextlib
import encodings
import threading
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from erpsyncd.domain.connections import ListedConnection
from erpsyncd.domain.lists import ListItem, ListName
from erpsyncd.domain.results import ChangedDataItem, PluginResponse, RecordChange
from erpsyncd.domain.secrets import Secret
from erpsyncd.errors import MalformedResponse, RemoteError
from erpsyncd.netserver import xml_parsing
from erpsyncd.netserver.calls import Exchange, Reply
from erpsyncd.netserver.failures import SessionLost
from erpsyncd.netserver.short_answers import MAX_BYTES, parse_short
from erpsyncd.netserver.short_answers import MAX_TAGS as MAX_SHORT_TAGS
from erpsyncd.netserver.soap import SoapDialect
from erpsyncd.netserver.xml_parsing import MAX_TAGS, Node, parse_xml
from netserver_support import (
    ARRAYS,
    ENVELOPE,
    NIL,
    connection_xml,
    credentials,
    damaged,
    erp_connection,
    namespace,
    reply,
    soap_body,
    tenant_spec,
)
from processor_time import processor_time

SOAP = SoapDialect(tenant_spec(), credentials())
NS = namespace(86)
SOAP12 = "http://www.w3.org/2003/05/soap-envelope"
PLAIN = soap_body("GetConnection", f"<Response>{connection_xml()}</Response>")


def read(exchange: Exchange[Any], answer: bytes | Reply) -> Any:
    return exchange.read(
        exchange.write(Secret("7T:placeholder")), answer if isinstance(answer, Reply) else reply(answer)
    )


def get(body: bytes | Reply) -> Any:
    return read(SOAP.get_connection(7), body)


def check(inner: str, headers: str = "") -> Any:
    return read(SOAP.has_connections(), soap_body("HasConnections", inner, version=83, headers=headers))


def prefixed(text: str) -> str:
    """Write the same reply with a prefix for ServicesNN instead of the default namespace."""
    for name in ("Header", "Body", "Envelope"):
        text = text.replace(f"<s:{name}", f"<S_{name}").replace(f"</s:{name}", f"</S_{name}")
    text = text.replace("b:int", "B_int").replace("</", "</q:").replace("<", "<q:").replace("<q:/q:", "</q:")
    text = text.replace("q:S_", "s:").replace("q:B_", "b:").replace("&lt;secret>", "&lt;secret>")
    return text.replace(f'xmlns="{NS}"', f'xmlns:q="{NS}"')


WCF_WAYS = {
    "plain": PLAIN,
    "prefixed": prefixed(PLAIN.decode()).encode(),
    "byte order mark": b"\xef\xbb\xbf" + PLAIN,
    "UTF-16": ('<?xml version="1.0" encoding="utf-16"?>' + PLAIN.decode()).encode("utf-16"),
    "Latin-1": b'<?xml version="1.0" encoding="iso-8859-1"?>' + PLAIN,
    "namespaces declared again": PLAIN.replace(b"<Active>", f'<Active xmlns="{NS}">'.encode()),
    "unknown elements": PLAIN.replace(b"<Active>", b"<New i='1'><Active>false</Active></New><Active>"),
    "foreign namespace": PLAIN.replace(b"<Active>", b'<Active xmlns="urn:x">false</Active><Active>'),
    "comments and instructions": PLAIN.replace(b">F0001<", b">F<!-- x -->00<?y z?>01<"),
    "CDATA": PLAIN.replace(b">Visma Norway<", b"><![CDATA[Visma Norway]]><"),
    "carrier members before": PLAIN.replace(
        b"<ErpConnectionId>", f"<TableRight {NIL}/><FieldProperties {NIL}/><ErpConnectionId>".encode()
    ),
    "numbers for booleans": PLAIN.replace(b">true<", b"> 1 <").replace(b">false<", b">0<"),
    "blanks around values": PLAIN.replace(b">7<", b">\n +07 <").replace(b">true<", b"> true\t<"),
    "nil lists": PLAIN.replace(b"<AssociateAccessIds/>", f"<AssociateAccessIds {NIL}/>".encode()),
    "missing lists": PLAIN.replace(b"<AssociateAccessIds/>", b""),
    "nil items": PLAIN.replace(b"<b:int>1</b:int>", f"<b:int {NIL}/><b:int>1</b:int>".encode()).replace(
        b"<ConfigFields>", f"<ConfigFields><StringKeyValuePair {NIL}/>".encode()
    ),
    "empty exception": PLAIN.replace(b"<Succeeded>", b"<ExceptionInfo/><ExtraInfo/><Succeeded>"),
    "nil exception": PLAIN.replace(b"<Succeeded>", f"<ExceptionInfo {NIL}/><Succeeded>".encode()),
    "hollow exception": PLAIN.replace(
        b"<Succeeded>",
        f"<ExceptionInfo><Message/><StackTrace {NIL}/><InnerException {NIL}/><Parameters/></ExceptionInfo>".encode()
        + b"<Succeeded>",
    ),
    "no header": PLAIN[: PLAIN.index(b"<s:Header")] + PLAIN[PLAIN.index(b"</s:Header>") + 11 :],
    "nil Succeeded": PLAIN.replace(b"<Succeeded>true</Succeeded>", f"<Succeeded {NIL}/>".encode()),
    "SOAP 1.2": PLAIN.replace(ENVELOPE.encode(), SOAP12.encode()),
    "blanks before the declaration": b'\r\n <?xml version="1.0"?>' + PLAIN,
    "declared as UTF-16 and is not": b'<?xml version="1.0" encoding="utf-16"?>' + PLAIN,
    ".NET's own booleans": PLAIN.replace(b">true<", b">True<").replace(b">false<", b">FALSE<"),
    "entities of XML itself": PLAIN.replace(b"Visma Norway", b"Visma&#x20;Norway"),
}


@pytest.mark.parametrize("way", WCF_WAYS)
def test_every_way_of_writing_reads_the_same(way: str) -> None:
    """However WCF writes it, the connection is the same one."""
    assert erp_connection() == get(WCF_WAYS[way])


@pytest.mark.parametrize("inner", ["", f"<Response {NIL}/>", f"<Response {NIL.replace('true', '1')}/>"])
def test_nothing_is_none(inner: str) -> None:
    """A missing or nil Response is no connection."""
    assert get(soap_body("GetConnection", inner)) is None


def test_missing_members_have_the_defaults_of_net() -> None:
    """What the server leaves out is zero, false or empty."""
    found = get(soap_body("GetConnection", "<Response><ErpConnectionId>7</ErpConnectionId></Response>"))

    assert (7, 0, "", False, {}, ()) == (
        found.erp_connection_id,
        found.spec.erp_connector_id,
        found.spec.display_name,
        found.spec.active,
        found.spec.config_fields,
        found.spec.user_group_access_ids,
    )


@given(text=st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFFFD, codec="utf-8"), max_size=50))
def test_texts_of_replies_survive(text: str) -> None:
    """A text comes out of a reply as the server put it in."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    found = check(f"<Response><IsOk>true</IsOk><UserExplanation>{escaped}</UserExplanation></Response>")

    assert PluginResponse(is_ok=True, user_explanation=text) == found


ITEM = "<ChangedDataItem><Tablename>erpconnection</Tablename><RecordId>7</RecordId></ChangedDataItem>"


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("<IsOk>false</IsOk>", PluginResponse(is_ok=False)),
        ("<IsOk>1</IsOk><Status>OkWithInfo</Status>", PluginResponse(is_ok=True, status="OkWithInfo")),
        ("<IsOk>true</IsOk><Status>Brandnew</Status>", PluginResponse(is_ok=True, status="Brandnew")),
        ("<Status>Error</Status>", PluginResponse(is_ok=False, status="Error")),
        ("<Status>Ok</Status>", PluginResponse(is_ok=True, status="Ok")),
        (
            f"<IsOk> true </IsOk><UserExplanation {NIL}/><TechExplanation>t</TechExplanation><ErrorCode>E1</ErrorCode>",
            PluginResponse(is_ok=True, tech_explanation="t", error_code="E1"),
        ),
        (f"<IsOk>true</IsOk><Changes {NIL}/>", PluginResponse(is_ok=True)),
        ("<IsOk>true</IsOk><Changes/>", PluginResponse(is_ok=True)),
        (f"<IsOk>true</IsOk><Changes><AddedRecords {NIL}/><UpdatedRecords/></Changes>", PluginResponse(is_ok=True)),
        (
            (
                f"<IsOk>true</IsOk><Changes><AddedRecords><ChangedDataItem {NIL}/>{ITEM}</AddedRecords>"
                f"<DeletedRecords>{ITEM.replace('7', '8')}{ITEM}</DeletedRecords></Changes>"
            ),
            PluginResponse(
                is_ok=True,
                changes=(
                    ChangedDataItem(change=RecordChange.ADDED, table_name="erpconnection", record_id=7),
                    ChangedDataItem(change=RecordChange.DELETED, table_name="erpconnection", record_id=8),
                    ChangedDataItem(change=RecordChange.DELETED, table_name="erpconnection", record_id=7),
                ),
            ),
        ),
    ],
)
def test_plugin_responses(inner: str, expected: PluginResponse) -> None:
    """A PluginResponse is read in all the shapes that the contract allows."""
    assert expected == check(f"<Response>{inner}</Response>")


def item(erp_connection_id: int, name: str, more: str = "") -> str:
    return f"<MDOListItem><Id>{erp_connection_id}</Id><Name>{name}</Name>{more}</MDOListItem>"


def test_listing_is_flat_and_without_the_deleted() -> None:
    """Headings, deleted and nil items are no connections; what stands below them is."""
    child = item(4, "below", f"<ChildItems {NIL}/><ExtraInfo>guid-4</ExtraInfo>")
    inner = (
        item(1, "one", "<Deleted>false</Deleted><Type>t</Type><ExtraInfo>guid-1</ExtraInfo>")
        + f"<MDOListItem {NIL}/>"
        + item(2, "gone", "<Deleted>true</Deleted>")
        + item(0, "heading", f"<ChildItems>{child}</ChildItems>")
    )

    assert (
        ListedConnection(erp_connection_id=1, display_name="one", connection_id="guid-1"),
        ListedConnection(erp_connection_id=4, display_name="below", connection_id="guid-4"),
    ) == read(SOAP.list_connections(), soap_body("GetList", f"<Response>{inner}</Response>"))


def entry(number: int, name: str, more: str = "") -> str:
    return item(number, name, f"<ExtraInfo>person_id=9&amp;contact_id=0</ExtraInfo>{more}")


def test_list_of_names_is_flat_and_without_headings() -> None:
    """A heading has the number of a group, so it is never taken for an associate; what is deleted is left out."""
    below = entry(4, "SAL0") + entry(5, "gone", "<Deleted>true</Deleted>")
    deeper = item(3, "Team", f"<ChildItems>{entry(6, 'SAL1')}</ChildItems>")
    inner = (
        item(2, "Sales", f"<ChildItems>{below}{deeper}</ChildItems>")
        + entry(7, "ADM")
        + item(0, "none")
        + item(8, "")
        + item(9, "Visma", "<ExtraInfo>app://x</ExtraInfo>")
    )
    (exchange,) = SOAP.get_list(ListName.ASSOCIATES)

    assert (
        ListItem(id=4, name="SAL0"),
        ListItem(id=6, name="SAL1"),
        ListItem(id=7, name="ADM"),
        ListItem(id=9, name="Visma", url="app://x"),
    ) == read(exchange, soap_body("GetList", f"<Response>{inner}</Response>"))


@pytest.mark.parametrize("inner", [f"<Response {NIL}/>", ""])
def test_nil_listing_is_empty_if_it_says_that_it_succeeded(inner: str) -> None:
    """An empty list says that there is nothing; a nil one does if its header vouches for it."""
    assert () == read(SOAP.list_connections(), soap_body("GetList", "<Response/>"))
    assert () == read(SOAP.list_connections(), soap_body("GetList", inner))
    assert read(SOAP.list_connections(), soap_body("GetList", inner, headers="<TimeZone/>")) is None


NORDIC = PLAIN.decode().replace("Visma Norway", "Visma Norgeø")
CHARSETS = [
    (NORDIC.encode("iso-8859-1"), "text/xml; charset=iso-8859-1"),
    (NORDIC.encode("cp1252"), 'text/xml;charset="Windows-1252"'),
    (f'<?xml version="1.0" encoding="utf-8"?>{NORDIC}'.encode("iso-8859-1"), "text/xml; charset=ISO-8859-1"),
    (NORDIC.encode("utf-16-le"), "text/xml; charset=utf-16LE"),
    (f"\n{NORDIC}".encode("utf-16-le"), "text/xml; charset=utf-16LE"),
    (f'<?xml version="1.0" encoding="utf-16"?>{NORDIC}'.encode(), "text/xml; charset=utf-8"),
    (NORDIC.encode(), "text/html; charset=klingon"),
]


@pytest.mark.parametrize(("body", "content_type"), CHARSETS)
def test_charsets_that_only_the_header_names(body: bytes, content_type: str) -> None:
    """What cannot be read as it stands is read by the header's charset."""
    assert "Visma Norgeø" == get(reply(body, content_type=content_type)).spec.display_name


@pytest.mark.parametrize(
    "hostile",
    [
        f"<!DOCTYPE x>{NORDIC}",
        f'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>{NORDIC.replace("F0001", "&e;")}',
        NORDIC.replace("F0001", "<a/>" * (MAX_TAGS + 1)),
        NORDIC.replace("F0001", "<a>" * 300 + "</a>" * 300),
    ],
    ids=["document type", "entity", "many", "deep"],
)
def test_no_charset_gets_around_the_bounds(hostile: str) -> None:
    """Whichever way a body is read, document types and too much of it are refused."""
    for body, charset in (
        (hostile.encode("iso-8859-1"), "iso-8859-1"),
        (hostile.encode("utf-16-le"), "utf-16LE"),
        (f'<?xml version="1.0" encoding="utf-16"?>{hostile}'.encode(), ""),
        (hostile.encode("utf-7"), "utf-7"),
    ):
        with pytest.raises(MalformedResponse):
            get(reply(body, content_type=f"text/xml; charset={charset}"))


@pytest.mark.parametrize(
    ("encoding", "less"),
    [("UTF-7", "+ADw-"), ("JAVA", "\\u003c"), ("C99", "\\u003c"), ("klingon", "<"), ("UTF-7" + " " * 200, "+ADw-")],
)
def test_charsets_in_which_tags_cannot_be_counted(encoding: str, less: str) -> None:
    """A declaration of a charset that may hide tags is refused, whatever it hides."""
    for mark in (b"", b"\xef\xbb\xbf"):
        declared = f'<?xml version="1.0" encoding="{encoding.rstrip()}"{encoding[len(encoding.rstrip()) :]}?>'
        with pytest.raises(MalformedResponse, match="not well-formed"):
            get(mark + (declared + PLAIN.decode().replace("<", less)).encode())


def test_ebcdic() -> None:
    """XML in EBCDIC is not even given to the parser, which in some builds reads it."""
    with pytest.raises(MalformedResponse, match="not well-formed"):
        get(('<?xml version="1.0"?>' + PLAIN.decode()).encode("cp037"))


def test_attributes_are_counted() -> None:
    """They take more memory than elements do."""
    attributes = "".join(f" a{number}=''" for number in range(MAX_TAGS))
    with pytest.raises(MalformedResponse, match="more than 250000 tags and attributes"):
        get(PLAIN.replace(b"<Active>", f"<Active{attributes}>".encode()))


@pytest.mark.parametrize(
    "body", [b"x" + b" " * 1_000_000, b"<?xml " + b" " * 1_000_000, PLAIN + b"<" + b"\n" * 1_000_000]
)
def test_blanks_are_passed_over_once(body: bytes) -> None:
    """A body of blanks is looked through in linear time."""
    with processor_time(5), pytest.raises(MalformedResponse):
        get(reply(body, content_type="text/xml; charset=utf-8"))


@pytest.fixture
def parsed_in(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """The threads in which libxml2 has parsed something, in order."""
    threads: list[threading.Thread] = []
    parsed = xml_parsing._parsed

    def noting(body: bytes) -> Any:
        threads.append(threading.current_thread())
        return parsed(body)

    monkeypatch.setattr(xml_parsing, "_parsed", noting)
    monkeypatch.setattr(xml_parsing, "_PARSING", xml_parsing._ParsingThread())
    return threads


def test_names_go_with_the_thread_that_met_them(parsed_in: list[threading.Thread]) -> None:
    """A thread that has parsed much is replaced: libxml2 keeps all names that a thread has met."""
    long = PLAIN.replace(b"F0001", b"x" * MAX_BYTES)
    large = PLAIN.replace(b"F0001", b"x" * 256 * 1024)
    for body in (long, long, large, long, b"<x"):
        with contextlib.suppress(MalformedResponse):
            get(body)

    assert [True, True, False, True] == [one is other for one, other in pairwise(parsed_in)]
    assert threading.current_thread() not in parsed_in
    parsed_in[0].join(10)
    assert not parsed_in[0].is_alive()


def test_short_answers_are_parsed_where_they_arrive(parsed_in: list[threading.Thread]) -> None:
    """They need no other thread; what is larger, deeper, or brings a charset or a DTD goes there."""
    get(PLAIN)
    get(b'<?xml version="1.0" encoding="UTF-8"?>' + PLAIN)
    assert [] == parsed_in

    get(PLAIN.replace(b"F0001", b"x" * MAX_BYTES))
    get(PLAIN.replace(b"<Active>", b"<x/>" * MAX_SHORT_TAGS + b"<Active>"))
    get(b'<?xml version="1.0" encoding="us-ascii"?>' + PLAIN)
    with pytest.raises(MalformedResponse):
        get(b"<!DOCTYPE x>" + PLAIN)
    assert 4 == len(parsed_in)


@pytest.mark.parametrize(
    "hidden",
    [
        b"<!DOCTYPE x><x/>",
        b'<?xml version="1.0"?> <!DOCTYPE x [<!ENTITY e "x">]><x>&e;</x>',
        '<!DOCTYPE x [<!ENTITY e "x">]><x>&e;</x>'.encode("utf-16-le"),
        '<!DOCTYPE x [<!ENTITY e "x">]><x>&e;</x>'.encode("utf-16"),
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE x><x/>'.encode("utf-16"),
        b'<?xml version="1.0" encoding="utf-7"?>+ADwAIQ-DOCTYPE x><x/>',
        b'<?xml version="1.0" encoding="utf-8" encoding="utf-16"?><x/>',
        b'<?xml version="1.1"?><x/>',
        b"<x>&made-up;</x>",
        b"<p:x/>",
        b"<x>\xff</x>",
        b"<x>\xed\xa0\x80</x>",
        b"<x>&#xD800;</x>",
        b"<x>\xef\xbf\xbf</x>",
        b"<x>" * 257 + b"</x>" * 257,
    ],
)
def test_what_expat_is_not_given_or_refuses(hidden: bytes) -> None:
    """No way to write a DTD leads to expat; what is no XML is none for it."""
    assert parse_short(hidden) is None


def parts(node: Node) -> list[tuple[object, ...]]:
    """Return everything that is read of a document, in one list, so that depth does not matter."""
    return [(each.tag, each.text, sorted(each.items()), len(each)) for each in node.iter()]


def complaint(body: bytes) -> str:
    """What libxml2 says about a document that it refuses."""
    try:
        etree.fromstring(body)
    except etree.XMLSyntaxError as refusal:
        return str(refusal)
    return ""


ODD = [
    PLAIN.replace(b"<Active>", b"<!-- a --><?b c?><Active>"),
    PLAIN.replace(b"F0001", b"a<!-- b -->c<?d e?>f<![CDATA[<g>]]>h&amp;&#13;\r\n&lt;"),
    PLAIN.replace(b"F0001", b"a<b xml:lang='  c\n&#10; ' xmlns:d='e' d:f=\"'>\"/>g"),
]


@given(seed=st.integers(min_value=0))
def test_both_parsers_read_the_same(seed: int) -> None:
    """Whatever expat takes of a damaged answer, libxml2 takes as well, and both read the same out of it.

    Only libxml2 wants every namespace to be a URI; one that is none is not the vendor's, whoever read it.
    """
    body = damaged([*ODD, *WCF_WAYS.values()], seed)
    root = parse_short(body)
    if root is not None and "is not a valid URI" not in complaint(body):
        assert parts(parse_xml(body)) == parts(root)


@pytest.mark.parametrize("body", ODD, ids=["between", "in a text", "attributes"])
def test_both_parsers_read_odd_answers_the_same(body: bytes) -> None:
    """Comments, instructions, marked sections, blanks in attributes."""
    root = parse_short(body)

    assert root is not None
    assert parts(parse_xml(body)) == parts(root)


def test_charsets_are_not_looked_up() -> None:
    """Python would remember every name that a tenant makes up."""
    known = len(encodings._cache)
    for number in range(20):
        with pytest.raises(MalformedResponse):
            get(reply(b"<", content_type=f"text/xml; charset=made-up-{number}"))

    assert known == len(encodings._cache)


def test_explanations_are_made_harmless() -> None:
    """What a tenant explains is freed of our secrets and cut, and keeps its lines."""
    said = f"<IsOk>true</IsOk><UserExplanation>a\n7T:placeholder</UserExplanation><ErrorCode>{'x' * 5000}</ErrorCode>"
    found = check(f"<Response>{said}<TechExplanation>placeholder-app-token!</TechExplanation></Response>")

    assert ("a\n***", "***!", 4096) == (found.user_explanation, found.tech_explanation, len(found.error_code))

    item = "<ChangedDataItem><Tablename>of placeholder-app-token</Tablename></ChangedDataItem>"
    more = f"<Status>7T:placeholder</Status><Changes><AddedRecords>{item}</AddedRecords></Changes>"
    found = check(f"<Response><IsOk>true</IsOk>{more}</Response>")

    assert ("***", "of ***") == (found.status, found.changes[0].table_name)


def test_long_record_ids_do_not_cost_the_answer() -> None:
    """A record's id may have 64 bits, and not more."""
    many = f"<Response><IsOk>true</IsOk><Changes><AddedRecords>{ITEM}</AddedRecords></Changes></Response>"

    assert 2**40 == check(many.replace(">7<", f">{2**40}<")).changes[0].record_id
    with pytest.raises(MalformedResponse):
        check(many.replace(">7<", f">{2**63}<"))


def test_deep_listing_is_read_or_refused() -> None:
    """Nesting is bounded by the parser before it can exhaust the stack."""
    for depth in (100, 126, 300):
        inner = "".join(f"<MDOListItem><Id>{n + 1}</Id><ChildItems>" for n in range(depth))
        inner += "</ChildItems></MDOListItem>" * depth
        try:
            found = read(SOAP.list_connections(), soap_body("GetList", f"<Response>{inner}</Response>"))
        except MalformedResponse:
            assert depth == 300
        else:
            assert depth == len(found)


BAD = {
    "empty": b"",
    "no XML": b"Service unavailable",
    "cut off": PLAIN[:-30],
    "other root": b"<Envelope/>",
    "no body": f'<s:Envelope xmlns:s="{ENVELOPE}"/>'.encode(),
    "empty body": f'<s:Envelope xmlns:s="{ENVELOPE}"><s:Body/></s:Envelope>'.encode(),
    "other operation": soap_body("SaveConnection", f"<Response>{connection_xml()}</Response>"),
    "other version": soap_body("GetConnection", f"<Response>{connection_xml()}</Response>", version=88),
    "document type": b"<!DOCTYPE x>" + PLAIN,
    "entity": b'<!DOCTYPE x [<!ENTITY e "x">]>' + PLAIN.replace(b"F0001", b"&e;"),
    "external entity": b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>' + PLAIN.replace(b"F0001", b"&e;"),
    "undefined entity": PLAIN.replace(b"F0001", b"&nbsp;"),
    "too many elements": PLAIN.replace(b"F0001", b"<a/>" * (MAX_TAGS + 1)),
    "too deep": PLAIN.replace(b"F0001", b"<a>" * 300 + b"</a>" * 300),
    "unknown encoding": b'<?xml version="1.0" encoding="klingon"?>' + PLAIN,
    "wrong encoding": PLAIN.replace(b"F0001", b"\xff"),
    "NUL": PLAIN.replace(b"F0001", b"&#0;"),
    "id is no number": PLAIN.replace(b">7<", b">seven<"),
    "id is too large": PLAIN.replace(b">7<", b">2147483648<"),
    "id is very large": PLAIN.replace(b">7<", b">" + b"9" * 5000 + b"<"),
    "id in other digits": PLAIN.replace(b">7<", ">\u0667<".encode()),
    "boolean is a word": PLAIN.replace(b">true</Active>", b">yes</Active>"),
    "boolean is empty": PLAIN.replace(b">true</Active>", b"></Active>"),
    "Succeeded is a word": PLAIN.replace(b">true</Succeeded>", b">maybe</Succeeded>"),
    "access id is no number": PLAIN.replace(b"<b:int>1<", b"<b:int>x<"),
    "key twice": PLAIN.replace(b">Password<", b">Client<"),
}


@pytest.mark.parametrize("case", BAD)
def test_unreadable_replies(case: str) -> None:
    """An answer that cannot be read is said to be so, without a word of its content."""
    with pytest.raises(MalformedResponse) as caught:
        get(BAD[case])

    message = str(caught.value)
    assert message.startswith("GetConnection: crm.acme.example/Remote/Services86/ErpSync.svc gave an answer that")
    assert "placeholder" not in message
    assert "\n" not in message


def test_answer_without_the_answer() -> None:
    """A PluginResponse that says neither IsOk nor Status is not taken for a "no"."""
    with pytest.raises(MalformedResponse, match="IsOk is missing"):
        check("<Response/>")


@given(body=st.binary(max_size=200))
def test_any_bytes_stay_in_the_tree(body: bytes) -> None:
    """Whatever bytes come, they raise nothing but errors of the tree."""
    with pytest.raises(RemoteError):
        get(body)


@given(seed=st.integers(min_value=0, max_value=2**32), status=st.sampled_from([200, 200, 200, 401, 404, 500, 503]))
def test_damaged_replies_stay_in_the_tree(seed: int, status: int) -> None:
    """A damaged reply is read or refused; nothing else ever happens."""
    with contextlib.suppress(RemoteError, SessionLost):
        get(reply(damaged(list(WCF_WAYS.values()), seed), status))


def test_arrays_need_their_namespace() -> None:
    """Access ids in ServicesNN are not the vendor's; they are passed over like any unknown element."""
    body = PLAIN.replace(f' xmlns:b="{ARRAYS}"'.encode(), b"").replace(b"b:int", b"int")

    assert () == get(body).spec.user_group_access_ids

"""An answer that is kept whole: one shape from both protocols, bounded, and none of our secrets in it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from erpsyncd.domain.results import ChangedDataItem, PluginResponse, RecordChange
from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.tenants import AuthKind, Protocol
from erpsyncd.errors import MalformedResponse
from erpsyncd.netserver.rest import RestDialect
from erpsyncd.netserver.soap import SoapDialect
from erpsyncd.netserver.whole_answers import CUT, CUT_SENTENCE, MAX_CHARACTERS, MAX_DEPTH, MAX_PARTS
from netserver_support import NIL, credentials, reply, soap_body, tenant_spec

SOAP = SoapDialect(tenant_spec(), credentials())
REST = RestDialect(tenant_spec(Protocol.REST), credentials(AuthKind.BEARER))
SECRET = "placeholder-app-token"


def from_soap(inner: str, operation: str = "HasConnections") -> Any:
    exchange: Any = SOAP.has_connections() if operation == "HasConnections" else SOAP.connection_startup_errors()
    body = soap_body(operation, inner, version=83)
    return exchange.read(exchange.write(Secret("7T:placeholder")), reply(body))


def from_rest(document: Any, *, many: bool = False) -> Any:
    exchange: Any = REST.connection_startup_errors() if many else REST.has_connections()
    body = json.dumps(document).encode()
    return exchange.read(exchange.write(REST.fixed_credential), reply(body, content_type="application/json"))


WHOLE: dict[str, Any] = {
    "TableRight": {"Mask": "Select Update", "Reason": ""},
    "FieldProperties": {
        "IsOk": {"FieldRight": {"Mask": "Read", "Reason": None}, "FieldType": "bool", "FieldLength": 4},
        "ErrorCode": None,
    },
    "IsOk": False,
    "UserExplanation": 'US:"No";NO:"Nei"',
    "TechExplanation": "",
    "ErrorCode": None,
    "Changes": {
        "TableRight": None,
        "FieldProperties": {},
        "AddedRecords": [{"TableRight": None, "Tablename": "quoteconnection", "RecordId": 7}, None],
        "UpdatedRecords": [],
        "DeletedRecords": None,
    },
    "Status": "Error",
    "Hints": {"Hint": ["one", "two"], "Level": "3"},
}
AS_XML = f"""<Response>
<TableRight><Mask>Select Update</Mask><Reason/></TableRight>
<FieldProperties>
 <FieldPropertyDictionaryKeyValuePair><Key>IsOk</Key><Value>
  <FieldRight><Mask>Read</Mask><Reason {NIL}/></FieldRight><FieldType>bool</FieldType><FieldLength>4</FieldLength>
 </Value></FieldPropertyDictionaryKeyValuePair>
 <FieldPropertyDictionaryKeyValuePair><Key>ErrorCode</Key><Value {NIL}/></FieldPropertyDictionaryKeyValuePair>
</FieldProperties>
<IsOk>0</IsOk><UserExplanation>US:"No";NO:"Nei"</UserExplanation><TechExplanation/><ErrorCode {NIL}/>
<Changes><TableRight {NIL}/><FieldProperties/>
 <AddedRecords><ChangedDataItem><TableRight {NIL}/><Tablename>quoteconnection</Tablename><RecordId> 7 </RecordId>
 </ChangedDataItem><ChangedDataItem {NIL}/></AddedRecords><UpdatedRecords/><DeletedRecords {NIL}/></Changes>
<Status>Error</Status>
<Hints xmlns="urn:new"><Hint>one</Hint><Hint>two</Hint><Level>3</Level></Hints>
</Response>"""


def test_both_protocols_make_the_same_of_it() -> None:
    """Rights, properties, nil, empty and unknown members: SOAP's answer is kept as REST writes it."""
    soap, rest = from_soap(AS_XML), from_rest(WHOLE)

    assert WHOLE == soap.received == rest.received
    assert list(WHOLE) == list(soap.received)
    assert soap == rest
    assert (ChangedDataItem(change=RecordChange.ADDED, table_name="quoteconnection", record_id=7),) == soap.changes


@pytest.mark.parametrize(
    ("inner", "received"),
    [
        ("<IsOk>true</IsOk>", {"IsOk": True}),
        (f"<IsOk>true</IsOk><Changes {NIL}/>", {"IsOk": True, "Changes": None}),
        ("<IsOk>true</IsOk><Changes/>", {"IsOk": True, "Changes": {}}),
        (f"<TableRight {NIL}/><IsOk>1</IsOk>", {"TableRight": None, "IsOk": True}),
        ("<IsOk>1</IsOk><New>a</New><New/>", {"IsOk": True, "New": ["a", ""]}),
        (
            f"<IsOk>1</IsOk><New><Deep><X>1</X></Deep><Deep {NIL}/></New>",
            {"IsOk": True, "New": {"Deep": [{"X": "1"}, None]}},
        ),
        (
            "<IsOk>1</IsOk><FieldProperties><P><Key>a</Key></P><P><Key>a</Key></P></FieldProperties>",
            {"IsOk": True, "FieldProperties": [{"Key": "a"}, {"Key": "a"}]},
        ),
        (
            "<IsOk>1</IsOk><FieldProperties><P><Key>a</Key><Value><FieldLength>x</FieldLength></Value></P></FieldProperties>",
            {"IsOk": True, "FieldProperties": {"a": {"FieldLength": "x"}}},
        ),
    ],
)
def test_the_ways_of_wcf(inner: str, received: dict[str, Any]) -> None:
    """What is nil, missing, empty, repeated or no number is kept as just that."""
    assert received == from_soap(f"<Response>{inner}</Response>").received


def test_numbers_of_json() -> None:
    """A number is a number, and what no double can hold is a text."""
    body = b'{"IsOk": true, "New": [7, 7.0, 1.5, 1e999, -0.1], "isNew": null}'
    exchange = REST.has_connections()
    assert REST.fixed_credential is not None

    found: Any = exchange.read(exchange.write(REST.fixed_credential), reply(body, content_type="application/json"))

    assert {"IsOk": True, "New": [7, 7.0, 1.5, "1E+999", -0.1], "isNew": None} == found.received
    json.dumps(found.received, allow_nan=False)


@pytest.mark.parametrize("protocol", Protocol)
def test_secrets_are_hidden_everywhere(protocol: Protocol) -> None:
    """In values and names, however deep; whole before anything is cut, so that no half of one is left."""
    long = "x" * (MAX_CHARACTERS - 300) + SECRET * 20
    if protocol is Protocol.SOAP:
        inner = f"<IsOk>true</IsOk><{SECRET}><In>a {SECRET} b</In></{SECRET}><TechExplanation>{long}</TechExplanation>"
        found = from_soap(f"<Response>{inner}</Response>")
    else:
        found = from_rest({"IsOk": True, SECRET: {"In": f"a {SECRET} b"}, "TechExplanation": long})

    assert SECRET[:5] not in json.dumps(found.received)
    assert {"***": {"In": "a *** b"}, "IsOk": True} == {
        name: found.received[name] for name in found.received if name != "TechExplanation"
    }
    assert found.received["TechExplanation"].endswith("x" + "***" * 20)


def test_what_nobody_can_store_is_replaced() -> None:
    """In members that nobody knows; in the others it makes the answer unreadable, as ever."""
    found = from_rest({"IsOk": True, "a\x00": {"\ud800": ["b\udfff"]}})

    assert {"IsOk": True, "a\ufffd": {"\ufffd": ["b\ufffd"]}} == found.received
    with pytest.raises(MalformedResponse, match="half a surrogate pair"):
        from_rest({"IsOk": True, "ErrorCode": "b\udfff"})


@pytest.mark.parametrize("protocol", Protocol)
@pytest.mark.parametrize("items", [MAX_PARTS, 3_000])
def test_an_answer_without_end_is_cut(protocol: Protocol, items: int) -> None:
    """The changed records are all told; of the answer that is kept the last ones are missing, and it says so."""
    table = "quoteconnection" * 6
    if protocol is Protocol.SOAP:
        item = "<ChangedDataItem><Tablename>{}</Tablename><RecordId>{}</RecordId></ChangedDataItem>"
        records = "".join(item.format(table, number) for number in range(items))
        found = from_soap(
            f"<Response><IsOk>true</IsOk><Changes><AddedRecords>{records}</AddedRecords></Changes>"
            "<Status>Ok</Status></Response>"
        )
    else:
        added = [{"Tablename": table, "RecordId": number} for number in range(items)]
        found = from_rest({"IsOk": True, "Changes": {"AddedRecords": added}, "Status": "Ok"})

    kept = found.received["Changes"]["AddedRecords"]
    assert (items, "Ok", CUT_SENTENCE) == (len(found.changes), found.received["Status"], found.received[CUT])
    assert 1_000 < len(kept) < items
    assert {"Tablename": table, "RecordId": 500} == kept[500]
    assert MAX_CHARACTERS * 1.5 > len(json.dumps(found.received))


@pytest.mark.parametrize("protocol", Protocol)
def test_depth_has_an_end(protocol: Protocol) -> None:
    """A tower of unknown members does not reach the end of Python's stack."""
    depth = 200
    if protocol is Protocol.SOAP:
        found = from_soap(f"<Response><IsOk>true</IsOk>{'<a>' * depth}{'</a>' * depth}</Response>")
    else:
        tower: dict[str, Any] = {}
        for _ in range(depth):
            tower = {"a": tower}
        found = from_rest({"IsOk": True, **tower})

    level, levels = found.received, 0
    while isinstance(level, dict):
        level, levels = level["a"], levels + 1
    assert (CUT, MAX_DEPTH, CUT_SENTENCE) == (level, levels, found.received[CUT])


@pytest.mark.parametrize("protocol", Protocol)
def test_many_answers_share_what_one_may_take(protocol: Protocol) -> None:
    """Startup errors: each is an answer of its own; nil items are passed over; what is too much is left out."""
    text = "y" * (MAX_CHARACTERS // 3)
    if protocol is Protocol.SOAP:
        one = f"<PluginResponse><IsOk>false</IsOk><TechExplanation>{text}</TechExplanation></PluginResponse>"
        found = from_soap(f"<Response>{one}<PluginResponse {NIL}/>{one * 8}</Response>", "GetConnectionStartupErrors")
    else:
        item = {"IsOk": False, "TechExplanation": text}
        found = from_rest([item, None, *[item] * 8], many=True)

    assert 3 == len(found)
    assert [text, text] == [each.received["TechExplanation"] for each in found[:2]]
    assert (CUT_SENTENCE, 4096) == (found[2].received[CUT], len(found[2].tech_explanation))


@pytest.mark.parametrize(("inner", "found"), [("<Response/>", ()), (f"<Response {NIL}/>", ()), ("", ())])
def test_no_startup_errors_in_soap(inner: str, found: tuple[PluginResponse, ...]) -> None:
    """Empty, nil and missing are the same where the answer says that it succeeded."""
    assert found == from_soap(inner, "GetConnectionStartupErrors")


def test_no_startup_errors_in_rest() -> None:
    """An empty list is one; null is how a failed call may look, and is an answer to nothing."""
    assert () == from_rest([], many=True)
    assert from_rest(None, many=True) is None


def test_an_answer_that_is_none_is_still_none() -> None:
    """Keeping all of it changes nothing about what counts as an answer."""
    with pytest.raises(MalformedResponse, match="IsOk is missing"):
        from_soap("<Response><TableRight><Mask>Select</Mask></TableRight></Response>")

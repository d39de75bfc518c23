"""REST: what is read, and what is not taken for an answer."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erpsyncd.domain.connections import ListedConnection
from erpsyncd.domain.lists import ListItem, ListName
from erpsyncd.domain.results import ChangedDataItem, PluginResponse, RecordChange
from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.tenants import AuthKind, Protocol
from erpsyncd.errors import MalformedResponse, RemoteError, RemoteFault, RemoteRejected
from erpsyncd.netserver.calls import Reply
from erpsyncd.netserver.failures import SessionLost
from erpsyncd.netserver.json_replies import MAX_VALUES
from erpsyncd.netserver.rest import RestDialect
from netserver_support import connection_json, credentials, erp_connection, reply, soap_body, tenant_spec

TENANT = tenant_spec(Protocol.REST)
BASIC = credentials(AuthKind.PASSWORD)
REST = RestDialect(TENANT, BASIC)
GIVEN = REST.fixed_credential or Secret("")


def read(exchange: Any, body: Any, status: int = 200) -> Any:
    raw = body if isinstance(body, bytes | Reply) else json.dumps(body).encode()
    answer = raw if isinstance(raw, Reply) else Reply(status=status, body=raw)
    return exchange.read(exchange.write(GIVEN), answer)


def get(body: Any, status: int = 200) -> Any:
    return read(REST.get_connection(7), body, status)


SHORT = {"ErpConnectionId": 7}
GOOD: list[tuple[Any, Any]] = [
    (connection_json(), erp_connection()),
    (json.dumps(connection_json()).encode("utf-8-sig"), erp_connection()),
    (json.dumps(connection_json()).encode("utf-16"), erp_connection()),
    ({name[0].lower() + name[1:]: each for name, each in connection_json().items()}, erp_connection()),
    (connection_json() | {"New": [1, {"x": 1.5}]}, erp_connection()),
    (connection_json() | {"AssociateAccessIds": None}, erp_connection()),
    (connection_json() | {"UserGroupAccessIds": [1, None, 3]}, erp_connection()),
    (connection_json() | {"ConfigFields": None}, erp_connection(config_fields={})),
    (connection_json() | {"ConfigFields": {"a": None}}, erp_connection(config_fields={"a": Secret("")})),
    (connection_json() | {"DisplayDescription": None}, erp_connection(display_description="")),
    (
        connection_json() | {"ConfigFields": {"Message": "m", "Error": "e"}},
        erp_connection(config_fields={"Message": Secret("m"), "Error": Secret("e")}),
    ),
    (connection_json() | {"ErpConnectionId": 7.0, "ErpConnectorId": "2"}, erp_connection()),
    (
        b'{"ErpConnectionId":7,"ErpConnectorId":2e0,"ConfigFields":{"a":1.10,"b":7,"c":true,"d":false}}',
        erp_connection(
            connection_id="",
            most_recent_timestamp="",
            display_name="",
            display_description="",
            active=False,
            user_group_access_ids=(),
            config_fields={"a": Secret("1.10"), "b": Secret("7"), "c": Secret("true"), "d": Secret("false")},
        ),
    ),
    (None, None),
    (b"", None),
    (b" \r\n", None),
]


@pytest.mark.parametrize(("body", "expected"), GOOD)
def test_connections_are_read(body: Any, expected: Any) -> None:
    """Nulls are empty, unknown members are passed over, small first letters are understood."""
    assert expected == get(body)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"IsOk": False}, PluginResponse(is_ok=False)),
        ({"IsOk": True, "ErrorCode": 17}, PluginResponse(is_ok=True, error_code="17")),
        ({"IsOk": True, "ErrorCode": "x" * 5000}, PluginResponse(is_ok=True, error_code="x" * 4095 + "…")),
        (
            {"IsOk": True, "UserExplanation": "a\nplaceholder-password", "TechExplanation": "placeholder-app-token"},
            PluginResponse(is_ok=True, user_explanation="a\n***", tech_explanation="***"),
        ),
        (
            {"IsOk": True, "Changes": {"AddedRecords": [{"Tablename": "t", "RecordId": 2**40}]}},
            PluginResponse(
                is_ok=True,
                changes=(ChangedDataItem(change=RecordChange.ADDED, table_name="t", record_id=2**40),),
            ),
        ),
        ({"Status": "Error", "IsOk": None}, PluginResponse(is_ok=False, status="Error")),
        ({"IsOk": True, "Status": 3, "Changes": None}, PluginResponse(is_ok=True)),
        (
            {
                "IsOk": True,
                "UserExplanation": 'US:"x"',
                "TechExplanation": "t",
                "ErrorCode": "E",
                "Changes": {
                    "AddedRecords": None,
                    "UpdatedRecords": [None, {"Tablename": "erpconnection", "RecordId": 7}],
                    "DeletedRecords": [],
                },
                "Status": "OkWithInfo",
            },
            PluginResponse(
                is_ok=True,
                user_explanation='US:"x"',
                tech_explanation="t",
                error_code="E",
                status="OkWithInfo",
                changes=(ChangedDataItem(change=RecordChange.UPDATED, table_name="erpconnection", record_id=7),),
            ),
        ),
    ],
)
def test_plugin_responses(body: Any, expected: PluginResponse) -> None:
    """A PluginResponse is read in all the shapes that the contract allows."""
    assert expected == read(REST.has_connections(), body)


@pytest.mark.parametrize("status", ["\ud800", "a\x00"])
def test_status_that_cannot_be_stored(status: str) -> None:
    """New words are fine, half a surrogate pair is none."""
    with pytest.raises(MalformedResponse, match="Status: "):
        read(REST.has_connections(), {"IsOk": True, "Status": status})


def test_listing() -> None:
    """A listing names what is not deleted, with its connector."""
    body = [connection_json(1), None, connection_json(2) | {"Deleted": True}]

    assert (
        ListedConnection(
            erp_connection_id=1,
            display_name="Visma Norway",
            connection_id="0F8FAD5B-D9CB-469F-A165-70867728950E",
            erp_connector_id=2,
        ),
    ) == read(REST.list_connections(), body)


BAD: list[Any] = [
    b"{",
    b"\xff\xfe\x00",
    b'{"ErpConnectionId": 1e999999999}',
    b'{"ErpConnectionId": 1e99999999999999999999999}',
    b'{"ErpConnectionId": 1e-999999}',
    b"NaN",
    b'{"ErpConnectionId": 7, "X": NaN}',
    b'{"ErpConnectionId": 7, "X": -Infinity}',
    b'{"ErpConnectionId": 7, "ErpConnectionId": 7}',
    b'{"ErpConnectionId": 7, "erpConnectionId": 7}',
    b'{"ErpConnectionId": 7, "ConfigFields": {"a": "1", "a": "2"}}',
    b"[" * 100_000 + b"]" * 100_000,
    b'{"ErpConnectionId": ' + b"9" * 5000 + b"}",
    SHORT | {"ErpConnectionId": 2**31},
    SHORT | {"ErpConnectionId": "7x"},
    SHORT | {"ErpConnectionId": "\u0667"},
    SHORT | {"ErpConnectionId": ""},
    SHORT | {"ErpConnectionId": 7.5},
    SHORT | {"ErpConnectionId": True},
    SHORT | {"Active": "true"},
    SHORT | {"Active": 1},
    SHORT | {"DisplayName": 1},
    SHORT | {"DisplayName": "\ud800"},
    SHORT | {"DisplayName": "a\x00"},
    SHORT | {"ConfigFields": []},
    SHORT | {"ConfigFields": {"a": [1]}},
    SHORT | {"ConfigFields": {"a": "\udfff"}},
    b'{"ErpConnectionId": 7, "x": [' + b"1," * MAX_VALUES + b"1]}",
    b'{"ErpConnectionId": 7, "x": [' + (b"[" * 50 + b"]" * 50 + b",") * (MAX_VALUES // 50) + b"1]}",
    SHORT | {"UserGroupAccessIds": {"0": 1}},
    SHORT | {"UserGroupAccessIds": ["one"]},
    [],
    "text",
    7,
    True,
    [SHORT],
]


@pytest.mark.parametrize("number", range(len(BAD)))
def test_unreadable_replies(number: int) -> None:
    """Wrong types, keys twice, numbers that are none: an answer that cannot be read, and no word of it."""
    with pytest.raises(MalformedResponse, match="gave an answer that cannot be read: "):
        get(BAD[number])


ERRORS: list[tuple[Any, str, str]] = [
    ({"Message": "An error has occurred.", "MessageDetail": "detail"}, "", "An error has occurred. detail"),
    (
        {"Error": True, "ErrorType": "SoNotFoundException", "ErrorMessage": "none", "ErrorSource": "s"},
        "SoNotFoundException",
        "none",
    ),
    ({"error": True, "errorType": "SoX", "errorMessage": "small"}, "SoX", "small"),
    ({"Error": True}, "", "no reason"),
    (
        {
            "Message": "An error has occurred.",
            "ExceptionMessage": "outer",
            "ExceptionType": "System.Exception",
            "StackTrace": "at Secret.Place()",
            "InnerException": {
                "ExceptionMessage": "inner",
                "ExceptionType": "SuperOffice.Exceptions.SoSentryException",
            },
        },
        "SoSentryException",
        "inner",
    ),
]


@pytest.mark.parametrize("status", [200, 201, 400, 409, 500])
@pytest.mark.parametrize(("body", "kind", "text"), ERRORS)
def test_error_objects_of_any_status(status: int, body: Any, kind: str, text: str) -> None:
    """An error object is one with any status, and tells the exception's type."""
    for exchange in (
        REST.get_connection(7),
        REST.list_connections(),
        REST.delete_connection(7),
        REST.test_connection_by_config(2, {}),
        REST.test_connection_by_id(7),
        REST.has_connections(),
    ):
        with pytest.raises(RemoteFault) as caught:
            read(exchange, body, status)
        assert kind == caught.value.exception_type
        assert text in str(caught.value)
        assert "Secret.Place" not in str(caught.value)


def test_inner_errors_are_followed_so_far() -> None:
    """A chain of causes is followed to its end, and an absurd one only so far."""
    body: dict[str, Any] = {"ExceptionType": "SoX0", "ExceptionMessage": "0"}
    for number in range(1, 30):
        body = {"ExceptionType": f"SoX{number}", "ExceptionMessage": str(number), "InnerException": body}

    with pytest.raises(RemoteFault, match="GetConnection: SoX10: 10"):
        get(body)


def test_problem_details_need_an_error_status() -> None:
    """A `title` with 400 is ASP.NET Core's error; with 200 it is an unknown member."""
    with pytest.raises(RemoteFault, match="Bad Request the body is missing"):
        get({"type": "about:blank", "title": "Bad Request", "detail": "the body is missing"}, 400)
    assert get(connection_json() | {"title": "x"}) == erp_connection()
    with pytest.raises(RemoteRejected):
        get({"unknown": 1}, 400)
    with pytest.raises(RemoteRejected):
        get([], 400)


def test_session_faults() -> None:
    """An error object may say that the session is gone."""
    with pytest.raises(SessionLost):
        get({"Error": True, "ErrorType": "SuperOffice.Exceptions.SoSessionException", "ErrorMessage": "m"})


@pytest.mark.parametrize(
    ("body", "status", "match"),
    [
        (b'""', 200, "an answer where there should be none"),
        (b"null", 200, "an answer where there should be none"),
        (b"{}", 200, "an answer where there should be none"),
        (b"{", 200, "not JSON"),
        (b"<html>", 200, "HTML page"),
    ],
)
def test_delete_answers_with_nothing(body: bytes, status: int, match: str) -> None:
    """The void operation is done when nothing comes back, with 204 or 200."""
    assert read(REST.delete_connection(7), b"", 204)
    assert read(REST.delete_connection(7), b"", 200)
    assert read(REST.delete_connection(7), b"\r\n ", 200)
    with pytest.raises(MalformedResponse, match=match):
        read(REST.delete_connection(7), body, status)


@pytest.mark.parametrize(
    "exchange", [REST.save_connection(erp_connection()), REST.has_connections(), REST.list_connections()]
)
def test_empty_answers_elsewhere_are_none(exchange: Any) -> None:
    """No operation but these two may answer with nothing."""
    for status in (200, 204):
        with pytest.raises(MalformedResponse, match="its body is empty"):
            read(exchange, b"", status)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *connection_json(),
                    "Message",
                    "Error",
                    "ErrorType",
                    "InnerException",
                    "IsOk",
                    "Changes",
                    "AddedRecords",
                    "Tablename",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    body=st.binary(max_size=60) | JSON.map(lambda each: json.dumps(each).encode()),
    status=st.sampled_from([200, 204, 403, 404, 500]),
)
def test_any_answer_stays_in_the_tree(body: bytes, status: int) -> None:
    """Whatever comes is read or is an error of the tree; nothing else ever happens."""
    for exchange in (
        REST.get_connection(7),
        REST.has_connections(),
        REST.list_connections(),
        REST.delete_connection(7),
    ):
        with contextlib.suppress(RemoteError, SessionLost):
            read(exchange, body, status)


@pytest.mark.parametrize("content_type", ["application/json; charset=iso-8859-1", "text/html; charset=ISO-8859-1"])
def test_charset_that_only_the_header_names(content_type: str) -> None:
    """What is no UTF-8 is read by the header's charset, and refused if that is no help."""
    body = json.dumps(connection_json() | {"DisplayName": "Norgeø"}, ensure_ascii=False).encode("iso-8859-1")

    assert "Norgeø" == get(Reply(status=200, content_type=content_type, body=body)).spec.display_name
    for useless in ("application/json", "application/json; charset=utf-8", "x; charset=unicode_escape"):
        with pytest.raises(MalformedResponse, match="not JSON"):
            get(Reply(status=200, content_type=useless, body=body))


def test_soap_answer_to_a_rest_call() -> None:
    """An answer of the other protocol is none."""
    with pytest.raises(MalformedResponse):
        REST.get_connection(7).read(REST.get_connection(7).write(GIVEN), reply(soap_body("GetConnection", "")))


def test_list_of_names_is_flat() -> None:
    """Both ways of asking are read alike: what stands below headings counts, they and what is deleted do not."""
    nested = [
        {"Id": 2, "Name": "Sales", "ChildItems": [{"Id": 4, "Name": "SAL0", "ExtraInfo": "person_id=9"}, None]},
        {"id": 7, "name": "ADM", "childItems": None, "deleted": False},
        {"Id": 8, "Name": "gone", "Deleted": True},
        {"Id": 9, "Name": "Visma", "ExtraInfo": "app://x", "ChildItems": []},
        {"Id": 7, "Name": "Left", "ChildItems": [{"Id": 8, "Name": "OLD0", "Deleted": True}]},
    ]
    expected = (ListItem(id=4, name="SAL0"), ListItem(id=7, name="ADM"), ListItem(id=9, name="Visma", url="app://x"))

    for exchange in REST.get_list(ListName.ASSOCIATES):
        assert expected == read(exchange, nested)
        assert read(exchange, None) is None


def test_deep_list_is_read_or_refused() -> None:
    """Nesting cannot exhaust the stack."""
    own, _ = REST.get_list(ListName.ASSOCIATES)
    for depth in (50, 100_000):
        body = '[{"Id":1,"Name":"x","ChildItems":' * depth + "[]" + "}]" * depth
        try:
            found = read(own, body.encode())
        except MalformedResponse:
            assert depth == 100_000
        else:
            assert (ListItem(id=1, name="x"),) == found
    with pytest.raises(MalformedResponse):
        read(own, ('[{"ChildItems":' * 450 + "[]" + "}]" * 450).encode())


@pytest.mark.parametrize("body", [b"<html></html>", {"Id": 1}, [{"Id": "x"}], [7], [{"ChildItems": {}}]])
def test_what_is_no_list(body: Any) -> None:
    """A page for people, one object or wrong types are no list."""
    for exchange in REST.get_list(ListName.USER_GROUPS):
        with pytest.raises(MalformedResponse):
            read(exchange, body)

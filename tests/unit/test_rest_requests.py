"""REST: what is sent, and what an answer to it must at least be about."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.tenants import AuthKind, Protocol
from erpsyncd.errors import Effect, MalformedResponse, RemoteFault, RemoteRejected
from erpsyncd.netserver.api import NetServerApi
from erpsyncd.netserver.calls import Reply
from erpsyncd.netserver.rest import RestDialect
from netserver_support import Wire, answer, connection_json, credentials, erp_connection, opened, tenant_spec

TENANT = tenant_spec(Protocol.REST)
BASIC = credentials(AuthKind.PASSWORD)
REST = RestDialect(TENANT, BASIC)
GIVEN = REST.fixed_credential or Secret("")


def read(exchange: Any, body: Any, status: int = 200) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return exchange.read(exchange.write(GIVEN), Reply(status=status, body=raw))


def get(body: Any, status: int = 200) -> Any:
    return read(REST.get_connection(7), body, status)


async def test_requests() -> None:
    """Every operation is a POST of its parameters under the vendor's names; a call without any has no body."""
    wire = Wire(
        GetAllConnections=answer([]),
        GetConnection=answer(None),
        SaveConnection=answer(connection_json()),
        DeleteConnection=answer(b"", 204),
        TestConnectionByConfig=answer(b"true"),
        TestConnectionById=answer(b"false"),
        HasConnections=answer({"IsOk": True}),
    )
    async with opened(wire, TENANT, BASIC) as api:
        await api.list_connections()
        await api.get_connection(7)
        await api.save_connection(erp_connection())
        await api.delete_connection(7)
        assert await api.test_connection_by_config(2, {"Client": Secret("F0001")}) is True
        assert await api.test_connection_by_id(7) is False
        await api.has_connections()

    base = "https://crm.acme.example/api/v1/Agents"
    saved = {name: each for name, each in connection_json().items() if name not in ("TableRight", "FieldProperties")}
    assert [
        ("POST", f"{base}/ErpSync/GetAllConnections", {"IncludeDeleted": False}),
        ("POST", f"{base}/ErpSync/GetConnection", {"ErpConnectionId": 7}),
        ("POST", f"{base}/ErpSync/SaveConnection", {"Connection": saved}),
        ("POST", f"{base}/ErpSync/DeleteConnection", {"ErpConnectionId": 7}),
        (
            "POST",
            f"{base}/ErpSync/TestConnectionByConfig",
            {"ErpConnectionId": 2, "ConfigFields": {"Client": "F0001"}},
        ),
        ("POST", f"{base}/ErpSync/TestConnectionById", {"ErpConnectionId": 7}),
        ("POST", f"{base}/Quote/HasConnections", None),
    ] == [(each.method, str(each.url), json.loads(each.content) if each.content else None) for each in wire.requests]
    assert "0" == wire.requests[-1].headers["Content-Length"]
    assert {"application/json"} == {each.headers["Accept"] for each in wire.requests}


async def test_create_sends_neither_guid_nor_cursor() -> None:
    """NetServer makes both itself, whatever the caller holds."""
    wire = Wire(SaveConnection=answer(connection_json(9)))
    async with opened(wire, TENANT, BASIC) as api:
        saved = await api.save_connection(erp_connection(0))

    sent = json.loads(wire.requests[0].content)["Connection"]
    assert (0, "", "", False) == tuple(
        sent[name] for name in ("ErpConnectionId", "ConnectionId", "MostRecentTimestamp", "Deleted")
    )
    assert 9 == saved.erp_connection_id


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        ({"display_name": "\ud800"}, "DisplayName"),
        ({"config_fields": {"Password": Secret("placeholder\udfff")}}, "ConfigFields[Password]"),
        ({"config_fields": {"\ud800": Secret("")}}, "a key of ConfigFields"),
        ({"erp_connector_id": 2**31}, "ErpConnectorId"),
        ({"user_group_access_ids": (2**40,)}, "UserGroupAccessIds"),
    ],
)
def test_what_json_cannot_carry_is_not_sent(overrides: dict[str, Any], field: str) -> None:
    """It is refused by field before sending, without its value."""
    with pytest.raises(RemoteRejected) as caught:
        REST.save_connection(erp_connection(**overrides)).write(GIVEN)

    assert str(caught.value).startswith(f"SaveConnection: not sent: {field} ")
    assert Effect.NEVER_SENT is caught.value.effect
    assert "placeholder" not in str(caught.value)


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30)


@given(
    name=TEXT,
    fields=st.dictionaries(TEXT, TEXT.map(Secret), max_size=4),
    ids=st.lists(st.integers(-(2**31), 2**31 - 1), max_size=4).map(tuple),
)
def test_every_text_survives(name: str, fields: dict[str, Secret], ids: tuple[int, ...]) -> None:
    """A connection is read back from its own request as it was."""
    connection = erp_connection(display_name=name, config_fields=fields, user_group_access_ids=ids)
    exchange = REST.save_connection(connection)
    sent = json.loads(exchange.write(GIVEN).body)["Connection"]

    assert connection == read(exchange, sent)


def _save(api: NetServerApi) -> Awaitable[Any]:
    return api.save_connection(erp_connection())


def _create(api: NetServerApi) -> Awaitable[Any]:
    return api.save_connection(erp_connection(0))


def _get(api: NetServerApi) -> Awaitable[Any]:
    return api.get_connection(7)


def _list(api: NetServerApi) -> Awaitable[Any]:
    return api.list_connections()


def _has(api: NetServerApi) -> Awaitable[Any]:
    return api.has_connections()


@pytest.mark.parametrize(
    ("call", "body", "match"),
    [
        (_get, connection_json(8), "asked for 7 and answered 8"),
        (_save, connection_json(8), "saved 8 and not 7"),
        (_save, None, "answered with nothing"),
        (_create, connection_json(0), "created a connection without an id"),
        (_create, connection_json(-1), "created a connection without an id"),
        (_create, None, "answered with nothing"),
        (_has, None, "answered with nothing"),
        (_list, None, "answered with nothing"),
        (_list, [{"DisplayName": "x"}], "lists a connection without an id"),
    ],
)
async def test_answers_to_other_questions(
    call: Callable[[NetServerApi], Awaitable[Any]], body: Any, match: str
) -> None:
    """An answer that is about something else, or about nothing, is not taken; nobody knows what happened."""
    names: dict[Any, str] = {_get: "GetConnection", _has: "HasConnections", _list: "GetAllConnections"}
    name = names.get(call, "SaveConnection")
    async with opened(Wire(**{name: answer(body)}), TENANT, BASIC) as api:
        with pytest.raises(MalformedResponse, match=match) as caught:
            await call(api)

    assert Effect.UNCERTAIN is caught.value.effect


@pytest.mark.parametrize("body", [{}, connection_json(0), connection_json(-1), None, b"", b" "])
async def test_entity_without_an_id_is_none(body: Any) -> None:
    """An empty entity, or no body at all, is one of the ways to say that there is no such connection."""
    async with opened(Wire(GetConnection=answer(body)), TENANT, BASIC) as api:
        assert await api.get_connection(7) is None


@pytest.mark.parametrize("said", [None, {}, [], b'""', b"true", b"{"])
@pytest.mark.parametrize(
    ("found", "gone"),
    [
        (answer(None), True),
        (answer(connection_json() | {"Deleted": True}), True),
        (answer(connection_json()), False),
        (answer(b"", 400), False),
        (answer(b"", 401), False),
    ],
)
async def test_odd_answers_to_a_delete_are_checked(said: Any, found: httpx.Response, *, gone: bool) -> None:
    """A delete that is answered with something is done if the connection is gone, and is sent once."""
    wire = Wire(DeleteConnection=answer(said), GetConnection=found)
    async with opened(wire, TENANT, BASIC) as api:
        with contextlib.nullcontext() if gone else pytest.raises(MalformedResponse, match="DeleteConnection"):
            await api.delete_connection(7)

    assert ["DeleteConnection", "GetConnection"] == wire.operations


async def test_basic_pair_does_not_come_back() -> None:
    """A fault that repeats the header's pair without its scheme is freed of it."""
    pair = base64.b64encode(b"sync-user:placeholder-password").decode()
    async with opened(Wire(GetConnection=answer({"ErrorMessage": f"bad {pair}!"}, 500)), TENANT, BASIC) as api:
        with pytest.raises(RemoteFault, match=r"bad \*\*\*!"):
            await api.get_connection(7)


@pytest.mark.parametrize("status", [200, 404, 500])
async def test_not_found_exception_is_none(status: int) -> None:
    """NetServer's own "not found" means that there is no such connection; other faults mean what they say."""
    wire = Wire(
        GetConnection=[
            answer({"Error": True, "ErrorType": "SoNotFoundException", "ErrorMessage": "m"}, status),
            answer({"Error": True, "ErrorType": "SoX", "ErrorMessage": "m"}, status),
        ]
    )
    async with opened(wire, TENANT, BASIC) as api:
        assert await api.get_connection(7) is None
        with pytest.raises(RemoteFault):
            await api.get_connection(7)


async def test_each_id_is_listed_once() -> None:
    """A list that names a connection twice still has it once."""
    async with opened(Wire(GetAllConnections=answer([connection_json(1)] * 2)), TENANT, BASIC) as api:
        assert 1 == len(await api.list_connections())


def test_our_secrets_do_not_come_back() -> None:
    """A message that repeats what we sent is freed of it."""
    exchange = REST.save_connection(erp_connection(config_fields={"Password": Secret("erp-pass")}))
    with pytest.raises(RemoteFault) as caught:
        read(exchange, {"Message": "erp-pass placeholder-password placeholder-app-token"})

    assert "SaveConnection: *** *** ***" == str(caught.value)

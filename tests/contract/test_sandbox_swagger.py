"""The sandbox's REST answers against the official Swagger files: names and JSON types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from wsdl_schemas import load_swagger

from erpsyncd.sandbox import SandboxConnector, SandboxServer, SandboxTenant
from sandbox_support import Rest

_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
_NOT_NULL = {"integer", "boolean"}


def check(document: Mapping[str, Any], schema: Mapping[str, Any], value: Any, where: str = "$") -> None:
    """Raise AssertionError where a value is not what a Swagger schema says; texts and objects may be null."""
    if "$ref" in schema:
        schema = document["definitions"][schema["$ref"].rpartition("/")[2]]
    kind = schema["type"]
    if value is None:
        assert kind not in _NOT_NULL, f"{where} is null"
        return
    assert type(value) in _TYPES[kind], f"{where} is a {type(value).__name__}, not of type {kind}"
    assert value in schema.get("enum", [value]), f"{where} is none of {schema.get('enum')}"
    if kind == "array":
        for number, item in enumerate(value):
            check(document, schema["items"], item, f"{where}[{number}]")
    if kind == "object":
        known, other = schema.get("properties", {}), schema.get("additionalProperties")
        for name, member in value.items():
            assert name in known or other, f"{where}.{name} is not declared"
            check(document, known.get(name, other), member, f"{where}.{name}")


class Judged:
    """Calls an operation and checks its answer against the agent's Swagger file."""

    def __init__(self, server: SandboxServer) -> None:
        self._rest = Rest(server=server)

    def call(self, agent: str, operation: str, body: Any = None) -> Any:
        document = load_swagger(agent)
        declared = document["paths"][f"/api/v1/Agents/{agent}/{operation}"]["post"]
        answered = self._rest.call(agent, operation, body)
        (status,) = declared["responses"]
        assert answered.status == int(status)
        if "schema" not in declared["responses"][status]:
            assert answered.body == b""
            return None
        self._check_request(document, declared, body)
        check(document, declared["responses"][status]["schema"], answered.json)
        return answered.json

    @staticmethod
    def _check_request(document: Mapping[str, Any], declared: Mapping[str, Any], body: Any) -> None:
        wanted = [parameter for parameter in declared["parameters"] if parameter["in"] == "body"]
        assert bool(wanted) is (body is not None), "a body is sent exactly where one is declared"
        for parameter in wanted:
            check(document, parameter["schema"], body)


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    with SandboxServer(tenants={"acme": SandboxTenant()}) as running:
        yield running


CONNECTION = {
    "ErpConnectionId": 0,
    "ErpConnectorId": 2,
    "DisplayName": "Berries",
    "DisplayDescription": None,
    "Active": True,
    "ConfigFields": {"Filename": "æ\n", "Password": "pass word"},
    "AllAccess": True,
    "UserGroupAccessIds": [2, 1],
    "AssociateAccessIds": [],
}


def test_round_trip_of_a_connection(server: SandboxServer) -> None:
    """Everything that REST offers on a connection answers in the declared shape."""
    rest = Judged(server)

    created = rest.call("ErpSync", "SaveConnection", {"Connection": CONNECTION})
    read = rest.call("ErpSync", "GetConnection", {"ErpConnectionId": created["ErpConnectionId"]})
    assert read["ConfigFields"] == CONNECTION["ConfigFields"]
    assert read["UserGroupAccessIds"] == [2, 1]
    assert read["ConnectionId"] != created["ConnectionId"]
    assert read["ConnectionId"].lower() == created["ConnectionId"].lower()
    rest.call("ErpSync", "SaveConnection", {"Connection": {**read, "DisplayName": "Fruit"}})
    assert server.tenant("acme").cursor_rewinds == 0
    fields = rest.call("ErpSync", "GetErpConnectionConfigFields", {"ErpConnectionId": 1})
    assert fields == CONNECTION["ConfigFields"]
    assert rest.call("ErpSync", "TestConnectionById", {"ErpConnectionId": 1}) is True
    assert rest.call("ErpSync", "TestConnectionByConfig", {"ErpConnectionId": 9, "ConfigFields": {}}) is False
    (listed,) = rest.call("ErpSync", "GetAllConnections", {"IncludeDeleted": False})
    assert (listed["DisplayName"], listed["ConfigFields"], listed["UserGroupAccessIds"]) == ("Fruit", None, None)
    rest.call("ErpSync", "DeleteConnection", {"ErpConnectionId": 1})
    assert rest.call("ErpSync", "GetAllConnections", {"IncludeDeleted": False}) == []
    (deleted,) = rest.call("ErpSync", "GetAllConnections", {"IncludeDeleted": True})
    assert deleted["Deleted"] is True
    assert rest.call("ErpSync", "GetConnection", {"ErpConnectionId": 4711}) is None


def test_has_connections(server: SandboxServer) -> None:
    """HasConnections answers in the declared shape, with and without changes, in each way of saying none."""
    rest = Judged(server)

    first = rest.call("Quote", "HasConnections")
    assert (first["IsOk"], first["Status"], first["Changes"]) == (False, "Error", None)
    server.tenant("acme").add(active=True)
    second = rest.call("Quote", "HasConnections")
    assert (second["IsOk"], second["Status"]) == (True, "Ok")
    (added,) = second["Changes"]["AddedRecords"]
    assert (added["Tablename"], added["RecordId"]) == ("erpconnection", 1)
    assert second["Changes"]["DeletedRecords"] == [None]
    rest.call("Quote", "HasConnections")
    nil_lists = rest.call("Quote", "HasConnections")
    assert nil_lists["Changes"]["AddedRecords"] is None
    rest.call("Quote", "HasConnections")
    assert "Changes" not in rest.call("Quote", "HasConnections")


def test_startup_errors_and_sync_all(server: SandboxServer) -> None:
    """Both answer in the declared shape, with the tenant's own members and with nothing."""
    rest, tenant = Judged(server), server.tenant("acme")

    assert rest.call("Quote", "GetConnectionStartupErrors") == []
    assert rest.call("ErpSync", "SyncAll")["Changes"]["UpdatedRecords"] == []
    tenant.add(active=True, erp_connector_id=1)
    tenant.configure(
        connectors={1: SandboxConnector(name="Visma", up=False)},
        startup_errors=({"ErrorCode": "E7", "Changes": None},),
        sync_all={"IsOk": False, "Status": "Warning"},
    )
    down, told = rest.call("Quote", "GetConnectionStartupErrors")
    assert (down["IsOk"], down["ErrorCode"], told["IsOk"], told["ErrorCode"]) == (False, "NO_ANSWER", False, "E7")
    synchronized = rest.call("ErpSync", "SyncAll")
    assert (synchronized["IsOk"], synchronized["Status"]) == (False, "Warning")
    assert [item["RecordId"] for item in synchronized["Changes"]["UpdatedRecords"]] == [1]


def test_checker_sees_what_is_wrong() -> None:
    """The checker of this file finds wrong types, unknown names and nulls where there can be none."""
    document = load_swagger("ErpSync")
    schema = {"$ref": "#/definitions/SuperOffice.CRM.Services.ErpConnection"}

    check(document, schema, {"Active": True})
    for wrong in ({"Active": "true"}, {"Aktive": True}, {"Active": None}, {"UserGroupAccessIds": ["1"]}):
        with pytest.raises(AssertionError):
            check(document, schema, wrong)

"""The official Swagger files judge every request that the client sends over REST."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from wsdl_schemas import load_swagger

from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.tenants import AuthKind, Protocol
from netserver_support import Wire, answer, connection_json, credentials, erp_connection, opened, tenant_spec

TESTS = ("TestConnectionByConfig", "TestConnectionById")
OPERATIONS = {
    "ErpSync": ["GetAllConnections", "GetConnection", "SaveConnection", "DeleteConnection", "SyncAll", *TESTS],
    "Quote": ["HasConnections", "GetConnectionStartupErrors"],
}


#: What goes with answers that nobody writes back.
LOCAL = {"so-language", "so-timezone"}
CHECKS = ("HasConnections", "GetConnectionStartupErrors")


async def sent(tenant_url: str = "https://crm.acme.example", **local: str) -> dict[str, httpx.Request]:
    wire = Wire(
        GetAllConnections=answer([]),
        GetConnection=answer(None),
        SaveConnection=answer(connection_json()),
        DeleteConnection=answer(b"", 204),
        TestConnectionByConfig=answer(b"true"),
        TestConnectionById=answer(b"false"),
        HasConnections=answer({"IsOk": True}),
        GetConnectionStartupErrors=answer([]),
        SyncAll=answer({"IsOk": True}),
    )
    connection = erp_connection(config_fields={"Client": Secret("F0001")}, associate_access_ids=(4,))
    async with opened(wire, tenant_spec(Protocol.REST, url=tenant_url, **local), credentials(AuthKind.PASSWORD)) as api:
        await api.list_connections()
        await api.get_connection(7)
        await api.save_connection(connection)
        await api.delete_connection(7)
        await api.sync_all()
        assert await api.test_connection_by_config(2, connection.spec.config_fields) is True
        assert await api.test_connection_by_id(7) is False
        await api.has_connections()
        await api.connection_startup_errors()
    return dict(zip(wire.operations, wire.requests, strict=True))


def check(value: Any, schema: dict[str, Any], swagger: dict[str, Any], place: str) -> None:
    """Raise AssertionError where a JSON value is not what the definition says; unknown members count."""
    while "$ref" in schema:
        schema = swagger["definitions"][schema["$ref"].removeprefix("#/definitions/")]
    kind = schema.get("type", "object")
    types: dict[str, type] = {"integer": int, "boolean": bool, "string": str, "array": list, "object": dict}
    assert type(value) is types[kind], f"{place} is {type(value).__name__}, Swagger says {kind}"
    if isinstance(value, list):
        for number, item in enumerate(value):
            check(item, schema["items"], swagger, f"{place}[{number}]")
    if isinstance(value, dict):
        for name, item in value.items():
            known = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            assert known, f"{place}.{name} is not in the definition"
            check(item, known, swagger, f"{place}.{name}")


@pytest.mark.parametrize(
    ("agent", "operation"), [(agent, name) for agent, names in OPERATIONS.items() for name in names]
)
@pytest.mark.parametrize("local", [{}, {"language": "nb-NO", "time_zone": "Europe/Oslo"}])
async def test_every_request_is_in_swagger(agent: str, operation: str, local: dict[str, str]) -> None:
    """The path exists, is posted to, takes and gives JSON, and its body has the definition's names and types."""
    swagger = load_swagger(agent)
    request = (await sent(**local))[operation]
    described = swagger["paths"][request.url.path][request.method.lower()]
    bodies = [each for each in described["parameters"] if each["in"] == "body"]
    headers = {each["name"].lower() for each in described["parameters"] if each["in"] == "header"}

    assert bool(bodies) == bool(request.content)
    assert not request.url.query
    wanted = {"so-apptoken"} | (LOCAL if local and operation in CHECKS else set())
    assert wanted == {"so-apptoken", "accept-language", "so-culture", *LOCAL} & set(request.headers)
    assert wanted <= headers
    if bodies:
        assert request.headers["Content-Type"].split(";")[0] in described["consumes"]
        check(json.loads(request.content), bodies[0]["schema"], swagger, operation)
    if described["produces"]:
        assert request.headers["Accept"] in described["produces"]


async def test_save_sends_every_writable_member() -> None:
    """What Swagger says an ErpConnection has is sent, but for the two that every carrier has."""
    swagger = load_swagger("ErpSync")
    body = json.loads((await sent())["SaveConnection"].content)["Connection"]
    (definition,) = (each for name, each in swagger["definitions"].items() if name.endswith(".ErpConnection"))

    assert set(definition["properties"]) - {"TableRight", "FieldProperties"} == set(body)


def test_the_judge_is_awake() -> None:
    """A member that the definition does not have is found out."""
    swagger = load_swagger("ErpSync")
    schema = {"$ref": "#/definitions/SuperOffice.CRM.Services.ErpConnection"}
    for bad in ({"Nonsense": 1}, {"ErpConnectionId": "7"}, {"ConfigFields": {"a": 1}}, {"UserGroupAccessIds": 1}):
        with pytest.raises(AssertionError):
            check(bad, schema, swagger, "body")

"""The official WSDL judges every envelope that the client sends: body, header parts, SOAPAction, Content-Type."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from wsdl_schemas import load_schemas, versions

from erpsyncd.domain.connections import ErpConnection
from erpsyncd.domain.lists import ListItem, ListName
from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.tenants import AuthKind
from erpsyncd.netserver.soap import SoapDialect
from netserver_support import (
    NIL,
    Wire,
    answer,
    connection_xml,
    credentials,
    erp_connection,
    login_body,
    opened,
    soap_body,
    tenant_spec,
)

VERSIONS = [(agent, version) for agent in ("ErpSync", "Quote", "SoPrincipal", "MDO") for version in versions(agent)]
TRUE = "<Response>true</Response>"
CONNECTIONS = {
    "full": erp_connection(),
    "create": erp_connection(0),
    "deleted": erp_connection(deleted=True, active=False),
    "bare": erp_connection(
        config_fields={}, user_group_access_ids=(), display_name="", display_description="", connection_id=""
    ),
    "odd": erp_connection(
        config_fields={"<&>": Secret("\r\n ]]>"), "": Secret(""), "Æ": Secret("\U0001f600\x85\u2028")},
        display_name=" ",
        associate_access_ids=(-(2**31), 2**31 - 1, 0),
        user_group_access_ids=tuple(range(50)),
        erp_connector_id=-1,
        all_access=True,
    ),
}


async def sent_by(
    agent: str, version: int, *, token: str, connection: ErpConnection, time_zone: str | None = None
) -> list[httpx.Request]:
    """Use every method of the port against a wire that takes note, and return what went to one agent."""
    tenant = tenant_spec(erpsync_services=version, quote_services=version, language="nb-NO", time_zone=time_zone)
    given_ = credentials(AuthKind.PASSWORD, application_token=Secret(token))
    saved = f"<Response>{connection_xml(connection.erp_connection_id or 9)}</Response>"
    wire = Wire(
        AuthenticateUsernamePassword=answer(login_body(version=version)),
        GetList=answer(soap_body("GetList", "<Response/>", version=version)),
        GetConnection=answer(soap_body("GetConnection", "", version=version)),
        SaveConnection=answer(soap_body("SaveConnection", saved, version=version)),
        DeleteConnection=answer(soap_body("DeleteConnection", "", version=version)),
        TestConnectionByConfig=answer(soap_body("TestConnectionByConfig", TRUE, version=version)),
        TestConnectionById=answer(soap_body("TestConnectionById", TRUE, version=version)),
        HasConnections=answer(soap_body("HasConnections", "<Response><IsOk>1</IsOk></Response>", version=version)),
        GetConnectionStartupErrors=answer(soap_body("GetConnectionStartupErrors", "<Response/>", version=version)),
        SyncAll=answer(soap_body("SyncAll", "<Response><IsOk>1</IsOk></Response>", version=version)),
    )
    async with opened(wire, tenant, given_) as api:
        await api.list_connections()
        for name in ListName:
            await api.get_list(name)
        await api.get_connection(7)
        await api.save_connection(connection)
        await api.delete_connection(7)
        await api.sync_all()
        await api.test_connection_by_config(connection.spec.erp_connector_id, connection.spec.config_fields)
        await api.test_connection_by_id(7)
        await api.has_connections()
        await api.connection_startup_errors()
    return [request for request in wire.requests if str(request.url).endswith(f"Services{version}/{agent}.svc")]


OPERATIONS = {
    "ErpSync": [
        "GetConnection",
        "SaveConnection",
        "DeleteConnection",
        "SyncAll",
        "TestConnectionByConfig",
        "TestConnectionById",
    ],
    "Quote": ["HasConnections", "GetConnectionStartupErrors"],
    "SoPrincipal": ["AuthenticateUsernamePassword"],
    "MDO": ["GetList"] * (1 + len(ListName)),
}


@pytest.mark.parametrize(("agent", "version"), VERSIONS)
@pytest.mark.parametrize("token", ["", "placeholder-app-token"])
@pytest.mark.parametrize("kind", CONNECTIONS)
async def test_every_request_is_the_wsdls(agent: str, version: int, token: str, kind: str) -> None:
    """Each request validates against the WSDL of its agent and version, with its SOAPAction and content type."""
    schemas = load_schemas(agent, version)
    zones = {"full": "7", "create": "Europe/Oslo", "odd": "<W. Europe> & 1"}
    requests = await sent_by(agent, version, token=token, connection=CONNECTIONS[kind], time_zone=zones.get(kind))

    for request, operation in zip(requests, OPERATIONS[agent], strict=True):
        schemas.check_request(operation, request.content)
        assert f'"{schemas.operations[operation].soap_action}"' == request.headers["SOAPAction"]
        assert "text/xml; charset=utf-8" == request.headers["Content-Type"]
        assert "POST" == request.method


@pytest.mark.parametrize("version", versions("ErpSync"))
@pytest.mark.parametrize("kind", [AuthKind.TICKET, AuthKind.BEARER])
async def test_fixed_credentials_make_the_same_headers(version: int, kind: AuthKind) -> None:
    """A given ticket or token stands where the WSDL wants a ticket."""
    wire = Wire(GetConnection=answer(soap_body("GetConnection", "", version=version)))
    async with opened(wire, tenant_spec(erpsync_services=version), credentials(kind)) as api:
        await api.get_connection(7)

    (request,) = wire.requests
    load_schemas("ErpSync", version).check_request("GetConnection", request.content)


@pytest.mark.parametrize("version", versions("ErpSync"))
@pytest.mark.parametrize(
    ("zone", "part"),
    [(None, None), ("7", "SoTimeZoneId"), ("Europe/Oslo", "SoTimeZoneLocationCode")],
)
async def test_only_checks_say_a_time_zone(version: int, zone: str | None, part: str | None) -> None:
    """A number is the vendor's id of one, all else a location; nothing that is written back is asked with it."""
    said = {}
    for agent, operations in OPERATIONS.items():
        requests = await sent_by(agent, version, token="", connection=CONNECTIONS["full"], time_zone=zone)
        for request, operation in zip(requests, operations, strict=True):
            header = etree.fromstring(request.content).find("{*}Header/{*}TimeZone")
            if header is not None:
                said[operation] = [(etree.QName(child).localname, child.text) for child in header]

    checks = ("HasConnections", "GetConnectionStartupErrors") if part else ()
    assert {operation: [(part, zone)] for operation in checks} == said


XML_TEXT = st.text(
    st.characters(
        codec="utf-8",
        exclude_characters="".join(map(chr, [*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF])),
    ),
    max_size=20,
)


@pytest.mark.parametrize("version", versions("ErpSync"))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=XML_TEXT, fields=st.dictionaries(XML_TEXT, XML_TEXT.map(Secret), max_size=3))
def test_any_text_makes_a_valid_request(version: int, name: str, fields: dict[str, Secret]) -> None:
    """Whatever the texts hold, the request is valid."""
    soap = SoapDialect(tenant_spec(erpsync_services=version), credentials())
    request = soap.save_connection(erp_connection(display_name=name, config_fields=fields)).write(Secret("7T:x"))

    load_schemas("ErpSync", version).check_request("SaveConnection", request.body)


@pytest.mark.parametrize("version", versions("ErpSync"))
def test_the_judge_is_awake(version: int) -> None:
    """A request with two members swapped is not valid, which WCF would not have told us."""
    soap = SoapDialect(tenant_spec(erpsync_services=version), credentials())
    body = soap.save_connection(erp_connection()).write(Secret("7T:x")).body
    root = etree.fromstring(body)
    (connection,) = root.iter("{*}Connection")
    connection.insert(0, connection[4])

    with pytest.raises(AssertionError):
        load_schemas("ErpSync", version).check_request("SaveConnection", etree.tostring(root))


def _item(number: int, name: str, below: str = "") -> str:
    """All members of an MDOListItem, in the order of the WSDL."""
    return (
        f"<MDOListItem><Id>{number}</Id><Name>{name}</Name><ToolTip/><Deleted>false</Deleted><Rank>1</Rank><Type/>"
        f"<ChildItems>{below}</ChildItems><IconHint/><ColorBlock>0</ColorBlock><ExtraInfo>person_id=9</ExtraInfo>"
        "<StyleHint/><FullName/></MDOListItem>"
    )


NESTED_LIST = _item(2, "Sales", _item(4, "SAL0")) + _item(7, "ADM")
REPLIES: list[tuple[str, str, str, Any]] = [
    ("ErpSync", "GetConnection", f"<Response>{connection_xml()}</Response>", None),
    ("ErpSync", "SaveConnection", f"<Response>{connection_xml()}</Response>", None),
    ("ErpSync", "DeleteConnection", "", None),
    ("ErpSync", "TestConnectionByConfig", TRUE, None),
    ("ErpSync", "TestConnectionById", "<Response>false</Response>", None),
    ("Quote", "HasConnections", "<Response><IsOk>true</IsOk></Response>", None),
    (
        "Quote",
        "GetConnectionStartupErrors",
        f"<Response><PluginResponse><IsOk>false</IsOk></PluginResponse><PluginResponse {NIL}/></Response>",
        None,
    ),
    ("Quote", "GetConnectionStartupErrors", f"<Response {NIL}/>", None),
    ("Quote", "GetConnectionStartupErrors", "", None),
    ("ErpSync", "SyncAll", "<Response><IsOk>true</IsOk><ErrorCode/></Response>", None),
    ("MDO", "GetList", f"<Response>{NESTED_LIST}</Response>", None),
]


@pytest.mark.parametrize("version", [86, 88])
@pytest.mark.parametrize(("agent", "operation", "inner", "_"), REPLIES)
def test_the_replies_of_our_tests_are_the_wsdls(version: int, agent: str, operation: str, inner: str, _: Any) -> None:
    """What the unit tests take for NetServer's plain way of writing is valid."""
    load_schemas(agent, version).check_reply(operation, soap_body(operation, inner, version=version))


@pytest.mark.parametrize("version", versions("MDO"))
@pytest.mark.parametrize("name", ListName)
async def test_lists_of_names(version: int, name: ListName) -> None:
    """A list is asked for flat, with its past left out, and read also where it comes with headings."""
    body = soap_body("GetList", f"<Response>{NESTED_LIST}</Response>", version=version)
    load_schemas("MDO", version).check_reply("GetList", body)
    wire = Wire(GetList=answer(body))
    async with opened(wire, tenant_spec(erpsync_services=version), credentials(AuthKind.TICKET)) as api:
        found = await api.get_list(name)

    (request,) = wire.requests
    (asked,) = etree.fromstring(request.content).iter("{*}GetList")
    assert [("Name", name), ("ForceFlatList", "true"), ("OnlyHistory", "false")] == [
        (etree.QName(member).localname, member.text) for member in asked
    ]
    assert (ListItem(id=4, name="SAL0"), ListItem(id=7, name="ADM")) == found

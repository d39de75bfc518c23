"""The sandbox as zeep sees it: an independent SOAP client that knows nothing but the official WSDL."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from lxml import etree
from wsdl_schemas import load_schemas, versions, wsdl_path
from zeep import Plugin, Settings
from zeep.client import Client
from zeep.exceptions import Fault

from erpsyncd.sandbox import SandboxConnector, SandboxServer, SandboxTenant

BOUND = {agent: versions(agent) for agent in ("ErpSync", "Quote", "MDO", "SoPrincipal")}


class Judge(Plugin):
    """Checks every reply against the WSDL's schema before zeep gets to read it."""

    def __init__(self, agent: str, version: int) -> None:
        self._schemas = load_schemas(agent, version)
        self.judged = 0

    def ingress(self, envelope: Any, http_headers: Any, operation: Any) -> tuple[Any, Any]:
        if envelope.find(".//{*}Fault") is None:
            self._schemas.check_reply(operation.name, etree.tostring(envelope))
            self.judged += 1
        return envelope, http_headers


@cache
def loaded(agent: str, version: int) -> Any:
    """zeep's reading of a WSDL, which takes it a while."""
    return Client(  # type: ignore[no-untyped-call]  # zeep is annotated in parts
        str(wsdl_path(agent, version)), settings=Settings(strict=True)
    )


class Agent:
    """One agent of one version at one tenant, called as zeep calls it."""

    def __init__(self, server: SandboxServer, agent: str, version: int, *, ticket: str | None = None) -> None:
        client = loaded(agent, version)
        self.judge = Judge(agent, version)
        client.plugins = [self.judge]
        address = f"{server.tenant_url('acme')}/Remote/Services{version}/{agent}.svc"
        namespace = f"http://www.superoffice.net/ws/crm/NetServer/Services{version}"
        self._service = client.create_service(f"{{{namespace}}}BasicHttpBinding_{agent}", address)
        self.factory = client.type_factory(namespace)
        headers: dict[str, Any] = {"ApplicationToken": "token"}
        if ticket is not None:
            headers["Credentials"] = {"Ticket": ticket}
        self._headers = headers

    def add_header(self, name: str, members: dict[str, Any]) -> None:
        """Send one more header part with each call; none where it has no members."""
        if members:
            self._headers[name] = members

    def call(self, operation: str, *arguments: Any) -> Any:
        """Return zeep's reading of the whole reply: `.body` and `.header`."""
        return self._service[operation](*arguments, _soapheaders=self._headers)


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    with SandboxServer(tenants={"acme": SandboxTenant(application_token="token")}) as running:
        yield running


def login(server: SandboxServer, version: int, password: str = "sandbox") -> Any:
    return Agent(server, "SoPrincipal", version).call("AuthenticateUsernamePassword", "sandbox", password)


@pytest.fixture
def ticket(server: SandboxServer) -> str:
    return server.tenant("acme").issue_ticket()


def new_connection(agent: Agent, **overrides: Any) -> Any:
    members: dict[str, Any] = {
        "ErpConnectionId": 0,
        "ErpConnectorId": 1,
        "DisplayName": 'NO:"Blåbær & <co>";US:"Berries"',
        "DisplayDescription": "first",
        "Active": True,
        "ConfigFields": {
            "StringKeyValuePair": [{"Key": "Client", "Value": "F0001"}, {"Key": "Password", "Value": " ]]> \r\n\tæ"}]
        },
        "AllAccess": False,
        "UserGroupAccessIds": {"int": [3, 1]},
        "AssociateAccessIds": {"int": []},
    }
    return agent.factory.ErpConnection(**{**members, **overrides})


def is_nil(value: Any) -> bool:
    """Tell whether zeep read a nil: it makes that an object of nothing but None."""
    return value is None or all(value[member] is None for member in value)


def fields(carrier: Any) -> dict[str, str]:
    return {pair.Key: pair.Value or "" for pair in carrier.StringKeyValuePair}


@pytest.mark.parametrize("version", BOUND["SoPrincipal"])
def test_login_gives_a_ticket(server: SandboxServer, version: int) -> None:
    """zeep logs in and finds ticket, principal and the success flag where the WSDL says."""
    reply = login(server, version)

    assert reply.body.AuthenticationSucceeded is True
    assert reply.body.Credentials.Ticket.startswith("7T:")
    assert reply.body.Response.Associate == "sandbox"
    assert reply.header.Succeeded is True


@pytest.mark.parametrize("version", BOUND["SoPrincipal"])
def test_wrong_password_is_refused_without_an_exception(server: SandboxServer, version: int) -> None:
    """Bad credentials are AuthenticationSucceeded=false in a reply that succeeded."""
    reply = login(server, version, "wrong")

    assert reply.body.AuthenticationSucceeded is False
    assert is_nil(reply.body.Credentials)
    assert reply.header.Succeeded is True
    assert server.tenant("acme").logins == (0, 1)


@pytest.mark.parametrize("version", BOUND["ErpSync"])
def test_round_trip_of_a_connection(server: SandboxServer, version: int, ticket: str) -> None:
    """What zeep creates it reads back, updates, reads back, deletes and sees as deleted."""
    erp_sync = Agent(server, "ErpSync", version, ticket=ticket)

    created = erp_sync.call("SaveConnection", new_connection(erp_sync)).body.Response
    read = erp_sync.call("GetConnection", created.ErpConnectionId).body.Response
    assert (read.ErpConnectionId, read.DisplayName, read.Active) == (1, 'NO:"Blåbær & <co>";US:"Berries"', True)
    assert fields(read.ConfigFields) == {"Client": "F0001", "Password": " ]]> \r\n\tæ"}
    assert (read.UserGroupAccessIds.int, read.AssociateAccessIds) == ([3, 1], None)
    assert read.ConnectionId != created.ConnectionId
    assert read.ConnectionId.lower() == created.ConnectionId.lower()

    read.DisplayDescription = "second"
    read.ConfigFields.StringKeyValuePair = read.ConfigFields.StringKeyValuePair[:1]
    erp_sync.call("SaveConnection", read)
    again = erp_sync.call("GetConnection", 1).body.Response
    assert again.DisplayDescription == "second"
    assert fields(erp_sync.call("GetErpConnectionConfigFields", 1).body.Response) == {"Client": "F0001"}
    assert server.tenant("acme").cursor_rewinds == 0

    erp_sync.call("DeleteConnection", 1)
    assert erp_sync.call("GetConnection", 1).body.Response.Deleted is True
    assert erp_sync.judge.judged == 7


@pytest.mark.parametrize("version", BOUND["ErpSync"])
def test_connection_tests_are_bare_booleans(server: SandboxServer, version: int, ticket: str) -> None:
    """TestConnectionById takes a connection's id, TestConnectionByConfig a connector's."""
    erp_sync = Agent(server, "ErpSync", version, ticket=ticket)
    erp_sync.call("SaveConnection", new_connection(erp_sync))
    config = erp_sync.factory.StringDictionary(StringKeyValuePair=[{"Key": "Client", "Value": "F0001"}])

    assert erp_sync.call("TestConnectionById", 1).body.Response is True
    assert erp_sync.call("TestConnectionByConfig", 2, config).body.Response is True
    assert erp_sync.call("TestConnectionByConfig", 99, config).body.Response is False


@pytest.mark.parametrize("version", BOUND["ErpSync"])
def test_unknown_id_is_nil(server: SandboxServer, version: int, ticket: str) -> None:
    """GetConnection of an id that never was gives a nil Response and no error."""
    reply = Agent(server, "ErpSync", version, ticket=ticket).call("GetConnection", 4711)

    assert is_nil(reply.body.Response)
    assert reply.header.Succeeded is True


@pytest.mark.parametrize("version", BOUND["ErpSync"])
@pytest.mark.parametrize(
    ("operation", "kind"),
    [("DeleteConnection", "SoNotFoundException"), ("TestConnectionById", "SoNotFoundException")],
)
def test_wrapped_exception_is_valid(
    server: SandboxServer, version: int, ticket: str, operation: str, kind: str
) -> None:
    """A failure is a schema-valid 200 with Succeeded=false and a filled ExceptionInfo, in every style of writing."""
    erp_sync = Agent(server, "ErpSync", version, ticket=ticket)

    for _ in range(3):
        reply = erp_sync.call(operation, 4711)
        assert reply.header.Succeeded is False
        assert reply.header.ExceptionInfo.ExceptionType == f"SuperOffice.Exceptions.{kind}"


@pytest.mark.parametrize("version", BOUND["ErpSync"])
def test_validation_names_the_fields(server: SandboxServer, version: int, ticket: str) -> None:
    """A validation failure lists the refused fields in ExceptionInfo/Parameters."""
    erp_sync = Agent(server, "ErpSync", version, ticket=ticket)

    reply = erp_sync.call("SaveConnection", new_connection(erp_sync, DisplayName="x" * 255))

    parameters = reply.header.ExceptionInfo.Parameters.SoExceptionInfoParametersKeyValuePair
    assert [pair.Key for pair in parameters] == ["DisplayName"]
    assert is_nil(reply.body.Response)


@pytest.mark.parametrize("version", BOUND["ErpSync"])
def test_expired_ticket_is_a_session_exception(server: SandboxServer, version: int, ticket: str) -> None:
    """A revoked ticket is answered like any other exception: 200, SoSessionException."""
    server.tenant("acme").expire_tickets()

    reply = Agent(server, "ErpSync", version, ticket=ticket).call("GetConnection", 1)

    assert reply.header.ExceptionInfo.ExceptionType == "SuperOffice.Exceptions.SoSessionException"


@pytest.mark.parametrize("version", BOUND["ErpSync"])
def test_unwrapped_exception_is_a_fault(server: SandboxServer, version: int, ticket: str) -> None:
    """Where the tenant does not wrap, zeep raises the soap:Fault."""
    server.tenant("acme").configure(wrap_exceptions=False)

    with pytest.raises(Fault, match="was not found") as caught:
        Agent(server, "ErpSync", version, ticket=ticket).call("DeleteConnection", 4711)

    assert caught.value.code.endswith("InternalServiceFault")
    assert "SoNotFoundException" in etree.tostring(caught.value.detail).decode()


@pytest.mark.parametrize("version", BOUND["Quote"])
def test_has_connections_tells_what_changed(server: SandboxServer, version: int, ticket: str) -> None:
    """ChangedData lists what was added, updated and deleted since the answer before, once."""
    quote = Agent(server, "Quote", version, ticket=ticket)
    tenant = server.tenant("acme")

    refused = quote.call("HasConnections").body.Response
    assert (refused.IsOk, refused.ErrorCode) == (False, "NO_CONNECTIONS")
    tenant.add(active=True, config_fields={"Client": "1", "Password": "2"})
    added = quote.call("HasConnections").body.Response
    assert added.IsOk is True
    assert records(added.Changes.AddedRecords) == [
        ("connectionconfigfield", 1),
        ("connectionconfigfield", 2),
        ("erpconnection", 1),
    ]
    tenant.edit(1, config_fields={"Client": "3"}, user_group_access_ids=(5,))
    changed = quote.call("HasConnections").body.Response.Changes
    assert records(changed.AddedRecords) == [("erpconnectionaccess", 3)]
    assert records(changed.UpdatedRecords) == [("connectionconfigfield", 1), ("erpconnection", 1)]
    assert records(changed.DeletedRecords) == [("connectionconfigfield", 2)]
    assert quote.judge.judged == 3


def records(listed: Any) -> list[tuple[str, int]]:
    return [(item.Tablename, item.RecordId) for item in listed.ChangedDataItem if item is not None]


@pytest.mark.parametrize("version", BOUND["Quote"])
def test_no_changes_are_told_in_every_valid_way(server: SandboxServer, version: int, ticket: str) -> None:
    """Answers without changes take turns between nil, missing, empty lists and nil lists, all of them valid."""
    quote = Agent(server, "Quote", version, ticket=ticket)

    answers = [quote.call("HasConnections").body.Response.Changes for _ in range(4)]

    assert is_nil(answers[0])
    assert answers[1] is None
    # zeep reads an empty list as None, and a nil one as an object with an empty list.
    assert answers[2].AddedRecords is None
    assert answers[3].AddedRecords.ChangedDataItem == []
    assert quote.judge.judged == 4


@pytest.mark.parametrize("version", BOUND["Quote"])
def test_startup_errors(server: SandboxServer, version: int, ticket: str) -> None:
    """None at first; one for each connection whose connector is down, and those that the tenant is told to give."""
    quote, tenant = Agent(server, "Quote", version, ticket=ticket), server.tenant("acme")

    assert quote.call("GetConnectionStartupErrors").body.Response is None  # how zeep reads an empty list
    tenant.add(erp_connector_id=1)
    connectors = {1: SandboxConnector(name="Visma", up=False)}
    tenant.configure(connectors=connectors, startup_errors=({"TechExplanation": "told"},))
    down, told = quote.call("GetConnectionStartupErrors").body.Response.PluginResponse
    assert (down.IsOk, down.ErrorCode, told.TechExplanation) == (False, "NO_ANSWER", "told")
    assert quote.judge.judged == 2


@pytest.mark.parametrize("version", BOUND["ErpSync"])
def test_sync_all_tells_what_it_did(server: SandboxServer, version: int, ticket: str) -> None:
    """It moves the cursors of active connections, and tells of these records only."""
    erp_sync, tenant = Agent(server, "ErpSync", version, ticket=ticket), server.tenant("acme")
    before = [tenant.add(active=active, most_recent_timestamp="cursor") for active in (True, False)]

    response = erp_sync.call("SyncAll").body.Response

    assert (response.IsOk, records(response.Changes.UpdatedRecords)) == (True, [("erpconnection", 1)])
    assert [True, False] == [tenant.connections[row.erp_connection_id] != row for row in before]
    assert erp_sync.judge.judged == 1


@pytest.mark.parametrize(("agent", "operation"), [("ErpSync", "SyncAll"), ("Quote", "GetConnectionStartupErrors")])
def test_what_an_installation_lacks(server: SandboxServer, ticket: str, agent: str, operation: str) -> None:
    """WCF says of an operation that is not there that its action is not supported."""
    server.tenant("acme").configure(lacks=frozenset({operation}))

    with pytest.raises(Fault) as caught:
        Agent(server, agent, 86, ticket=ticket).call(operation)

    assert caught.value.code.endswith("ActionNotSupported")


def test_a_time_zone_is_in_the_journal(server: SandboxServer, ticket: str) -> None:
    """zeep sends the header where the WSDL has it: as a number, as a location, or not at all."""
    zones: list[dict[str, Any]] = [{"SoTimeZoneId": 7}, {"SoTimeZoneLocationCode": "Europe/Oslo"}, {}]
    for zone in zones:
        quote = Agent(server, "Quote", 86, ticket=ticket)
        quote.add_header("TimeZone", zone)
        quote.call("HasConnections")

    assert ["7", "Europe/Oslo", ""] == [call.time_zone for call in server.calls_of("acme", "HasConnections")]


@pytest.mark.parametrize("version", BOUND["MDO"])
def test_lists(server: SandboxServer, version: int, ticket: str) -> None:
    """MDO lists the connections that are not deleted with their GUIDs, the connectors, groups and associates."""
    mdo = Agent(server, "MDO", version, ticket=ticket)
    tenant = server.tenant("acme")
    kept, _ = tenant.add(display_name="kept"), tenant.add(display_name="gone", deleted=True)

    def listed(name: str) -> list[tuple[int, str]]:
        items = mdo.call("GetList", name).body.Response.MDOListItem
        return [(item.Id, item.Name) for item in items]

    assert listed("erpconnections") == [(1, "kept")]
    assert listed("erpconnectors") == [(1, "Visma"), (2, "File")]
    assert listed("usergroup") == [(1, "Sales"), (2, "Support"), (3, "Finance")]
    assert listed("associate") == [(1, "sandbox"), (2, "reader")]
    (item,) = mdo.call("GetList", "ErpConnections").body.Response.MDOListItem
    assert item.ExtraInfo.lower() == str(kept.guid)
    tenant.configure(headings={2: frozenset({1})}, deleted_items={"usergroup": frozenset({3})})
    heading, other = mdo.call("GetList", "associate").body.Response.MDOListItem
    (below,) = heading.ChildItems.MDOListItem
    assert (heading.Id, heading.Name, below.Id, other.Id) == (2, "Support", 1, 2)
    groups = mdo.call("GetList", "usergroup").body.Response.MDOListItem
    assert [item.Deleted for item in groups] == [False, False, True]
    unknown = mdo.call("GetList", "nothing")
    assert unknown.header.ExceptionInfo.ExceptionType.endswith("SoInvalidArgumentException")


@pytest.mark.parametrize("version", BOUND["ErpSync"])
def test_every_operation_of_the_sandbox_is_in_the_wsdl(version: int) -> None:
    """Names, SOAPActions and member order of the sandbox's tables are the WSDL's (GetAllConnections is newer)."""
    from erpsyncd.sandbox.contract import OPERATIONS  # noqa: PLC0415  # the tables are looked at here only

    for (agent, name), operation in OPERATIONS.items():
        if agent == "ErpSync" and operation.soap:
            bound = load_schemas(agent, version).operations[name]
            assert bound.soap_action.endswith(f"Services{version}/{agent}/{name}")
            assert bound.reply.body.endswith("}" + operation.reply_element)

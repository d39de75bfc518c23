"""The lists of names over real sockets: SOAP, REST at an address of its own, and REST without one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from erpsyncd.domain.lists import ListItem, ListName
from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.tenants import AuthKind, Protocol
from erpsyncd.errors import RemoteFault, RemoteNotFound, Unauthorized
from erpsyncd.netserver.api import NetServerApi
from erpsyncd.netserver.apis import NetServerApis
from erpsyncd.sandbox import Raise, Rule, SandboxConnector, SandboxServer, SandboxTenant
from netserver_support import QUICK, credentials, tenant_spec
from sandbox_support import Rest, send

OPTIONS = SandboxTenant(
    users={"sync-user": "placeholder-password"},
    connectors={
        1: SandboxConnector(name="Visma", url="app://visma"),
        2: SandboxConnector(name="Old", url="https://old.example/ErpConnectorWS.svc"),
        3: SandboxConnector(name="Visma", url="app://visma"),
    },
    user_groups={1: 'US:"Sales";NO:"Salg"', 2: "Gone"},
    associates={1: "SAL0", 2: "ADM", 3: "Left"},
    headings={1: frozenset({1, 3})},
    deleted_items={"usergroup": frozenset({2}), "associate": frozenset({3})},
)


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    with SandboxServer(tenants={"acme": OPTIONS}) as running:
        yield running


def asked(server: SandboxServer) -> list[int | None]:
    """The calls that read a list and were let in, by their status."""
    return [
        call.http_status for call in server.calls if call.operation == "GetList" and call.http_status not in (401, 404)
    ]


async def lists_of(server: SandboxServer, protocol: Protocol) -> dict[ListName, tuple[ListItem, ...]]:
    """Read all of them with a client that cannot write, as a dry run does."""
    apis = NetServerApis(QUICK)
    tenant = tenant_spec(protocol, url=server.tenant_url("acme"))
    given = credentials(AuthKind.PASSWORD, application_token=Secret(""))
    async with apis.open(tenant, given, read_only=True) as api:
        return {name: await api.get_list(name) for name in ListName}


@pytest.mark.parametrize(
    ("protocol", "list_addresses"), [(Protocol.SOAP, True), (Protocol.REST, True), (Protocol.REST, False)]
)
async def test_lists_are_read(server: SandboxServer, protocol: Protocol, *, list_addresses: bool) -> None:
    """Each way gives the same: headings walked through, what is deleted left out, duplicates kept."""
    server.tenant("acme").configure(list_addresses=list_addresses)

    found = await lists_of(server, protocol)

    assert found == {
        ListName.CONNECTORS: (
            ListItem(id=1, name="Visma", url="app://visma"),
            ListItem(id=2, name="Old", url="https://old.example/ErpConnectorWS.svc"),
            ListItem(id=3, name="Visma", url="app://visma"),
        ),
        ListName.USER_GROUPS: (ListItem(id=1, name='US:"Sales";NO:"Salg"'),),
        ListName.ASSOCIATES: (ListItem(id=1, name="SAL0"), ListItem(id=2, name="ADM")),
    }
    assert 3 == len(asked(server))


async def test_where_there_is_no_list_at_all(server: SandboxServer) -> None:
    """Where the agent does not serve it either, that is what is said."""
    server.tenant("acme").configure(list_addresses=False)
    tenant = tenant_spec(Protocol.REST, url=f"{server.tenant_url('acme')}/elsewhere")

    async with NetServerApis(QUICK).open(tenant, credentials(AuthKind.PASSWORD)) as api:
        with pytest.raises(RemoteNotFound, match=r"GetList: .*/api/v1/Agents/MDO/GetList"):
            await api.get_list(ListName.USER_GROUPS)


@pytest.mark.parametrize("protocol", Protocol)
async def test_failures_are_told_apart(server: SandboxServer, protocol: Protocol) -> None:
    """A refused password is one, a fault of the list is a fault, and no other way is tried."""

    async def ask(api: NetServerApi) -> None:
        await api.get_list(ListName.USER_GROUPS)

    tenant = tenant_spec(protocol, url=server.tenant_url("acme"))
    apis = NetServerApis(QUICK)
    async with apis.open(tenant, credentials(AuthKind.PASSWORD, password=Secret("wrong"))) as api:
        with pytest.raises(Unauthorized):
            await ask(api)
    server.add_faults(
        Rule(action=Raise(exception_type="SoInvalidArgumentException", message="no"), operation="GetList")
    )
    async with apis.open(tenant, credentials(AuthKind.PASSWORD)) as api:
        with pytest.raises(RemoteFault):
            await ask(api)
    assert 1 == len(asked(server))


def test_the_sandbox_is_strict_about_its_lists(server: SandboxServer) -> None:
    """A list is read with GET, by who may, and has a name that exists."""
    url = f"{server.tenant_url('acme')}/api/v1/MDOList/usergroup"
    rest = Rest(server=server, authorization="Basic c3luYy11c2VyOnBsYWNlaG9sZGVyLXBhc3N3b3Jk")
    given = {"Accept": "application/json", "Authorization": rest.authorization}

    assert 200 == send(url, method="GET", headers=given).status
    assert 405 == send(url, headers=given).status
    assert 401 == send(url, method="GET", headers={"Accept": "application/json"}).status
    assert 406 == send(url, method="GET", headers=given | {"Accept": "text/html"}).status
    assert 500 == send(url.replace("usergroup", "nothing"), method="GET", headers=given).status
    assert 404 == send(url.replace("acme", "other"), method="GET", headers=given).status
    same = rest.call("MDO", "GetList", {"Name": "usergroup", "ForceFlatList": True, "OnlyHistory": False})
    assert same.json == send(url, method="GET", headers=given).json

"""The sandbox's REST side: logins, strictness, and the many ways of saying that something went wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from erpsyncd.sandbox import RestErrors, SandboxServer, SandboxTenant
from sandbox_support import Rest, send


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    with SandboxServer(tenants={"acme": SandboxTenant(bearer_tokens=frozenset({"8A:Cust1.x"}))}) as running:
        yield running


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("Basic c2FuZGJveDpzYW5kYm94", 200),
        ("basic c2FuZGJveDpzYW5kYm94", 200),
        ("Basic c2FuZGJveDp3cm9uZw==", 401),
        ("Basic !", 401),
        ("Basic c2FuZGJveA==", 401),
        ("Bearer 8A:Cust1.x", 200),
        ("BEARER 8A:Cust1.x", 200),
        ("Bearer other", 401),
        ("SOTicket 7T:other", 401),
        ("", 401),
        ("Negotiate x", 401),
    ],
)
def test_authorization(server: SandboxServer, authorization: str, status: int) -> None:
    """Basic and Bearer open the door with the right words; anything else is 401."""
    answered = Rest(server=server, authorization=authorization).call("Quote", "HasConnections")

    assert answered.status == status


@pytest.mark.parametrize("scheme", ["SOTicket", "SoTicket", "soticket"])
def test_ticket(server: SandboxServer, scheme: str) -> None:
    """A ticket is sent as it is; once expired it is 401."""
    tenant = server.tenant("acme")
    rest = Rest(server=server, authorization=f"{scheme} {tenant.issue_ticket()}")

    assert rest.call("Quote", "HasConnections").status == 200
    assert tenant.expire_tickets() == 1
    assert rest.call("Quote", "HasConnections").status == 401


def test_ticket_stands_in_for_a_user(server: SandboxServer) -> None:
    """Basic takes a ticket as user name with no password."""
    tenant = server.tenant("acme")

    tenant.check_password(tenant.issue_ticket(), "")


def test_application_token(server: SandboxServer) -> None:
    """A tenant with an application token wants SO-AppToken on every call."""
    server.tenant("acme").configure(application_token="token")
    rest = Rest(server=server)

    assert rest.call("Quote", "HasConnections").status == 401
    assert rest.call("Quote", "HasConnections", SO_AppToken="token").status == 200


def test_post_without_length_is_411(server: SandboxServer) -> None:
    """HasConnections has no body and still needs Content-Length: 0."""
    url = f"{server.tenant_url('acme')}/api/v1/Agents/Quote/HasConnections"
    headers = {"Accept": "application/json", "Authorization": "Basic c2FuZGJveDpzYW5kYm94"}

    assert send(url, headers=headers, with_length=False).status == 411
    assert send(url, headers=headers).status == 200


def test_chunked_body_is_read(server: SandboxServer) -> None:
    """A chunked request is as good as one with a length."""
    url = f"{server.tenant_url('acme')}/api/v1/Agents/ErpSync/GetConnection"
    headers = {
        "Content-Type": "application/json",
        "Authorization": "Basic c2FuZGJveDpzYW5kYm94",
        "Transfer-Encoding": "chunked",
    }
    chunks = b'8;x=y\r\n{"ErpCon\r\n10\r\nnectionId": 4711\r\n1\r\n}\r\n0\r\nTrailer: 1\r\n\r\n'

    answered = send(url, headers=headers, body=chunks, with_length=False)

    assert (answered.status, answered.json) == (200, None)
    broken = send(url, headers=headers, body=b"zz\r\n", with_length=False)
    assert broken.status == 400


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ({"ErpConnectionId": 1}, 200),
        ({"erpConnectionId": "x", "Other": 1}, 200),
        ({"ErpConnectionId": "1"}, 400),
        ({"ErpConnectionId": True}, 400),
        ({"ErpConnectionId": None}, 400),
        ({"ErpConnectionId": 2**31}, 400),
        ([1], 400),
        (None, 400),
    ],
)
def test_body_has_to_be_right(server: SandboxServer, document: Any, status: int) -> None:
    """Types are checked, unknown names are skipped, no object at all is a bad request."""
    assert Rest(server=server).call("ErpSync", "GetConnection", document).status == status


@pytest.mark.parametrize(
    "members",
    [
        {"ConfigFields": {"a": 1}},
        {"ConfigFields": []},
        {"UserGroupAccessIds": ["1"]},
        {"Active": 1},
        {"DisplayName": 1},
    ],
)
def test_wrong_members_save_nothing(server: SandboxServer, members: dict[str, Any]) -> None:
    """A connection with a member of the wrong type is refused as a whole."""
    answered = Rest(server=server).save(ErpConnectorId=1, **members)

    assert answered.status == 400
    assert server.tenant("acme").connections == {}


def test_media_types(server: SandboxServer) -> None:
    """A body is JSON and so is the answer, or there is none."""
    rest = Rest(server=server)

    assert rest.call("ErpSync", "GetConnection", {}, Content_Type="text/plain").status == 415
    assert rest.call("ErpSync", "GetConnection", {}, Accept="application/xml").status == 406
    assert rest.call("ErpSync", "GetConnection", {}, Accept="").status == 200


def test_only_post_runs_anything(server: SandboxServer) -> None:
    """A GET describes the operation, other methods are 405, unknown operations 404; none of them does any work."""
    server.tenant("acme").add()
    base = f"{server.tenant_url('acme')}/api/v1/Agents"
    headers = {"Authorization": "Basic c2FuZGJveDpzYW5kYm94", "Accept": "application/json"}

    described = send(f"{base}/ErpSync/DeleteConnection", method="GET", headers=headers)
    assert (described.status, described.headers["Content-Type"]) == (200, "text/html")
    assert send(f"{base}/ErpSync/DeleteConnection", method="PUT", headers=headers).status == 405
    assert send(f"{base}/ErpSync/Nothing", headers=headers).status == 404
    assert send(f"{base}/SoPrincipal/AuthenticateUsernamePassword", headers=headers).status == 404
    assert send(f"{server.tenant_url('other')}/api/v1/Agents/Quote/HasConnections", headers=headers).status == 404
    assert not any(call.worked for call in server.calls)
    assert server.tenant("acme").connections[1].deleted is False


def test_errors_come_as_the_tenant_is_configured(server: SandboxServer) -> None:
    """A status with an error object, 200 with another one, or 200 with null."""
    rest, tenant = Rest(server=server), server.tenant("acme")

    def refused(way: RestErrors) -> tuple[int, Any]:
        tenant.configure(rest_errors=way)
        answered = rest.call("ErpSync", "DeleteConnection", {"ErpConnectionId": 4711})
        return answered.status, answered.json

    status, document = refused(RestErrors.STATUS)
    assert (status, document["Error"], document["ErrorType"]) == (500, True, "SoNotFoundException")
    status, document = refused(RestErrors.OBJECT)
    assert (status, sorted(document)) == (200, ["Message", "MessageDetail"])
    assert refused(RestErrors.NULL) == (200, None)
    tenant.configure(rest_errors=RestErrors.STATUS)
    nothing = rest.call("ErpSync", "SaveConnection", {})
    assert (nothing.status, nothing.json["ErrorType"]) == (500, "SoInvalidArgumentException")


def test_select_and_language_spoil_what_is_read(server: SandboxServer) -> None:
    """`$select` nulls the rest out; a language flattens texts. Neither may be written back."""
    tenant = server.tenant("acme")
    tenant.add(display_name='US:"Fruit";NO:"Frukt"', config_fields={"Client": "1"}, associate_access_ids=(1,))
    rest = Rest(server=server)
    wanted = {"ErpConnectionId": 1}

    selected = rest.call("ErpSync", "GetConnection", wanted, query="?$select=DisplayName,erpConnectionId").json
    assert {name for name, value in selected.items() if value is not None} == {"DisplayName", "ErpConnectionId"}
    languages = [rest.call("ErpSync", "GetConnection", wanted, Accept_Language=word).json for word in ("no", "de", "*")]
    assert [read["DisplayName"] for read in languages] == ["Frukt", "Fruit", 'US:"Fruit";NO:"Frukt"']
    listed = rest.call("ErpSync", "GetAllConnections", {"IncludeDeleted": True}, query="?$select=Active").json
    assert listed[0]["DisplayName"] is None
    fields = rest.call("ErpSync", "TestConnectionById", wanted, query="?$select=x")
    assert fields.json is True


def test_version(server: SandboxServer) -> None:
    """`GET {api}` needs no login and is JSON only where that is asked for."""
    url = f"{server.tenant_url('acme')}/api"

    answered = send(url, method="GET", headers={"Accept": "application/json"})
    assert answered.json["ServicesCurrent"] == "Services88"
    assert answered.json["v1"] == f"{server.tenant_url('acme')}/api/v1"
    assert send(url, method="GET", headers={"Accept": "*/*"}).headers["Content-Type"] == "text/html"
    assert send(url).status == 405
    assert send(f"{server.tenant_url('other')}/api", method="GET").status == 404

"""Credentials that were given to us: how they are carried, and that they cannot be renewed."""

from __future__ import annotations

import pytest
from lxml import etree

from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.tenants import AuthKind, Credentials, Protocol
from erpsyncd.errors import ConfigurationError, RemoteForbidden, Unauthorized
from netserver_support import (
    Wire,
    answer,
    connection_json,
    connection_xml,
    credentials,
    namespace,
    opened,
    soap_body,
    tenant_spec,
)

FOUND = answer(soap_body("GetConnection", f"<Response>{connection_xml()}</Response>"))


def tickets(wire: Wire) -> list[str | None]:
    found = (etree.fromstring(request.content).findtext(f".//{{{namespace(86)}}}Ticket") for request in wire.requests)
    return list(found)


@pytest.mark.parametrize(
    ("protocol", "given", "status", "error"),
    [
        (Protocol.SOAP, credentials(AuthKind.TICKET), 401, Unauthorized),
        (Protocol.SOAP, credentials(AuthKind.BEARER), 401, Unauthorized),
        (Protocol.SOAP, credentials(AuthKind.TICKET), 403, RemoteForbidden),
        (Protocol.REST, credentials(AuthKind.PASSWORD), 401, Unauthorized),
        (Protocol.REST, credentials(AuthKind.TICKET), 403, RemoteForbidden),
        (Protocol.REST, credentials(AuthKind.BEARER), 401, Unauthorized),
    ],
)
async def test_fixed_credentials_are_not_renewed(
    protocol: Protocol, given: Credentials, status: int, error: type[Exception]
) -> None:
    """A credential that was given to us is used once after it was refused: not at all; a 403 is one operation's."""
    wire = Wire(HasConnections=answer(b"", status))
    async with opened(wire, tenant_spec(protocol), given) as api:
        for _ in range(3):
            with pytest.raises(error):
                await api.has_connections()

    assert ["HasConnections"] * (1 if status == 401 else 3) == wire.operations


@pytest.mark.parametrize(
    ("kind", "sent"), [(AuthKind.TICKET, "7T:placeholder-ticket"), (AuthKind.BEARER, "8A:placeholder-token")]
)
async def test_soap_carries_what_was_given(kind: AuthKind, sent: str) -> None:
    """A ticket and a token both stand in Credentials/Ticket, without a login."""
    wire = Wire(GetConnection=FOUND)
    async with opened(wire, given=credentials(kind)) as api:
        await api.get_connection(7)

    assert [sent] == tickets(wire)


@pytest.mark.parametrize(
    ("kind", "header"),
    [
        (AuthKind.PASSWORD, "Basic c3luYy11c2VyOnBsYWNlaG9sZGVyLXDDpHNz"),
        (AuthKind.TICKET, "SOTicket 7T:placeholder-ticket"),
        (AuthKind.BEARER, "Bearer 8A:placeholder-token"),
    ],
)
@pytest.mark.parametrize("token", ["", "placeholder-app-token"])
async def test_rest_authorization(kind: AuthKind, header: str, token: str) -> None:
    """Basic is UTF-8, a ticket is sent as it is, the application token only where there is one."""
    wire = Wire(GetConnection=answer(connection_json()))
    given = credentials(kind, application_token=Secret(token))
    if kind is AuthKind.PASSWORD:
        given = credentials(kind, password=Secret("placeholder-päss"), application_token=Secret(token))
    async with opened(wire, tenant_spec(Protocol.REST), given) as api:
        await api.get_connection(7)

    (request,) = wire.requests
    assert (header, token or None) == (request.headers["Authorization"], request.headers.get("SO-AppToken"))


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (credentials(AuthKind.PASSWORD, username=Secret("a:b")), "auth.username"),
        (credentials(AuthKind.PASSWORD, password=Secret("\ud800")), "auth"),
        (credentials(AuthKind.TICKET, ticket=Secret("placeholder\r\nX: y")), "auth.ticket"),
        (credentials(AuthKind.BEARER, token=Secret("plåceholder")), "auth.token"),
        (credentials(AuthKind.TICKET, application_token=Secret("placeholder ")), "auth.application_token"),
    ],
)
async def test_credentials_that_no_header_can_carry(given: Credentials, field: str) -> None:
    """They are refused when the tenant is opened, by name."""
    with pytest.raises(ConfigurationError, match=f"tenant acme: {field} holds") as caught:
        async with opened(Wire(), tenant_spec(Protocol.REST), given):
            pass

    assert "placeholder" not in str(caught.value)

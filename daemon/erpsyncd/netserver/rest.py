"""The port's operations as REST exchanges: POST, parameters wrapped under the vendor's names; a list is a GET.

The credential of a call is what stands behind the scheme in its Authorization header; a ticket goes as it is.

Neither `Accept-Language` nor `$select` is ever sent, and `SO-Language` only with what nobody writes back: what comes
back otherwise is the base of the next save, and they would have made it a translation or a part of the truth.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from erpsyncd.domain.connections import ErpConnection, ListedConnection
from erpsyncd.domain.lists import ListItem, ListName
from erpsyncd.domain.results import PluginResponse
from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.tenants import AuthKind, Credentials, TenantSpec
from erpsyncd.errors import ConfigurationError, Effect, RemoteRejected
from erpsyncd.netserver.calls import Call, Endpoint, Exchange, Reply
from erpsyncd.netserver.carriers import ERP_CONNECTION, Kind, Unreadable
from erpsyncd.netserver.envelopes import write_int
from erpsyncd.netserver.explanations import with_all_safe, with_safe_explanations
from erpsyncd.netserver.failures import Fault, one_line, raise_for_failure, unreadable
from erpsyncd.netserver.json_replies import find_fault, parse_json, read_result
from erpsyncd.netserver.operations import (
    DELETE_CONNECTION,
    GET_ALL_CONNECTIONS,
    GET_CONNECTION,
    GET_CONNECTION_STARTUP_ERRORS,
    GET_ENTRIES,
    HAS_CONNECTIONS,
    LOCALIZED,
    SAVE_CONNECTION,
    SYNC_ALL,
    TEST_CONNECTION_BY_CONFIG,
    TEST_CONNECTION_BY_ID,
    Operation,
)

T = TypeVar("T")

_OK = 200
#: How the credentials of each kind are announced (domain.md §3.2).
_SCHEMES = {
    AuthKind.PASSWORD: "Basic",
    AuthKind.TICKET: "SOTicket",
    AuthKind.BEARER: "Bearer",
    AuthKind.SYSTEM_USER: "SOTicket",
    AuthKind.REFRESH_TOKEN: "Bearer",
}
#: What may answer with nothing: a void operation, and the one that has nothing to show (Web API writes null as 204).
_MAY_BE_EMPTY: tuple[Operation[Any], ...] = (DELETE_CONNECTION, GET_CONNECTION)


class RestDialect:
    """One tenant's Web API."""

    def __init__(self, tenant: TenantSpec, credentials: Credentials) -> None:
        self._base = tenant.rest_base
        self._credentials = credentials
        self._scheme = _SCHEMES[credentials.kind]
        self._given = _given(tenant.name, credentials)
        name = "client_secret" if credentials.kind is AuthKind.REFRESH_TOKEN else "application_token"
        self._token = _header_value(tenant.name, name, credentials.app_token.reveal())
        self._secrets = (credentials.password, credentials.app_token)
        given = {"SO-Language": tenant.language, "SO-TimeZone": tenant.time_zone}
        self._localized = {name: value for name, value in given.items() if value}

    @property
    def fixed_credential(self) -> Secret | None:
        """What was given to us; None where we have to log in for one."""
        return self._given

    def list_connections(self) -> Exchange[tuple[ListedConnection, ...] | None]:
        """Read what exists; without config fields, so never the base of a save."""
        listing = self._exchange(GET_ALL_CONNECTIONS, {"IncludeDeleted": False})

        def read(call: Call, reply: Reply) -> tuple[ListedConnection, ...] | None:
            connections = listing.read(call, reply)
            return None if connections is None else tuple(_listed(each) for each in connections if not each.deleted)

        return Exchange(endpoint=listing.endpoint, repeatable=True, write=listing.write, read=read)

    def get_connection(self, erp_connection_id: int) -> Exchange[ErpConnection | None]:
        """Read one connection."""
        return self._exchange(GET_CONNECTION, {"ErpConnectionId": erp_connection_id})

    def save_connection(self, connection: ErpConnection) -> Exchange[ErpConnection | None]:
        """Write one connection, whole."""
        return self._exchange(SAVE_CONNECTION, {"Connection": connection}, repeatable=False)

    def delete_connection(self, erp_connection_id: int) -> Exchange[bool]:
        """Delete one connection."""
        return self._exchange(DELETE_CONNECTION, {"ErpConnectionId": erp_connection_id}, repeatable=False)

    def test_connection_by_config(
        self, erp_connector_id: int, config_fields: Mapping[str, Secret]
    ) -> Exchange[bool | None]:
        """Let a connector try config fields."""
        parameters = {"ErpConnectionId": erp_connector_id, "ConfigFields": config_fields}
        return self._exchange(TEST_CONNECTION_BY_CONFIG, parameters)

    def test_connection_by_id(self, erp_connection_id: int) -> Exchange[bool | None]:
        """Let a connector try a connection as it stands."""
        return self._exchange(TEST_CONNECTION_BY_ID, {"ErpConnectionId": erp_connection_id})

    def has_connections(self) -> Exchange[PluginResponse | None]:
        """Ask for Quote connections."""
        return with_safe_explanations(self._exchange(HAS_CONNECTIONS, None))

    def connection_startup_errors(self) -> Exchange[tuple[PluginResponse, ...] | None]:
        """Ask why there are none."""
        return with_all_safe(self._exchange(GET_CONNECTION_STARTUP_ERRORS, None))

    def sync_all(self) -> Exchange[PluginResponse | None]:
        """Start the sync engine."""
        return with_safe_explanations(self._exchange(SYNC_ALL, None, repeatable=False))

    def get_list(self, name: ListName) -> tuple[Exchange[tuple[ListItem, ...] | None], ...]:
        """Read a list of names: at its own address, else, where there is no such address, as the agent's operation."""
        agent = self._exchange(GET_ENTRIES, {"Name": name.value, "ForceFlatList": True, "OnlyHistory": False})
        address = replace(agent.endpoint, url=f"{self._base}/MDOList/{name}")
        own = Exchange(
            endpoint=address,
            repeatable=True,
            write=lambda credential: replace(self._write(address, None, {}, credential), method="GET"),
            read=agent.read,
        )
        return _flat(own), _flat(agent)

    def _exchange(
        self, operation: Operation[T], parameters: Mapping[str, Any] | None, *, repeatable: bool = True
    ) -> Exchange[T]:
        endpoint = Endpoint(
            agent=operation.agent,
            operation=operation.name,
            url=f"{self._base}/Agents/{operation.agent}/{operation.name}",
            advice="check url (or rest_url)",
        )
        return Exchange(
            endpoint=endpoint,
            repeatable=repeatable,
            write=partial(self._write, endpoint, parameters, self._localized if operation in LOCALIZED else {}),
            read=partial(self._read, operation),
        )

    def _write(
        self,
        endpoint: Endpoint,
        parameters: Mapping[str, Any] | None,
        localized: Mapping[str, str],
        credential: Secret,
    ) -> Call:
        authorization = f"{self._scheme} {credential.reveal()}"
        headers = {"Accept": "application/json", "Authorization": authorization, **localized}
        if self._token:
            headers["SO-AppToken"] = self._token
        secrets: tuple[Secret, ...] = (*self._secrets, credential, Secret(authorization))
        body = b""
        if parameters is not None:
            headers["Content-Type"] = "application/json; charset=utf-8"
            secrets = (*secrets, *_secrets_among(parameters.values()))
            try:
                body = _encoded(parameters)
            except Unreadable as problem:
                message = f"not sent: {one_line(str(problem))}"
                raise RemoteRejected(endpoint.operation, message, effect=Effect.NEVER_SENT) from None
        return Call(endpoint=endpoint, headers=headers, body=body, secrets=secrets)

    def _read(self, operation: Operation[T], call: Call, reply: Reply) -> T:
        succeeded = _OK <= reply.status < 300  # noqa: PLR2004 -- the range of success
        document: Any = None
        fault: Fault | None = None
        empty = not reply.body.strip()
        problem = "its body is empty" if empty else ""
        if not empty:
            try:
                document = parse_json(reply.body, reply.content_type)
                fault = find_fault(document, succeeded=succeeded)
            except Unreadable as exc:
                problem = str(exc)
        parsed = not problem
        raise_for_failure(call, reply, fault)
        if empty and operation in _MAY_BE_EMPTY:
            return operation.reply.build({"Response": None})
        if parsed and not operation.reply.members:
            problem = "an answer where there should be none"
        if not problem:
            try:
                return read_result(document, operation.reply)
            except (Unreadable, RecursionError) as exc:
                problem = str(exc)
        raise unreadable(call, reply, problem, parsed=parsed)


def _flat(listing: Exchange[tuple[tuple[T, ...], ...] | None]) -> Exchange[tuple[T, ...] | None]:
    """Return the same with what stands under headings beside what does not."""

    def read(call: Call, reply: Reply) -> tuple[T, ...] | None:
        items = listing.read(call, reply)
        return None if items is None else tuple(found for item in items for found in item)

    return Exchange(endpoint=listing.endpoint, repeatable=listing.repeatable, write=listing.write, read=read)


def _listed(connection: ErpConnection) -> ListedConnection:
    return ListedConnection(
        erp_connection_id=connection.erp_connection_id,
        display_name=connection.spec.display_name,
        connection_id=connection.connection_id,
        erp_connector_id=connection.spec.erp_connector_id,
    )


def _secrets_among(values: Iterable[Any]) -> Iterator[Secret]:
    """Return the config values among the parameters: a connection's, or those that are sent by themselves."""
    for value in values:
        if isinstance(value, ErpConnection):
            yield from value.spec.config_fields.values()
        elif isinstance(value, Mapping):
            yield from value.values()


def _encoded(parameters: Mapping[str, Any]) -> bytes:
    plain = {
        name: _connection_object(value) if isinstance(value, ErpConnection) else _plain(name, value)
        for name, value in parameters.items()
    }
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode()


def _connection_object(connection: ErpConnection) -> dict[str, Any]:
    values = zip(ERP_CONNECTION.members, ERP_CONNECTION.values_of(connection), strict=True)
    return {member.name: _plain(member.name, value, member.kind) for member, value in values}


def _plain(name: str, value: Any, kind: Kind | None = None) -> Any:
    """Return a value as JSON has it, checked like the SOAP one.

    Raises:
        Unreadable: an integer is out of range, or a text is no Unicode.
    """
    if kind is Kind.DICTIONARY or isinstance(value, Mapping):
        return {
            _sendable(f"a key of {name}", key): _sendable(f"{name}[{key}]", each.reveal())
            for key, each in value.items()
        }
    if kind is Kind.INTS:
        return [_plain(name, each) for each in value]
    if isinstance(value, str):
        return _sendable(name, value)
    if not isinstance(value, bool):
        write_int(name, value)
    return value


def _sendable(name: str, text: str) -> str:
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise Unreadable(f"{name} holds half a surrogate pair")
    return text


def _given(tenant: str, credentials: Credentials) -> Secret | None:
    """Return the credential that needs no login."""
    if credentials.kind is AuthKind.PASSWORD:
        username, password = credentials.username.reveal(), credentials.password.reveal()
        if ":" in username:
            raise ConfigurationError(f"tenant {tenant}: auth.username holds a colon, which Basic cannot carry")
        pair = _utf8(tenant, f"{username}:{password}")
        return Secret(base64.b64encode(pair).decode())
    if credentials.kind is AuthKind.TICKET:
        return Secret(_header_value(tenant, "ticket", credentials.ticket.reveal()))
    if credentials.kind is AuthKind.BEARER:
        return Secret(_header_value(tenant, "token", credentials.token.reveal()))
    return None


def _utf8(tenant: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(f"tenant {tenant}: auth holds half a surrogate pair") from None


def _header_value(tenant: str, name: str, value: str) -> str:
    if not value.isascii() or not value.isprintable() or value != value.strip():
        raise ConfigurationError(f"tenant {tenant}: auth.{name} holds characters that an HTTP header cannot carry")
    return value

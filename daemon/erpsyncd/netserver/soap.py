"""The port's operations as SOAP exchanges: which agent, which ServicesNN, which address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from erpsyncd.domain.connections import ErpConnection, ListedConnection
from erpsyncd.domain.lists import ListItem, ListName
from erpsyncd.domain.results import PluginResponse
from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.tenants import AuthKind, Credentials, TenantSpec
from erpsyncd.netserver.calls import Call, Endpoint, Exchange, Reply
from erpsyncd.netserver.carriers import ERP_CONNECTION, Unreadable
from erpsyncd.netserver.envelopes import Template, envelope_template, soap_action, time_zone_part
from erpsyncd.netserver.explanations import with_all_safe, with_safe_explanations
from erpsyncd.netserver.failures import REFUSED_LOGIN, Fault, is_about_something_else, raise_for_failure, unreadable
from erpsyncd.netserver.operations import (
    AUTHENTICATE,
    DELETE_CONNECTION,
    GET_CONNECTION,
    GET_CONNECTION_STARTUP_ERRORS,
    GET_ENTRIES,
    GET_LIST,
    HAS_CONNECTIONS,
    LOCALIZED,
    SAVE_CONNECTION,
    SYNC_ALL,
    TEST_CONNECTION_BY_CONFIG,
    TEST_CONNECTION_BY_ID,
    Login,
    Operation,
)
from erpsyncd.netserver.xml_faults import find_fault, succeeded
from erpsyncd.netserver.xml_parsing import Envelope, as_envelope, parse_answer
from erpsyncd.netserver.xml_replies import read_reply

T = TypeVar("T")

#: What every tenant is asked for, in the order of a pass; careful saves ask for more.
SOAP_OPERATIONS: tuple[Operation[Any], ...] = (
    AUTHENTICATE,
    GET_LIST,
    GET_CONNECTION,
    SAVE_CONNECTION,
    DELETE_CONNECTION,
    SYNC_ALL,
    HAS_CONNECTIONS,
    GET_CONNECTION_STARTUP_ERRORS,
)
#: The oldest ServicesNN that installations newer than 2020 still have (domain.md §1.3).
OLDEST_CURRENT_SERVICES = 84
#: The MDO list of ERP connections (domain.md §4.7).
_CONNECTIONS_LIST = "erpconnections"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """What is the same in all requests of one operation to one tenant."""

    endpoint: Endpoint
    template: Template
    headers: Mapping[str, str]
    zone: tuple[int | str, ...]


class SoapDialect:
    """One tenant's SOAP. SoPrincipal and MDO use `erpsync_services`, as ErpSync does; Quote has its own."""

    def __init__(self, tenant: TenantSpec, credentials: Credentials) -> None:
        self._tenant = tenant
        self._credentials = credentials
        token = credentials.app_token
        self._secrets = (credentials.password, token)
        self._token = (token,) if token.reveal() else ()
        self._written: dict[Operation[Any], _Written] = {}

    @property
    def fixed_credential(self) -> Secret | None:
        """The ticket or token that was given to us; None where we have to log in for one."""
        given = {AuthKind.TICKET: self._credentials.ticket, AuthKind.BEARER: self._credentials.token}
        return given.get(self._credentials.kind)

    def log_in(self) -> Exchange[Login]:
        """Exchange the username and the password for a ticket."""
        return self._exchange(AUTHENTICATE, (self._credentials.username, self._credentials.password))

    def list_connections(self) -> Exchange[tuple[ListedConnection, ...] | None]:
        """Read the MDO list; headings are neither asked for nor taken for connections."""
        return self._flat(self._none_or_more(GET_LIST, (_CONNECTIONS_LIST, True, False)))

    def get_list(self, name: ListName) -> tuple[Exchange[tuple[ListItem, ...] | None], ...]:
        """Read a list of names. There is one way."""
        return (self._flat(self._none_or_more(GET_ENTRIES, (name.value, True, False))),)

    def _flat(self, listing: Exchange[tuple[tuple[T, ...], ...] | None]) -> Exchange[tuple[T, ...] | None]:
        def read(call: Call, reply: Reply) -> tuple[T, ...] | None:
            items = listing.read(call, reply)
            return None if items is None else tuple(found for item in items for found in item)

        return Exchange(endpoint=listing.endpoint, repeatable=True, write=listing.write, read=read)

    def get_connection(self, erp_connection_id: int) -> Exchange[ErpConnection | None]:
        """Read one connection."""
        return self._exchange(GET_CONNECTION, (erp_connection_id,))

    def save_connection(self, connection: ErpConnection) -> Exchange[ErpConnection | None]:
        """Write one connection, whole."""
        return self._exchange(SAVE_CONNECTION, ERP_CONNECTION.values_of(connection), repeatable=False)

    def delete_connection(self, erp_connection_id: int) -> Exchange[bool]:
        """Delete one connection."""
        return self._exchange(DELETE_CONNECTION, (erp_connection_id,), repeatable=False)

    def test_connection_by_config(
        self, erp_connector_id: int, config_fields: Mapping[str, Secret]
    ) -> Exchange[bool | None]:
        """Let a connector try config fields."""
        return self._exchange(TEST_CONNECTION_BY_CONFIG, (erp_connector_id, dict(config_fields)))

    def test_connection_by_id(self, erp_connection_id: int) -> Exchange[bool | None]:
        """Let a connector try a connection as it stands."""
        return self._exchange(TEST_CONNECTION_BY_ID, (erp_connection_id,))

    def has_connections(self) -> Exchange[PluginResponse | None]:
        """Ask for Quote connections."""
        return with_safe_explanations(self._exchange(HAS_CONNECTIONS, ()))

    def connection_startup_errors(self) -> Exchange[tuple[PluginResponse, ...] | None]:
        """Ask why there are none."""
        return with_all_safe(self._none_or_more(GET_CONNECTION_STARTUP_ERRORS, ()))

    def sync_all(self) -> Exchange[PluginResponse | None]:
        """Start the sync engine."""
        return with_safe_explanations(self._exchange(SYNC_ALL, (), repeatable=False))

    def _none_or_more(
        self, operation: Operation[tuple[T, ...] | None], values: tuple[Any, ...]
    ) -> Exchange[tuple[T, ...] | None]:
        """Return the exchange of a list; nil means "none" if the answer says that it is the answer."""
        listing = self._exchange(operation, values)

        def read(call: Call, reply: Reply) -> tuple[T, ...] | None:
            items = listing.read(call, reply)
            if items is None:
                envelope = as_envelope(parse_answer(reply.body, reply.content_type))
                return () if succeeded(envelope, services_version(self._tenant, operation)) else None
            return items

        return replace(listing, read=read)

    def _exchange(self, operation: Operation[T], values: tuple[Any, ...], *, repeatable: bool = True) -> Exchange[T]:
        written = self._written.get(operation) or self._written.setdefault(operation, self._prepared(operation))
        return Exchange(
            endpoint=written.endpoint,
            repeatable=repeatable,
            write=partial(self._write, operation, written, values),
            read=partial(self._read, operation),
        )

    def _prepared(self, operation: Operation[Any]) -> _Written:
        """Return what is the same in all requests of an operation."""
        version = services_version(self._tenant, operation)
        headers = ("ApplicationToken",) if self._token else ()
        if operation is not AUTHENTICATE:  # SoPrincipal takes the application token only
            headers = (*headers, "Credentials")
        zone: tuple[int | str, ...] = ()
        if operation in LOCALIZED and self._tenant.time_zone:
            part, value = time_zone_part(self._tenant.time_zone)
            headers, zone = (*headers, part), (value,)
        return _Written(
            endpoint=soap_endpoint(self._tenant, operation),
            template=envelope_template(operation, version, headers),
            headers={
                "Content-Type": "text/xml; charset=utf-8",
                "SOAPAction": soap_action(operation, version),
                "Accept": "text/xml",
            },
            zone=zone,
        )

    def _write(self, operation: Operation[Any], written: _Written, values: tuple[Any, ...], ticket: Secret) -> Call:
        tickets = (ticket,) if operation is not AUTHENTICATE else ()
        values = (*self._token, *tickets, *written.zone, *values)
        return Call(
            endpoint=written.endpoint,
            headers=written.headers,
            body=written.template.render(operation.name, values),
            secrets=(*self._secrets, ticket, *written.template.secrets_among(values)),
        )

    def _read(self, operation: Operation[T], call: Call, reply: Reply) -> T:
        version = services_version(self._tenant, operation)
        envelope: Envelope | None = None
        fault: Fault | None = None
        problem = "its body is empty"
        if reply.body:
            try:
                envelope = as_envelope(parse_answer(reply.body, reply.content_type))
                fault = find_fault(envelope, version)
            except Unreadable as exc:
                problem, envelope = str(exc), None
        if envelope is not None and operation is AUTHENTICATE:
            fault = _login_fault(envelope, fault, version)
        raise_for_failure(call, reply, fault)
        if envelope is not None:
            try:
                return read_reply(envelope, operation.reply, version)
            except (Unreadable, RecursionError) as exc:
                problem = str(exc)
        raise unreadable(call, reply, problem, parsed=envelope is not None)


def services_version(tenant: TenantSpec, operation: Operation[Any]) -> int:
    """Return the NN of the ServicesNN that an operation belongs to."""
    return tenant.quote_services if operation.agent == "Quote" else tenant.erpsync_services


def soap_endpoint(tenant: TenantSpec, operation: Operation[Any]) -> Endpoint:
    """Return where an operation is served."""
    version = services_version(tenant, operation)
    setting = "quote_services" if operation.agent == "Quote" else "erpsync_services"
    advice = f"check {setting} = {version} and url (or soap_url)"
    if version < OLDEST_CURRENT_SERVICES:
        advice += f": installations newer than 2020 have no Services{version}, set {setting} = 86 or 88"
    return Endpoint(
        agent=operation.agent,
        operation=operation.name,
        url=f"{tenant.soap_base}/Services{version}/{operation.agent}.svc",
        advice=advice,
    )


def _login_fault(envelope: Envelope, fault: Fault | None, version: int) -> Fault | None:
    """Return the same fault as a refusal, if the body says that the login was refused.

    A body that was never filled in says so too, so a fault that is about something else is believed first.
    """
    if fault is None or is_about_something_else(fault):
        return fault
    try:
        refused = read_reply(envelope, AUTHENTICATE.reply, version).refused
    except Unreadable:
        return fault
    return replace(fault, types=(*fault.types, REFUSED_LOGIN)) if refused else fault

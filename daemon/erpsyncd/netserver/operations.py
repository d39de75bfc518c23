"""The vendor's operations as tables: agent, parameters in order, and the element that replies.

Where a carrier of `carriers` says what something is, an operation says what is asked and answered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from erpsyncd.domain.connections import ErpConnection, ListedConnection
from erpsyncd.domain.lists import ListItem
from erpsyncd.domain.results import PluginResponse
from erpsyncd.netserver.carriers import (
    ERP_CONNECTION,
    MDO_LIST_ENTRY,
    MDO_LIST_ITEM,
    PLUGIN_RESPONSE,
    Carrier,
    Kind,
    Member,
    Values,
)

T = TypeVar("T")

_CREDENTIALS: Carrier[str] = Carrier("SoCredentials", (Member("Ticket", Kind.TEXT),), lambda values: values["Ticket"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What SoPrincipal answers."""

    succeeded: bool
    ticket: str = field(repr=False)
    refused: bool = False
    """Whether it says "no" in so many words."""


def _login(values: Values) -> Login:
    """Build a Login; where `AuthenticationSucceeded` did not come, a ticket says as much."""
    ticket, succeeded = values["Credentials"] or "", values["AuthenticationSucceeded"]
    return Login(succeeded=bool(ticket) if succeeded is None else succeeded, ticket=ticket, refused=succeeded is False)


def _response(of: Carrier[T], kind: Kind = Kind.CARRIER) -> tuple[Member, ...]:
    """Return the one member that most replies have; None when it is missing or nil."""
    return (Member("Response", kind, of=of, default=None),)


@dataclass(frozen=True, slots=True, eq=False)
class Operation(Generic[T]):
    """One operation: its agent, its parameters in order, and the element that replies to it."""

    agent: str
    name: str
    parameters: tuple[Member, ...]
    reply: Carrier[T]


def _only(values: Values) -> Any:
    return values["Response"]


GET_CONNECTION: Operation[ErpConnection | None] = Operation(
    "ErpSync",
    "GetConnection",
    (Member("ErpConnectionId", Kind.INT),),
    Carrier("GetConnectionResponse", _response(ERP_CONNECTION), _only),
)
SAVE_CONNECTION: Operation[ErpConnection | None] = Operation(
    "ErpSync",
    "SaveConnection",
    (Member("Connection", Kind.CARRIER, of=ERP_CONNECTION),),
    Carrier("SaveConnectionResponse", _response(ERP_CONNECTION), _only),
)
DELETE_CONNECTION: Operation[bool] = Operation(
    "ErpSync",
    "DeleteConnection",
    (Member("ErpConnectionId", Kind.INT),),
    Carrier("DeleteConnectionResponse", (), lambda _: True),
)


def _says(name: str) -> Carrier[bool | None]:
    """Return a reply that is a bare boolean; None when it is missing, which must not pass for a "no"."""
    return Carrier(f"{name}Response", (Member("Response", Kind.BOOL, default=None),), _only)


TEST_CONNECTION_BY_ID: Operation[bool | None] = Operation(
    "ErpSync", "TestConnectionById", (Member("ErpConnectionId", Kind.INT),), _says("TestConnectionById")
)
#: Its first parameter is named after the connection and documented as the connector's id (domain.md §4.6).
TEST_CONNECTION_BY_CONFIG: Operation[bool | None] = Operation(
    "ErpSync",
    "TestConnectionByConfig",
    (Member("ErpConnectionId", Kind.INT), Member("ConfigFields", Kind.DICTIONARY)),
    _says("TestConnectionByConfig"),
)
HAS_CONNECTIONS: Operation[PluginResponse | None] = Operation(
    "Quote", "HasConnections", (), Carrier("HasConnectionsResponse", _response(PLUGIN_RESPONSE), _only)
)
#: Why a HasConnections said no: one answer for each Quote connection that could not be initialised.
GET_CONNECTION_STARTUP_ERRORS: Operation[tuple[PluginResponse, ...] | None] = Operation(
    "Quote",
    "GetConnectionStartupErrors",
    (),
    Carrier("GetConnectionStartupErrorsResponse", _response(PLUGIN_RESPONSE, Kind.CARRIERS), _only),
)
#: Starts the vendor's sync engine on all active connections; it writes.
SYNC_ALL: Operation[PluginResponse | None] = Operation(
    "ErpSync", "SyncAll", (), Carrier("SyncAllResponse", _response(PLUGIN_RESPONSE), _only)
)
#: What a tenant's `language` and `time_zone` go with: people read these answers, and nobody writes them back. In any
#: other answer a translation would be taken for the truth, and the next save would put it in the truth's place.
LOCALIZED: tuple[Operation[Any], ...] = (HAS_CONNECTIONS, GET_CONNECTION_STARTUP_ERRORS)
#: SOAP only. Its reply is not named after it.
AUTHENTICATE: Operation[Login] = Operation(
    "SoPrincipal",
    "AuthenticateUsernamePassword",
    (Member("UserName", Kind.SECRET), Member("Password", Kind.SECRET)),
    Carrier(
        "AuthenticateResponse",
        (
            Member("Credentials", Kind.CARRIER, of=_CREDENTIALS),
            Member("AuthenticationSucceeded", Kind.BOOL, default=None),
        ),
        _login,
    ),
)
#: SOAP only; the one way there, before the newest Services88, to see what exists (domain.md §4.7).
GET_LIST: Operation[tuple[tuple[ListedConnection, ...], ...] | None] = Operation(
    "MDO",
    "GetList",
    (Member("Name", Kind.TEXT), Member("ForceFlatList", Kind.BOOL), Member("OnlyHistory", Kind.BOOL)),
    Carrier("GetListResponse", _response(MDO_LIST_ITEM, Kind.CARRIERS), _only),
)
#: Any other list, for its names. REST has it at an address of its own, too, which is read with GET.
GET_ENTRIES: Operation[tuple[tuple[ListItem, ...], ...] | None] = Operation(
    GET_LIST.agent,
    GET_LIST.name,
    GET_LIST.parameters,
    Carrier("GetListResponse", _response(MDO_LIST_ENTRY, Kind.CARRIERS), _only),
)
#: REST only.
GET_ALL_CONNECTIONS: Operation[tuple[ErpConnection, ...] | None] = Operation(
    "ErpSync",
    "GetAllConnections",
    (Member("IncludeDeleted", Kind.BOOL),),
    Carrier("GetAllConnectionsResponse", _response(ERP_CONNECTION, Kind.CARRIERS), _only),
)

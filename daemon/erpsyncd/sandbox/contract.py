"""The shapes of messages: one declarative table per carrier and operation, in the WSDL's member order.

SOAP and REST read and write by these tables. Values are plain Python: str, int, bool, None (nil), dict and
list; a record whose dict lacks a member is written without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from erpsyncd.sandbox.problems import UnreadableRequest

INT_RANGE = range(-(2**31), 2**31)


class Scalar(Enum):
    """A value without members."""

    STRING = auto()
    INT = auto()
    BOOLEAN = auto()
    OPAQUE = auto()
    """Never looked at when read, only ever written as nil."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A carrier: members in contract order."""

    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Many:
    """A list. `in_arrays` puts the items (not the wrapper) into Microsoft's Arrays namespace."""

    item: str
    kind: Kind
    in_arrays: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dictionary:
    """Strings by string: repeated Key/Value pairs in SOAP, an object in REST."""

    item: str


Kind = Scalar | Record | Many | Dictionary
Member = tuple[str, Kind]

STRING, INT, BOOLEAN, OPAQUE = Scalar.STRING, Scalar.INT, Scalar.BOOLEAN, Scalar.OPAQUE
INTS = Many(item="int", kind=INT, in_arrays=True)
STRING_DICTIONARY = Dictionary(item="StringKeyValuePair")

TABLE_RIGHT = Record(members=(("Mask", STRING), ("Reason", STRING)))
CARRIER: tuple[Member, ...] = (("TableRight", TABLE_RIGHT), ("FieldProperties", OPAQUE))

ERP_CONNECTION = Record(
    members=(
        *CARRIER,
        ("ErpConnectionId", INT),
        ("ErpConnectorId", INT),
        ("DisplayName", STRING),
        ("DisplayDescription", STRING),
        ("Active", BOOLEAN),
        ("ConnectionId", STRING),
        ("MostRecentTimestamp", STRING),
        ("ConfigFields", STRING_DICTIONARY),
        ("Deleted", BOOLEAN),
        ("AllAccess", BOOLEAN),
        ("UserGroupAccessIds", INTS),
        ("AssociateAccessIds", INTS),
    )
)

CHANGED_DATA_ITEM = Record(members=(*CARRIER, ("Tablename", STRING), ("RecordId", INT)))
CHANGED_DATA_ITEMS = Many(item="ChangedDataItem", kind=CHANGED_DATA_ITEM)
CHANGED_DATA = Record(
    members=(
        *CARRIER,
        ("AddedRecords", CHANGED_DATA_ITEMS),
        ("UpdatedRecords", CHANGED_DATA_ITEMS),
        ("DeletedRecords", CHANGED_DATA_ITEMS),
    )
)
PLUGIN_RESPONSE = Record(
    members=(
        *CARRIER,
        ("IsOk", BOOLEAN),
        ("UserExplanation", STRING),
        ("TechExplanation", STRING),
        ("ErrorCode", STRING),
        ("Changes", CHANGED_DATA),
        ("Status", STRING),
    )
)


def _mdo_list_item(below: Kind) -> Record:
    return Record(
        members=(
            *CARRIER,
            ("Id", INT),
            ("Name", STRING),
            ("ToolTip", STRING),
            ("Deleted", BOOLEAN),
            ("Rank", INT),
            ("Type", STRING),
            ("ChildItems", below),
            ("IconHint", STRING),
            ("ColorBlock", INT),
            ("ExtraInfo", STRING),
            ("StyleHint", STRING),
            ("FullName", STRING),
        )
    )


#: The carrier holds itself without end; headings with what stands below them is all that is ever written.
MDO_LIST_ITEM = _mdo_list_item(Many(item="MDOListItem", kind=_mdo_list_item(OPAQUE)))

PRINCIPAL = Record(
    members=(
        ("UserType", STRING),
        ("Associate", STRING),
        ("AssociateId", INT),
        ("IsPerson", BOOLEAN),
        ("PersonId", INT),
        ("CountryId", INT),
        ("HomeCountryId", INT),
        ("ContactId", INT),
        ("GroupId", INT),
        ("BusinessId", INT),
        ("CategoryId", INT),
        ("ContactOwner", INT),
        ("RoleId", INT),
        ("RoleName", STRING),
        ("RoleDescription", STRING),
        ("RoleType", STRING),
        ("Licenses", OPAQUE),
        ("FullName", STRING),
        ("EMailAddress", STRING),
        ("FunctionRights", OPAQUE),
        ("EjUserId", INT),
        ("EjAccessLevel", INT),
        ("EjUserStatus", STRING),
        ("ProvidedCredentials", OPAQUE),
        ("SecondaryGroups", OPAQUE),
        ("DatabaseContextIdentifier", STRING),
    )
)
CREDENTIALS = Record(members=(("Ticket", STRING),))

EXCEPTION_INFO = Record(
    members=(
        ("Message", STRING),
        ("StackTrace", STRING),
        ("FriendlyText", STRING),
        ("ExceptionType", STRING),
        ("Source", STRING),
        ("InnerException", OPAQUE),
        ("Parameters", Dictionary(item="SoExceptionInfoParametersKeyValuePair")),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation of an agent."""

    agent: str
    name: str
    arguments: tuple[Member, ...] = ()
    reply: tuple[Member, ...] = ()
    """The members of the reply element; `Response` alone, or nothing, everywhere but at SoPrincipal."""
    reply_element: str = ""
    soap: bool = True
    """False where only the newer build of Services88 has it."""
    rest: bool = True


def _operation(agent: str, name: str, arguments: tuple[Member, ...], response: Kind | None, **more: Any) -> Operation:
    reply = () if response is None else (("Response", response),)
    return Operation(agent=agent, name=name, arguments=arguments, reply=reply, reply_element=f"{name}Response", **more)


_ID: tuple[Member, ...] = (("ErpConnectionId", INT),)
_ALL = (
    Operation(
        agent="SoPrincipal",
        name="AuthenticateUsernamePassword",
        arguments=(("UserName", STRING), ("Password", STRING)),
        reply=(("Response", PRINCIPAL), ("Credentials", CREDENTIALS), ("AuthenticationSucceeded", BOOLEAN)),
        reply_element="AuthenticateResponse",
        rest=False,
    ),
    _operation("ErpSync", "SaveConnection", (("Connection", ERP_CONNECTION),), ERP_CONNECTION),
    _operation("ErpSync", "GetConnection", _ID, ERP_CONNECTION),
    _operation("ErpSync", "DeleteConnection", _ID, None),
    _operation("ErpSync", "GetErpConnectionConfigFields", _ID, STRING_DICTIONARY),
    _operation("ErpSync", "TestConnectionById", _ID, BOOLEAN),
    _operation("ErpSync", "TestConnectionByConfig", (*_ID, ("ConfigFields", STRING_DICTIONARY)), BOOLEAN),
    _operation(
        "ErpSync",
        "GetAllConnections",
        (("IncludeDeleted", BOOLEAN),),
        Many(item="ErpConnection", kind=ERP_CONNECTION),
        soap=False,
    ),
    _operation("ErpSync", "SyncAll", (), PLUGIN_RESPONSE),
    _operation("Quote", "HasConnections", (), PLUGIN_RESPONSE),
    _operation("Quote", "GetConnectionStartupErrors", (), Many(item="PluginResponse", kind=PLUGIN_RESPONSE)),
    _operation(
        "MDO",
        "GetList",
        (("Name", STRING), ("ForceFlatList", BOOLEAN), ("AdditionalInfo", STRING), ("OnlyHistory", BOOLEAN)),
        Many(item="MDOListItem", kind=MDO_LIST_ITEM),
    ),
)
OPERATIONS = {(operation.agent, operation.name): operation for operation in _ALL}
AGENTS = {operation.agent.lower(): operation.agent for operation in _ALL}
"""Agents by lower case name: addresses do not care about case, names inside messages do."""


def default_of(kind: Kind) -> Any:
    """Return what .NET has where nothing was sent."""
    return {Scalar.INT: 0, Scalar.BOOLEAN: False}.get(kind) if isinstance(kind, Scalar) else None


def defaults_of(members: tuple[Member, ...]) -> dict[str, Any]:
    """Return every member with its default."""
    return {name: default_of(kind) for name, kind in members}


def checked_int(number: int, name: str) -> int:
    """Return *number*, or raise `UnreadableRequest` where it is no 32 bit integer."""
    if number not in INT_RANGE:
        raise UnreadableRequest(f"the value of {name} is too large or too small for an Int32")
    return number

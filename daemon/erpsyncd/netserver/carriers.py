"""The vendor's carriers as tables, in the order of the WSDL, used by both protocols.

Order matters: WCF does not complain about a misplaced element, it silently drops its value. `TableRight` and
`FieldProperties` stand before the members of every carrier; they are left out when writing and skipped when
reading, but for carriers that are kept whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from operator import attrgetter
from typing import Any, Generic, TypeAlias, TypeVar

from erpsyncd.domain.connections import ConnectionSpec, ErpConnection, ListedConnection
from erpsyncd.domain.lists import ListItem
from erpsyncd.domain.results import ChangedDataItem, PluginResponse, RecordChange

T = TypeVar("T")
#: Vendor's member name → value; members that did not come have their kind's default.
Values: TypeAlias = Mapping[str, Any]


#: Where `Values` have all of a carrier that is kept whole, as a value of JSON; no member has this name.
WHOLE = ""


class Unreadable(ValueError):
    """A member of a reply holds what its type cannot. The message names the member and never the value."""


class Kind(Enum):
    """How a member looks on the wire."""

    INT = auto()
    """xs:int: 32 bits, signed."""

    LONG = auto()
    """An xs:int that is read up to 64 bits, because too large a one must not cost the whole answer."""

    BOOL = auto()
    TEXT = auto()
    CODE = auto()
    """Text that some JSON has as a number."""

    WORD = auto()
    """An enumeration, read leniently: new words appear over time."""

    SECRET = auto()
    """Text that we send as a `Secret`; never read."""

    INTS = auto()
    """ArrayOfint; its items are in the Arrays namespace."""

    DICTIONARY = auto()
    """StringDictionary, whose values all count as secrets."""

    CARRIER = auto()
    CARRIERS = auto()


#: The value of a member that is missing or nil, as .NET reads it.
DEFAULTS: dict[Kind, Any] = {
    Kind.INT: 0,
    Kind.LONG: 0,
    Kind.BOOL: False,
    Kind.TEXT: "",
    Kind.CODE: "",
    Kind.WORD: "",
    Kind.INTS: (),
    Kind.DICTIONARY: {},
    Kind.CARRIER: None,
    Kind.CARRIERS: (),
}


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a carrier, or one parameter of an operation."""

    name: str
    kind: Kind
    attribute: str = ""
    """Where the value stands in our own type; only carriers that are written need it."""

    of: Carrier[Any] | None = None
    """What a CARRIER or each of CARRIERS is; None is the carrier that the member belongs to."""

    default: Any = ...
    """What it is when it is missing or nil; an ellipsis stands for the kind's own default."""


@dataclass(frozen=True, slots=True, eq=False)
class Carrier(Generic[T]):
    """One of the vendor's types and how ours is made of it. Compared by identity, so it can key a cache."""

    name: str
    members: tuple[Member, ...]
    build: Callable[[Values], T]
    kept_whole: bool = False
    """Whether `build` is also given everything that came, under `WHOLE`."""

    defaults: Values = field(init=False)
    values_of: Callable[[T], tuple[Any, ...]] = field(init=False)
    """Takes one of ours apart, in the order of the members."""

    def __post_init__(self) -> None:
        defaults = {m.name: DEFAULTS[m.kind] if m.default is ... else m.default for m in self.members}
        object.__setattr__(self, "defaults", defaults)
        attributes = [member.attribute for member in self.members if member.attribute]
        object.__setattr__(self, "values_of", attrgetter(*attributes) if attributes else tuple)


def _erp_connection(values: Values) -> ErpConnection:
    return ErpConnection(
        erp_connection_id=values["ErpConnectionId"],
        connection_id=values["ConnectionId"],
        most_recent_timestamp=values["MostRecentTimestamp"],
        deleted=values["Deleted"],
        spec=ConnectionSpec(
            erp_connector_id=values["ErpConnectorId"],
            display_name=values["DisplayName"],
            display_description=values["DisplayDescription"],
            active=values["Active"],
            all_access=values["AllAccess"],
            user_group_access_ids=values["UserGroupAccessIds"],
            associate_access_ids=values["AssociateAccessIds"],
            config_fields=values["ConfigFields"],
        ),
    )


ERP_CONNECTION: Carrier[ErpConnection] = Carrier(
    "ErpConnection",
    (
        Member("ErpConnectionId", Kind.INT, "erp_connection_id"),
        Member("ErpConnectorId", Kind.INT, "spec.erp_connector_id"),
        Member("DisplayName", Kind.TEXT, "spec.display_name"),
        Member("DisplayDescription", Kind.TEXT, "spec.display_description"),
        Member("Active", Kind.BOOL, "spec.active"),
        Member("ConnectionId", Kind.TEXT, "connection_id"),
        Member("MostRecentTimestamp", Kind.TEXT, "most_recent_timestamp"),
        Member("ConfigFields", Kind.DICTIONARY, "spec.config_fields"),
        Member("Deleted", Kind.BOOL, "deleted"),
        Member("AllAccess", Kind.BOOL, "spec.all_access"),
        Member("UserGroupAccessIds", Kind.INTS, "spec.user_group_access_ids"),
        Member("AssociateAccessIds", Kind.INTS, "spec.associate_access_ids"),
    ),
    _erp_connection,
)

_CHANGED_DATA_ITEM: Carrier[tuple[str, int]] = Carrier(
    "ChangedDataItem",
    (Member("Tablename", Kind.TEXT), Member("RecordId", Kind.LONG)),
    lambda values: (values["Tablename"], values["RecordId"]),
)

_RECORD_LISTS = {
    "AddedRecords": RecordChange.ADDED,
    "UpdatedRecords": RecordChange.UPDATED,
    "DeletedRecords": RecordChange.DELETED,
}


def _changed_data(values: Values) -> tuple[ChangedDataItem, ...]:
    return tuple(
        ChangedDataItem(change=change, table_name=table_name, record_id=record_id)
        for name, change in _RECORD_LISTS.items()
        for table_name, record_id in values[name]
    )


_CHANGED_DATA: Carrier[tuple[ChangedDataItem, ...]] = Carrier(
    "ChangedData",
    tuple(Member(name, Kind.CARRIERS, of=_CHANGED_DATA_ITEM) for name in _RECORD_LISTS),
    _changed_data,
)


def _plugin_response(values: Values) -> PluginResponse:
    """Build a PluginResponse; `IsOk` is documented as "equivalent to Status != Error", should it be missing."""
    is_ok, status = values["IsOk"], values["Status"]
    if is_ok is None:
        if not status:
            raise Unreadable("IsOk is missing")
        is_ok = status != "Error"
    return PluginResponse(
        is_ok=is_ok,
        user_explanation=values["UserExplanation"],
        tech_explanation=values["TechExplanation"],
        error_code=values["ErrorCode"],
        status=status,
        changes=values["Changes"] or (),
        received=values[WHOLE],
    )


PLUGIN_RESPONSE: Carrier[PluginResponse] = Carrier(
    "PluginResponse",
    (
        Member("IsOk", Kind.BOOL, default=None),  # an answer without the answer must not pass for a "no"
        Member("UserExplanation", Kind.TEXT),
        Member("TechExplanation", Kind.TEXT),
        Member("ErrorCode", Kind.CODE),
        Member("Changes", Kind.CARRIER, of=_CHANGED_DATA),
        Member("Status", Kind.WORD),
    ),
    _plugin_response,
    kept_whole=True,
)


def _list_item(values: Values) -> tuple[ListedConnection, ...]:
    """Return the item, if it is one, and everything below it: headings have id 0, deleted ones are left out."""
    below = tuple(found for items in values["ChildItems"] for found in items)
    if values["Deleted"] or values["Id"] <= 0:
        return below
    own = ListedConnection(
        erp_connection_id=values["Id"], display_name=values["Name"], connection_id=values["ExtraInfo"]
    )
    return (own, *below)


MDO_LIST_ITEM: Carrier[tuple[ListedConnection, ...]] = Carrier(
    "MDOListItem",
    (
        Member("Id", Kind.INT),
        Member("Name", Kind.TEXT),
        Member("Deleted", Kind.BOOL),
        Member("ChildItems", Kind.CARRIERS),
        Member("ExtraInfo", Kind.TEXT),
    ),
    _list_item,
)


def _list_entry(values: Values) -> tuple[ListItem, ...]:
    """Return the item and everything below it. What holds others is a heading, whose number is another table's."""
    below = tuple(found for items in values["ChildItems"] for found in items)
    if values["ChildItems"] or values["Deleted"] or values["Id"] <= 0 or not values["Name"]:
        return below
    extra = values["ExtraInfo"]
    # Of an associate it is something else: `person_id=9&contact_id=0`.
    return (ListItem(id=values["Id"], name=values["Name"], url=extra if "://" in extra else ""),)


#: The same type, read for its names.
MDO_LIST_ENTRY: Carrier[tuple[ListItem, ...]] = Carrier("MDOListItem", MDO_LIST_ITEM.members, _list_entry)

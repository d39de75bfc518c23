"""What somebody in the CRM does to connections, as JSON of the control surface says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from erpsyncd.sandbox.connections import SandboxConnection, plain

if TYPE_CHECKING:
    from erpsyncd.sandbox.tenant import TenantState

_FIELDS = {
    "ErpConnectorId": "erp_connector_id",
    "DisplayName": "display_name",
    "DisplayDescription": "display_description",
    "Active": "active",
    "ConnectionId": "guid",
    "MostRecentTimestamp": "most_recent_timestamp",
    "ConfigFields": "config_fields",
    "Deleted": "deleted",
    "AllAccess": "all_access",
    "UserGroupAccessIds": "user_group_access_ids",
    "AssociateAccessIds": "associate_access_ids",
}
_LIKE = plain(SandboxConnection())


def edit(tenant: TenantState, document: Mapping[str, Any]) -> SandboxConnection | None:
    """Add a connection, change the one that `ErpConnectionId` names, or with `"forget": true` remove it for good.

    Members have the vendor's names, and those that are not named stay as they are. Another `ConnectionId` makes it
    another connection under the same number, as a restored backup does. Returns how it is now; None for none.

    Raises:
        NotFoundProblem: there is no connection of this number.
        ValueError: the document has a member that no connection has, or a value of another type.
    """
    members = {name: value for name, value in document.items() if name != "tenant"}
    number, gone = members.pop("ErpConnectionId", 0), members.pop("forget", False)
    if type(number) is not int or type(gone) is not bool or (gone and (members or not number)):
        raise ValueError("ErpConnectionId is a number; forget is true or false, and stands beside it alone")
    if gone:
        tenant.forget(number)
        return None
    changes = {_field(name): _value(name, value) for name, value in members.items()}
    return tenant.edit(number, **changes) if number else tenant.add(**changes)


def _field(name: str) -> str:
    if name not in _FIELDS:
        raise ValueError(f"there is no {name}; known are {', '.join(_FIELDS)}")
    return _FIELDS[name]


def _value(name: str, value: Any) -> object:
    """Return a member's value as a row has it; one of another type would only show up much later."""
    numbers, texts = value if isinstance(value, list) else (), value.values() if isinstance(value, dict) else ()
    parts_fit = all(type(one) is int for one in numbers) and all(type(one) is str for one in texts)
    if type(value) is not type(_LIKE[name]) or not parts_fit:
        raise ValueError(f"{name} cannot be {value!r}")
    if name == "ConnectionId":
        return UUID(value)
    return tuple(value) if isinstance(value, list) else value

"""The MDO lists that a tenant's names are looked up in."""

from __future__ import annotations

from typing import Any

from erpsyncd.sandbox.options import SandboxTenant


def name_list(options: SandboxTenant, name: str) -> list[dict[str, Any]]:
    """Return the items of the list of connectors, user groups or associates."""
    deleted = options.deleted_items.get(name, frozenset())
    items = {
        "erpconnectors": {
            key: list_item(key, connector.name, connector.url) for key, connector in options.connectors.items()
        },
        "usergroup": {key: list_item(key, text) for key, text in options.user_groups.items()},
        "associate": {
            key: list_item(key, text, f"person_id={key}&contact_id=0") for key, text in options.associates.items()
        },
    }[name]
    for key, item in items.items():
        item["Deleted"] = key in deleted
    return list(items.values()) if name != "associate" else _under_headings(options, items)


def _under_headings(options: SandboxTenant, items: dict[int, dict[str, Any]]) -> list[dict[str, Any]]:
    """Put associates under their groups: a heading has the number and the name of its group."""
    below = {key: group for group, keys in options.headings.items() for key in keys}
    headings = [
        {
            **list_item(group, options.user_groups[group]),
            "ChildItems": [item for key, item in items.items() if below.get(key) == group],
        }
        for group in options.headings
    ]
    return headings + [item for key, item in items.items() if key not in below]


def list_item(identity: int, name: str, extra: str = "") -> dict[str, Any]:
    """Return one MDOListItem."""
    texts = {"ToolTip": "", "Type": None, "ChildItems": None, "IconHint": "", "StyleHint": "", "FullName": name}
    numbers = {"Id": identity, "Deleted": False, "Rank": identity, "ColorBlock": 0}
    return {"TableRight": None, "FieldProperties": None, "Name": name, "ExtraInfo": extra, **texts, **numbers}

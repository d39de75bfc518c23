"""What is known as tables of the document, so that it is described, and changed in part, by the document's rules."""

from __future__ import annotations

from collections.abc import Container, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from erpsyncd.domain.secrets import WITHHELD, Template
from erpsyncd.domain.tenants import AUTH_FIELDS, Auth, TenantSpec
from erpsyncd.service.document import TENANT_KEYS

if TYPE_CHECKING:
    from erpsyncd.domain.connections import ConnectionSpec
    from erpsyncd.service.layouts import Entry, Value

Table: TypeAlias = Mapping[str, Any]

#: What a tenant need not have; each is a text.
OPTIONAL = (
    *("url", "environment", "context", "soap_url", "rest_url", "language", "time_zone"),
    *("ca_file", "client_certificate", "client_key", "proxy"),
)


def tenant_table(spec: TenantSpec) -> Entry:
    """Return the `[[tenants]]` entry that describes this. A value that does not open any more is left to the store."""
    given = ((key, getattr(spec, key)) for key in TENANT_KEYS)
    return {key: plain(value) for key, value in given if value is not None and (key, value) != ("url", "")}


def plain(value: Any) -> Value | dict[str, Value]:
    """Return a field of a description as the document has it."""
    match value:
        case Auth():
            return {"kind": value.kind.value, **_texts(value.fields)}
        case Mapping():
            return {**_texts(value)}
        case Template():
            return _text(value)
        case StrEnum():
            return value.value
        case _:
            as_it_is: Value = value
            return as_it_is


def _texts(templates: Mapping[str, Template]) -> dict[str, str]:
    return {name: _text(template) for name, template in templates.items()}


def _text(template: Template) -> str:
    return WITHHELD.source() if template.damage is not None else template.source()


def connection_table(tenant: str, key: str, spec: ConnectionSpec, hidden: Container[str] = ()) -> Table:
    """Return the `[[connections]]` entry that describes what a tenant has; what it hides is left to the store."""
    return {
        "tenant": tenant,
        "key": key,
        "erp_connector_id": spec.erp_connector_id,
        "display_name": spec.display_name,
        "display_description": spec.display_description,
        "active": spec.active,
        "all_access": spec.all_access,
        "user_group_access_ids": list(spec.user_group_access_ids),
        "associate_access_ids": list(spec.associate_access_ids),
        "config_fields": {
            name: WITHHELD.source() if name in hidden else value.reveal().replace("@{", "@@{")
            for name, value in spec.config_fields.items()
        },
    }


def changed_table(table: Table, changes: Table) -> Table:
    """Return the entry with other values in some places. An empty one takes away what need not be there."""
    auth = {**table.get("auth", {}), **changes.get("auth", {})}
    if auth.get("kind") != table.get("auth", {}).get("kind"):
        auth = {name: value for name, value in auth.items() if name in changes["auth"] or _belongs(name, auth["kind"])}
    changed = {**table, **changes, "auth": auth}
    return {name: value for name, value in changed.items() if name not in OPTIONAL or value}


def _belongs(field: str, kind: str) -> bool:
    """Say whether a field goes with a kind of auth; whether there is such a kind is found out elsewhere."""
    return any(field in (*required, *optional) for known, (required, optional) in AUTH_FIELDS.items() if known == kind)

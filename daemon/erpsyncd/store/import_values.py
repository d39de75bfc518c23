"""Values that a document leaves to the store: `@{stored}` means the one that is there. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from erpsyncd.domain.connections import ConnectionTemplate, State
from erpsyncd.domain.documents import Document, DocumentConnection, DocumentTenant
from erpsyncd.domain.items import command
from erpsyncd.domain.proxies import parse_proxy
from erpsyncd.domain.secrets import WITHHELD, Template, withheld_names
from erpsyncd.domain.tenants import Auth, TenantSpec
from erpsyncd.errors import Problem
from erpsyncd.store.import_plan import StoredSide, is_unchanged

T = TypeVar("T", TenantSpec, ConnectionTemplate)


def with_stored_values(document: Document, stored: StoredSide) -> Document:
    """Return the document with what the store has for each `@{stored}`; what it does not have stays withheld."""
    return Document(
        tenants=tuple(_with_values_of_tenant(entry, stored) for entry in document.tenants),
        connections=tuple(_with_values_of_connection(entry, stored) for entry in document.connections),
    )


def with_stored_ids(document: Document, stored: StoredSide) -> Document:
    """Return the document with the ids that its names stood for last; what was never looked up has none yet."""
    return replace(document, connections=tuple(_with_ids(entry, stored) for entry in document.connections))


def _with_ids(entry: DocumentConnection, stored: StoredSide) -> DocumentConnection:
    row = stored.connections.get((entry.tenant, entry.key))
    if row is None or row.state is State.DELETED or not (entry.present and entry.template.has_names):
        return entry
    before, now = row.template, entry.template
    # Another name before anything was created: nothing is fixed yet, and the old connector may be another one's.
    begins_anew = (
        before.erp_connector != now.erp_connector and row.erp_connection_id is None and row.id not in stored.with_intent
    )
    ids: dict[str, Any] = {}
    if now.erp_connector is not None and not begins_anew:
        ids["erp_connector_id"] = before.erp_connector_id
    if now.user_groups:
        ids["user_group_access_ids"] = before.user_group_access_ids
    if now.associates:
        ids["associate_access_ids"] = before.associate_access_ids
    return replace(entry, template=replace(now, **ids))


def find_lost_values(document: Document, stored: StoredSide) -> Iterator[str]:
    """Name what cannot be kept: to change an entry is to seal its values anew, and these do not open."""
    for tenant in document.tenants:
        before = stored.tenants.get(tenant.spec.name)
        if before is None or before.spec != tenant.spec:
            yield from _lost(tenant.place, tenant.spec.templates)
    for entry in document.connections:
        if entry.present and not is_unchanged(entry, stored.connections.get((entry.tenant, entry.key))):
            yield from _lost(entry.place, entry.template.templates)


def find_moved_values(document: Document, stored: StoredSide) -> Iterator[str]:
    """Name what must not be kept: to write a document must not be enough to have a stored secret sent elsewhere."""
    moved = set()
    for tenant in document.tenants:
        before = stored.tenants.get(tenant.spec.name)
        if before is not None and _moves(before.spec, tenant.spec):
            moved.add(tenant.spec.name)
            yield from _moved(tenant.spec.name, tenant.place, tenant.spec.templates, before.spec.templates)
    for entry in document.connections:
        row = stored.connections.get((entry.tenant, entry.key))
        if entry.present and row is not None and entry.tenant in moved:
            yield from _moved(entry.tenant, entry.place, entry.template.templates, row.template.templates)


def _moves(before: TenantSpec, now: TenantSpec) -> bool:
    """Whether somebody else may get what is sent to a tenant, or to the proxy before it."""
    return (
        (before.origins, before.environment, before.context) != (now.origins, now.environment, now.context)
        or before.ca_file != now.ca_file
        or _is_another(before.proxy, now.proxy)
    )


def _is_another(before: Template | None, now: Template | None) -> bool:
    """Whether a proxy has another address; one that is left to the store has the same."""
    if before is None or now is None:
        return before is not now and WITHHELD not in (before, now)
    if before.is_withheld or now.is_withheld:
        return False
    return before.damage is not None or parse_proxy(before).address != parse_proxy(now).address


def _moved(tenant: str, place: str, described: Mapping[str, Template], stored: Mapping[str, Template]) -> Iterator[str]:
    for name in withheld_names(described):
        value = stored.get(name, WITHHELD)
        # What does not open is lost, and said to be.
        if not value.is_withheld and value.damage is None:
            yield Problem(
                f"{place}.{name}",
                "is @{stored}, but the tenant's address, ca_file or proxy changes; give the value again, for no "
                "document may send a stored secret elsewhere, or move the tenant first: "
                + command("tenants", "edit", tenant),
            )


def _lost(place: str, templates: Mapping[str, Template]) -> Iterator[str]:
    for name, template in templates.items():
        if template.damage is not None:
            yield f"{place}.{name}: is @{{stored}}, but what is stored cannot be kept: {template.damage}"


def _with_values_of_tenant(entry: DocumentTenant, stored: StoredSide) -> DocumentTenant:
    before = stored.tenants.get(entry.spec.name)
    if before is None or not withheld_names(entry.spec.templates):
        return entry
    return replace(entry, spec=_filled(entry.spec, before.spec))


def _with_values_of_connection(entry: DocumentConnection, stored: StoredSide) -> DocumentConnection:
    before = stored.connections.get((entry.tenant, entry.key))
    if before is None or not withheld_names(entry.template.templates):
        return entry
    return replace(entry, template=_filled(entry.template, before.template))


def _filled(described: T, stored: T) -> T:
    values: dict[str, Any] = {
        field.name: _value(getattr(described, field.name), getattr(stored, field.name)) for field in fields(described)
    }
    return replace(described, **values)


def _value(described: Any, stored: Any) -> Any:
    """Return a field with what the store has in its place, wherever the document leaves that to the store."""
    match described, stored:
        case (Template(), Template()):
            return stored if described.is_withheld else described
        case (Auth(), Auth()):
            return replace(described, fields=_value(described.fields, stored.fields))
        case (Mapping(), Mapping()):
            return {name: _value(value, stored.get(name)) for name, value in described.items()}
        case _:
            return described

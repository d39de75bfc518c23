"""What an import changes, told entry by entry and field by field. Pure; no secret gets into it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import fields

from erpsyncd.domain.connections import ConnectionTemplate
from erpsyncd.domain.documents import MARKED_ABSENT, FieldEdit, ImportItem, ImportReport, ItemChange
from erpsyncd.domain.secrets import Template, withheld_names
from erpsyncd.domain.tenants import Auth, TenantSpec
from erpsyncd.store.import_plan import AbsentConnection, ChangedConnection, ChangedTenant, ImportPlan

_WANTED_AGAIN = FieldEdit(name="state", old="absent", new="present")


def report_of(plan: ImportPlan) -> ImportReport:
    """Return what an import changes, in numbers and one by one."""
    items = tuple(sorted(_items(plan), key=lambda item: (item.tenant, item.key or "")))
    counts = Counter(item.change for item in items)
    return ImportReport(
        added=counts[ItemChange.ADDED],
        changed=counts[ItemChange.CHANGED],
        unchanged=plan.unchanged,
        removed=counts[ItemChange.REMOVED],
        items=items,
    )


def _items(plan: ImportPlan) -> Iterator[ImportItem]:
    for spec in plan.new_tenants:
        yield ImportItem(change=ItemChange.ADDED, tenant=spec.name, key=None, incomplete=withheld_names(spec.templates))
    for tenant in plan.changed_tenants:
        yield _changed_tenant(tenant)
    for entry in plan.new_connections:
        yield _added(entry.tenant, entry.key, entry.template)
    for connection in plan.changed_connections:
        yield _changed_connection(connection)
    for gone in (*plan.absent, *plan.never_created):
        yield _absent(gone)


def _added(tenant: str, key: str, template: ConnectionTemplate) -> ImportItem:
    return ImportItem(change=ItemChange.ADDED, tenant=tenant, key=key, incomplete=withheld_names(template.templates))


def _changed_tenant(changed: ChangedTenant) -> ImportItem:
    before, now = changed.stored.spec, changed.spec
    return ImportItem(
        change=ItemChange.CHANGED,
        tenant=now.name,
        key=None,
        fields=tuple(_edits(before, now)),
        incomplete=withheld_names(now.templates),
    )


def _changed_connection(changed: ChangedConnection) -> ImportItem:
    if changed.anew:
        return _added(changed.tenant, changed.stored.key, changed.template)
    before, now = changed.stored.template, changed.template
    return ImportItem(
        change=ItemChange.CHANGED,
        tenant=changed.tenant,
        key=changed.stored.key,
        fields=(*_edits(before, now), *(() if changed.stored.present else (_WANTED_AGAIN,))),
        incomplete=withheld_names(now.templates),
    )


def _absent(gone: AbsentConnection) -> ImportItem:
    change = ItemChange.REMOVED if gone.pruned else ItemChange.CHANGED
    return ImportItem(change=change, tenant=gone.tenant, key=gone.key, fields=(MARKED_ABSENT,))


def _edits(before: TenantSpec | ConnectionTemplate, now: TenantSpec | ConnectionTemplate) -> Iterator[FieldEdit]:
    for field in fields(now):
        yield from _edit(field.name, getattr(before, field.name), getattr(now, field.name))


def _edit(name: str, old: object, new: object) -> Iterator[FieldEdit]:
    """Return what becomes of a field; what has fields of its own is told field by field."""
    if old == new:
        return
    match old, new:
        case (Auth(), Auth()):
            yield from _edit(f"{name}.kind", old.kind, new.kind)
            yield from _edit(name, old.fields, new.fields)
        case (Mapping(), Mapping()):
            for key in (*new, *(key for key in old if key not in new)):
                yield from _edit(f"{name}.{key}", old.get(key), new.get(key))
        case (Template(), _) | (_, Template()):
            yield FieldEdit(name=name, change=_change(old, new))
        case _:
            yield FieldEdit(name=name, change=_change(old, new), old=old, new=new)


def _change(old: object, new: object) -> ItemChange:
    if old is None:
        return ItemChange.ADDED
    return ItemChange.REMOVED if new is None else ItemChange.CHANGED

"""Writing the import document (design.md §8): what is stored, so that importing it changes nothing.

Every field is written, also where it has its default: an export says the same after a release that has other defaults.
What is marked absent is left out: a store that does not know the connection's id could not delete it, and the one that
does goes on deleting it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, assert_never

from erpsyncd.service.description import plain, tenant_table
from erpsyncd.service.document import CONNECTION_KEYS, KIND, VERSION
from erpsyncd.service.document_templates import NAMED
from erpsyncd.service.layouts import Entry, Layout, Lists, write_json, write_toml, write_yaml

if TYPE_CHECKING:
    from erpsyncd.domain.documents import Document, DocumentConnection
    from erpsyncd.domain.secrets import Template

_WITHHOLDS = (
    "Written by erpsyncd export. Importing it changes nothing.",
    '"@{stored}" stands for a value that the store has encrypted, and keeps it. A store that does not have',
    "it lists the connection as incomplete, and does not push it, until an import gives the value.",
)
_REVEALS = ("Written by erpsyncd export --reveal. Secrets stand here in clear: keep it from others.",)


def write_document(document: Document, layout: Layout, *, reveals: bool) -> str:
    """Return a document's text, tenants by name, connections by tenant and key."""
    lists = _lists(document)
    comment = _REVEALS if reveals else _WITHHOLDS
    match layout:
        case Layout.TOML:
            return write_toml(lists, comment=comment)
        case Layout.YAML:
            return write_yaml(lists, comment=comment)
        case Layout.JSON:
            return write_json(lists, about={"version": VERSION, "kind": KIND})
        case _ as never:
            assert_never(never)


def export_warnings(document: Document) -> tuple[str, ...]:
    """Return what cannot be revealed, one sentence each with its place."""
    return tuple(
        f"{place}: @{{stored}} stands for it, because {template.damage}"
        for place, template in _templates(document)
        if template.damage is not None
    )


def _templates(document: Document) -> Iterator[tuple[str, Template]]:
    for tenant in document.tenants:
        for name, template in tenant.spec.templates.items():
            yield f"{tenant.spec.name}: {name}", template
    for entry in document.connections:
        for name, template in entry.template.templates.items():
            yield f"{entry.tenant}/{entry.key}: {name}", template


def _lists(document: Document) -> Lists:
    return {
        "tenants": [tenant_table(tenant.spec) for tenant in document.tenants],
        "connections": [_connection(entry) for entry in document.connections if entry.present],
    }


def _connection(entry: DocumentConnection) -> Entry:
    own: Entry = {"tenant": entry.tenant, "key": entry.key, "state": "present"}
    # One form of each: what was given by name stands for the ids that it stood for last.
    left_out = {number if getattr(entry.template, name) else name for name, number in NAMED.items()}
    keys = [key for key in CONNECTION_KEYS if key not in left_out]
    return {key: own[key] if key in own else plain(getattr(entry.template, key)) for key in keys}

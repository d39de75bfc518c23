"""The import document as values, after its form has been checked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from erpsyncd.domain.connections import ConnectionTemplate
from erpsyncd.domain.tenants import TenantSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentConnection:
    """One `[[connections]]` entry."""

    tenant: str
    key: str
    present: bool
    template: ConnectionTemplate
    place: str
    """Where it stands, for messages: `acme.toml: connections[3]`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentTenant:
    """One `[[tenants]]` entry."""

    spec: TenantSpec
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Everything that the files of one import say."""

    tenants: tuple[DocumentTenant, ...] = ()
    connections: tuple[DocumentConnection, ...] = ()


class ItemChange(StrEnum):
    """What an import does to an entry or to one of its fields."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldEdit:
    """A field that an import changes. Of a secret, which every auth and config field is, only that is told."""

    name: str
    change: ItemChange = ItemChange.CHANGED
    old: object = None
    new: object = None


#: What happens to an entry that is no longer wanted.
MARKED_ABSENT = FieldEdit(name="state", old="present", new="absent")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportItem:
    """A tenant or a connection that an import changes."""

    change: ItemChange
    """`removed` by `--prune` only; what the document itself calls absent is `changed`."""

    tenant: str
    key: str | None
    """None for a tenant."""

    fields: tuple[FieldEdit, ...] = ()
    """Empty for what is added."""

    incomplete: tuple[str, ...] = ()
    """The values that it needs and that neither the document nor the store has."""

    @property
    def is_marked_absent(self) -> bool:
        """Whether it is to be deleted in the tenant."""
        return MARKED_ABSENT in self.fields


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an import changed in the store; tenants and connections are counted together."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    """Connections marked absent by `--prune`."""

    items: tuple[ImportItem, ...] = ()
    """What was added, changed or removed, by tenant and key."""

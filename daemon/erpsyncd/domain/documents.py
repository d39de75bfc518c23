"""The import document as values, after its form has been checked."""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an import changed in the store; tenants and connections are counted together."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    """Connections marked absent by `--prune`."""

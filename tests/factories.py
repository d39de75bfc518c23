"""Values for tests, valid unless told otherwise."""

from __future__ import annotations

from typing import Any

from erpsyncd.domain.connections import ConnectionSpec, ConnectionTemplate, ErpConnection
from erpsyncd.domain.documents import Document, DocumentConnection, DocumentTenant
from erpsyncd.domain.secrets import Secret, parse_template
from erpsyncd.domain.tenants import Auth, AuthKind, Protocol, TenantSpec


def make_tenant(name: str = "acme", **overrides: Any) -> DocumentTenant:
    auth = overrides.pop("auth", {"username": "sync", "password": "tenant password"})
    fields: dict[str, Any] = {
        "url": f"https://{name}.example",
        "protocol": Protocol.SOAP,
        "auth": Auth(kind=AuthKind.PASSWORD, fields={key: parse_template(value) for key, value in auth.items()}),
    }
    return DocumentTenant(spec=TenantSpec(name=name, **(fields | overrides)), place=f"test: tenants {name}")


def make_connection(key: str = "visma", *, tenant: str = "acme", present: bool = True, **overrides: Any) -> Any:
    config = overrides.pop("config_fields", {"Client": "F0001", "Password": "erp password"})
    fields: dict[str, Any] = {"erp_connector_id": 1, "display_name": f"Name of {key}"}
    template = ConnectionTemplate(
        **(fields | overrides), config_fields={name: parse_template(value) for name, value in config.items()}
    )
    place = f"test: connections {tenant}/{key}"
    return DocumentConnection(tenant=tenant, key=key, present=present, template=template, place=place)


def make_document(*entries: DocumentTenant | DocumentConnection) -> Document:
    return Document(
        tenants=tuple(entry for entry in entries if isinstance(entry, DocumentTenant)),
        connections=tuple(entry for entry in entries if isinstance(entry, DocumentConnection)),
    )


def make_erp_connection(erp_connection_id: int = 7, **overrides: Any) -> ErpConnection:
    spec: dict[str, Any] = {
        "erp_connector_id": 1,
        "display_name": "Name of visma",
        "config_fields": {"Client": Secret("F0001")},
    }
    own: dict[str, Any] = {
        "connection_id": f"00000000-0000-0000-0000-{erp_connection_id:012d}",
        "most_recent_timestamp": "cursor 0",
        "deleted": False,
    }
    for name in tuple(overrides):
        if name in own:
            own[name] = overrides.pop(name)
    return ErpConnection(erp_connection_id=erp_connection_id, spec=ConnectionSpec(**(spec | overrides)), **own)

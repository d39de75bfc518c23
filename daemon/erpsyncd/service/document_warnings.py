"""What an import document may say, and hardly means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from erpsyncd.domain.tenants import Protocol
from erpsyncd.errors import Problem

if TYPE_CHECKING:
    from erpsyncd.domain.documents import Document, DocumentTenant

#: The vendor's condition: no more than this many calls per second and tenant.
_VENDOR_RATE = 10


def document_warnings(document: Document) -> tuple[str, ...]:
    """Return what is allowed but hardly meant, one sentence each with its place."""
    return tuple(problem for tenant in document.tenants for problem in _of_tenant(tenant))


def _of_tenant(tenant: DocumentTenant) -> Iterator[Problem]:
    spec = tenant.spec
    if spec.calls_per_second > _VENDOR_RATE:
        reason = f"is above {_VENDOR_RATE}, the most that the vendor allows ({spec.name})"
        yield Problem(f"{tenant.place}.calls_per_second", reason)
    if spec.language is not None and spec.protocol is Protocol.SOAP:
        reason = f"is not sent to the tenant, because SOAP has no place for it; it is what we show ({spec.name})"
        yield Problem(f"{tenant.place}.language", reason)

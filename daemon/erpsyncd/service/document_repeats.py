"""What stands twice in the files of one import, or could not be told apart in a tenant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from erpsyncd.domain.connections import name_variants
from erpsyncd.errors import Problem

if TYPE_CHECKING:
    from erpsyncd.domain.documents import DocumentConnection, DocumentTenant


def repeated(tenants: Iterable[DocumentTenant], connections: Sequence[DocumentConnection]) -> Iterator[str]:
    """Name what stands twice in the files of one import."""
    yield from _twice("stands twice", (((item.spec.name,), f"{item.place}.name") for item in tenants))
    yield from _twice("stands twice", (((item.tenant, item.key), f"{item.place}.key") for item in connections))
    yield from _same_names(item for item in connections if item.present)


def _same_names(connections: Iterable[DocumentConnection]) -> Iterator[str]:
    """Name those that a look-up in their tenant could not tell apart: equal names, in any of their languages."""
    first: dict[tuple[str, int | str, str], DocumentConnection] = {}
    for item in connections:
        tenant, connectors, name = item.tenant, item.template.connectors, item.template.display_name
        if not (tenant and connectors and name):  # what is missing was noted as such
            continue
        found = [
            first.setdefault((tenant, connector, variant), item)
            for connector in connectors
            for variant in sorted(name_variants(name))
        ]
        others = [other for other in found if other is not item]
        if not others:
            continue
        other = min(others, key=lambda other: other.template.display_name != name)
        reason = (
            "has the same tenant, connector and display name as another connection"
            if other.template.display_name == name
            else "reads in one language as another connection of this tenant and connector, so that after a create "
            "without an answer nobody could tell which of the two is there"
        )
        yield Problem(f"{item.place}.display_name", f"{reason}; the first is {other.place}.display_name")


def _twice(reason: str, entries: Iterable[tuple[tuple[str, ...], str]]) -> Iterator[str]:
    first: dict[tuple[str, ...], str] = {}
    for identity, place in entries:
        if identity in first:
            yield Problem(place, f"{reason}; the first is {first[identity]}")
        elif all(identity):  # what is missing was noted as such
            first[identity] = place

"""What an import means for the store: which of its entries cannot stand, and what the others change. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import TypeAlias

from erpsyncd.domain.connections import ConnectionRowId, ConnectionTemplate, State, StoredConnection, name_variants
from erpsyncd.domain.documents import Document, DocumentConnection
from erpsyncd.domain.input_rules import NearMisses
from erpsyncd.domain.proxies import distance_problem, proxy_problem
from erpsyncd.domain.tenants import Tenant, TenantSpec
from erpsyncd.errors import Problem

Address: TypeAlias = tuple[str, str]
"""Tenant and key."""

_Holder: TypeAlias = tuple[str, str, str]
"""Key, place and display name of a connection that has a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherConnection:
    """A present connection that the document does not name."""

    id: ConnectionRowId
    tenant: str
    key: str
    connectors: frozenset[int | str]
    """As of a template."""

    display_name: str
    erp_connection_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSide:
    """What the store has of what the document is about."""

    tenants: Mapping[str, Tenant]
    connections: Mapping[Address, StoredConnection]
    others: tuple[OtherConnection, ...] = ()
    """With `prune` all others of the document's tenants, else at least those with a name that it gives too."""

    with_intent: frozenset[ConnectionRowId] = frozenset()
    names: frozenset[str] = frozenset()
    """Of all tenants, where the document names one that neither it nor the store has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedTenant:
    """A tenant that is described otherwise than before."""

    stored: Tenant
    spec: TenantSpec

    @property
    def reached_otherwise(self) -> bool:
        """Whether earlier failures say nothing about the next call."""
        return _reached(self.stored.spec) != _reached(self.spec)

    @property
    def is_another(self) -> bool:
        """Whether what the vendor said of the one before says nothing about this one."""
        before, after = self.stored.spec, self.spec
        return (before.environment, before.context) != (after.environment, after.context)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedConnection:
    """A connection that is described otherwise than before, or wanted again."""

    stored: StoredConnection
    tenant: str
    template: ConnectionTemplate

    @property
    def anew(self) -> bool:
        """Whether it has to be created again, because it was deleted in the tenant."""
        return self.stored.state is State.DELETED


@dataclass(frozen=True, slots=True, kw_only=True)
class AbsentConnection:
    """A connection that is no longer wanted."""

    id: ConnectionRowId
    tenant: str
    key: str
    pruned: bool
    """Because the document does not name it; else because it is called absent there."""


@dataclass(kw_only=True)
class ImportPlan:
    """What an import changes."""

    new_tenants: list[TenantSpec] = field(default_factory=list)
    changed_tenants: list[ChangedTenant] = field(default_factory=list)
    new_connections: list[DocumentConnection] = field(default_factory=list)
    changed_connections: list[ChangedConnection] = field(default_factory=list)
    absent: list[AbsentConnection] = field(default_factory=list)
    """To be deleted in the tenant."""

    never_created: list[AbsentConnection] = field(default_factory=list)
    """No longer wanted and not in the tenant either."""

    unchanged: int = 0


def find_problems(document: Document, stored: StoredSide, *, prune: bool) -> tuple[str, ...]:
    """Return what cannot stand, one line for each entry, with its place."""
    return (
        *_repeated(((tenant.spec.name, tenant.place) for tenant in document.tenants), "tenant {!r} is described"),
        *_repeated(
            (((entry.tenant, entry.key), entry.place) for entry in document.connections),
            "connection {0[0]}/{0[1]} is described",
        ),
        *_distant_proxies(document),
        *_unknown_tenants(document, stored),
        *_moved_connectors(document, stored),
        *_shared_names(document, stored, prune=prune),
    )


def plan_import(document: Document, stored: StoredSide, *, prune: bool) -> ImportPlan:
    """Return what changes. The document must have no problems."""
    plan = ImportPlan()
    for tenant in document.tenants:
        _plan_tenant(plan, tenant.spec, stored.tenants.get(tenant.spec.name))
    for entry in document.connections:
        _plan_connection(plan, entry, stored.connections.get((entry.tenant, entry.key)), stored.with_intent)
    if prune:
        for other in stored.others:
            gone = AbsentConnection(id=other.id, tenant=other.tenant, key=other.key, pruned=True)
            _plan_absent(plan, gone, other.erp_connection_id, stored.with_intent)
    return plan


def named_tenants(document: Document) -> frozenset[str]:
    """Return the tenants that a document is about."""
    return frozenset(
        {tenant.spec.name for tenant in document.tenants} | {entry.tenant for entry in document.connections}
    )


def is_unchanged(entry: DocumentConnection, stored: StoredConnection | None) -> bool:
    """Say whether a wanted connection is described as it is stored."""
    if stored is None or not stored.present or stored.state is State.DELETED:
        return False
    return stored.template == entry.template


def _plan_tenant(plan: ImportPlan, spec: TenantSpec, stored: Tenant | None) -> None:
    if stored is None:
        plan.new_tenants.append(spec)
    elif stored.spec != spec:
        plan.changed_tenants.append(ChangedTenant(stored=stored, spec=spec))
    else:
        plan.unchanged += 1


def _plan_connection(
    plan: ImportPlan,
    entry: DocumentConnection,
    stored: StoredConnection | None,
    with_intent: frozenset[ConnectionRowId],
) -> None:
    if stored is None and entry.present:
        plan.new_connections.append(entry)
    elif stored is None or (not entry.present and not stored.present):
        # What was never known and is not wanted leaves nothing to remember.
        plan.unchanged += 1
    elif not entry.present:
        gone = AbsentConnection(id=stored.id, tenant=entry.tenant, key=entry.key, pruned=False)
        _plan_absent(plan, gone, stored.erp_connection_id, with_intent)
    elif is_unchanged(entry, stored):
        plan.unchanged += 1
    else:
        plan.changed_connections.append(ChangedConnection(stored=stored, tenant=entry.tenant, template=entry.template))


def _plan_absent(
    plan: ImportPlan,
    gone: AbsentConnection,
    erp_connection_id: int | None,
    with_intent: frozenset[ConnectionRowId],
) -> None:
    """Only what certainly never came to be in the tenant needs no deleting there."""
    never_created = erp_connection_id is None and gone.id not in with_intent
    (plan.never_created if never_created else plan.absent).append(gone)


def _reached(spec: TenantSpec) -> tuple[object, ...]:
    """Return what decides whether a call gets through."""
    there = (spec.environment, spec.context, spec.url, spec.soap_url, spec.rest_url)
    return (spec.auth, *there, spec.protocol, spec.proxy, spec.files)


def _repeated(entries: Iterable[tuple[object, str]], what: str) -> Iterator[str]:
    first: dict[object, str] = {}
    for name, place in entries:
        if name in first:
            yield Problem(place, f"{what.format(name)} twice; first at {first[name]}")
        else:
            first[name] = place


def _distant_proxies(document: Document) -> Iterator[str]:
    """Say of a proxy what reading the document could not, where that left its address to the store."""
    for tenant in document.tenants:
        spec, proxy = tenant.spec, tenant.spec.proxy
        if proxy is None or proxy.is_withheld or proxy.damage is not None or proxy_problem(proxy) is not None:
            continue  # what is no address at all was refused when the document was read
        problem = distance_problem(proxy, (spec.url, spec.soap_url, spec.rest_url))
        if problem is not None:
            yield Problem(f"{tenant.place}.proxy", problem)


def _unknown_tenants(document: Document, stored: StoredSide) -> Iterator[str]:
    known = {*stored.tenants, *(tenant.spec.name for tenant in document.tenants)}
    hints = NearMisses(known.union(stored.names))
    for entry in document.connections:
        if entry.tenant not in known:
            hint = hints.of(entry.tenant)
            yield Problem(entry.place, f"there is no tenant {entry.tenant!r}, neither here nor in the store{hint}")


def _moved_connectors(document: Document, stored: StoredSide) -> Iterator[str]:
    for entry in document.connections:
        row = stored.connections.get((entry.tenant, entry.key))
        # An absent entry need not repeat what the connection was like.
        if row is None or row.state is State.DELETED or not entry.present:
            continue
        before, now = row.template.erp_connector_id, entry.template.erp_connector_id
        # Of what is given by name only a pass can tell which connector that is; it refuses another one likewise.
        if before != now and before and entry.template.erp_connector is None:
            yield Problem(
                entry.place,
                f"erp_connector_id of {entry.tenant}/{entry.key} is {before} and cannot become {now}; "
                "describe the new connection under a key of its own and mark this one absent",
            )


def _shared_names(document: Document, stored: StoredSide, *, prune: bool) -> Iterator[str]:
    """Find what a look-up could not tell apart: one connector and, in any language, one display name twice."""
    holders: dict[tuple[str, int | str, str], _Holder] = {}
    if not prune:
        for other in stored.others:
            for connector, name in product(other.connectors, name_variants(other.display_name)):
                holders[other.tenant, connector, name] = (other.key, "in the store", other.display_name)
    for entry in document.connections:
        if not entry.present:
            continue
        template = entry.template
        holder: _Holder = (entry.key, entry.place, template.display_name)
        found = [
            holders.setdefault((entry.tenant, connector, name), holder)
            for connector, name in product(template.connectors, sorted(name_variants(template.display_name)))
        ]
        taken = [other for other in found if other[0] != entry.key]
        if taken:
            # An equal name is said as such.
            yield _shared_name(entry, min(taken, key=lambda other: other[2] != template.display_name))


def _shared_name(entry: DocumentConnection, holder: _Holder) -> str:
    key, place, name = holder
    template = entry.template
    connector = template.erp_connector_id if template.erp_connector is None else repr(template.erp_connector)
    what = f"display_name {template.display_name!r} of connector {connector}"
    by = f"in tenant {entry.tenant!r} by {key!r} ({place})"
    if name == template.display_name:
        return Problem(
            entry.place, f"{what} is taken {by}; a tenant's connections of one connector need names of their own"
        )
    return Problem(
        entry.place,
        f"{what} is taken {by}, whose name is {name!r}; a tenant may list either in one language, and after a create "
        "without an answer nobody could tell which of the two is there",
    )

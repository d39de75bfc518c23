"""The import: one transaction in which a document becomes the desired side, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from erpsyncd.domain.connections import ConnectionTemplate, name_variants
from erpsyncd.domain.documents import Document, ImportReport
from erpsyncd.domain.tenants import Tenant
from erpsyncd.errors import ConfigurationError
from erpsyncd.store.database import Database
from erpsyncd.store.due import chunks
from erpsyncd.store.import_diff import report_of
from erpsyncd.store.import_plan import (
    ImportPlan,
    OtherConnection,
    StoredSide,
    find_problems,
    named_tenants,
    plan_import,
)
from erpsyncd.store.import_values import find_lost_values, find_moved_values, with_stored_ids, with_stored_values
from erpsyncd.store.import_write import write_plan
from erpsyncd.store.rows import read_connection, read_names, read_tenant, select_connections
from erpsyncd.store.sealing import Sealer
from erpsyncd.store.tables import connections, intents, tenants

#: Any number; it makes imports into one PostgreSQL store wait for each other.
_IMPORT_LOCK = 0x657271


def apply_document(
    database: Database, sealer: Sealer, document: Document, *, prune: bool, dry_run: bool
) -> ImportReport:
    """Import a document, or with `dry_run` only say what that would change.

    Raises:
        ConfigurationError: entries that cannot stand, each problem listed; nothing was written.
    """
    if dry_run:
        with database.read() as connection:
            plan, _ = _plan(connection, sealer, document, prune=prune, lock=False)
    else:
        with database.write() as connection:
            wait_for_imports(connection)
            plan = write_document(connection, sealer, document, prune=prune)
    return report_of(plan)


def wait_for_imports(connection: Connection) -> None:
    """Let imports of other processes end first. SQLite has one writer at a time anyway."""
    if connection.dialect.name != "sqlite":
        connection.execute(select(func.pg_advisory_xact_lock(_IMPORT_LOCK)))


def write_document(connection: Connection, sealer: Sealer, document: Document, *, prune: bool = False) -> ImportPlan:
    """Import a document as a part of this transaction, after `wait_for_imports`; return what that changed.

    Raises:
        ConfigurationError: as for `apply_document`.
    """
    plan, stored = _plan(connection, sealer, document, prune=prune, lock=True)
    write_plan(connection, sealer, plan, [tenant.id for tenant in stored.tenants.values()])
    return plan


def _plan(
    connection: Connection, sealer: Sealer, document: Document, *, prune: bool, lock: bool
) -> tuple[ImportPlan, StoredSide]:
    stored = _read_stored_side(connection, sealer, document, prune=prune, lock=lock)
    whole = with_stored_ids(with_stored_values(document, stored), stored)
    problems = (
        *find_problems(whole, stored, prune=prune),
        *find_moved_values(document, stored),
        *find_lost_values(whole, stored),
    )
    if problems:
        raise ConfigurationError("nothing was imported", problems=problems)
    return plan_import(whole, stored, prune=prune), stored


def _read_stored_side(
    connection: Connection, sealer: Sealer, document: Document, *, prune: bool, lock: bool
) -> StoredSide:
    known = _read_tenants(connection, sealer, document, lock=lock)
    rows = {}
    for tenant, keys in _keys_by_tenant(document):
        if tenant in known:
            for chunk in chunks(keys):
                query = select_connections(connections.c.tenant_id == known[tenant].id, connections.c.key.in_(chunk))
                for row in connection.execute(query):
                    rows[tenant, row.key] = read_connection(row, sealer)
    return StoredSide(
        tenants=known,
        connections=rows,
        others=tuple(_read_others(connection, document, known, prune=prune)),
        with_intent=_with_intent(connection, known),
        names=_names_to_suggest(connection, document, known),
    )


def _names_to_suggest(connection: Connection, document: Document, known: Mapping[str, Tenant]) -> frozenset[str]:
    if named_tenants(document) <= known.keys() | {tenant.spec.name for tenant in document.tenants}:
        return frozenset()
    return frozenset(connection.execute(select(tenants.c.name)).scalars())


def _read_tenants(connection: Connection, sealer: Sealer, document: Document, *, lock: bool) -> dict[str, Tenant]:
    """Read the tenants that the document is about.

    They are locked, lowest id first as everywhere, so that no pass settles a connection that is being compared.
    """
    ids: list[int] = []
    for chunk in chunks(sorted(named_tenants(document))):
        ids += connection.execute(select(tenants.c.id).where(tenants.c.name.in_(chunk))).scalars()
    found = {}
    for id_chunk in chunks(sorted(ids)):
        query = select(tenants).where(tenants.c.id.in_(id_chunk)).order_by(tenants.c.id)
        for row in connection.execute(query.with_for_update(key_share=True) if lock else query):
            found[row.name] = read_tenant(row, sealer)
    return found


def _read_others(
    connection: Connection, document: Document, known: Mapping[str, Tenant], *, prune: bool
) -> Iterator[OtherConnection]:
    """Read present connections that the document does not name (see `StoredSide.others`)."""
    keys = {tenant: frozenset(names) for tenant, names in _keys_by_tenant(document)}
    for tenant in sorted(named_tenants(document) & known.keys()):
        everything = _select_others(known[tenant])
        queries = [everything] if prune else _only_names(everything, document, tenant)
        for query in queries:
            for row in connection.execute(query):
                if row.key not in keys.get(tenant, ()):
                    yield OtherConnection(
                        id=row.id,
                        tenant=tenant,
                        key=row.key,
                        connectors=_connectors(row),
                        display_name=row.display_name,
                        erp_connection_id=row.erp_connection_id,
                    )


def _connectors(row: Row[Any]) -> frozenset[int | str]:
    name = read_names(row.names)["erp_connector"]
    return ConnectionTemplate(
        erp_connector_id=row.erp_connector_id, erp_connector=name, display_name=row.display_name
    ).connectors


def _select_others(tenant: Tenant) -> Select[Any]:
    columns = connections.c
    return select(
        columns.id,
        columns.key,
        columns.erp_connector_id,
        columns.names,
        columns.display_name,
        columns.erp_connection_id,
    ).where(columns.tenant_id == tenant.id, columns.present)


def _only_names(query: Select[Any], document: Document, tenant: str) -> list[Select[Any]]:
    templates = [entry.template for entry in document.connections if entry.tenant == tenant and entry.present]
    # 0 is a connector that is only known by name; it may be any.
    connectors = sorted({0, *(template.erp_connector_id for template in templates)})
    names = sorted({name for template in templates for name in name_variants(template.display_name)})
    # What a multi-language name reads as is for Python to find out; every one has this in it.
    translated = connections.c.display_name.contains(':"')
    conditions = (translated, *(connections.c.display_name.in_(chunk) for chunk in chunks(names)))
    if any(template.erp_connector is not None for template in templates):
        return [query.where(condition) for condition in conditions]
    return [
        query.where(connections.c.erp_connector_id == connector, condition)
        for connector in connectors
        for condition in conditions
    ]


def _with_intent(connection: Connection, known: Mapping[str, Tenant]) -> frozenset[int]:
    found: set[int] = set()
    for chunk in chunks(sorted(tenant.id for tenant in known.values())):
        found.update(
            connection.execute(select(intents.c.connection_id).where(intents.c.tenant_id.in_(chunk))).scalars()
        )
    return frozenset(found)


def _keys_by_tenant(document: Document) -> list[tuple[str, list[str]]]:
    addresses = sorted({(entry.tenant, entry.key) for entry in document.connections})
    return [(tenant, [key for _, key in group]) for tenant, group in groupby(addresses, key=lambda pair: pair[0])]

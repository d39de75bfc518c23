"""What an operator does to one tenant by hand: describe it, try it out, take over what it has."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from erpsyncd import bootstrap
from erpsyncd.domain.adoption import Found, KnownConnection
from erpsyncd.domain.connections import State
from erpsyncd.domain.documents import ImportReport
from erpsyncd.domain.items import command
from erpsyncd.domain.tenants import Tenant
from erpsyncd.domain.unknown_names import no_such_tenant
from erpsyncd.errors import UsageError
from erpsyncd.service.probe import Probe
from erpsyncd.settings import Settings
from erpsyncd.store import ConnectionView, SqlStore


def describe_tenant(
    settings: Settings, name: str, changes: Mapping[str, Any], environ: Mapping[str, str], *, new: bool
) -> tuple[ImportReport, tuple[str, ...]]:
    """Describe a new tenant, or a known one in part otherwise; return what changed, and warnings.

    Raises:
        UsageError: there is such a tenant already, or there is none.
        ConfigurationError: with every problem; nothing was written.
    """
    from erpsyncd.service.description import changed_table, tenant_table  # noqa: PLC0415 -- what reads documents is slow
    from erpsyncd.service.document import read_entries  # noqa: PLC0415 -- as above
    from erpsyncd.service.document_references import check_references  # noqa: PLC0415 -- as above
    from erpsyncd.service.document_warnings import document_warnings  # noqa: PLC0415 -- as above

    with bootstrap.opened_store(settings) as store:
        if new and store.read_tenant(name) is not None:
            raise UsageError(f"there is a tenant {name!r} already; to change it: {command('tenants', 'edit', name)}")
        table = {"name": name} if new else tenant_table(_tenant(store, name).spec)
        document = read_entries("tenant", tenants=[changed_table(table, changes)])
        check_references(document, resolver=bootstrap.secret_resolver(environ), resolve=False)
        return store.apply_document(document), document_warnings(document)


def auth_kind(settings: Settings, name: str) -> str:
    """Return how a tenant lets us in.

    Raises:
        UsageError: there is no such tenant.
    """
    with bootstrap.opened_store(settings) as store:
        return store.get_tenant(name).auth_kind


def test_tenant(settings: Settings, name: str, environ: Mapping[str, str], *, retry: bool) -> Probe:
    """Try a tenant out with a client that cannot write; with `retry` also with credentials that it refused before.

    Raises:
        UsageError: there is no such tenant.
    """
    with bootstrap.opened_store(settings) as store:
        tenant = _tenant(store, name)
        probe = Probe(tenant=tenant, fingerprint=store.fingerprinter.of_credentials, retry=retry)
    asyncio.run(probe.run(bootstrap.tenant_apis(settings), bootstrap.secret_resolver(environ)))
    return probe


def is_described(settings: Settings, tenant: str, key: str) -> bool:
    """Say whether the store describes a connection under this key."""
    with bootstrap.opened_store(settings) as store:
        return bool(store.list_connections(tenant=tenant, key=key))


def adopt_connections(
    settings: Settings,
    name: str,
    environ: Mapping[str, str],
    *,
    only: int | None,
    key: str | None,
    dry_run: bool,
) -> tuple[Found, ...]:
    """Take over what a tenant has and nobody owns; see `Adoption.run`, also for what it raises.

    Raises:
        UsageError: there is no such tenant.
    """
    from erpsyncd.service.adoption import Adoption  # noqa: PLC0415 -- only this needs all that a pass needs

    with bootstrap.opened_store(settings) as store:
        if not dry_run:
            store.lock_if_free()
        adoption = Adoption(
            tenant=_tenant(store, name),
            store=store,
            described=lambda: map(_known, store.list_connections(tenant=name)),
            apis=bootstrap.tenant_apis(settings),
            resolver=bootstrap.secret_resolver(environ),
            policy=bootstrap.policy_of(settings),
            owner=bootstrap.lease_owner(),
            now=lambda: datetime.now(UTC),
        )
        return asyncio.run(adoption.run(only=only, key=key, dry_run=dry_run))


def _known(view: ConnectionView) -> KnownConnection:
    deleted = view.state == State.DELETED.value
    return KnownConnection(
        key=view.key,
        # What was deleted there has a key that stays its own, and no name that could be mistaken.
        erp_connector_id=0 if deleted else view.erp_connector_id,
        erp_connector=None if deleted else view.erp_connector,
        display_name=view.display_name,
        erp_connection_id=None if deleted else view.erp_connection_id,
    )


def _tenant(store: SqlStore, name: str) -> Tenant:
    tenant = store.read_tenant(name)
    if tenant is None:
        raise no_such_tenant(name, (each.name for each in store.list_tenants()))
    return tenant

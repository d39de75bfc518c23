"""The store as the command line sees it: synchronous, one transaction for each call."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection
from sqlalchemy.engine import URL

from erpsyncd.domain.connections import State
from erpsyncd.domain.documents import Document, DocumentConnection, DocumentTenant, ImportReport
from erpsyncd.domain.standing import Overview, Worker
from erpsyncd.domain.tenants import Tenant
from erpsyncd.store import administration, details, integrity, queries, renaming, tables
from erpsyncd.store.answers import AnswerOperations
from erpsyncd.store.copying import copy_store
from erpsyncd.store.database import Database
from erpsyncd.store.decisions import DriftOperations
from erpsyncd.store.details import ConnectionDetail, TenantDetail
from erpsyncd.store.importing import apply_document
from erpsyncd.store.lock import ProcessLock
from erpsyncd.store.overview import read_overview
from erpsyncd.store.rows import read_connection, read_tenant, select_connections, select_tenants
from erpsyncd.store.sealing import TemplateReader, Withholder
from erpsyncd.store.vault import Vault
from erpsyncd.store.views import (
    ConnectionView,
    Copy,
    Examined,
    OutcomeView,
    Pruned,
    RunView,
    TenantView,
)


class CommandOperations(AnswerOperations, DriftOperations):
    """Lists, imports and administration."""

    _database: Database
    _vault: Vault
    _lock: ProcessLock | None

    def apply_document(self, document: Document, *, prune: bool = False, dry_run: bool = False) -> ImportReport:
        """Import a document, whole or not at all; with `dry_run` only say what that would change.

        Raises:
            ConfigurationError: entries that cannot stand, each of them in `problems`.
        """
        sealer = self._vault.unlock().sealer
        return apply_document(self._database, sealer, document, prune=prune, dry_run=dry_run)

    def read_document(self, *, tenants: frozenset[str] = frozenset(), reveal: bool = True) -> Document:
        """Return the desired side as a document, of these tenants or of all.

        Its literal values are secrets; without `reveal` they stay sealed, which needs no key, and the document leaves
        them to the store. Deleted connections are left out.

        Raises:
            UsageError: there is no such tenant.
        """
        reader: TemplateReader = self._vault.unlock().sealer if reveal else Withholder()
        with self._database.read() as connection:
            where = [tables.tenants.c.name.in_(tenants)] if tenants else []
            found = [read_tenant(row, reader) for row in connection.execute(select_tenants(*where))]
            names = {one.id: one.name for one in found}
            kept = [read_connection(row, reader) for row in connection.execute(select_connections(*where))]
            for unknown in sorted(tenants - set(names.values())):
                raise administration.no_tenant(connection, unknown)
        entries = [
            DocumentConnection(
                tenant=names[row.tenant_id], key=row.key, present=row.present, template=row.template, place="store"
            )
            for row in kept
            if row.state is not State.DELETED
        ]
        return Document(
            tenants=tuple(
                DocumentTenant(spec=one.spec, place="store") for one in sorted(found, key=lambda one: one.name)
            ),
            connections=tuple(sorted(entries, key=lambda entry: (entry.tenant, entry.key))),
        )

    def overview(self) -> Overview:
        """Return how everything stands."""
        with self._database.read() as connection:
            live = self._live_processes(connection)
            worker = Worker(running=live > 0, pid=self._lock.holder() if self._lock is not None else None)
            return read_overview(connection, now=datetime.now(UTC), live=live, worker=worker)

    def read_tenant(self, name: str) -> Tenant | None:
        """Return a tenant as a pass has it, its secrets opened; None where there is none of that name."""
        sealer = self._vault.unlock().sealer
        with self._database.read() as connection:
            row = connection.execute(select_tenants(tables.tenants.c.name == name)).one_or_none()
        return None if row is None else read_tenant(row, sealer)

    def get_tenant(self, name: str) -> TenantDetail:
        """Return everything that is known about a tenant as a whole.

        Raises:
            UsageError: there is no such tenant.
        """
        with self._database.read() as connection:
            return details.get_tenant(connection, name, now=datetime.now(UTC))

    def get_connection(self, tenant: str, key: str, *, history: int = 10) -> ConnectionDetail:
        """Return everything that is known about a connection, with so many outcomes at most.

        Raises:
            UsageError: there is no such connection.
        """
        with self._database.read() as connection:
            return details.get_connection(connection, tenant, key, history=history)

    def list_tenants(self, *, name: str | None = None, limit: int | None = None) -> tuple[TenantView, ...]:
        """Return the tenants by name, or the one of that name."""
        with self._database.read() as connection:
            return queries.list_tenants(connection, now=datetime.now(UTC), name=name, limit=limit)

    def list_connections(
        self,
        *,
        tenant: str | None = None,
        key: str | None = None,
        state: State | None = None,
        limit: int | None = None,
    ) -> tuple[ConnectionView, ...]:
        """Return connections by tenant and key."""
        with self._database.read() as connection:
            return queries.list_connections(connection, tenant=tenant, key=key, state=state, limit=limit)

    def count_states(self, *, tenant: str | None = None) -> dict[State, int]:
        """Return how many connections are in each state."""
        with self._database.read() as connection:
            return queries.count_states(connection, tenant=tenant)

    def list_runs(self, *, limit: int | None = None) -> tuple[RunView, ...]:
        """Return runs, newest first; one that died is `interrupted`."""
        with self._database.read() as connection:
            return queries.list_runs(connection, live=self._live_processes(connection), limit=limit)

    def get_run(self, run_id: int) -> tuple[RunView, tuple[OutcomeView, ...]] | None:
        """Return a run with its outcomes in the order in which they were recorded."""
        with self._database.read() as connection:
            return queries.get_run(connection, run_id, live=self._live_processes(connection))

    def pause_tenant(self, name: str) -> None:
        """Leave a tenant alone until `resume_tenant`.

        Raises:
            UsageError: there is no such tenant.
        """
        with self._database.write() as connection:
            administration.pause(connection, name, now=datetime.now(UTC))

    def resume_tenant(self, name: str) -> None:
        """Let a tenant go on from a pause, the breaker and refused credentials.

        Raises:
            UsageError: there is no such tenant.
        """
        with self._database.write() as connection:
            administration.resume(connection, name, now=datetime.now(UTC))

    def remove_tenant(self, name: str) -> None:
        """Forget a tenant and its connections; history stays, and the tenant is not called.

        Raises:
            UsageError: there is no such tenant.
        """
        with self._database.write() as connection:
            administration.remove_tenant(connection, name)

    def remove_connection(self, tenant: str, key: str) -> None:
        """Forget a connection; the tenant keeps what it has.

        Raises:
            UsageError: there is no such connection.
        """
        with self._database.write() as connection:
            administration.remove_connection(connection, tenant, key)

    def rename_tenant(self, name: str, new_name: str) -> None:
        """Give a tenant another name; history keeps the old one.

        Raises:
            UsageError: there is no such tenant, or the new name cannot be one or is taken.
            TenantLeased: a pass works on it.
            Unsettled: it has an open write.
        """
        sealer = self._vault.unlock().sealer
        with self._database.write() as connection:
            renaming.rename_tenant(
                connection, sealer, name, new_name, now=datetime.now(UTC), leases_count=self._leases_count()
            )

    def rename_connection(self, tenant: str, key: str, new_key: str) -> None:
        """Give a connection another key; history keeps the old one.

        Raises:
            UsageError: there is no such connection, or the new key cannot be one or is taken.
            TenantLeased: a pass works on its tenant.
            Unsettled: it has an open write.
        """
        sealer = self._vault.unlock().sealer
        with self._database.write() as connection:
            renaming.rename_connection(
                connection, sealer, tenant, key, new_key, now=datetime.now(UTC), leases_count=self._leases_count()
            )

    def resolve_connection(self, tenant: str, key: str, *, erp_connection_id: int | None) -> None:
        """Decide by hand which connection of the tenant this one is; None says that it does not exist there.

        Raises:
            UsageError: there is no such connection, or another one owns that id.
            TenantLeased: a pass works on its tenant.
        """
        with self._database.write() as connection:
            administration.resolve_connection(
                connection,
                tenant,
                key,
                erp_connection_id=erp_connection_id,
                now=datetime.now(UTC),
                leases_count=self._leases_count(),
            )

    def examine(self) -> tuple[Examined, ...]:
        """Look through the whole store for what should never be.

        Raises:
            ConfigurationError: the key is missing, or another store's.
        """
        sealer = self._vault.unlock().sealer
        with self._database.read() as connection:
            return integrity.examine(connection, sealer)

    def copy_to(self, url: URL) -> Copy:
        """Copy everything into an empty store, sealed as it is, so that the same key opens both.

        Raises:
            UsageError: the target is not empty, or is this store.
            RunInProgress: another process works on this one.
            ConfigurationError: the target cannot be used.
            StoreError: one of the two databases failed; nothing was copied.
        """
        if self._lock is not None:
            self._lock.acquire()
        return copy_store(self._database, url)

    def prune_history(self, older_than: datetime) -> Pruned:
        """Delete history from before a moment, a little at a time; runs that have not ended are kept."""
        return administration.prune_history(self._database, older_than=older_than)

    def _leases_count(self) -> bool:
        """Say whether a lease may belong to somebody who lives. With SQLite those have the lock."""
        return self._lock is None or self._lock.is_held()

    def _live_processes(self, connection: Connection) -> int:
        """Return how many runs can be under way at most."""
        if self._lock is not None:
            return int(self._lock.is_held())
        return administration.count_open_leases(connection)

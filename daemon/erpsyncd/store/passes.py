"""The store as a pass sees it: `PassStore`, each method one short transaction off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection, literal, select

from erpsyncd.domain.careful import Snapshot, Step
from erpsyncd.domain.connections import ConnectionRowId, Owned, StoredConnection
from erpsyncd.domain.documents import Document
from erpsyncd.domain.drift import Drift, KnownDrift
from erpsyncd.domain.fingerprints import Fingerprinter
from erpsyncd.domain.intents import Intent, Lease, Moment
from erpsyncd.domain.lists import NamedConnection, TenantList
from erpsyncd.domain.results import ChangeKind, Check, Outcome, RunReport, Verdict
from erpsyncd.domain.secrets import Reference
from erpsyncd.domain.sessions import KeptSession
from erpsyncd.domain.tenant_states import ReportedState
from erpsyncd.domain.tenants import Tenant, TenantId
from erpsyncd.store import adopting, check_rows, drifting, due, history, leases, names, references, settling, syncing
from erpsyncd.store.database import Database
from erpsyncd.store.rows import read_connection, read_tenant, select_tenants
from erpsyncd.store.schema import refuse_if_not_current
from erpsyncd.store.sealing import Sealer
from erpsyncd.store.sessions import remember_session
from erpsyncd.store.snapshots import write_snapshot
from erpsyncd.store.vault import Vault
from erpsyncd.store.writer import GroupCommitWriter

T = TypeVar("T")


#: Reads of one process at a time; more only wait for the disk.
_READERS = 4


class PassOperations:
    """`erpsyncd.domain.ports.PassStore` over a database."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault
        self._writer = GroupCommitWriter(database)
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="erpsyncd-reader")

    @property
    def fingerprinter(self) -> Fingerprinter:
        """The store's own fingerprint key, at work. The first use reads the key file.

        Raises:
            ConfigurationError: the key is missing, or another store's.
        """
        return self._vault.unlock().fingerprinter

    async def pulse(self) -> None:
        """Go the way of every read and of every write once, changing nothing; come back when both have moved.

        Raises:
            DaemonError: the store fails, which is an answer too.
        """
        await self._read(lambda connection: connection.execute(select(literal(1))).one())
        await self._writer.write(_nothing)

    async def start_run(self, *, trigger: str, dry_run: bool, started_at: datetime) -> int:
        """Record that a run began."""
        return await self._writer.write(
            lambda connection: history.start_run(connection, trigger=trigger, dry_run=dry_run, started_at=started_at)
        )

    async def finish_run(self, report: RunReport, *, finished_at: datetime) -> None:
        """Record how a run ended."""
        await self._writer.write(lambda connection: history.finish_run(connection, report, finished_at=finished_at))

    async def tenants(self) -> tuple[Tenant, ...]:
        """Return all tenants by name."""
        sealer = await self._sealer()

        def read(connection: Connection) -> tuple[Tenant, ...]:
            found = (read_tenant(row, sealer) for row in connection.execute(select_tenants()))
            return tuple(sorted(found, key=lambda tenant: tenant.name))

        return await self._read(read)

    async def claim(self, tenant_id: TenantId, *, owner: str, now: datetime, seconds: float) -> Lease | None:
        """Lease a tenant; None when another owner holds it. On PostgreSQL the server's clock counts, not `now`.

        Raises:
            ConfigurationError: another node upgraded the store since this process started.
        """

        def write(connection: Connection) -> Lease | None:
            refuse_if_not_current(connection, self._database.place)
            return leases.claim(connection, tenant_id, owner=owner, now=now, seconds=seconds)

        return await self._writer.write(write, order=tenant_id)

    async def renew(self, lease: Lease, *, now: datetime, seconds: float) -> None:
        """Extend a lease. On PostgreSQL the server's clock counts, not `now`."""
        await self._write(lease, lambda connection: leases.renew(connection, lease, now=now, seconds=seconds))

    async def release(self, lease: Lease) -> None:
        """Give a lease back; a lost one is no error here."""

        def write(connection: Connection) -> None:
            if leases.release(connection, lease):
                settling.forget_listings(connection, lease.tenant_id)

        await self._write(lease, write)

    async def remember_tenant(
        self,
        lease: Lease,
        *,
        refused_auth: str | None,
        parked_until: datetime | None,
        transient_failures: int,
    ) -> None:
        """Record what the pass learned about the tenant as a whole."""
        await self._write(
            lease,
            lambda connection: leases.remember_tenant(
                connection,
                lease,
                refused_auth=refused_auth,
                parked_until=parked_until,
                transient_failures=transient_failures,
            ),
        )

    async def remember_state(self, lease: Lease, state: ReportedState, *, at: datetime) -> None:
        """Record how the vendor says that the tenant is; what waits in one that does not run becomes `parked`."""
        await self._write(lease, lambda connection: leases.remember_state(connection, lease, state, at=at))

    async def remember_session(self, lease: Lease, kept: KeptSession | None) -> None:
        """Keep the tenant's session for the next pass, or forget it."""
        sealer = await self._sealer()
        await self._write(lease, lambda connection: remember_session(connection, lease, sealer, kept))

    async def references(self, tenant_id: TenantId) -> Mapping[Reference, str | None]:
        """Return each distinct reference of the tenant's connections with its last known fingerprint."""
        return await self._read(lambda connection: references.references(connection, tenant_id))

    async def record_references(
        self, lease: Lease, *, resolved: Mapping[Reference, str], missing: frozenset[Reference]
    ) -> int:
        """Record fingerprints; make due what uses a changed or missing reference. Return how many became due."""
        return await self._write(
            lease,
            lambda connection: references.record_references(connection, lease, resolved=resolved, missing=missing),
        )

    async def due_connections(
        self,
        tenant_id: TenantId,
        *,
        now: datetime,
        longest_backoff: timedelta | None,
        using: frozenset[Reference] = frozenset(),
    ) -> tuple[StoredConnection, ...]:
        """Return the connections that a pass has to work on, by key."""
        sealer = await self._sealer()

        def read(connection: Connection) -> tuple[StoredConnection, ...]:
            rows = due.due_rows(connection, tenant_id, now=now, longest_backoff=longest_backoff, using=using)
            return tuple(read_connection(row, sealer) for row in rows)

        return await self._read(read)

    async def connections_by_row_id(self, tenant_id: TenantId, ids: frozenset[int]) -> tuple[StoredConnection, ...]:
        """Return these connections whatever their state; unknown ids are left out."""
        sealer = await self._sealer()

        def read(connection: Connection) -> tuple[StoredConnection, ...]:
            rows = due.rows_by_id(connection, tenant_id, ids)
            return tuple(read_connection(row, sealer) for row in rows)

        return await self._read(read)

    async def tenant_lists(self, tenant_id: TenantId) -> tuple[TenantList, ...]:
        """Return the lists of the tenant that were kept."""
        return await self._read(lambda connection: names.read_lists(connection, tenant_id))

    async def keep_list(self, lease: Lease, listed: TenantList, outdated: frozenset[ConnectionRowId]) -> None:
        """Keep a list in the place of what was kept before; make due whose names stand for something else in it."""
        await self._write(lease, lambda connection: names.keep_list(connection, lease, listed, outdated))

    async def forget_lists(self, lease: Lease) -> None:
        """Forget the lists of a tenant that has no names any more."""
        await self._write(lease, lambda connection: names.forget_lists(connection, lease))

    async def has_names(self, tenant_id: TenantId) -> bool:
        """Say whether any connection of the tenant has something by name."""
        return await self._read(lambda connection: names.has_names(connection, tenant_id))

    async def named_connections(self, tenant_id: TenantId) -> tuple[NamedConnection, ...]:
        """Return the connections with names that a changed list may make due."""
        return await self._read(lambda connection: names.named_connections(connection, tenant_id))

    async def find_namesake(self, connection: StoredConnection) -> str | None:
        """Return the key of another present connection with this connector's id and, in any language, this name."""
        return await self._read(lambda transaction: names.find_namesake(transaction, connection))

    async def record_ids(self, lease: Lease, connection: StoredConnection) -> str | None:
        """Record what the names of a connection stand for, unless it has a namesake by that, which is returned."""
        return await self._write(lease, lambda transaction: names.record_ids(transaction, lease, connection))

    async def owned_ids(self, tenant_id: TenantId) -> Owned:
        """Return the `erp_connection_id` of everything in the store that is not `deleted`."""
        return await self._read(lambda connection: due.owned_ids(connection, tenant_id))

    async def in_sync_count(self, tenant_id: TenantId) -> int:
        """Return how many of the tenant's connections are in sync."""
        return await self._read(lambda connection: due.in_sync_count(connection, tenant_id))

    async def open_intents(self, tenant_id: TenantId) -> tuple[Intent, ...]:
        """Return the intents that nobody settled, oldest first."""
        sealer = await self._sealer()
        return await self._read(lambda connection: due.open_intents(connection, tenant_id, sealer))

    async def open_intent(
        self,
        lease: Lease,
        *,
        run_id: int,
        connection: StoredConnection,
        kind: ChangeKind,
        seen: frozenset[int],
        sent: Moment,
        step: Step | None = None,
        snapshot: Snapshot | None = None,
    ) -> int:
        """Record that a write call is about to be made; the connection becomes `in_flight`. Return the intent's id.

        Raises:
            NotTried: the connection was removed, or is wanted otherwise, since it was read.
        """
        careful: dict[str, Any] = {}
        if step is not None:
            sealer = await self._sealer()
            kept = None if snapshot is None else write_snapshot(snapshot, sealer, lease.tenant_id, connection.id)
            careful = {"step": step, "snapshot": kept}
        return await self._write(
            lease,
            lambda transaction: settling.open_intent(
                transaction, lease, run_id=run_id, stored=connection, kind=kind, seen=seen, sent=sent, **careful
            ),
        )

    async def resend_intent(self, lease: Lease, intent_id: int, *, sent: Moment, step: Step | None = None) -> None:
        """Give an open intent a new time of sending; of a careful save also the step that is about to be made."""
        await self._write(
            lease, lambda transaction: settling.resend_intent(transaction, lease, intent_id, sent=sent, step=step)
        )

    async def settle(
        self,
        lease: Lease,
        *,
        run_id: int,
        connection: StoredConnection,
        verdict: Verdict,
        outcome: Outcome | None,
        intent_id: int | None = None,
        at: datetime,
    ) -> None:
        """Record what became of a connection. What the verdict leaves out (its ids, `applied`) is kept."""
        await self._write(
            lease,
            lambda transaction: settling.settle(
                transaction,
                lease,
                run_id=run_id,
                stored=connection,
                verdict=verdict,
                outcome=outcome,
                intent_id=intent_id,
                at=at,
            ),
        )

    async def adopt(self, lease: Lease, document: Document, verdict: Verdict, *, at: datetime) -> None:
        """Put a document with one connection of the tenant into the store, and record a verdict on it."""
        sealer = await self._sealer()
        await self._write(lease, lambda connection: adopting.adopt(connection, lease, sealer, document, verdict, at=at))

    async def compared_connections(
        self, tenant_id: TenantId, *, after: ConnectionRowId, limit: int, keys: frozenset[str] | None = None
    ) -> tuple[StoredConnection, ...]:
        """Return the next connections that can be compared with what the tenant shows, by their numbers."""
        sealer = await self._sealer()

        def read(connection: Connection) -> tuple[StoredConnection, ...]:
            rows = drifting.compared_rows(connection, tenant_id, after=after, limit=limit, keys=keys)
            return tuple(read_connection(row, sealer) for row in rows)

        return await self._read(read)

    async def drifting_connections(
        self, tenant_id: TenantId, *, enforced: bool
    ) -> tuple[tuple[StoredConnection, tuple[KnownDrift, ...]], ...]:
        """Return the connections over whose drift ours may be pushed: all that have any, or those of a decision."""
        sealer = await self._sealer()

        def read(connection: Connection) -> tuple[tuple[StoredConnection, tuple[KnownDrift, ...]], ...]:
            rows = drifting.drifting_rows(connection, tenant_id, enforced=enforced)
            known = drifting.known_drifts(connection, (row.id for row in rows))
            return tuple((read_connection(row, sealer), known[row.id]) for row in rows if row.id in known)

        return await self._read(read)

    async def record_look(
        self,
        lease: Lease,
        *,
        connection: StoredConnection,
        found: tuple[Drift, ...],
        hidden: frozenset[str],
        pushed: bool,
        at: datetime,
    ) -> tuple[KnownDrift, ...]:
        """Record what one look at a connection found; return it with what was decided about it."""
        return await self._write(
            lease,
            lambda transaction: drifting.record_look(
                transaction, lease, stored=connection, found=found, hidden=hidden, pushed=pushed, at=at
            ),
        )

    async def finish_look(self, lease: Lease, *, at: datetime) -> None:
        """Record that all of a tenant was looked at."""
        await self._write(lease, lambda connection: drifting.finish_look(connection, lease, at=at))

    async def adopt_drift(
        self, lease: Lease, document: Document, verdict: Verdict, fields: tuple[str, ...], *, at: datetime
    ) -> None:
        """Describe a connection as its tenant shows it in these fields, and record a verdict on it: both or neither."""
        sealer = await self._sealer()
        await self._write(
            lease,
            lambda connection: adopting.adopt_drift(connection, lease, sealer, document, verdict, fields, at=at),
        )

    async def record_check(self, lease: Lease, *, run_id: int, check: Check) -> bool:
        """Record an answer and its changed records. Equal ones in a row are one row; return whether it is a new one."""
        return await self._write(
            lease, lambda connection: check_rows.record_check(connection, lease, run_id=run_id, check=check)
        )

    async def sync_all_is_due(self, tenant_id: TenantId) -> bool:
        """Say whether something was saved in a tenant with `sync_all_after_save`, and no SyncAll was sent since."""
        return await self._read(lambda connection: syncing.is_due(connection, tenant_id))

    async def owe_sync_all(self, lease: Lease, *, due: bool) -> None:
        """Record that a SyncAll is about to be sent, or that one was not sent after all and is still due."""
        await self._write(lease, lambda connection: syncing.owe(connection, lease, due=due))

    def _close(self) -> None:
        self._writer.close()
        self._readers.shutdown()

    async def _sealer(self) -> Sealer:
        unlocked = await asyncio.get_running_loop().run_in_executor(self._readers, self._vault.unlock)
        return unlocked.sealer

    async def _write(self, lease: Lease, write: Callable[[Connection], T]) -> T:
        return await self._writer.write(write, order=lease.tenant_id)

    async def _read(self, read: Callable[[Connection], T]) -> T:
        def run() -> T:
            with self._database.read() as connection:
                return read(connection)

        return await asyncio.get_running_loop().run_in_executor(self._readers, run)


def _nothing(connection: Connection) -> None:
    """A write that writes nothing."""
    del connection

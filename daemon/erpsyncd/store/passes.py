"""The store as a pass sees it: `PassStore`, each method one short transaction off the event loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, literal, select

from erpsyncd.store import check_rows, due, history, intent_rows, leases, references, settling, syncing
from erpsyncd.store.intent_rows import Opening
from erpsyncd.store.leases import Claim
from erpsyncd.store.pass_looks import LookOperations
from erpsyncd.store.pass_names import NameOperations
from erpsyncd.store.rows import read_connection, read_tenant, select_tenants
from erpsyncd.store.schema import refuse_if_not_current
from erpsyncd.store.sessions import remember_session
from erpsyncd.store.settling import Settlement

if TYPE_CHECKING:
    from erpsyncd.domain.careful import Snapshot, Step
    from erpsyncd.domain.connections import Owned, StoredConnection
    from erpsyncd.domain.documents import Document
    from erpsyncd.domain.fingerprints import Fingerprinter
    from erpsyncd.domain.intents import Intent, Lease, Moment
    from erpsyncd.domain.results import ChangeKind, Check, Outcome, RunReport, Verdict
    from erpsyncd.domain.secrets import Reference
    from erpsyncd.domain.sessions import KeptSession
    from erpsyncd.domain.tenant_states import ReportedState
    from erpsyncd.domain.tenants import Tenant, TenantId


class PassOperations(NameOperations, LookOperations):
    """`erpsyncd.domain.ports.PassStore` over a database."""

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
        claim = Claim(tenant_id=tenant_id, owner=owner, now=now, seconds=seconds)
        return await self._writer.write_together(self._claim_all, claim, order=tenant_id, claims=True)

    def _claim_all(self, connection: Connection, claims: Sequence[Claim]) -> Sequence[Lease | None]:
        refuse_if_not_current(connection, self._database.place)
        return leases.claim_all(connection, claims)

    async def renew(self, lease: Lease, *, now: datetime, seconds: float) -> None:
        """Extend a lease. On PostgreSQL the server's clock counts, not `now`."""
        await self._write(lease, lambda connection: leases.renew(connection, lease, now=now, seconds=seconds))

    async def release(self, lease: Lease) -> None:
        """Give a lease back; a lost one is no error here."""
        await self._writer.write_together(_release_all, lease, order=lease.tenant_id)

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
            from erpsyncd.store.snapshots import write_snapshot  # noqa: PLC0415 -- few tenants are saved with care

            sealer = await self._sealer()
            kept = None if snapshot is None else write_snapshot(snapshot, sealer, lease.tenant_id, connection.id)
            careful = {"step": step, "snapshot": kept}
        opening = Opening(lease=lease, run_id=run_id, stored=connection, kind=kind, seen=seen, sent=sent, **careful)
        return await self._writer.write_together(intent_rows.open_intents, opening, order=lease.tenant_id)

    async def resend_intent(self, lease: Lease, intent_id: int, *, sent: Moment, step: Step | None = None) -> None:
        """Give an open intent a new time of sending; of a careful save also the step that is about to be made."""
        await self._write(
            lease, lambda transaction: intent_rows.resend_intent(transaction, lease, intent_id, sent=sent, step=step)
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
        settlement = Settlement(
            lease=lease,
            run_id=run_id,
            stored=connection,
            verdict=verdict,
            outcome=outcome,
            intent_id=intent_id,
            at=at,
        )
        await self._writer.write_together(settling.settle_all, settlement, order=lease.tenant_id)

    async def adopt(self, lease: Lease, document: Document, verdict: Verdict, *, at: datetime) -> None:
        """Put a document with one connection of the tenant into the store, and record a verdict on it."""
        from erpsyncd.store import adopting  # noqa: PLC0415 -- it imports documents, which few passes do

        sealer = await self._sealer()
        await self._write_apart(lambda connection: adopting.adopt(connection, lease, sealer, document, verdict, at=at))

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


def _release_all(connection: Connection, held: Sequence[Lease]) -> Sequence[None]:
    given = leases.release_all(connection, held)
    if given:
        intent_rows.forget_listings(connection, given)
    return [None] * len(held)


def _nothing(connection: Connection) -> None:
    """A write that writes nothing."""
    del connection

"""Recording outcomes: many that share a commit, against one commit each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, delete, insert, update

from benchmarks import stores
from benchmarks.measuring import Figure, Round, Sample, Unit, cpu_of, wall_of
from erpsyncd.domain.connections import State, StoredConnection
from erpsyncd.domain.intents import Lease, Moment
from erpsyncd.domain.results import ChangeKind, Outcome, Status, Verdict
from erpsyncd.setting_sections import LimitsSettings
from erpsyncd.store import SqlStore
from erpsyncd.store.tables import connections, intents, outcomes

TENANTS, EACH = 64, 8
LIMITS = LimitsSettings()
#: As many as wait for their outcomes at once in a pass, under the limits that erpsyncd comes with.
AT_ONCE = LIMITS.tenants_at_once * LIMITS.connections_at_once


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pushed:
    """A connection whose call was answered: what is left is to record that."""

    lease: Lease
    connection: StoredConnection
    intent_id: int
    run_id: int

    async def settle(self, store: SqlStore) -> None:
        outcome = Outcome(tenant="tenant", key=self.connection.key, status=Status.CREATED, change=ChangeKind.CREATE)
        verdict = Verdict(
            state=State.IN_SYNC,
            erp_connection_id=self.connection.id,
            connection_id="00000000-0000-4000-8000-000000000001",
            applied={"display_name": "a fingerprint", "config_fields.Password": "another fingerprint"},
        )
        await store.settle(
            self.lease,
            run_id=self.run_id,
            connection=self.connection,
            verdict=verdict,
            outcome=outcome,
            intent_id=self.intent_id,
            at=datetime.now(UTC),
        )


@contextmanager
def sides() -> Iterator[tuple[Round, Round]]:
    """Prepare connections whose calls were answered. Both sides write the same, by the same way."""
    with stores.pending(stores.document(TENANTS * EACH, TENANTS)) as described:

        def recorded(at_once: int) -> Sample:
            with _answered(described) as (store, runner, pushed):
                sample = wall_of(lambda: runner.run(_settle(store, pushed, at_once)))
                return replace(sample, value=len(pushed) / sample.value)

        yield lambda: recorded(AT_ONCE), lambda: recorded(1)


@contextmanager
def cpu_sides(tenants: int = TENANTS, each: int = EACH) -> Iterator[tuple[Round, Round]]:
    """Prepare the same; what it takes of a processor is held against plain statements with a commit each."""
    with stores.pending(stores.document(tenants * each, tenants)) as described:

        def in_groups() -> Sample:
            with _answered(described) as (store, runner, pushed):
                return cpu_of(lambda: runner.run(_settle(store, pushed, AT_ONCE)))

        def by_hand() -> Sample:
            with _answered(described) as (store, _, pushed), store._database.engine.connect() as connection:
                return cpu_of(lambda: _settle_by_hand(connection, pushed))

        yield in_groups, by_hand


@contextmanager
def _answered(described: Path) -> Iterator[tuple[SqlStore, asyncio.Runner, list[_Pushed]]]:
    with stores.copy_of(described) as directory, stores.opened(directory) as store, asyncio.Runner() as runner:
        yield store, runner, runner.run(_push(store))


def _settle_by_hand(connection: Connection, pushed: list[_Pushed]) -> None:
    """Write what an outcome is at least: the row's new state, no intent any more, and a line of history."""
    now = datetime.now(UTC)
    for one in pushed:
        connection.execute(
            update(connections)
            .where(connections.c.id == one.connection.id)
            .values(state="in_sync", erp_connection_id=one.connection.id, applied={}, attempts=0, updated_at=now)
        )
        connection.execute(delete(intents).where(intents.c.id == one.intent_id))
        connection.execute(
            insert(outcomes).values(
                run_id=one.run_id, tenant="tenant", key=one.connection.key, status="created", fields=[], recorded_at=now
            )
        )
        connection.commit()


async def _push(store: SqlStore) -> list[_Pushed]:
    now = datetime.now(UTC)
    run_id = await store.start_run(trigger="run-once", dry_run=False, started_at=now)
    pushed = []
    for tenant in await store.tenants():
        lease = await store.claim(tenant.id, owner="benchmark", now=now, seconds=3600.0)
        assert lease is not None
        due = await store.due_connections(tenant.id, now=now, longest_backoff=None)

        async def opened(connection: StoredConnection, lease: Lease = lease) -> _Pushed:
            intent_id = await store.open_intent(
                lease,
                run_id=run_id,
                connection=connection,
                kind=ChangeKind.CREATE,
                seen=frozenset(),
                sent=Moment(at=now),
            )
            return _Pushed(lease=lease, connection=connection, intent_id=intent_id, run_id=run_id)

        pushed += await asyncio.gather(*map(opened, due))
    return pushed


async def _settle(store: SqlStore, pushed: list[_Pushed], at_once: int) -> None:
    left = iter(pushed)

    async def work() -> None:
        for one in left:
            await one.settle(store)

    await asyncio.gather(*(work() for _ in range(at_once)))


COMMITS = Figure(
    name=f"outcomes recorded per second with group commit, {AT_ONCE} at once, SQLite synchronous=FULL",
    against="one commit per outcome",
    unit=Unit.RATE,
    least=8.0,
    sides=sides,
)

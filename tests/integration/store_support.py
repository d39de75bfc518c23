"""What the tests of the store share: a moment, a pass at work, and a look at the rows behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, text

from erpsyncd.domain.connections import State, StoredConnection
from erpsyncd.domain.intents import Lease, Moment
from erpsyncd.domain.results import ChangedDataItem as Item
from erpsyncd.domain.results import ChangeKind, Check, Outcome, PluginResponse, RecordChange, Status, Verdict
from erpsyncd.domain.secrets import Reference
from erpsyncd.errors import StoreError
from erpsyncd.store import ConnectionView, SqlStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LONGEST = timedelta(hours=6)


@dataclass(kw_only=True)
class Pass:
    """A pass over one tenant, with a lease of its own."""

    store: SqlStore
    tenant_id: int
    lease: Lease
    run_id: int

    async def due(
        self, *, longest_backoff: timedelta | None = LONGEST, at: datetime = NOW, **more: Any
    ) -> list[StoredConnection]:
        return list(await self.store.due_connections(self.tenant_id, now=at, longest_backoff=longest_backoff, **more))

    async def one(self, key: str = "visma") -> StoredConnection:
        row_ids = query(self.store, f"SELECT id FROM connections WHERE key = '{key}'")
        (found,) = await self.store.connections_by_row_id(self.tenant_id, frozenset({row_ids[0]["id"]}))
        return found

    async def open(
        self, connection: StoredConnection, kind: ChangeKind = ChangeKind.CREATE, seen: frozenset[int] = frozenset()
    ) -> int:
        return await self.store.open_intent(
            self.lease, run_id=self.run_id, connection=connection, kind=kind, seen=seen, sent=Moment(at=NOW)
        )

    async def settle(
        self,
        connection: StoredConnection,
        state: State = State.IN_SYNC,
        *,
        outcome: Outcome | None = None,
        intent_id: int | None = None,
        **verdict: Any,
    ) -> None:
        await self.store.settle(
            self.lease,
            run_id=self.run_id,
            connection=connection,
            verdict=Verdict(state=state, **verdict),
            outcome=outcome,
            intent_id=intent_id,
            at=NOW,
        )

    async def create(self, connection: StoredConnection, erp_connection_id: int = 7) -> None:
        """Let a connection be created and be in sync."""
        await self.settle(
            connection,
            erp_connection_id=erp_connection_id,
            connection_id=f"guid {erp_connection_id}",
            applied={"display_name": "fingerprint"},
        )

    async def create_all(self) -> None:
        for number, connection in enumerate(await self.due(), start=1):
            await self.create(connection, number)

    async def record(self, resolved: Mapping[Reference, str], missing: frozenset[Reference] = frozenset()) -> int:
        return await self.store.record_references(self.lease, resolved=resolved, missing=missing)

    async def check(self, response: PluginResponse, at: datetime = NOW) -> None:
        check = Check(tenant="acme", operation="HasConnections", checked_at=at, response=response)
        await self.store.record_check(self.lease, run_id=self.run_id, check=check)


async def begin_pass(store: SqlStore, tenant: str = "acme", *, owner: str = "one") -> Pass:
    """Claim a tenant and start a run."""
    (tenant_id,) = [found.id for found in await store.tenants() if found.name == tenant]
    lease = await store.claim(tenant_id, owner=owner, now=NOW, seconds=600)
    assert lease is not None, "nobody else holds it"
    run_id = await store.start_run(trigger="test", dry_run=False, started_at=NOW)
    return Pass(store=store, tenant_id=tenant_id, lease=lease, run_id=run_id)


@asynccontextmanager
async def writer_held(store: SqlStore) -> AsyncIterator[None]:
    """Keep the writer busy, so that what is written meanwhile waits and shares a transaction."""
    began, go_on = threading.Event(), threading.Event()

    def wait(_: Connection) -> None:
        began.set()
        assert go_on.wait(30)

    held = asyncio.create_task(store._writer.write(wait))
    await asyncio.to_thread(began.wait, 30)
    try:
        yield
    finally:
        go_on.set()
        with suppress(StoreError):
            await held


async def waiting(store: SqlStore, count: int) -> None:
    """Let the tasks run until they wait for their writes, which are so many."""
    await asyncio.sleep(0)
    assert count == len(store._writer._waiting)


def row(store: SqlStore, key: str = "visma", tenant: str = "acme") -> ConnectionView:
    (found,) = store.list_connections(tenant=tenant, key=key)
    return found


def states(store: SqlStore) -> dict[str, str]:
    return {view.key: view.state for view in store.list_connections()}


def query(store: SqlStore, statement: str, **parameters: Any) -> list[dict[str, Any]]:
    """Look at rows as they are."""
    with store._database.read() as connection:
        return [dict(found) for found in connection.execute(text(statement), parameters).mappings()]


def execute(store: SqlStore, statement: str, **parameters: Any) -> None:
    """Change rows behind the store's back."""
    with store._database.write() as connection:
        connection.execute(text(statement), parameters)


def fill(store: SqlStore, count: int) -> None:
    """Put so many converged connections beside `visma`, which is the only tenant's."""
    columns = (
        "tenant_id, present, erp_connector_id, display_description, active, all_access, user_group_access_ids, "
        "associate_access_ids, config_fields, revision, applied, attempts, created_at, updated_at"
    )
    numbers = (
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < :count) "
        f"INSERT INTO connections (key, display_name, state, {columns}) "
        f"SELECT 'k' || n, 'n' || n, 'in_sync', {columns} FROM n, connections WHERE key = 'visma'"
    )
    execute(store, numbers, count=count)
    execute(store, f"UPDATE tenants SET connection_count = connection_count + {count}")
    execute(store, "ANALYZE connections")


def plan_of(store: SqlStore, statement: Select[Any]) -> str:
    """Return how the database is going to run a statement."""
    with store._database.read() as connection:
        compiled = statement.compile(connection, compile_kwargs={"literal_binds": True})
        explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
        return str(connection.execute(text(f"{explain} {str(compiled).replace(':', chr(92) + ':')}")).all())


def outcome(key: str = "visma", status: Status = Status.CREATED, **more: Any) -> Outcome:
    return Outcome(tenant="acme", key=key, status=status, **more)


def added(record_id: int = 7, table_name: str = "erpconnection") -> Item:
    return Item(change=RecordChange.ADDED, table_name=table_name, record_id=record_id)

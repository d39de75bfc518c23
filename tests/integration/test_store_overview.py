"""What `status` reads of the store, and that it does not read what is in sync."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Select
from store_support import MINUTE, NOW, begin_pass, execute, plan_of, query

from erpsyncd.domain.connections import State
from erpsyncd.domain.results import Outcome, PluginResponse, RunReport, Status, TenantReport
from erpsyncd.domain.standing import Overview, Worker
from erpsyncd.store import SqlStore, overview
from erpsyncd.store.lock import ProcessLock
from factories import make_connection, make_document, make_tenant


def load(store: SqlStore, *tenants: str, keys: tuple[str, ...] = ("visma",)) -> None:
    entries = [make_connection(key, tenant=tenant) for tenant in tenants for key in keys]
    store.apply_document(make_document(*map(make_tenant, tenants), *entries))


def mark(store: SqlStore, key: str, state: State, error_class: str | None = None) -> None:
    execute(
        store,
        "UPDATE connections SET state = :state, error_class = :error_class, error = 'why' WHERE key = :key",
        key=key,
        state=state,
        error_class=error_class,
    )


async def test_tenants_and_what_is_not_in_sync(store: SqlStore) -> None:
    """Counts per state, the word for each tenant, its last answer, and the first few of each kind of trouble."""
    load(store, "acme", keys=("a", "b", "c", "d", "e", "f", "g"))
    load(store, "other", "paused")
    one = await begin_pass(store)
    for connection in await one.due():
        await one.create(connection, int(connection.id))
    for key in "bcde":
        mark(store, key, State.FAILED, "fault")
    mark(store, "f", State.MISSING, "missing")
    mark(store, "g", State.DELETED)
    store.pause_tenant("paused")
    other = await begin_pass(store, "other", owner="two")
    await store.remember_tenant(
        other.lease, refused_auth=None, parked_until=datetime.now(UTC) + timedelta(hours=1), transient_failures=8
    )
    await one.check(PluginResponse(is_ok=True), NOW)
    await one.check(PluginResponse(is_ok=False), NOW + MINUTE)

    found = store.overview()

    assert [
        ("acme", "active", False, {State.IN_SYNC: 1, State.FAILED: 4, State.MISSING: 1, State.DELETED: 1}),
        ("other", "parked", None, {State.PENDING: 1}),
        ("paused", "paused", None, {State.PENDING: 1}),
    ] == [(tenant.name, tenant.state, tenant.quote_is_ok, tenant.counts) for tenant in found.tenants]
    assert [
        ("b", State.FAILED, "fault", 4),
        ("c", State.FAILED, "fault", 4),
        ("d", State.FAILED, "fault", 4),
        ("f", State.MISSING, "missing", 1),
    ] == [(each.key, each.state, each.error_class, each.alike) for each in found.troubles]
    assert (6, "why", "acme") == (
        found.troubles[-1].erp_connection_id,
        found.troubles[-1].error,
        found.troubles[-1].tenant,
    )
    assert store.count_states() == found.counts


def test_an_empty_store(store: SqlStore) -> None:
    """It has nothing to say."""
    assert Overview() == store.overview()


async def test_the_last_run_and_what_it_says_of_whole_tenants(store: SqlStore) -> None:
    """The newest one that was to reconcile; of removed tenants nobody wants to know."""
    load(store, "acme", "gone")
    store.free_leases()
    run_id = await store.start_run(trigger="reconcile", dry_run=False, started_at=NOW)
    report = RunReport(
        run_id=run_id,
        started_at=NOW,
        problems=("the disk is full",),
        tenants=tuple(
            TenantReport(
                tenant=name,
                outcomes=(
                    Outcome(tenant=name, key=None, status=Status.SKIPPED, error_class="unsafe_plan", error="5 deletes"),
                    Outcome(tenant=name, key="visma", status=Status.SKIPPED, error_class="not_tried", error="no"),
                ),
            )
            for name in ("acme", "gone")
        ),
    )
    await store.finish_run(report, finished_at=NOW + MINUTE)
    await store.start_run(trigger="quote_check", dry_run=False, started_at=NOW)
    await store.start_run(trigger="run-once", dry_run=True, started_at=NOW)
    store.remove_tenant("gone")

    found = store.overview()

    assert found.last_run is not None
    assert (run_id, "reconcile", "failed", NOW, NOW + MINUTE, ("the disk is full",)) == (
        found.last_run.run_id,
        found.last_run.trigger,
        found.last_run.status,
        found.last_run.started_at,
        found.last_run.finished_at,
        found.last_run.problems,
    )
    assert [("acme", "unsafe_plan", "5 deletes")] == [
        (each.tenant, each.error_class, each.error) for each in found.failures
    ]


async def test_a_run_without_an_end(store: SqlStore) -> None:
    """It is running while somebody works on the store, and was interrupted otherwise."""
    load(store, "acme")
    await store.start_run(trigger="reconcile", dry_run=False, started_at=NOW)

    def last() -> str:
        found = store.overview().last_run
        assert found is not None
        return found.status

    assert ("interrupted", Worker(running=False)) == (last(), store.overview().worker)

    if store._lock is None:
        (tenant,) = await store.tenants()
        assert await store.claim(tenant.id, owner="one", now=NOW, seconds=600) is not None
        assert ("running", Worker(running=True)) == (last(), store.overview().worker)
        return
    lock = ProcessLock(store._lock._database)
    lock.acquire()
    try:
        assert ("running", Worker(running=True, pid=os.getpid())) == (last(), store.overview().worker)
    finally:
        lock.release()
    assert "interrupted" == last()


@pytest.mark.parametrize(
    ("select", "index"),
    [
        (lambda connection: overview.select_counts(), "ix_connections_not_in_sync"),
        (overview.select_troubles, "ix_connections_not_in_sync"),
        (lambda connection: overview.select_tenants(), "ix_checks_tenant_operation"),
    ],
    ids=["counts", "troubles", "tenants"],
)
async def test_what_is_in_sync_is_not_read(store: SqlStore, select: Callable[[Any], Select[Any]], index: str) -> None:
    """However much of it there is, and however many answers other tenants gave."""
    load(store, "acme")
    one = await begin_pass(store)
    await one.create_all()
    await one.check(PluginResponse(is_ok=True), NOW)
    for table, unlike in (("connections", "key"), ("checks", "tenant")):
        columns = [name for name in query(store, f"SELECT * FROM {table}")[0] if name != "id"]
        values = [f"{name} || n" if name in {unlike, "display_name"} else name for name in columns]
        execute(
            store,
            "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000) "
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)} FROM n, {table}",
        )
    load(store, "acme", keys=("waits",))
    execute(store, "ANALYZE")

    with store._database.read() as connection:
        statement = select(connection)

    assert index in plan_of(store, statement)

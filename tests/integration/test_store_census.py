"""The census: how everything stands in numbers, on both kinds of store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from erpsyncd.domain.connections import State
from erpsyncd.domain.results import RunReport, RunStatus
from erpsyncd.domain.watching import Census, TenantCensus
from erpsyncd.errors import StoreError
from erpsyncd.store import SqlStore
from factories import make_connection, make_document, make_tenant

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def ended(
    store: SqlStore, minutes: int, *, trigger: str = "reconcile", problems: tuple[str, ...] = (), dry_run: bool = False
) -> None:
    at = NOW + timedelta(minutes=minutes)
    run_id = await store.start_run(trigger=trigger, dry_run=dry_run, started_at=at)
    await store.finish_run(RunReport(run_id=run_id, started_at=at, problems=problems), finished_at=at)


def test_an_empty_store(store: SqlStore) -> None:
    """Nobody is there, and nothing has run."""

    assert Census() == store.census()


async def test_tenants_with_their_connections(store: SqlStore) -> None:
    """By name, in sync by subtraction; of a tenant without connections there are none."""
    store.apply_document(
        make_document(make_tenant("zeta"), make_tenant(), make_connection("a"), make_connection("b", tenant="acme"))
    )
    store.pause_tenant("zeta")

    assert (
        TenantCensus(name="acme", state="active", quote_is_ok=None, connections={State.IN_SYNC: 0, State.PENDING: 2}),
        TenantCensus(name="zeta", state="paused", quote_is_ok=None, connections={State.IN_SYNC: 0}),
    ) == store.census().tenants


async def test_the_last_pass_of_each_status(store: SqlStore) -> None:
    """Only passes count: plans, checks and looks for drift say nothing of whether the work is done."""
    await ended(store, 1)
    await ended(store, 2, trigger="run-once")
    await ended(store, 3, problems=("the disk failed",))
    for minutes, trigger in ((4, "quote_check"), (5, "drift"), (6, "plan")):
        await ended(store, minutes, trigger=trigger)
    await ended(store, 7, dry_run=True)
    await store.start_run(trigger="reconcile", dry_run=False, started_at=NOW)

    assert {
        RunStatus.OK: NOW + timedelta(minutes=2),
        RunStatus.FAILED: NOW + timedelta(minutes=3),
    } == store.census().last_runs


async def test_commits_are_told(store: SqlStore) -> None:
    """Each transaction of a pass, in seconds."""
    heard: list[float] = []
    store.watch_commits(heard.append)

    await ended(store, 1)

    assert 2 == len(heard)
    assert all(seconds > 0 for seconds in heard)


def test_who_holds_the_lock(store: SqlStore) -> None:
    """With SQLite the process that took it; on a server leases decide, and everybody may."""
    on_server = store.place.startswith("postgresql")

    before = store.holds_lock()
    store.lock_process()

    assert (on_server, True) == (before, store.holds_lock())


def test_a_store_that_is_gone(store: SqlStore) -> None:
    """It is an error that is explained, not an empty census."""
    if store.place.startswith("postgresql"):
        pytest.skip("a file can be moved away, a server cannot")
    store.census()
    path = store._database.path
    assert path is not None
    path.rename(path.with_name("away"))

    with pytest.raises(StoreError, match="is gone"):
        store.census()

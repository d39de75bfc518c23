"""What the command line reads and does: lists, pause and resume, remove, prune."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from store_support import MINUTE, NOW, Pass, added, begin_pass, execute, outcome, plan_of, query, states

from erpsyncd.domain.connections import State
from erpsyncd.domain.results import PluginResponse, RunReport
from erpsyncd.errors import UsageError
from erpsyncd.store import Pruned, SqlStore, administration, tables
from factories import make_connection, make_document, make_tenant


def load(store: SqlStore, *tenants: str, keys: tuple[str, ...] = ("visma",)) -> None:
    entries = [make_connection(key, tenant=tenant) for tenant in tenants for key in keys]
    store.apply_document(make_document(*map(make_tenant, tenants), *entries))


async def test_tenants_are_listed_with_their_state(store: SqlStore) -> None:
    """By name, each with the one word that says why nothing happens there, if nothing does."""
    load(store, "active", "paused", "refused", "parked", "was parked", keys=("a", "b", "c"))
    soon = datetime.now(UTC) + timedelta(hours=1)
    for name, refused, until in (("refused", "f", soon), ("parked", None, soon), ("was parked", None, NOW)):
        one = await begin_pass(store, name)
        await store.remember_tenant(one.lease, refused_auth=refused, parked_until=until, transient_failures=8)
    store.pause_tenant("paused")
    one = await begin_pass(store, "active")
    await one.create((await one.due())[0])

    found = store.list_tenants()

    assert [("active", "active"), ("parked", "parked"), ("paused", "paused"), ("refused", "refused")] == [
        (view.name, view.state) for view in found[:4]
    ]
    assert ("was parked", "active", 8) == (found[4].name, found[4].state, found[4].transient_failures)
    assert (3, 1, "https://active.example", "soap", False, None) == (
        found[0].connections,
        found[0].in_sync,
        found[0].url,
        found[0].protocol,
        found[0].refused,
        found[0].last_checked_at,
    )
    assert (3, 0) == (found[1].connections, found[1].in_sync)
    assert ["paused"] == [view.name for view in store.list_tenants(name="paused")]
    assert () == store.list_tenants(name="unknown")


async def test_connections_are_listed_by_tenant_and_key(store: SqlStore) -> None:
    """In the same order on both databases, filtered as asked."""
    load(store, "b", "a", "Ä", keys=("z", "é", "a", "B"))
    one = await begin_pass(store, "a")
    await one.create((await one.due())[0])

    keys = [(view.tenant, view.key) for view in store.list_connections()]

    assert [(tenant, key) for tenant in ("a", "b", "Ä") for key in ("B", "a", "z", "é")] == keys
    assert keys[:2] == [(view.tenant, view.key) for view in store.list_connections(limit=2)]
    assert ["B"] == [view.key for view in store.list_connections(tenant="a", state=State.IN_SYNC)]
    assert ["a", "b", "Ä"] == [view.tenant for view in store.list_connections(key="z")]
    counts = store.count_states()
    assert (1, 11, 0, 12) == (counts[State.IN_SYNC], counts[State.PENDING], counts[State.FAILED], sum(counts.values()))
    assert (1, 3) == (store.count_states(tenant="a")[State.IN_SYNC], store.count_states(tenant="a")[State.PENDING])
    assert 0 == sum(store.count_states(tenant="unknown").values())


async def test_history_is_listed_newest_first(store: SqlStore) -> None:
    """Runs, checks and changes, with a limit, of one tenant or of all."""
    load(store, "acme", "other")
    one = await begin_pass(store)
    for minute in range(3):
        response = PluginResponse(is_ok=True, error_code=str(minute), changes=(added(minute + 1),))
        await one.check(response, NOW + minute * MINUTE)
        await store.start_run(trigger="test", dry_run=False, started_at=NOW)

    assert [4, 3, 2, 1] == [run.run_id for run in store.list_runs()]
    assert [4, 3] == [run.run_id for run in store.list_runs(limit=2)]
    assert ["2", "1", "0"] == [check.error_code for check in store.list_checks(tenant="acme")]
    assert ["2"] == [check.error_code for check in store.list_checks(limit=1)]
    assert [3, 2, 1] == [change.record_id for change in store.list_changes(run_id=one.run_id)]
    assert [3] == [change.record_id for change in store.list_changes(limit=1)]
    assert ((), (), ()) == (
        store.list_checks(tenant="other"),
        store.list_changes(tenant="other"),
        store.list_checks(run_id=9),
    )
    assert store.get_run(9) is None


async def test_resume_ends_whatever_keeps_a_tenant(store: SqlStore) -> None:
    """A pause, the breaker, refused credentials."""
    load(store, "acme")
    one = await begin_pass(store)
    await store.remember_tenant(one.lease, refused_auth="f", parked_until=NOW, transient_failures=8)
    store.pause_tenant("acme")
    (tenant,) = await store.tenants()
    assert (True, "f") == (tenant.paused, tenant.refused_auth)

    store.resume_tenant("acme")

    (tenant,) = await store.tenants()
    assert (False, None, None, 0) == (
        tenant.paused,
        tenant.refused_auth,
        tenant.parked_until,
        tenant.transient_failures,
    )


async def test_history_outlives_what_it_tells_of(store: SqlStore) -> None:
    """A removed tenant takes its connections, intents and references along, not its outcomes and checks."""
    load(store, "acme", "other")
    one = await begin_pass(store)
    (due,) = await one.due()
    await one.open(due, seen=frozenset({1}))
    await one.settle(due, outcome=outcome())
    await one.check(PluginResponse(is_ok=True, changes=(added(),)))

    store.remove_tenant("acme")

    assert ["other"] == [tenant.name for tenant in store.list_tenants()]
    assert {"visma": "pending"} == states(store)
    for table in ("intents", "listings"):
        assert [] == query(store, f"SELECT * FROM {table}")
    found = store.get_run(one.run_id)
    assert found is not None
    assert ["acme"] == [gone.tenant for gone in found[1]]
    assert (1, 1) == (len(store.list_checks(tenant="acme")), len(store.list_changes(tenant="acme")))


async def test_a_removed_connection_is_not_counted(store: SqlStore) -> None:
    """It takes its open intents along; importing it again makes a new one."""
    load(store, "acme", keys=("a", "b"))
    one = await begin_pass(store)
    await one.create_all()
    await one.open(await one.one("a"))

    store.remove_connection("acme", "a")

    assert (1, {"b": "in_sync"}) == (await store.in_sync_count(one.tenant_id), states(store))
    assert () == await store.open_intents(one.tenant_id)
    load(store, "acme", keys=("a",))
    assert [("a", None)] == [(found.key, found.erp_connection_id) for found in await one.due()]


def test_what_is_not_there_is_a_usage_error(store: SqlStore) -> None:
    """With the command that shows what there is."""
    load(store, "acme")
    for call in (store.pause_tenant, store.resume_tenant, store.remove_tenant):
        with pytest.raises(UsageError, match="no tenant 'nobody'; see: erpsyncd tenants list"):
            call("nobody")
    with pytest.raises(UsageError, match="no tenant 'nobody'"):
        store.remove_connection("nobody", "visma")
    with pytest.raises(UsageError, match="'acme' has no connection 'nothing'"):
        store.remove_connection("acme", "nothing")


async def record_run(one: Pass, at: datetime, *, ended: bool) -> None:
    """Record a run with three outcomes, a check and a change."""
    one.run_id = await one.store.start_run(trigger="test", dry_run=False, started_at=at)
    for _ in range(3):
        await one.settle(await one.one(), outcome=outcome())
    await one.check(PluginResponse(is_ok=True, changes=(added(),)), at)
    if ended:
        await one.store.finish_run(RunReport(run_id=one.run_id, started_at=at), finished_at=at)


async def test_old_history_is_pruned_in_steps(store: SqlStore) -> None:
    """What is younger stays; a run without an end that is older than the retention died long ago, and goes too."""
    load(store, "acme")
    one = await begin_pass(store)
    execute(store, "DELETE FROM runs")
    for minute, ended in ((0, True), (1, True), (2, False), (3, False)):
        await record_run(one, NOW + minute * MINUTE, ended=ended)

    pruned = administration.prune_history(store._database, older_than=NOW + 3 * MINUTE, batch=2)

    assert (Pruned(runs=3, outcomes=9, checks=3, changes=3), 18) == (pruned, pruned.total)
    assert [(one.run_id, None)] == [(run.run_id, run.finished_at) for run in store.list_runs()]
    assert (1, 1, 3) == (
        len(store.list_checks()),
        len(store.list_changes()),
        len(query(store, "SELECT * FROM outcomes")),
    )
    assert 0 == store.prune_history(NOW + 3 * MINUTE).total
    assert {"visma": "in_sync"} == states(store)


async def test_pruning_reads_old_history_only(store: SqlStore) -> None:
    """Each batch is found by an index of its moments, however much young history there is."""
    load(store, "acme")
    one = await begin_pass(store)
    await one.check(PluginResponse(is_ok=True, changes=(added(),)), NOW)
    for column in (tables.checks.c.last_at, tables.changes.c.recorded_at):
        table = column.table
        names = ", ".join(each.name for each in table.columns if each.name != "id")
        execute(
            store,
            "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 5000) "
            f"INSERT INTO {table.name} ({names}) SELECT {names} FROM n, {table.name}",
        )
        execute(store, "ANALYZE")

        plan = plan_of(store, administration.select_batch(column, column < NOW, 1_000))

        assert f"ix_{table.name}_{column.name}" in plan

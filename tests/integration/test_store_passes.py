"""What a pass reads and writes: due connections, intents, settlements, references, checks, runs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Connection, Row
from store_support import (
    LONGEST,
    MINUTE,
    NOW,
    Pass,
    added,
    begin_pass,
    execute,
    fill,
    outcome,
    plan_of,
    query,
    row,
    states,
)

from erpsyncd.domain.connections import State
from erpsyncd.domain.intents import Moment, Uptime
from erpsyncd.domain.results import ChangedDataItem as Item
from erpsyncd.domain.results import (
    ChangeKind,
    Check,
    Outcome,
    PluginResponse,
    RecordChange,
    RunReport,
    Status,
    TenantReport,
)
from erpsyncd.domain.secrets import Reference, Scheme, parse_template
from erpsyncd.errors import NotTried, StoreError
from erpsyncd.store import SqlStore, check_rows, due, tables
from factories import make_connection, make_document, make_tenant

P = Reference(Scheme.ENV, "P")
Q = Reference(Scheme.FILE, "/q")


def load(store: SqlStore, *keys: str, **overrides: Any) -> None:
    entries = (make_connection(key, **overrides) for key in keys or ("visma",))
    store.apply_document(make_document(make_tenant(), *entries))


# What is due


async def test_tenants_come_back_as_described(store: SqlStore) -> None:
    """Every field of a tenant, by name."""
    full = make_tenant(
        "zeta", soap_url="https://s.example", rest_url="https://r.example", erpsync_services=88, calls_per_second=2.5
    )
    store.apply_document(make_document(full, make_tenant("Älpha"), make_tenant("alpha")))

    found = await store.tenants()

    assert ["alpha", "zeta", "Älpha"] == [tenant.name for tenant in found]
    assert full.spec == found[1].spec
    assert (False, None, 0, None, None) == (
        found[1].paused,
        found[1].parked_until,
        found[1].transient_failures,
        found[1].refused_auth,
        found[1].last_checked_at,
    )


async def test_connections_come_back_as_described(store: SqlStore) -> None:
    """Every field of a connection; config fields in the order in which they were given."""
    entry = make_connection(
        display_description="é",
        active=False,
        all_access=True,
        user_group_access_ids=(3, 1),
        associate_access_ids=(9,),
        config_fields={"Z": "plain", "A": "@{env:P}", "M": "", "B": "a@{file:/q}b"},
    )
    store.apply_document(make_document(make_tenant(), entry))

    (found,) = await (await begin_pass(store)).due()

    assert entry.template == found.template
    assert list("ZAMB") == list(found.template.config_fields)
    assert ("visma", True, None, None, {}, State.PENDING, 0) == (
        found.key,
        found.present,
        found.erp_connection_id,
        found.connection_id,
        found.applied,
        found.state,
        found.attempts,
    )


async def test_what_is_due(store: SqlStore) -> None:
    """States that a pass has to work on, by key; the others wait for something else."""
    load(store, *(state.value for state in State))
    one = await begin_pass(store)
    for connection in await one.due():
        await one.settle(connection, State(connection.key))

    due = ["failed", "in_flight", "missing", "parked", "pending", "replaced"]
    assert due == [found.key for found in await one.due()]


async def test_backoff_is_honoured_where_that_is_asked_for(store: SqlStore) -> None:
    """Until the next attempt's time a scheduled pass leaves a failed connection alone; a run by hand does not."""
    load(store, "later", "now")
    one = await begin_pass(store)
    for connection in await one.due():
        at = NOW + MINUTE if connection.key == "later" else None
        await one.settle(connection, State.FAILED, attempts=3, next_attempt_at=at)

    assert ["now"] == [found.key for found in await one.due()]
    assert ["later", "now"] == [found.key for found in await one.due(at=NOW + MINUTE)]
    again = await one.due(longest_backoff=None)
    assert [(3, NOW + MINUTE), (3, None)] == [(found.attempts, found.next_attempt_at) for found in again]


async def test_only_the_tenants_own_connections_are_read(store: SqlStore) -> None:
    """Row ids of other tenants are left out like unknown ones."""
    store.apply_document(
        make_document(make_tenant(), make_tenant("other"), make_connection(), make_connection(tenant="other"))
    )
    one = await begin_pass(store)
    ids = frozenset(found["id"] for found in query(store, "SELECT id FROM connections"))

    found = await store.connections_by_row_id(one.tenant_id, ids | {10**6})

    assert 2 == len(ids)
    assert [one.tenant_id] == [connection.tenant_id for connection in found]
    assert list(found) == await one.due()


async def test_what_is_owned_and_how_much_is_in_sync(store: SqlStore) -> None:
    """Deleted connections own nothing; the count follows what is added and removed."""
    load(store, "a", "b", "c")
    one = await begin_pass(store)
    await one.create_all()
    assert ({1, 2, 3}, 3) == (set(await store.owned_ids(one.tenant_id)), await store.in_sync_count(one.tenant_id))

    await one.settle(await one.one("a"), State.DELETED)
    store.remove_connection("acme", "b")
    load(store, "d")

    assert ({3}, 1) == (set(await store.owned_ids(one.tenant_id)), await store.in_sync_count(one.tenant_id))


async def test_a_converged_store_is_not_read(store: SqlStore) -> None:
    """Looking for due connections and counting those in sync use the partial index on both databases."""
    load(store)
    one = await begin_pass(store)
    fill(store, 5_000)

    for statement in (due.DUE, due.DUE_BY_TIME, due.IN_SYNC_COUNT):
        plan = plan_of(store, statement.params(of_tenant=one.tenant_id, at=NOW, latest=NOW + LONGEST))
        assert "ix_connections_not_in_sync" in plan
        assert "SCAN connections" not in plan
        assert "Seq Scan on connections" not in plan


# Intents and settlements


async def test_an_intent_is_there_until_it_is_settled(store: SqlStore) -> None:
    """It holds what was sent, whatever the document says later."""
    load(store, "a", "b")
    one = await begin_pass(store)
    a, b = await one.due()
    first = await one.open(a, seen=frozenset({3, 1}))
    second = await one.open(b, ChangeKind.UPDATE)
    load(store, "a", display_name="Renamed")

    create, update = await store.open_intents(one.tenant_id)

    assert (first, a.id, ChangeKind.CREATE, 1, "Name of a", frozenset({1, 3}), NOW) == (
        create.id,
        create.connection_row_id,
        create.kind,
        create.erp_connector_id,
        create.display_name,
        create.seen,
        create.sent.at,
    )
    assert (second, ChangeKind.UPDATE, frozenset()) == (update.id, update.kind, update.seen)
    assert {"a": State.PENDING, "b": State.IN_FLIGHT} == states(store)
    again = Moment(at=NOW + MINUTE, uptime=Uptime(boot_id="a start", seconds=1234.5))
    await store.resend_intent(one.lease, first, sent=again)
    assert [again, Moment(at=NOW)] == [intent.sent for intent in await store.open_intents(one.tenant_id)]

    await one.settle(a, intent_id=first)
    assert (second,) == tuple(intent.id for intent in await store.open_intents(one.tenant_id))
    await one.settle(a, intent_id=second)
    assert 1 == len(await store.open_intents(one.tenant_id)), "an intent of another connection is not touched"


async def test_intents_of_one_pass_share_one_listing(store: SqlStore) -> None:
    """It is kept while an open intent needs it, and goes when the pass is over."""
    load(store, "a", "b", "c")
    one = await begin_pass(store)
    seen = frozenset(range(1_000))
    a, b, c = await one.due()
    intents = [await one.open(a, seen=seen), await one.open(b, seen=frozenset(seen))]
    await one.open(c, seen=frozenset({5}))
    assert 2 == len(query(store, "SELECT id FROM listings"))

    await one.settle(a, intent_id=intents[0])
    await one.settle(b, intent_id=intents[1])
    await store.release(one.lease)

    (left,) = await store.open_intents(one.tenant_id)
    assert frozenset({5}) == left.seen
    assert 1 == len(query(store, "SELECT id FROM listings"))


async def test_nothing_is_sent_for_a_connection_that_was_removed(store: SqlStore) -> None:
    """The pass learns it before the call; an outcome for it can still be recorded."""
    load(store, "a")
    one = await begin_pass(store)
    (a,) = await one.due()
    store.remove_connection("acme", "a")

    with pytest.raises(NotTried, match="was removed") as caught:
        await one.open(a)
    await one.settle(a, State.FAILED, outcome=outcome("a", Status.FAILED, error_class=caught.value.error_class))

    assert {} == states(store)
    assert [("a", "failed", "not_tried")] == [(o.key, o.status, o.error_class) for o in outcomes(store, one.run_id)]


def outcomes(store: SqlStore, run_id: int) -> tuple[Any, ...]:
    found = store.get_run(run_id)
    assert found is not None
    return found[1]


async def test_a_settlement_remembers_what_it_learned(store: SqlStore) -> None:
    """Ids, fingerprints, state and outcome; a later failure does not unlearn them."""
    load(store)
    one = await begin_pass(store)
    (visma,) = await one.due()
    applied = {"display_name": "x"}
    created = outcome(change=ChangeKind.CREATE, fields=("display_name",))
    await one.settle(visma, erp_connection_id=7, connection_id="GUID", applied=applied, outcome=created)
    failed = outcome(status=Status.FAILED, change=ChangeKind.UPDATE, error_class="fault", error="no \x00 way")
    await one.settle(visma, State.FAILED, attempts=2, next_attempt_at=NOW, outcome=failed)

    found, view = await one.one(), row(store)

    assert (7, "GUID", applied, State.FAILED, 2, NOW) == (
        found.erp_connection_id,
        found.connection_id,
        found.applied,
        found.state,
        found.attempts,
        found.next_attempt_at,
    )
    assert ("fault", "no \ufffd way") == (view.error_class, view.error)
    assert [("created", "create", ("display_name",)), ("failed", "update", ())] == [
        (o.status, o.change, o.fields) for o in outcomes(store, one.run_id)
    ]

    await one.settle(visma, State.PENDING, applied={})
    assert ({}, "fault") == ((await one.one()).applied, row(store).error_class)
    await one.settle(visma, State.IN_SYNC)
    assert (None, None) == (row(store).error_class, row(store).error)


async def test_what_was_edited_during_a_pass_becomes_due_again(store: SqlStore) -> None:
    """The settlement is about what was read; everything it learned is kept."""
    load(store)
    one = await begin_pass(store)
    (visma,) = await one.due()
    intent = await one.open(visma)
    load(store, display_name="Newer")

    await one.settle(
        visma,
        erp_connection_id=7,
        connection_id="GUID",
        applied={"a": "b"},
        attempts=1,
        intent_id=intent,
        outcome=outcome(),
    )

    (again,) = await one.due()
    assert (7, "GUID", {"a": "b"}, State.PENDING, 0, "Newer") == (
        again.erp_connection_id,
        again.connection_id,
        again.applied,
        again.state,
        again.attempts,
        again.template.display_name,
    )
    assert () == await store.open_intents(one.tenant_id)


async def test_what_is_wanted_again_while_it_is_deleted_is_created_anew(store: SqlStore) -> None:
    """The ids of what was just deleted are of no use; still unwanted it stays deleted."""
    load(store, "back", "gone")
    one = await begin_pass(store)
    await one.create_all()
    load(store, "back", "gone", present=False)
    back, gone = await one.due()
    load(store, "back", display_name="Wanted")
    execute(store, "UPDATE connections SET revision = revision + 1 WHERE key = 'gone'")

    await one.settle(back, State.DELETED)
    await one.settle(gone, State.DELETED)

    assert {"back": State.PENDING, "gone": State.DELETED} == states(store)
    again = await one.one("back")
    assert (None, None, {}) == (again.erp_connection_id, again.connection_id, again.applied)


# References


async def prepared(store: SqlStore) -> Pass:
    """A tenant in which everything is in sync and every reference known."""
    store.apply_document(
        make_document(
            make_tenant(auth={"username": "u", "password": "@{env:LOGIN}"}),
            make_connection("p", config_fields={"P": "@{env:P}"}),
            make_connection("pq", config_fields={"P": "x@{env:P}", "Q": "@{file:/q}@{file:/q}"}),
            make_connection("none", config_fields={"P": "plain"}),
        )
    )
    one = await begin_pass(store)
    assert 0 == await one.record({P: "p1", Q: "q1"}), "what is pending is due already"
    await one.create_all()
    return one


async def test_references_are_those_of_connections(store: SqlStore) -> None:
    """Each once, with its fingerprint; a tenant's own credentials make no connection due."""
    one = await prepared(store)
    load(store, "p", config_fields={"P": "@{env:P}", "N": "@{env:NEW}"})

    known = await store.references(one.tenant_id)

    assert {P: "p1", Q: "q1", Reference(Scheme.ENV, "NEW"): None} == known


async def test_references_that_nobody_uses_are_forgotten(store: SqlStore) -> None:
    """By an edit, by absence, by removal."""
    one = await prepared(store)
    load(store, "pq", present=False)
    assert {P: "p1"} == await store.references(one.tenant_id)

    load(store, "p", config_fields={})

    assert {} == await store.references(one.tenant_id)
    assert [] == query(store, "SELECT * FROM secret_references")
    load(store, "none", config_fields={"P": "@{env:P}"})
    store.remove_connection("acme", "none")
    assert [] == query(store, "SELECT * FROM secret_references")


async def test_a_changed_secret_makes_due_what_uses_it(store: SqlStore) -> None:
    """Also what waits in backoff for lack of it, but nothing that an operator has to decide."""
    one = await prepared(store)
    assert 0 == await one.record({P: "p1", Q: "q1"})

    assert 1 == await one.record({P: "p1", Q: "q2"})

    assert {"none": "in_sync", "p": "in_sync", "pq": "pending"} == states(store)
    pq = await one.one("pq")
    for state in State:
        await one.settle(pq, state, attempts=5, next_attempt_at=NOW + MINUTE)
        ripens = state in (State.IN_SYNC, State.DRIFTED, State.FAILED)
        assert int(ripens) == await one.record({Q: state.value}), state
        assert (State.PENDING if ripens else state) == row(store, "pq").state
        assert (0 if ripens else 5) == row(store, "pq").attempts


async def test_a_missing_secret_makes_due_once_what_uses_it(store: SqlStore) -> None:
    """What failed for lack of it waits for its backoff, and is due at once when the secret is back."""
    one = await prepared(store)
    unknown = Reference(Scheme.ENV, "NOBODY_USES_THIS")

    assert 2 == await one.record({Q: "q1", unknown: "x"}, frozenset({P, unknown}))
    assert {P: None, Q: "q1"} == await store.references(one.tenant_id)

    for connection in await one.due():
        await one.settle(connection, State.FAILED, attempts=1, next_attempt_at=NOW + MINUTE)
    assert 0 == await one.record({Q: "q1"}, frozenset({P}))
    assert [] == await one.due()
    assert 2 == await one.record({P: "p1", Q: "q1"})
    assert ["p", "pq"] == [found.key for found in await one.due()]


async def test_a_dry_run_sees_what_would_become_due(store: SqlStore) -> None:
    """Without writing; each connection once."""
    one = await prepared(store)
    await one.settle(await one.one("pq"), State.FAILED, next_attempt_at=NOW + MINUTE)

    assert ["p", "pq"] == [found.key for found in await one.due(using=frozenset({P, Q}))]
    assert ["pq"] == [found.key for found in await one.due(using=frozenset({Q}), longest_backoff=None)]
    assert {"none": "in_sync", "p": "in_sync", "pq": "failed"} == states(store)


# Tenants, runs and checks


async def test_what_a_pass_learned_about_a_tenant_is_kept(store: SqlStore) -> None:
    """Refused credentials, the breaker, and when it was last asked."""
    load(store)
    one = await begin_pass(store)
    await store.remember_tenant(one.lease, refused_auth="f", parked_until=NOW, transient_failures=8)
    await one.check(PluginResponse(is_ok=True), NOW + MINUTE)

    (tenant,) = await store.tenants()

    assert ("f", NOW, 8, NOW + MINUTE) == (
        tenant.refused_auth,
        tenant.parked_until,
        tenant.transient_failures,
        tenant.last_checked_at,
    )


async def test_equal_answers_in_a_row_are_one_row(store: SqlStore) -> None:
    """Until the answer changes; the row names the run of its last time."""
    load(store)
    one = await begin_pass(store)
    yes, no = PluginResponse(is_ok=True), PluginResponse(is_ok=False, user_explanation="no \x00")
    for minute, response in enumerate((yes, yes, yes, no, no, yes)):
        if minute == 2:
            one.run_id = await store.start_run(trigger="test", dry_run=False, started_at=NOW)
        await one.check(response, NOW + minute * MINUTE)

    found = store.list_checks()

    assert [(True, 1), (False, 2), (True, 3)] == [(check.is_ok, check.times) for check in found]
    assert ("no \ufffd", NOW + 3 * MINUTE, NOW + 4 * MINUTE) == (
        found[1].user_explanation,
        found[1].first_at,
        found[1].last_at,
    )
    assert (one.run_id, NOW, NOW + 2 * MINUTE) == (found[2].run_id, found[2].first_at, found[2].last_at)


async def test_an_answer_is_kept_though_history_is_pruned_meanwhile(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the row that would count on was deleted after it was read, the answer gets one of its own."""
    load(store)
    one = await begin_pass(store)
    await one.check(PluginResponse(is_ok=True))
    find = check_rows._last_check

    def find_and_prune(connection: Connection, check: Check) -> Row[Any] | None:
        found = find(connection, check)
        connection.execute(tables.checks.delete())
        return found

    monkeypatch.setattr(check_rows, "_last_check", find_and_prune)
    await one.check(PluginResponse(is_ok=True), NOW + MINUTE)

    assert [(NOW + MINUTE, 1)] == [(check.last_at, check.times) for check in store.list_checks()]


async def test_answers_with_changes_stand_alone(store: SqlStore) -> None:
    """They are never counted into another row, nor is another into theirs."""
    load(store)
    one = await begin_pass(store)
    plain = PluginResponse(is_ok=True)
    items = (added(7), Item(change=RecordChange.DELETED, table_name="quote\x00", record_id=2**40))
    loud = PluginResponse(is_ok=True, changes=items)
    for minute, response in enumerate((plain, loud, loud, plain, plain)):
        await one.check(response, NOW + minute * MINUTE)

    assert [(0, 2), (2, 1), (2, 1), (0, 1)] == [(check.changed_records, check.times) for check in store.list_checks()]
    assert [("deleted", "quote\ufffd", 2**40), ("added", "erpconnection", 7)] * 2 == [
        (change.change, change.table_name, change.record_id) for change in store.list_changes()
    ]
    assert {("acme", one.run_id, "HasConnections")} == {
        (change.tenant, change.run_id, change.operation) for change in store.list_changes()
    }


async def test_a_clock_that_jumps_back_does_not_turn_a_row_around(store: SqlStore) -> None:
    """The last time is never before the first."""
    load(store)
    one = await begin_pass(store)
    for moment in (NOW, NOW - MINUTE):
        await one.check(PluginResponse(is_ok=True), moment)

    (check,) = store.list_checks()

    assert (2, NOW, NOW) == (check.times, check.first_at, check.last_at)


async def test_a_run_is_recorded_with_what_no_settlement_recorded(store: SqlStore) -> None:
    """Whole tenants that failed are outcomes too, and none is there twice."""
    load(store)
    one = await begin_pass(store)
    (visma,) = await one.due()
    settled = outcome(change=ChangeKind.CREATE)
    await one.settle(visma, outcome=settled)
    whole = Outcome(tenant="other", key=None, status=Status.FAILED, error_class="unauthorized", error="no")
    await one.check(PluginResponse(is_ok=True, changes=(added(),)))
    report = RunReport(
        run_id=one.run_id,
        started_at=NOW,
        tenants=(
            TenantReport(tenant="acme", outcomes=(settled, settled), unchanged=4),
            TenantReport(tenant="other", outcomes=(whole,), error="unauthorized"),
        ),
        problems=("odd \x00",),
    )

    await store.finish_run(report, finished_at=NOW + MINUTE)

    (run,) = store.list_runs()
    assert (one.run_id, "test", False, "failed", 1, 0, ("odd \ufffd",), NOW, NOW + MINUTE) == (
        run.run_id,
        run.trigger,
        run.dry_run,
        run.status,
        run.exit_code,
        run.changed_records,
        run.problems,
        run.started_at,
        run.finished_at,
    )
    assert (2, 4, 0) == (run.counts["created"], run.counts["unchanged"], run.counts["planned"])
    assert [("acme", "visma", "created")] * 2 + [("other", None, "failed")] == [
        (o.tenant, o.key, o.status) for o in outcomes(store, one.run_id)
    ]


async def test_a_dry_run_leaves_its_row_only(store: SqlStore) -> None:
    """What it planned is in its report, not in the store."""
    load(store)
    run_id = await store.start_run(trigger="test", dry_run=True, started_at=NOW)
    planned = TenantReport(tenant="acme", outcomes=(outcome(status=Status.PLANNED),))

    await store.finish_run(RunReport(run_id=run_id, started_at=NOW, dry_run=True, tenants=(planned,)), finished_at=NOW)

    found = store.get_run(run_id)
    assert found is not None
    assert (True, "ok", 1, ()) == (found[0].dry_run, found[0].status, found[0].counts["planned"], found[1])


async def test_a_failing_statement_is_one_callers(store: SqlStore) -> None:
    """An outcome for a run that does not exist is refused, and the rest of the settlement with it."""
    load(store)
    one = await begin_pass(store)
    (visma,) = await one.due()
    one.run_id = 10**6

    with pytest.raises(StoreError, match=r"(?i)foreign key"):
        await one.settle(visma, outcome=outcome())

    assert State.PENDING == row(store).state
    assert isinstance(row(store).updated_at, datetime)
    assert parse_template("erp password") == visma.template.config_fields["Password"]

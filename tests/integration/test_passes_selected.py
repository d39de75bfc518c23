"""Passes over some of the tenants or connections, plans of them, and what an onlooker is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from erpsyncd.domain.field_changes import FieldChange, SecretChange
from erpsyncd.domain.results import Outcome, RunReport, Status
from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.selection import Selection, parse_selection
from erpsyncd.errors import OutcomeUnknown
from factories import make_connection, make_erp_connection, make_tenant
from pass_bench import Bench, only, statuses


def selecting(*wanted: str, exclude: Iterable[str] = ()) -> Selection:
    return parse_selection(wanted, exclude)


def told(report: RunReport) -> list[tuple[str | None, list[tuple[str, Any, Any]]]]:
    """Return what a plan says about each connection."""
    return [
        (outcome.key, [(change.name, change.old, change.new) for change in outcome.field_changes])
        for tenant in report.tenants
        for outcome in tenant.outcomes
    ]


async def test_only_selected_tenants_are_visited(bench: Bench) -> None:
    """The others are neither called nor reported."""
    for name in ("acme", "beta", "north"):
        bench.load(make_tenant(name), make_connection(tenant=name))

    report = await bench.run(selection=selecting("acme", "beta", exclude=["b*"]))

    assert ["acme"] == [tenant.tenant for tenant in report.tenants]
    assert [] == bench.tenants["beta"].calls + bench.tenants["north"].calls
    assert 1 == bench.tenants["acme"].saves


async def test_only_selected_connections_are_worked_on(bench: Bench) -> None:
    """Their neighbours wait, as due as they were."""
    bench.load(make_tenant(), *(make_connection(key) for key in ("visma-no", "visma-se", "other")))

    report = await bench.run(selection=selecting("acme/visma-*", exclude=["acme/*-se"]))

    assert ("visma-no", "created", None) == only(report)
    assert ("pending", "pending") == (bench.row("visma-se").state, bench.row("other").state)
    assert [("other", "created"), ("visma-se", "created")] == [item[:2] for item in statuses(await bench.run())]


async def test_unchanged_counts_the_tenants_visited(bench: Bench) -> None:
    """Its meaning is fixed, whatever is selected of a tenant."""
    bench.load(make_tenant(), make_connection("a"), make_connection("b"), make_connection("c"))
    await bench.run()
    bench.load(make_connection("a", display_name="Another"))

    report = await bench.run(selection=selecting("acme/a"))

    assert (1, 2) == (report.counts[Status.UPDATED], report.counts[Status.UNCHANGED])


async def test_a_part_of_a_tenant_is_checked_only_after_a_change(bench: Bench) -> None:
    """HasConnections is about the tenant; who asks for one connection gets an answer with its change."""
    bench.load(make_tenant(), make_connection("a"), make_connection("b"))
    part = selecting("acme/a")

    assert 1 == len((await bench.run(selection=part)).tenants[0].checks)
    bench.time += timedelta(days=2)
    bench.tenants["acme"].calls.clear()

    assert () == (await bench.run(selection=part)).tenants[0].checks
    assert [] == bench.tenants["acme"].calls
    assert 1 == len((await bench.run(selection=selecting("acme"))).tenants[0].checks)


async def test_what_was_left_open_is_settled_whatever_is_selected(bench: Bench) -> None:
    """An unanswered create of a neighbour is looked up first, and adopted, not made again."""
    bench.load(make_tenant(), make_connection("a"), make_connection("b"))
    tenant = bench.tenants["acme"]
    tenant.lose["SaveConnection"] = [OutcomeUnknown("SaveConnection", "no answer")]
    await bench.run(selection=selecting("acme/a"))

    assert "failed" == bench.row("a").state

    report = await bench.run(selection=selecting("acme/b"))

    assert ("b", "created", None) == only(report)
    assert ("pending", 1) == (bench.row("a").state, bench.row("a").erp_connection_id)
    assert 2 == len(tenant.connections)


async def test_a_doubt_that_was_met_is_reported_whatever_is_selected(bench: Bench) -> None:
    """The look-up was made and is on record, so the report and the exit code say so."""
    bench.load(make_tenant(), make_connection("a"), make_connection("b"))
    bench.tenants["acme"].fail["SaveConnection"] = [OutcomeUnknown("SaveConnection", "no answer")]
    await bench.run(selection=selecting("acme/a"))

    report = await bench.run(selection=selecting("acme/b"))

    assert [("a", "in_doubt", "unsettled"), ("b", "created", None)] == statuses(report)
    assert 3 == report.exit_code


async def test_a_plan_tells_of_doubts_only_where_they_are_selected(bench: Bench) -> None:
    """A plan settles nothing, so an open create of a neighbour is no part of it."""
    bench.load(make_tenant(), make_connection("a"), make_connection("b"))
    bench.tenants["acme"].lose["SaveConnection"] = [OutcomeUnknown("SaveConnection", "no answer")]
    await bench.run(selection=selecting("acme/a"))

    part = await bench.run(dry_run=True, selection=selecting("acme/b"))
    whole = await bench.run(dry_run=True)

    assert [("b", "planned", None)] == statuses(part)
    assert [("a", "in_doubt", "unsettled"), ("b", "planned", None)] == statuses(whole)


async def test_the_delete_limit_counts_what_is_selected(bench: Bench) -> None:
    """Four deletes are too many at once; three of them by name are what somebody asked for."""
    keys = ["a", "b", "c", "d", "e"]
    bench.load(make_tenant(), *(make_connection(key) for key in keys))
    await bench.run()
    bench.load(*(make_connection(key, present=False) for key in keys[:4]))

    whole = await bench.run()
    part = await bench.run(selection=selecting("acme/[abc]"))

    assert (6, 0) == (whole.exit_code, part.exit_code)
    assert [("a", "deleted"), ("b", "deleted"), ("c", "deleted")] == [item[:2] for item in statuses(part)]


async def test_a_plan_tells_fields_and_writes_nothing(bench: Bench) -> None:
    """Creates, updates and deletes with both sides of each field, from a tenant that only reads."""
    bench.load(make_tenant(), make_connection("a"), make_connection("gone"), make_connection("same"))
    await bench.run()
    bench.load(
        make_connection("a", display_name="Another", config_fields={"Client": "F0001", "Password": "rotated"}),
        make_connection("gone", present=False),
        make_connection("new"),
    )
    before = {name: rows for name, rows in bench.dump().items() if name != "runs"}
    bench.tenants["acme"].calls.clear()

    report = await bench.run(dry_run=True)

    by_key = dict(told(report))
    assert [("display_name", "Name of a", "Another"), ("config_fields.Password", None, "changed")] == by_key["a"]
    assert ("display_name", "Name of gone", None) in by_key["gone"]
    assert ("display_name", None, "Name of new") in by_key["new"]
    assert {"a": 1, "gone": 2, "new": None} == {
        outcome.key: outcome.erp_connection_id for outcome in report.tenants[0].outcomes
    }
    assert (4, 0, 1) == (report.detailed_exit_code, report.exit_code, report.counts[Status.UNCHANGED])
    assert before == {name: rows for name, rows in bench.dump().items() if name != "runs"}
    assert {"GetConnection", "GetList"} == set(bench.tenants["acme"].calls)
    assert bench.tenants["acme"].read_only


async def test_an_adopted_connection_is_compared_with_what_the_tenant_shows(bench: Bench) -> None:
    """Nothing is known of a last push; a masked secret can only be pushed again."""
    tenant = bench.tenants["acme"]
    tenant.mask = lambda _: Secret("***")
    tenant.type_in(make_erp_connection(7, display_name="By hand", config_fields={"Client": Secret("F0001")}))
    bench.load(make_tenant(), make_connection("a", config_fields={"Client": "F0001"}))
    bench.store.resolve_connection("acme", "a", erp_connection_id=7)

    report = await bench.run(dry_run=True)

    assert [("a", [("display_name", "By hand", "Name of a"), ("config_fields.Client", None, "pushed_again")])] == told(
        report
    )
    assert () == report.tenants[0].outcomes[0].fields


async def test_a_rotated_secret_is_planned_with_its_word(bench: Bench) -> None:
    """A dry run records no fingerprint, so what uses a changed reference is planned from the reference."""
    bench.environ["P"] = "first"
    bench.load(make_tenant(), *(make_connection(key, config_fields={"Password": "@{env:P}"}) for key in "ab"))
    await bench.run()
    bench.environ["P"] = "second"

    report = await bench.run(dry_run=True, selection=selecting("acme/b"))

    change = FieldChange(name="config_fields.Password", new=SecretChange.CHANGED)
    assert [("b", (change,))] == [(outcome.key, outcome.field_changes) for outcome in report.tenants[0].outcomes]
    assert 0 == report.counts[Status.UNCHANGED]


async def test_what_is_gone_there_already_is_planned_as_a_delete_without_fields(bench: Bench) -> None:
    """There is nothing left to tell of but the id that it had."""
    bench.load(make_tenant(), make_connection("a"))
    await bench.run()
    tenant = bench.tenants["acme"]
    tenant.connections[1] = replace(tenant.connections[1], deleted=True)
    bench.load(make_connection("a", present=False))

    (outcome,) = (await bench.run(dry_run=True)).tenants[0].outcomes

    assert ("planned", "delete", 1, ()) == (
        outcome.status,
        outcome.change,
        outcome.erp_connection_id,
        outcome.field_changes,
    )


@dataclass
class Onlooker:
    """Writes down what it is told."""

    seen: list[tuple[Any, ...]] = field(default_factory=list)

    def run_started(self, tenants: int) -> None:
        self.seen.append(("run", tenants))

    def tenant_started(self, tenant: str) -> None:
        self.seen.append(("begins", tenant))

    def connections_due(self, tenant: str, count: int) -> None:
        self.seen.append(("due", tenant, count))

    def outcome_reported(self, outcome: Outcome) -> None:
        self.seen.append(("outcome", outcome.tenant, outcome.key, outcome.status))

    def tenant_finished(self, tenant: str) -> None:
        self.seen.append(("ends", tenant))


async def test_an_onlooker_is_told_each_step(bench: Bench) -> None:
    """How many tenants, what is due in each, each outcome, each end: also of a tenant whose pass is cut short."""
    bench.policy = replace(bench.policy, tenants_at_once=1, connections_at_once=1)
    bench.load(make_tenant(), make_connection("a"), make_connection("b"))
    bench.load(make_tenant("beta", auth={"username": "sync", "password": "@{env:NOT_SET}"}))
    onlooker = Onlooker()

    await bench.run(selection=selecting("acme/a", "beta"), progress=onlooker)

    assert [
        ("run", 2),
        ("begins", "acme"),
        ("due", "acme", 1),
        ("outcome", "acme", "a", "created"),
        ("ends", "acme"),
        ("begins", "beta"),
        ("outcome", "beta", None, "failed"),
        ("ends", "beta"),
    ] == onlooker.seen


@pytest.mark.parametrize("paused", [True, False])
async def test_a_paused_tenant_is_left_alone_also_when_it_is_named(bench: Bench, *, paused: bool) -> None:
    """A selection narrows a run; it lifts nothing."""
    bench.load(make_tenant(), make_connection())
    if paused:
        bench.store.pause_tenant("acme")

    report = await bench.run(selection=selecting("acme"))

    assert paused is not report.tenants[0].visited
    assert paused is (bench.tenants["acme"].saves == 0)

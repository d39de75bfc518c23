"""Looks at tenants and the passes beside them: decisions and their ends, what breaks off, and who else is at work."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from store_support import execute, query
from structlog.testing import capture_logs

from erpsyncd.domain.connections import State
from erpsyncd.domain.drift import DecisionKind
from erpsyncd.domain.plan import Limits
from erpsyncd.domain.ports import BeforeSend, TenantApi
from erpsyncd.domain.results import RunReport
from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.tenants import DriftPolicy
from erpsyncd.errors import OutcomeUnknown, RemoteFault, RemoteForbidden, RemoteUnavailable, RemoteUnreachable
from erpsyncd.service.policy import Adopting, Policy, RunOptions, concerns
from erpsyncd.store import SqlStore
from factories import make_connection, make_tenant
from fakes import FakeTenants
from pass_bench import Bench, only, statuses

DAY = timedelta(days=1)


async def look(bench: Bench, **options: Any) -> RunReport:
    return await bench.run(only_drift=True, **options)


async def begun(bench: Bench, *keys: str, policy: DriftPolicy = DriftPolicy.ENFORCE, **fields: Any) -> None:
    """Describe connections and push them."""
    bench.load(make_tenant(drift=policy), *(make_connection(key, **fields) for key in keys or ("visma",)))
    await bench.run()


def type_over(bench: Bench, number: int = 1, **changes: Any) -> None:
    """Change a connection as somebody in the CRM would."""
    tenant = bench.tenants["acme"]
    found = tenant.connections[number]
    if "config_fields" in changes:
        changes["config_fields"] = {name: Secret(value) for name, value in changes["config_fields"].items()}
    tenant.connections[number] = replace(found, spec=replace(found.spec, **changes))


def drifting(bench: Bench) -> list[tuple[str, str, bool]]:
    return [(one.key, one.field, one.stubborn) for one in bench.store.list_drifts()]


async def test_a_look_opens_tenants_read_only(bench: Bench) -> None:
    """A client that cannot write is what makes it harmless, whatever it finds; the pass has another one."""
    await begun(bench)
    type_over(bench, active=False)

    await look(bench)
    assert bench.tenants["acme"].read_only is True

    await bench.run()
    assert bench.tenants["acme"].read_only is False


class WritesThrough(FakeTenants):
    """Tenants whose every opened client fails a test that writes with a read-only one."""

    @asynccontextmanager
    async def open(self, *arguments: Any, read_only: bool = False, **options: Any) -> AsyncIterator[TenantApi]:
        """See the port."""
        async with super().open(*arguments, read_only=read_only, **options) as api:
            fake = self.by_name["acme"]
            save = fake.save_connection

            async def saved(connection: Any, before_send: BeforeSend, hidden: Any = ()) -> Any:
                return await save(connection, before_send)

            fake.save_connection = saved  # type: ignore[method-assign]  # only for this client
            yield api
            fake.save_connection = save  # type: ignore[method-assign]  # as above


async def test_a_decision_ends_at_its_time(bench: Bench) -> None:
    """With a clock that only the test moves: ignored before, reported and pushed after."""
    bench.tenants = WritesThrough()
    await begun(bench)
    type_over(bench, display_name="Theirs")
    await look(bench)
    bench.store.decide_drift(
        "acme", "visma", field="display_name", kind=DecisionKind.IGNORE, reason="agreed", until=bench.time + DAY
    )
    saves = bench.tenants["acme"].saves

    bench.time += DAY - timedelta(seconds=1)
    await look(bench)
    await bench.run()
    assert (State.IN_SYNC, saves) == (bench.row().state, bench.tenants["acme"].saves)

    bench.time += timedelta(seconds=1)
    await look(bench)
    assert (State.DRIFTED, "drifted") == (bench.row().state, bench.row().error_class)
    assert [] == query(bench.store, "SELECT * FROM drift_decisions")
    await bench.run()
    assert (State.IN_SYNC, saves + 1) == (bench.row().state, bench.tenants["acme"].saves)


async def test_an_enforced_push_that_fails_is_made_again_once_it_can_be(bench: Bench) -> None:
    """After a fault by backoff, after a lost answer at once; either way until it is there, and then no more."""
    await begun(bench, policy=DriftPolicy.REPORT)
    tenant = bench.tenants["acme"]
    type_over(bench, active=False)
    await look(bench)
    assert [] == statuses(await bench.run())
    bench.store.decide_drift("acme", "visma", field=None, kind=DecisionKind.ENFORCE, reason="ours")

    tenant.fail["SaveConnection"] = [RemoteFault("SaveConnection", "no")]
    assert ("visma", "failed", "fault") == only(await bench.run(scheduled=True))
    assert [] == statuses(await bench.run(scheduled=True))
    bench.time += DAY
    tenant.lose["SaveConnection"] = [OutcomeUnknown("SaveConnection", "lost")]
    assert ("visma", "failed", "outcome_unknown") == only(await bench.run(scheduled=True))
    bench.time += DAY

    assert ("visma", "updated", None) == only(await bench.run(scheduled=True))
    assert [] == statuses(await bench.run(scheduled=True))
    assert tenant.connections[1].spec.active
    assert [("enforced", "ours")] == [
        (row["decision"], row["reason"]) for row in query(bench.store, "SELECT * FROM drift_decisions")
    ]


async def test_a_push_that_died_on_its_way_is_made_again(bench: Bench) -> None:
    """Its intent is open: what stands in the tenant is not known, so all of it is pushed, once."""
    await begun(bench)
    type_over(bench, active=False)
    await look(bench)
    bench.tenants["acme"].lose["SaveConnection"] = [asyncio.CancelledError()]  # type: ignore[list-item]  # as a kill would be
    with pytest.raises(asyncio.CancelledError):
        await bench.run()
    execute(bench.store, "UPDATE tenants SET lease_owner = NULL")

    assert ("visma", "updated", None) == only(await bench.run())
    assert ([], []) == (statuses(await bench.run()), drifting(bench))


async def test_a_read_back_that_fails_is_left_to_the_next_look(bench: Bench) -> None:
    """What was pushed is in sync; a value that comes back is known by then."""
    await begun(bench)
    tenant = bench.tenants["acme"]
    type_over(bench, active=False)
    await look(bench)

    async def forget_reads(operation: str) -> None:
        if operation == "SaveConnection":
            tenant.fail["GetConnection"] = [RemoteUnavailable("GetConnection", "later")]

    tenant.before = forget_reads
    assert ("visma", "updated", None) == only(await bench.run())
    assert State.IN_SYNC == bench.row().state
    type_over(bench, active=False)
    await look(bench)
    assert [("visma", "active", True)] == drifting(bench)
    saves = tenant.saves
    await bench.run()
    assert saves == tenant.saves


async def test_one_connection_that_cannot_be_read_does_not_stop_its_neighbours(bench: Bench) -> None:
    """It is told as failed and keeps its state; a tenant that lists nothing to us is read one by one."""
    await begun(bench, "a", "b", "c")
    tenant = bench.tenants["acme"]
    type_over(bench, 3, active=False)
    tenant.fail["GetList"] = [RemoteForbidden("GetList", "not granted")]
    tenant.fail["GetConnection"] = [RemoteFault("GetConnection", "broken")]

    report = await look(bench)

    assert (3, [("a", "failed", "fault")]) == (report.exit_code, statuses(report))
    assert [("c", "active", False)] == drifting(bench)
    assert ["in_sync", "in_sync", "drifted"] == [bench.row(key).state for key in "abc"]


async def test_a_tenant_that_cannot_be_asked_is_not_looked_at(bench: Bench) -> None:
    """It is 75, is looked at again as soon as a look comes, and keeps what is known of it."""
    await begun(bench)
    type_over(bench, active=False)
    await look(bench)
    (before,) = await bench.store.tenants()
    bench.time += DAY
    bench.tenants["acme"].fail["GetList"] = [RemoteUnreachable("GetList", "down")]

    report = await look(bench, scheduled=True)

    (after,) = await bench.store.tenants()
    assert (75, [("visma", "active", False)]) == (report.exit_code, drifting(bench))
    assert before.last_drift_at == after.last_drift_at == bench.time - DAY


async def test_what_another_process_works_on_is_left_to_it(bench: Bench) -> None:
    """The look says so, reads nothing there, and the other's lease is as it was."""
    await begun(bench)
    (tenant,) = await bench.store.tenants()
    lease = await bench.store.claim(tenant.id, owner="another", now=bench.time, seconds=600)
    assert lease is not None
    calls = list(bench.tenants["acme"].calls)

    report = await look(bench)

    assert (75, "leased", calls) == (report.exit_code, report.tenants[0].error, bench.tenants["acme"].calls)
    await bench.store.renew(lease, now=bench.time, seconds=600)
    await bench.store.release(lease)
    assert 0 == (await look(bench)).exit_code


async def test_an_import_while_a_look_reads_counts_more(bench: Bench) -> None:
    """What was compared with what is described no longer is not recorded; the connection stays due."""
    await begun(bench)
    type_over(bench, active=False)

    async def import_meanwhile(operation: str) -> None:
        if operation == "GetConnection":
            bench.load(make_connection(display_name="Other"))

    bench.tenants["acme"].before = import_meanwhile
    await look(bench)

    assert ([], State.PENDING) == (drifting(bench), bench.row().state)


async def test_a_secret_that_cannot_be_resolved_does_not_blind_a_look(bench: Bench) -> None:
    """It is compared with what was pushed; a reference that leads elsewhere is work for a pass, not drift."""
    bench.environ["P"] = "one"
    await begun(bench, config_fields={"Client": "F1", "Password": "@{env:P}"})
    bench.environ["P"] = "two"
    await look(bench)
    assert ([], State.PENDING) == (drifting(bench), bench.row().state)
    bench.environ["P"] = "one"
    await bench.run()
    del bench.environ["P"]

    type_over(bench, config_fields={"Client": "F1", "Password": "theirs"})
    await look(bench)

    assert [("visma", "config_fields.Password", False)] == drifting(bench)


async def test_an_undone_import_leaves_what_drifted_drifted(bench: Bench) -> None:
    """Nothing was pushed, so what a look found is still there."""
    await begun(bench, policy=DriftPolicy.REPORT)
    type_over(bench, active=False)
    await look(bench)
    bench.load(make_connection(display_name="Other"))
    bench.load(make_connection())

    report = await bench.run()

    assert ([], 1) == (statuses(report), report.tenants[0].unchanged)
    assert (State.DRIFTED, [("visma", "active", False)]) == (bench.row().state, drifting(bench))


@pytest.mark.parametrize(("connections", "drifted", "refused"), [(9, 9, False), (10, 3, False), (10, 4, True)])
async def test_where_the_gate_is(bench: Bench, connections: int, drifted: int, *, refused: bool) -> None:
    """30 % of at least 10; what a decision enforces counts as well, what is only reported does not."""
    bench.policy = Policy(limits=Limits())
    await begun(bench, *(f"k{number}" for number in range(connections)))
    for number in range(1, drifted + 1):
        type_over(bench, number, active=False)
    await look(bench)

    dry, real = await bench.run(dry_run=True), await bench.run()

    assert (refused, refused) == (dry.exit_code == 6, real.exit_code == 6)
    assert (0 if refused else drifted) == statuses(real).count(("k0", "updated", None)) * drifted
    bench.load(make_tenant())
    assert 0 == (await bench.run()).exit_code


async def test_a_drifted_connection_counts_as_unchanged(bench: Bench) -> None:
    """A pass has nothing to do for it, and does not read it."""
    await begun(bench, "a", "b", policy=DriftPolicy.REPORT)
    type_over(bench, active=False)
    await look(bench)
    calls = len(bench.tenants["acme"].calls)

    report = await bench.run()

    assert (2, ["HasConnections"]) == (report.tenants[0].unchanged, bench.tenants["acme"].calls[calls:])


async def test_what_is_told_names_fields_only(bench: Bench) -> None:
    """One warning for each connection and look."""
    await begun(bench)
    type_over(bench, active=False, config_fields={"Client": "F0001", "Password": "theirs"})

    with capture_logs() as logs:
        await look(bench)

    (line,) = [line for line in logs if line["event"] == "connection.drifted"]
    assert (["active", "config_fields.Password"], ["changed", "changed"]) == (line["fields"], line["kinds"])
    assert "theirs" not in str(logs)


async def test_only_old_looks_are_made_again_by_schedule(bench: Bench) -> None:
    """By hand at any time; a selection of connections is no look at the tenant."""
    await begun(bench)
    (tenant,) = await bench.store.tenants()
    scheduled = RunOptions(trigger="drift", scheduled=True, only_drift=True)

    def due(ago: timedelta | None) -> bool:
        last = None if ago is None else bench.time - ago
        return concerns(replace(tenant, last_drift_at=last), scheduled, bench.policy, bench.time)

    assert [True, False, True, True] == [due(None), due(DAY / 8), due(DAY / 4), due(-DAY)]
    assert concerns(
        replace(tenant, last_drift_at=bench.time), replace(scheduled, scheduled=False), Policy(), bench.time
    )


async def test_a_field_with_a_name_without_end(store: SqlStore, tmp_path: Path) -> None:
    """No index takes it whole: it is shown cut, can be let be by that name, and the others are told as ever."""
    bench = Bench(store, tmp_path)
    rng = random.Random(7)
    name = "".join(chr(rng.randrange(0x4E00, 0x9FFF)) for _ in range(3_000))
    await begun(bench, policy=DriftPolicy.REPORT)
    type_over(bench, active=False, config_fields={"Client": "F0001", name: "x", f"{name}2": "y", "n\0": "z"})

    await look(bench)
    fields = [field for _, field, _ in drifting(bench) if field.startswith("config_fields.")]
    for field in fields:
        bench.store.decide_drift("acme", "visma", field=field, kind=DecisionKind.IGNORE, reason="theirs", until=None)
    await look(bench)

    assert any(name[:100] in field for field in fields)
    assert max(map(len, fields)) < 300
    told = {one.field: one.ignored for one in bench.store.list_drifts()}
    assert {field: field != "active" for field in (*fields, "active")} == told

    report = await look(bench, adopting=Adopting(field=next(f for f in fields if name[:100] in f), reason="theirs"))
    assert ["not_adopted"] == [one.error_class for one in report.tenants[0].outcomes]

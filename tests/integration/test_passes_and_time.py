"""Passes while the clock is set, and processes that were held up: nothing twice, nothing for ever."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from erpsyncd.domain.intents import Uptime
from erpsyncd.domain.results import Status
from erpsyncd.errors import Effect, OutcomeUnknown, RemoteFault, RemoteUnavailable
from factories import make_connection, make_tenant
from pass_bench import Bench, only, statuses

DAY = timedelta(days=1)


@pytest.mark.parametrize("jump", [DAY, -DAY])
async def test_a_clock_that_is_set_does_not_send_a_create_again(bench: Bench, jump: timedelta) -> None:
    """How long ago an unanswered create left is known from the machine's uptime, whatever the wall clock says."""
    bench.load(make_tenant(), make_connection())
    tenant = bench.tenants["acme"]
    tenant.fail["SaveConnection"].append(OutcomeUnknown("SaveConnection", "hung"))
    bench.uptime = Uptime(boot_id="a", seconds=1000)
    await bench.run()

    bench.time += jump
    bench.uptime = Uptime(boot_id="a", seconds=1119)
    assert "unsettled" == only(await bench.run())[2]
    bench.uptime = Uptime(boot_id="a", seconds=1121)
    assert ("visma", "created", None) == only(await bench.run())

    assert 2 == tenant.saves


async def test_after_a_restart_of_the_machine_the_wall_clock_counts(bench: Bench) -> None:
    """Seconds since another start say nothing."""
    bench.load(make_tenant(), make_connection())
    tenant = bench.tenants["acme"]
    tenant.fail["SaveConnection"].append(OutcomeUnknown("SaveConnection", "hung"))
    bench.uptime = Uptime(boot_id="a", seconds=1_000_000)
    await bench.run()

    bench.time += timedelta(seconds=119)
    bench.uptime = Uptime(boot_id="b", seconds=20)
    assert "unsettled" == only(await bench.run())[2]
    bench.time += timedelta(seconds=2)
    assert ("visma", "created", None) == only(await bench.run())


async def test_backoff_that_a_wrong_clock_chose_does_not_stall(bench: Bench) -> None:
    """What failed while the clock was a day ahead does not wait for a day after it was put right."""
    bench.load(make_tenant(), make_connection())
    tenant = bench.tenants["acme"]
    tenant.fail["SaveConnection"].append(RemoteFault("SaveConnection", "no", effect=Effect.REFUSED))
    bench.time += DAY
    await bench.run(scheduled=True)
    bench.time -= DAY

    assert ("visma", "created", None) == only(await bench.run(scheduled=True))


async def test_parking_that_a_wrong_clock_chose_does_not_stall(bench: Bench) -> None:
    """A tenant that was parked while the clock was a day ahead is tried after it was put right."""
    bench.load(make_tenant(), *(make_connection(f"c{n:02d}") for n in range(8)))
    tenant = bench.tenants["acme"]
    tenant.fail["SaveConnection"] += [RemoteUnavailable("SaveConnection", "503", effect=Effect.REFUSED)] * 8
    bench.time += DAY
    await bench.run(scheduled=True)
    assert [(None, "skipped", "parked")] == statuses(await bench.run(scheduled=True))
    bench.time -= DAY

    report = await bench.run(scheduled=True)

    assert 8 == report.counts[Status.CREATED]


async def test_a_run_never_ends_before_it_began(bench: Bench) -> None:
    """A clock that is set back in the middle of a run makes no negative duration."""
    bench.load(make_tenant(), make_connection())

    async def set_back(operation: str) -> None:
        if operation == "SaveConnection":
            bench.time -= DAY

    bench.tenants["acme"].before = set_back
    await bench.run()

    (run,) = bench.store.list_runs()
    assert run.finished_at is not None
    assert run.started_at <= run.finished_at


@pytest.mark.parametrize(("seconds", "expected"), [(31, ("visma", "failed", "unreachable")), (29, None)])
async def test_a_request_that_was_held_up_is_not_sent(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, seconds: float, expected: tuple[str, str, str] | None
) -> None:
    """A process that stood still between intent and request sends nothing afterwards; the next pass does."""
    bench.load(make_tenant(), make_connection())
    tenant = bench.tenants["acme"]
    open_intent = bench.store.open_intent

    async def frozen(*arguments: Any, **more: Any) -> int:
        intent_id = await open_intent(*arguments, **more)
        bench.held_up += seconds
        return intent_id

    monkeypatch.setattr(bench.store, "open_intent", frozen)
    report = await bench.run()
    monkeypatch.undo()

    assert (expected or ("visma", "created", None)) == only(report)
    assert (0 if expected else 1) == tenant.saves
    await bench.run()
    assert (1, "in_sync") == (len(tenant.connections), bench.row().state)


async def test_a_process_that_was_stopped_past_its_lease_writes_nothing(bench: Bench) -> None:
    """While it stood still another one took the tenant: its answer is nobody's any more, and no call follows."""
    bench.load(make_tenant(), make_connection("a"), make_connection("b"))
    tenant = bench.tenants["acme"]
    bench.policy = replace(bench.policy, connections_at_once=1)
    before: dict[str, Any] = {}

    async def stopped(operation: str) -> None:
        if operation == "SaveConnection" and not before:
            bench.held_up += 1000
            bench.time += timedelta(seconds=1000)
            (found,) = await bench.store.tenants()
            assert await bench.store.claim(found.id, owner="another", now=bench.time, seconds=600)
            before.update(bench.dump())

    tenant.before = stopped
    report = await bench.run()

    assert "lease_lost" == report.tenants[0].error
    assert 1 == tenant.saves
    after = bench.dump()
    ours = ("connections", "intents", "tenants")
    assert {name: before[name] for name in ours} == {name: after[name] for name in ours}

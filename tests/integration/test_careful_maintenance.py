"""Careful saves in a tenant of Online that stops in the middle of them."""

from __future__ import annotations

import pytest

from erpsyncd.domain.connections import State
from erpsyncd.sandbox import Action, Call, SandboxServer
from erpsyncd.store import SqlStore
from factories import make_connection
from online_bench import OnlineBench, online_tenant
from pass_bench import statuses


@pytest.fixture
async def online(store: SqlStore, sandbox: SandboxServer) -> OnlineBench:
    """A careful tenant with a connection that is in sync, and of which something else is wanted now."""
    online = OnlineBench(store=store, sandbox=sandbox)
    online.load(online_tenant(careful=True), make_connection())
    assert 0 == (await online.run()).exit_code
    online.load(make_connection(config_fields={"Password": "new"}))
    return online


@pytest.mark.parametrize(
    ("operation", "nth", "state"),
    [
        ("TestConnectionByConfig", 1, State.PARKED),
        ("SaveConnection", 1, State.IN_FLIGHT),
        ("SaveConnection", 2, State.IN_FLIGHT),
        ("TestConnectionById", 1, State.IN_FLIGHT),
        ("SaveConnection", 3, State.IN_FLIGHT),
    ],
)
async def test_maintenance_in_the_middle_costs_no_attempt(
    online: OnlineBench, operation: str, nth: int, state: State
) -> None:
    """It waits with its tenant, whatever was done; what was begun goes on as soon as the tenant runs again."""
    seen = 0

    def stop(call: Call) -> Action | None:
        nonlocal seen
        seen += call.operation == operation
        if seen == nth and call.operation == operation:
            online.say(state="OfflineMaintenance")
        return None

    online.sandbox.before_call = stop
    report = await online.run(scheduled=True)
    online.sandbox.before_call = None

    assert [("visma", "skipped", "parked"), (None, "skipped", "parked")] == statuses(report)
    assert (state, 0) == (online.row().state, online.row().attempts)
    online.say(state="Running")
    online.pass_time(minutes=11)
    assert [("visma", "updated", None)] == statuses(await online.run(scheduled=True))
    (row,) = online.there.connections.values()
    assert (True, "new") == (row.active, row.config_fields["Password"])
    assert () == await online.store.open_intents(online.tenant().id)


async def test_a_new_one_that_was_made_waits_as_an_update(online: OnlineBench) -> None:
    """It was made and is ours; only the rest of it waits."""
    online.load(make_connection("second"))

    def stop(call: Call) -> Action | None:
        if call.operation == "TestConnectionById" and len(online.there.connections) == 2:
            online.say(state="OfflineMaintenance")
        return None

    online.sandbox.before_call = stop
    await online.run(scheduled=True)
    online.sandbox.before_call = None

    assert (State.PARKED, 0) == (online.row("second").state, online.row("second").attempts)
    online.say(state="Running")
    online.pass_time(minutes=11)
    assert 0 == (await online.run(scheduled=True)).exit_code
    assert [True, True] == [row.active for row in online.there.connections.values()]

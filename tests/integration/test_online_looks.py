"""What only reads, a list of names or a look for drift, where a tenant of Online stops in the middle of it."""

from __future__ import annotations

import pytest

from erpsyncd.domain.connections import State
from erpsyncd.sandbox import Action, Call, SandboxServer
from erpsyncd.store import SqlStore
from factories import make_connection
from online_bench import OnlineBench, online_tenant
from pass_bench import only, statuses


@pytest.fixture
def online(store: SqlStore, sandbox: SandboxServer) -> OnlineBench:
    return OnlineBench(store=store, sandbox=sandbox)


def stops_at(online: OnlineBench, operation: str) -> None:
    """Let the tenant stop with this call."""

    def stop(call: Call) -> Action | None:
        if call.operation == operation:
            online.say(state="OfflineMaintenance")
        return None

    online.sandbox.before_call = stop


async def test_a_list_that_meets_maintenance_is_no_failure(online: OnlineBench) -> None:
    """To read a list of names again is this pass's affair; in maintenance it waits with the rest."""
    online.load(online_tenant(), make_connection(user_group_access_ids=(), user_groups=("Sales",)))
    assert 0 == (await online.run()).exit_code
    online.pass_time(days=2)
    stops_at(online, "GetList")

    report = await online.run(scheduled=True)

    assert (None, "skipped", "parked") == only(report)
    assert 75 == report.exit_code


@pytest.mark.parametrize(("operation", "exit_code"), [("GetList", 75), ("GetConnection", 3)])
async def test_a_look_that_meets_maintenance_is_no_failure(online: OnlineBench, operation: str, exit_code: int) -> None:
    """Nor is a look for drift; the next one sees."""
    await online.converge("visma", "other")
    online.pass_time(days=2)
    stops_at(online, operation)

    report = await online.run(only_drift=True, scheduled=True)

    assert {("skipped", "parked"), ("skipped", "not_tried")} >= {found[1:] for found in statuses(report)}
    assert (None, "skipped", "parked") in statuses(report)
    assert exit_code == report.exit_code
    assert State.IN_SYNC == online.row().state
    assert 0 == online.tenant().transient_failures

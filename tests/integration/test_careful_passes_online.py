"""Careful saves at tenants of Online: what a session's end, a move and maintenance in their middle do to them."""

from __future__ import annotations

import pytest

from erpsyncd.domain.connections import State
from erpsyncd.domain.tenants import Protocol
from erpsyncd.sandbox import Call, SandboxServer
from erpsyncd.store import SqlStore
from factories import make_connection
from online_bench import OnlineBench, online_tenant
from pairings import each_store_and_protocol
from pass_bench import only, statuses

pytestmark = each_store_and_protocol

SAVE = "SaveConnection"
OLD, NEW = {"Client": "F0001", "Password": "old password"}, {"Client": "F0001", "Password": "new password"}


@pytest.fixture
async def online(store: SqlStore, protocol: Protocol, sandbox: SandboxServer) -> OnlineBench:
    """A careful tenant of Online with an active connection, of which another password is wanted now."""
    bench = OnlineBench(store=store, sandbox=sandbox)
    tenant = online_tenant(careful=True, protocol=protocol)
    bench.load(tenant, make_connection(config_fields=OLD))
    assert ("visma", "created", None) == only(await bench.run())
    bench.load(tenant, make_connection(config_fields=NEW))
    return bench


def there(online: OnlineBench) -> list[tuple[bool, str]]:
    return [(row.active, row.config_fields["Password"]) for row in online.there.connections.values()]


def before(online: OnlineBench, operation: str, nth: int, **said: object) -> None:
    """Let something be true of the tenant from the moment at which this call arrives."""
    seen: list[Call] = []

    def say(call: Call) -> None:
        seen.extend([call] * (call.operation == operation))
        if call.operation == operation and len(seen) == nth:
            online.say(**said)

    online.sandbox.before_call = say


@pytest.mark.parametrize(
    ("operation", "nth", "stands", "state"),
    [
        ("TestConnectionByConfig", 1, (True, "old password"), State.PARKED),
        (SAVE, 1, (True, "old password"), State.IN_FLIGHT),
        (SAVE, 2, (False, "old password"), State.IN_FLIGHT),
        ("TestConnectionById", 1, (False, "new password"), State.IN_FLIGHT),
        (SAVE, 3, (False, "new password"), State.IN_FLIGHT),
        ("GetConnection", 5, (True, "new password"), State.IN_FLIGHT),
    ],
)
async def test_maintenance_in_the_middle(
    online: OnlineBench, operation: str, nth: int, stands: tuple[bool, str], state: State
) -> None:
    """It ends by itself, costs no attempt, and the first pass after it brings the save to its end."""
    before(online, operation, nth, state="OfflineMaintenance")

    report = await online.run(scheduled=True)
    online.sandbox.before_call = None
    within, stood = online.row(), there(online)
    online.say(state="Running")
    online.pass_time(minutes=11)
    after = await online.run(scheduled=True)

    assert [("visma", "skipped", "parked"), (None, "skipped", "parked")] == statuses(report)
    told = "does not run any more" if state is State.PARKED else "until then the connection may be inactive"
    assert told in (report.tenants[0].outcomes[0].error or "")
    assert ([stands], state) == (stood, within.state)
    assert (0, None) == (within.attempts, within.next_attempt_at)
    assert ("visma", "updated", None) == only(after)
    assert [(True, "new password")] == there(online)
    assert () == await online.store.open_intents(online.tenant().id)
    assert 0 == online.there.cursor_rewinds


@pytest.mark.parametrize("nth", [1, 2, 3])
async def test_a_move_in_the_middle(online: OnlineBench, nth: int) -> None:
    """The save goes on at the new host, where it began, and is made once."""
    saves = len(online.saves)
    before(online, SAVE, nth, address=online.sandbox.open_door())

    report = await online.run()
    online.sandbox.before_call = None

    assert ("visma", "updated", None) == only(report)
    assert 3 == len(online.saves) - saves
    assert [(True, "new password")] == there(online)
    assert () == await online.store.open_intents(online.tenant().id)


@pytest.mark.parametrize("nth", [1, 2, 3])
async def test_a_session_that_ends_in_the_middle(online: OnlineBench, nth: int) -> None:
    """One more login where there are tickets, and the step that was refused is taken again."""
    saves, logins = len(online.saves), online.there.logins[0]
    seen: list[Call] = []

    def end_it(call: Call) -> None:
        seen.extend([call] * (call.operation == SAVE))
        if call.operation == SAVE and len(seen) == nth:
            online.there.expire_tickets()

    online.sandbox.before_call = end_it
    report = await online.run()
    online.sandbox.before_call = None

    assert ("visma", "updated", None) == only(report)
    assert 3 == len(online.saves) - saves
    assert [(True, "new password")] == there(online)
    assert (online.tenant().spec.protocol is Protocol.SOAP) == online.there.logins[0] - logins


async def test_what_is_taken_back_in_maintenance_is_not_forgotten(online: OnlineBench) -> None:
    """Described as it was before while the tenant does not run: it becomes active again all the same."""
    before(online, SAVE, 3, state="OfflineMaintenance")
    await online.run(scheduled=True)
    online.sandbox.before_call = None
    online.load(make_connection(config_fields=OLD))
    online.say(state="Running")
    online.pass_time(minutes=11)

    report = await online.run(scheduled=True)

    assert ("visma", "updated", None) == only(report)
    assert [(True, "old password")] == there(online)
    assert () == await online.store.open_intents(online.tenant().id)

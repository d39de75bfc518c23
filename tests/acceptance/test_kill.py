"""kill -9 at every boundary of a write call: nothing is made twice, nothing reported is lost, nothing stays open.

The short sweep; `make torture` runs the long one.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commands import PATIENCE
from erpsyncd.domain.tenants import Protocol
from erpsyncd.sandbox import Hang, Rule
from pairings import each_store_and_protocol
from torture.kills import CallTrap, Side, kill_at, kill_at_call
from torture.points import CHANGES, RECOVERY, WRITING, Doom, Point
from torture.world import World, opened_world


@pytest.fixture
def world(upgraded_url: str, protocol: Protocol, tmp_path: Path) -> Iterator[World]:
    with opened_world(tmp_path, upgraded_url, protocol) as opened:
        opened.populate(10)
        yield opened


@each_store_and_protocol  # `make torture` has all with all
def test_a_process_may_die_at_any_boundary(world: World) -> None:
    """Kill after kill, each in the middle of what the one before left; then one that lives sets all of it right."""
    for nth, point in enumerate(WRITING[:4], start=1):
        assert kill_at(world, Doom(point=point, nth=nth, change="create"))
    world.converge()
    world.check_converged()
    for number, point in enumerate(WRITING):
        world.turn(creates=2, updates=3, deletes=2)
        change = "" if point in (Point.BATCH_BEGUN, Point.BATCH_WRITTEN) else CHANGES[number % 3]
        assert kill_at(world, Doom(point=point, nth=1 + number % 2, change=change))
    for side in Side:
        world.turn(creates=2, updates=3, deletes=2)
        assert kill_at_call(world, CallTrap(side=side, nth=3, operation="SaveConnection"))
    for point in RECOVERY:
        assert kill_at(world, Doom(point=point))
    world.converge()
    world.check_converged()
    assert 4 + len(WRITING) + len(Side) + len(RECOVERY) == len(world.dead_runs)


def test_a_create_that_the_tenant_still_works_on_is_not_sent_again(tmp_path: Path, upgraded_url: str) -> None:
    """Its sender is dead and a look-up finds nothing: that proves nothing before `remote.settle` has gone by."""
    hang = Hang()
    with opened_world(tmp_path, upgraded_url, Protocol.SOAP, tenants=1) as world:
        world.command.environ |= {"ERPSYNCD__REMOTE__SETTLE": "1h", "ERPSYNCD__LIMITS__CONNECTIONS_AT_ONCE": "1"}
        world.sandbox.add_faults(Rule(action=hang, operation="SaveConnection", nth=2))
        world.populate(3)
        with world.command.daemon() as daemon:
            assert hang.reached.wait(PATIENCE)
            daemon.signal(signal.SIGKILL)
            assert -signal.SIGKILL == daemon.end()
        ((_, key),) = world.open_intents()
        _, held = world.sandbox.saves("t0")

        world.release_leases()
        early = world.command.run_once().json

        assert (3, False) == (len(world.sandbox.saves("t0")), held.worked)
        assert [(key, "in_doubt", "unsettled")] == failed(early)

        hang.release.set()
        world.sandbox.when_worked(held)
        late = world.command.run_once().json

        assert [(key, "updated")] == [(outcome["key"], outcome["status"]) for outcome in late["outcomes"]]
        assert [1, 1, 2] == sorted(Counter(world.sandbox.worked_writes()).values())
        assert ["k0000", "k0001", "k0002"] == sorted(key for key, _ in world.live("t0"))


def failed(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (outcome["key"], outcome["status"], outcome["error_class"])
        for outcome in report["outcomes"]
        if outcome["error_class"]
    ]

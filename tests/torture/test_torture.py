"""The long sweep of kills: `make torture`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from erpsyncd.domain.tenants import Protocol
from torture.kills import CallTrap, Side, kill_at, kill_at_call
from torture.points import CHANGES, RECOVERY, WRITING, Doom, Point
from torture.world import World, opened_world

pytestmark = pytest.mark.torture

SEED = int(os.environ.get("ERPSYNCD_TORTURE_SEED", "1"))
RANDOM_KILLS = int(os.environ.get("ERPSYNCD_TORTURE_KILLS", "25"))
#: What each process is given to do, in each of five tenants, beside what the one before it left.
WORK = {"creates": 3, "updates": 3, "deletes": 2}


@pytest.fixture(params=list(Protocol))
def world(request: pytest.FixtureRequest, upgraded_url: str, tmp_path: Path) -> Iterator[World]:
    """Fifty connections in five tenants."""
    with opened_world(tmp_path, upgraded_url, request.param, seed=SEED) as opened:
        opened.populate(10)
        opened.converge()
        yield opened


def settle_down(world: World) -> None:
    """Restart until everything is done, and look at all of it."""
    world.converge()
    world.check_converged()


def test_every_boundary_with_every_change(world: World) -> None:
    """Each kill is followed by a process that lives, until everything is as it should be."""
    for change in CHANGES:
        for point in WRITING:
            world.turn(**WORK)
            kind = "" if point in (Point.BATCH_BEGUN, Point.BATCH_WRITTEN) else change
            assert kill_at(world, Doom(point=point, nth=world.rng.randint(1, 3), change=kind))
            settle_down(world)
    for side in Side:
        for operation in ("SaveConnection", "DeleteConnection"):
            world.turn(**WORK)
            assert kill_at_call(world, CallTrap(side=side, nth=world.rng.randint(1, 3), operation=operation))
            settle_down(world)
    assert len(CHANGES) * len(WRITING) + len(Side) * 2 == len(world.dead_runs)


def test_a_kill_while_the_last_one_is_being_mended(world: World) -> None:
    """Recovery itself may die, before and after it has written what it found."""
    for side in Side:
        for point in RECOVERY:
            world.turn(**WORK)
            assert kill_at_call(world, CallTrap(side=side, nth=2, operation="SaveConnection"))
            assert kill_at(world, Doom(point=point))
            settle_down(world)
    assert len(Side) * len(RECOVERY) * 2 == len(world.dead_runs)


def test_any_moment(world: World) -> None:
    """Kills at random moments with calls in flight, some of them one after the other without a rest."""
    while len(world.dead_runs) < RANDOM_KILLS:
        world.turn(**WORK)
        if world.rng.random() < 0.5:
            kill_at_call(world, any_call(world.rng))
        else:
            kill_at(world, Doom(point=world.rng.choice(list(Point)), nth=world.rng.randint(1, 20)))
        if world.rng.random() < 0.3:
            settle_down(world)
    settle_down(world)


def any_call(rng: Random) -> CallTrap:
    """Choose one of the next calls, and the side of its work on which its sender dies."""
    operation = rng.choice(["", "SaveConnection", "SaveConnection", "DeleteConnection"])
    most = {"": 30, "SaveConnection": 20, "DeleteConnection": 6}[operation]
    return CallTrap(side=rng.choice(list(Side)), nth=rng.randint(1, most), operation=operation)

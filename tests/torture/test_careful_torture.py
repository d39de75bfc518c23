"""The long sweep of kills over careful saves: every boundary of every step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from erpsyncd.domain.tenants import Protocol
from torture.careful import change_config, check_careful, opened_careful_world
from torture.kills import CallTrap, Side, kill_at, kill_at_call
from torture.points import Doom, Point
from torture.world import World

pytestmark = pytest.mark.torture

#: The boundaries that each write of a careful save comes to.
EACH = (
    Point.INTENT_WRITTEN,
    Point.INTENT_COMMITTED,
    Point.REQUEST_LEAVING,
    Point.REQUEST_SENT,
    Point.ANSWER_RECEIVED,
)
ONCE = (Point.OUTCOME_WRITTEN, Point.OUTCOME_COMMITTED, Point.OUTCOME_REPORTED)
CALLS = {"GetConnection": 5, "TestConnectionById": 1, "TestConnectionByConfig": 1, "SaveConnection": 3}


@pytest.fixture(params=list(Protocol))
def world(request: pytest.FixtureRequest, upgraded_url: str, tmp_path: Path) -> Iterator[World]:
    with opened_careful_world(tmp_path, upgraded_url, request.param) as opened:
        yield opened


def test_every_boundary_of_an_update(world: World) -> None:
    """Three saves, and a kill on each side of everything that happens to each of them."""
    dooms = [Doom(point=point, nth=nth, change="update") for point in EACH for nth in (1, 2, 3)]
    for doom in (*dooms, *(Doom(point=point, change="update") for point in ONCE)):
        change_config(world)
        assert kill_at(world, doom, compared=False), doom
        world.converge()
        check_careful(world)


def test_every_boundary_of_a_create(world: World) -> None:
    """The create itself, and the activation that follows, which is an update."""
    dooms = [Doom(point=point, change=change) for point in EACH for change in ("create", "update")]
    # Its id is recorded between the two.
    for doom in (*dooms, Doom(point=Point.RECOVERY_WRITTEN), Doom(point=Point.RECOVERY_COMMITTED)):
        world.populate(1)
        assert kill_at(world, doom, compared=False), doom
        world.converge()
        check_careful(world)


def test_every_call(world: World) -> None:
    """A kill with each call at the tenant, on each side of its work."""
    for side in Side:
        for operation, most in CALLS.items():
            for nth in range(1, most + 1):
                change_config(world)
                assert kill_at_call(world, CallTrap(side=side, nth=nth, operation=operation)), (operation, nth, side)
                world.converge()
                check_careful(world)


def test_a_kill_while_the_last_one_is_being_mended(world: World) -> None:
    """Whatever the first one left, the second dies in the middle of ending it."""
    for nth in (1, 2, 3):
        for side in Side:
            change_config(world)
            assert kill_at_call(world, CallTrap(side=side, nth=nth, operation="SaveConnection"))
            # Where the last save is done, be it after the death, there is nothing left to save.
            operation = "GetConnection" if nth == 3 and side is not Side.LOST else "SaveConnection"
            assert kill_at_call(world, CallTrap(side=Side.WORKED, nth=1, operation=operation), compared=False)
            world.converge()
            check_careful(world)

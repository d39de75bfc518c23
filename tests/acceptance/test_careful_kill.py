"""kill -9 at the steps of careful saves: whatever was begun is ended by the next process, and nothing is made twice.

The short sweep; `make torture` runs the long one.
"""

from __future__ import annotations

from pathlib import Path

from erpsyncd.domain.tenants import Protocol
from pairings import each_store_and_protocol
from torture.careful import change_config, check_careful, opened_careful_world
from torture.kills import CallTrap, Side, kill_at_call

#: The call with which a process dies. The saves of an update make it inactive, configure and activate it.
UPDATING = [
    ("SaveConnection", 1, Side.WORKED),
    ("SaveConnection", 2, Side.LOST),
    ("TestConnectionById", 1, Side.WORKED),
    ("SaveConnection", 3, Side.ARRIVED),
    ("GetConnection", 5, Side.WORKED),
]
CREATING = [
    ("SaveConnection", 1, Side.WORKED),
    ("TestConnectionById", 1, Side.LOST),
    ("SaveConnection", 2, Side.WORKED),
]


@each_store_and_protocol
def test_a_process_may_die_at_any_step(upgraded_url: str, protocol: Protocol, tmp_path: Path) -> None:
    """The next process finds what stands there, and brings it to what is wanted; the cursor is never rewound."""
    with opened_careful_world(tmp_path, upgraded_url, protocol) as world:
        for operation, nth, side in UPDATING:
            change_config(world)
            assert kill_at_call(world, CallTrap(side=side, nth=nth, operation=operation))
            world.converge()
            check_careful(world)
        for operation, nth, side in CREATING:
            world.populate(1)
            assert kill_at_call(world, CallTrap(side=side, nth=nth, operation=operation))
            world.converge()
            check_careful(world)

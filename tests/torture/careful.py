"""Worlds whose tenants want their saves careful, and what must be true of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from erpsyncd.domain.tenants import Protocol
from torture.world import World, opened_world

TENANT = "t0"


@contextmanager
def opened_careful_world(directory: Path, store_url: str, protocol: Protocol) -> Iterator[World]:
    """Make a world with one tenant and two connections, worked on one after the other.

    The tenant locks the config of active connections, as the vendor's own screen does.
    """
    with opened_world(directory, store_url, protocol, tenants=1, careful=True) as world:
        world.command.environ["ERPSYNCD__LIMITS__CONNECTIONS_AT_ONCE"] = "1"
        world.populate(2)
        world.converge()
        world.sandbox.tenant(TENANT).configure(config_locked_while_active=True)
        yield world


def change_config(world: World) -> None:
    """Want another password in one connection."""
    place = (TENANT, "k0001")
    world.wanted[place].password = f"password {world.rng.randrange(10**9)}"
    world.describe([place])


def check_careful(world: World) -> None:
    """Compare everything with what is wanted: each once, active, and with its own password."""
    world.check_converged()
    for key, row in world.live(TENANT):
        assert (True, world.wanted[TENANT, key].password) == (row.active, row.config_fields["Password"])

"""A process that stood still: past its lease it writes nothing and sends nothing; on SQLite it keeps others out.

Nobody waits for a lease to end: it is moved into the past in the store, whose clock alone counts. For the frozen
process an hour has passed when it goes on, by the clock that counts standing still.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from commands import Daemon
from erpsyncd.domain.tenants import Protocol
from erpsyncd.sandbox import Call
from torture.points import REACHED, UNREACHED, Doom, Fate, Point
from torture.world import World, opened_world

SOAP, REST = Protocol
#: All that a pass may write about a tenant.
TABLES = ("tenants", "connections", "intents", "listings", "checks", "changes", "secret_references")


@pytest.fixture
def world(request: pytest.FixtureRequest, upgraded_url: str, tmp_path: Path) -> Iterator[World]:
    """One tenant with nine connections, of which three each are to be created, updated and deleted, one by one."""
    with opened_world(tmp_path, upgraded_url, request.param, tenants=1) as opened:
        opened.command.environ["ERPSYNCD__LIMITS__CONNECTIONS_AT_ONCE"] = "1"
        opened.populate(6)
        opened.converge()
        opened.turn(creates=3, updates=3, deletes=3)
        yield opened


on_postgresql = pytest.mark.parametrize("upgraded_url", ["postgresql"], indirect=True)
on_sqlite = pytest.mark.parametrize("upgraded_url", ["sqlite"], indirect=True)


def cases(names: str, choices: tuple[tuple[Any, ...], ...], *quick: tuple[Any, ...]) -> pytest.MarkDecorator:
    """Try every combination with either protocol, all but the quick ones in the long sweep only."""
    every = product(Protocol, *choices)
    return pytest.mark.parametrize(
        f"world, {names}",
        [pytest.param(*case, marks=[] if case in quick else pytest.mark.torture) for case in every],
        indirect=["world"],
    )


@on_postgresql
@cases(
    "point, change",
    (
        (Point.INTENT_COMMITTED, Point.REQUEST_LEAVING, Point.ANSWER_RECEIVED, Point.OUTCOME_COMMITTED),
        ("create", "update", "delete"),
    ),
    (SOAP, Point.INTENT_COMMITTED, "create"),
    (REST, Point.INTENT_COMMITTED, "delete"),
    (REST, Point.REQUEST_LEAVING, "create"),
    (SOAP, Point.REQUEST_LEAVING, "update"),
    (SOAP, Point.ANSWER_RECEIVED, "create"),
    (REST, Point.ANSWER_RECEIVED, "delete"),
    (REST, Point.OUTCOME_COMMITTED, "update"),
)
def test_who_stood_still_past_its_lease_does_nothing_more(world: World, point: Point, change: str) -> None:
    """Another process takes the tenant over and finishes it; the first one, waking up, finds itself fenced off."""
    with one_pass(world, Doom(point=point, nth=2, change=change, fate=Fate.STOP)) as frozen:
        frozen.wait_for(REACHED)
        wait_until_stopped(frozen)

        wake_up_after_takeover(world, frozen, ending={"event": "tenant.finished", "error_class": "lease_lost"})

    world.check_converged()


@on_postgresql
@cases("change", (("create", "update", "delete"),), (SOAP, "create"), (REST, "update"), (REST, "delete"))
def test_who_stood_still_with_a_call_in_flight_does_not_record_its_answer(world: World, change: str) -> None:
    """The answer waits for it in its socket, and says what the other process has found out and put on disk."""
    # In a pass, deletes come first; the others come by key, and what is new has the last ones.
    operation, nth = {"create": ("SaveConnection", 5), "update": ("SaveConnection", 2)}.get(
        change, ("DeleteConnection", 2)
    )
    calls: list[Call] = []

    def stop_sender(call: Call) -> None:
        if call.operation == operation:
            calls.append(call)
            if len(calls) == nth:
                os.kill(world.sandbox.caller(), signal.SIGSTOP)

    world.sandbox.at_arrival = stop_sender
    with one_pass(world, UNREACHED) as frozen:
        wait_until_stopped(frozen)
        world.sandbox.at_arrival = None
        world.sandbox.when_worked(calls[-1])

        wake_up_after_takeover(world, frozen, ending={"event": "tenant.finished", "error_class": "lease_lost"})

    world.check_converged()


@on_postgresql
@cases(
    "point",
    ((Point.INTENT_WRITTEN, Point.OUTCOME_WRITTEN),),
    (SOAP, Point.INTENT_WRITTEN),
    (REST, Point.OUTCOME_WRITTEN),
)
def test_who_stands_still_in_a_transaction_does_not_hold_up_others(world: World, point: Point) -> None:
    """The server ends its transaction, or nobody could ever take over the tenant's row that it has locked."""
    with one_pass(world, Doom(point=point, nth=2, change="update", fate=Fate.STOP)) as frozen:
        frozen.wait_for(REACHED)
        wait_until_stopped(frozen)

        wake_up_after_takeover(world, frozen, ending={"event": "run.failed", "error_class": "store"})

    world.check_converged()


@on_sqlite
@cases("change", (("create", "delete"),), (SOAP, "create"))
def test_who_stands_still_keeps_a_sqlite_store(world: World, change: str) -> None:
    """A second process is refused and told who holds it; the first one goes on when it wakes up, however late."""
    with one_pass(world, Doom(point=Point.REQUEST_LEAVING, nth=2, change=change, fate=Fate.STOP)) as frozen:
        frozen.wait_for(REACHED)
        wait_until_stopped(frozen)
        second = world.command.run_once()
        frozen.signal(signal.SIGCONT)
        world.wait_until_converged(frozen)
        world.end(frozen)

    assert (75, True) == (second.code, f"(pid {frozen.process.pid})" in second.stderr)
    world.check_converged()
    assert 6 + 9 == len(world.sandbox.worked_writes())


@contextmanager
def one_pass(world: World, doom: Doom) -> Iterator[Daemon]:
    """Start a doomed daemon that makes one pass; the ones after it make many."""
    settings = dict(world.command.environ)
    world.command.environ["ERPSYNCD__SCHEDULE__RECONCILE"] = "1h"
    with world.doomed(doom) as daemon:
        world.command.environ = settings
        yield daemon


def wait_until_stopped(daemon: Daemon) -> None:
    """Return once it stands still; an end would be a surprise."""
    seen = os.waitid(os.P_PID, daemon.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    assert seen is not None
    assert os.CLD_STOPPED == seen.si_code


def wake_up_after_takeover(world: World, frozen: Daemon, *, ending: dict[str, str]) -> None:
    """Let another process take the tenant over and finish it; then let the first one go on, and see it do nothing."""
    world.converge()
    rows, calls = world.rows(*TABLES), len(world.sandbox.attributed)
    ((last,),) = world.query("SELECT max(id) FROM outcomes")

    frozen.signal(signal.SIGCONT)
    frozen.wait_for(**ending)
    # The end of its run, which is its own to write, has come once it is told to stop.
    world.end(frozen)

    assert rows == world.rows(*TABLES)
    assert [] == world.sandbox.attributed[calls:]
    added = world.query("SELECT key, error_class FROM outcomes WHERE id > :last", last=last)
    assert {(None, "lease_lost")} >= {tuple(row) for row in added}

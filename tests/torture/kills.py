"""Kill a daemon at a chosen moment, and look at what it left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from commands import PATIENCE, Daemon
from erpsyncd.sandbox import Action, Call, Drop
from torture.points import BEFORE_COMMIT, LEFT, REACHED, Doom, Left, Point
from torture.world import World


class Side(StrEnum):
    """Where a call is when its sender is killed."""

    ARRIVED = "arrived"
    """At the tenant, which has done nothing yet and does its work after the death."""

    LOST = "lost"
    """At the tenant, which never does its work."""

    WORKED = "worked"
    """The tenant has done its work and has not answered."""


@dataclass(kw_only=True)
class CallTrap:
    """Kills a process from the outside when a call of it comes to a point, before the sandbox goes on."""

    side: Side
    nth: int
    operation: str = ""
    """Only calls of this operation count; empty for all."""

    pid: Future[int] = field(default_factory=Future)
    sprung: Future[Call] = field(default_factory=Future)
    _arrivals: int = 0
    _counting: threading.Lock = field(default_factory=threading.Lock)

    def arrived(self, call: Call) -> Action | None:
        """To be called with a call that has come to the sandbox."""
        if self.side is Side.WORKED or not self._is_the_one(call):
            return None
        self._spring(call)
        return Drop() if self.side is Side.LOST else None

    def worked(self, call: Call) -> Action | None:
        """To be called with a call whose work is done."""
        if self.side is Side.WORKED and self._is_the_one(call):
            self._spring(call)
        return None

    def _is_the_one(self, call: Call) -> bool:
        if self.operation not in ("", call.operation):
            return False
        with self._counting:
            self._arrivals += 1
            return self._arrivals == self.nth

    def _spring(self, call: Call) -> None:
        pid = self.pid.result(PATIENCE)
        self.sprung.set_result(call)
        os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):  # dead, and the main thread has waited for it already
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


@dataclass(frozen=True, kw_only=True)
class Death:
    """A process that was killed, and what it said before."""

    log: list[dict[str, Any]]
    run_id: int
    """Its last run, which has no end."""

    first_call: int
    """The number of the last call that came before it was started."""


def kill_at(world: World, doom: Doom, *, compared: bool = True) -> bool:
    """Let a daemon die at a point, and compare what it left; say whether it came there before all was done.

    A save in several steps leaves something else at each of them, so that there is nothing to compare.
    """
    before = len(world.sandbox.calls)
    with world.doomed(doom) as daemon:
        died = _read_to_the_end(world, daemon)
    if died:
        death = _bury(world, daemon, before)
        (reached,) = [line for line in death.log if line["event"] == REACHED]
        if compared:
            _compare(world, doom, reached, death)
    return died


def kill_at_call(world: World, trap: CallTrap, *, compared: bool = True) -> bool:
    """Let a daemon die with a call at the tenant; say whether so many calls came before all was done."""
    before = len(world.sandbox.calls)
    world.sandbox.at_arrival, world.sandbox.at_work = trap.arrived, trap.worked
    with world.command.daemon() as daemon:
        trap.pid.set_result(daemon.process.pid)
        died = _read_to_the_end(world, daemon)
    world.sandbox.at_arrival = world.sandbox.at_work = None
    if died:
        death = _bury(world, daemon, before)
        if compared:
            _compare_call(world, trap, death)
    return died


def _read_to_the_end(world: World, daemon: Daemon) -> bool:
    """Read what a daemon logs until it dies; one that has nothing left to do is told to stop."""
    while daemon.next_of("run.finished") is not None:
        if world.is_converged():
            daemon.signal(signal.SIGTERM)
    code = daemon.end()
    world.note(daemon)
    assert code in (0, -signal.SIGKILL)
    return code != 0


def _bury(world: World, daemon: Daemon, before: int) -> Death:
    """Wait until nothing of a dead process is under way any more; note it, and look at what may never be."""
    world.sandbox.when_quiet()
    world.release_leases()
    started = [line["run_id"] for line in daemon.log if line["event"] == "run.started"]
    ended = {line["run_id"] for line in daemon.log if line["event"] == "run.finished"}
    run_id = started[-1]
    assert run_id not in ended
    world.dead_runs.append(run_id)
    world.check_at_any_time()
    ((status, finished_at),) = world.query("SELECT status, finished_at FROM runs WHERE id = :id", id=run_id)
    assert (None, None) == (status, finished_at)
    first_call = world.sandbox.calls[before - 1].number if before else 0
    return Death(log=daemon.log, run_id=run_id, first_call=first_call)


def _compare(world: World, doom: Doom, reached: dict[str, Any], death: Death) -> None:
    writes = [(world.tenant_name(w["tenant_id"]), w["key"], w["change"]) for w in reached["writes"]]
    assert writes
    assert len(writes) > 1 or doom.point is not Point.BATCH_WRITTEN
    if doom.point in (Point.RECOVERY_WRITTEN, Point.RECOVERY_COMMITTED):
        is_open = doom.point is Point.RECOVERY_WRITTEN
        assert {is_open} == {(tenant, key) in world.open_intents() for tenant, key, _ in writes}
        return
    for tenant, key, change in writes:
        left = _left(world, death, tenant, key, change)
        if doom.point in BEFORE_COMMIT and doom.point not in LEFT:
            assert not left.outcome, f"{key} was not committed"
            continue
        expected = LEFT[doom.point]
        by_chance = expected.worked is None
        assert (replace(expected, worked=left.worked) if by_chance else expected) == left, f"{doom}: {tenant}/{key}"


def _compare_call(world: World, trap: CallTrap, death: Death) -> None:
    number = trap.sprung.result(0).number
    (call,) = [call for call in world.sandbox.calls if call.number == number]
    assert (trap.side is not Side.LOST) == call.worked
    if call.operation not in ("SaveConnection", "DeleteConnection") or not call.worked:
        return
    key = world.sandbox.key_of(call)
    assert (call.tenant, key) in world.open_intents(death.run_id)
    assert not [place for place in world.recorded() if (death.run_id, call.tenant, key) == place[:3]]


def _left(world: World, death: Death, tenant: str, key: str, change: str) -> Left:
    place = (death.run_id, tenant, key, change)
    return Left(
        intent=(tenant, key) in world.open_intents(death.run_id),
        outcome=place in world.recorded(),
        reported=place in world.reported,
        worked=(tenant, key) in world.sandbox.worked_writes(after=death.first_call),
    )

"""Two daemons on one PostgreSQL: each tenant has one of them at a time, and who is left takes over from the dead."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from commands import PATIENCE, Daemon
from erpsyncd.domain.tenants import Protocol
from erpsyncd.sandbox import Action, Call, Drop
from torture.points import UNREACHED
from torture.sandboxes import WatchedSandbox
from torture.world import World, opened_world

TENANTS = 8
EACH = 25
#: A daemon works on so many connections at once: two of each of its two tenants.
AT_ONCE = 4


@pytest.fixture(params=list(Protocol))
def world(request: pytest.FixtureRequest, upgraded_url: str, tmp_path: Path) -> Iterator[World]:
    """Two hundred connections in eight tenants, of which a daemon works on two at a time."""
    with opened_world(tmp_path, upgraded_url, request.param, tenants=TENANTS) as opened:
        opened.command.environ |= {
            "ERPSYNCD__LIMITS__TENANTS_AT_ONCE": "2",
            "ERPSYNCD__LIMITS__CONNECTIONS_AT_ONCE": "2",
        }
        opened.populate(EACH)
        yield opened


on_postgresql = pytest.mark.parametrize("upgraded_url", ["postgresql"], indirect=True)


@dataclass
class Meeting:
    """Holds every save until two processes have come with one, so that both are at work."""

    sandbox: WatchedSandbox
    _came: set[int] = field(default_factory=set)
    _complete: threading.Condition = field(default_factory=threading.Condition)

    def arrive(self, call: Call) -> Action | None:
        if call.operation == "SaveConnection":
            with self._complete:
                self._came.add(self.sandbox.caller())
                self._complete.notify_all()
                assert self._complete.wait_for(lambda: len(self._came) > 1, PATIENCE)
        return None


@dataclass(kw_only=True)
class Ambush:
    """Kills a daemon in mid-pass, with as many saves at the tenant as it makes at once."""

    world: World
    meeting: Meeting
    victim: int
    saves_before: int
    dead: threading.Event = field(default_factory=threading.Event)
    in_flight: set[tuple[str, str]] = field(default_factory=set)
    """What its open intents are about, as it died."""

    done_all_the_same: set[int] = field(default_factory=set)
    """The numbers of the calls that the tenant works on after the death."""

    _saves: int = 0
    _held: list[int] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def arrive(self, call: Call) -> Action | None:
        self.meeting.arrive(call)
        if call.operation != "SaveConnection" or self.world.sandbox.caller() != self.victim:
            return None
        with self._changed:
            self._saves += 1
            if self._saves <= self.saves_before:
                return None
            self._held.append(call.number)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: len(self._held) == AT_ONCE, PATIENCE)
            if not self.dead.is_set():
                self._kill()
        # Half of them get through to the tenant's database, half of them do not.
        return None if call.number in self.done_all_the_same else Drop()

    def _kill(self) -> None:
        os.kill(self.victim, signal.SIGKILL)
        os.waitid(os.P_PID, self.victim, os.WEXITED | os.WNOWAIT)
        self.in_flight = self.world.open_intents_of(self.victim)
        self.done_all_the_same = set(self._held[::2])
        self.dead.set()


@on_postgresql
def test_the_survivor_takes_over(world: World) -> None:
    """What was in flight at the kill is found again and pushed once more; everything else is saved exactly once."""
    meeting = Meeting(world.sandbox)
    with world.doomed(UNREACHED) as victim, world.doomed(UNREACHED) as survivor:
        ambush = Ambush(world=world, meeting=meeting, victim=victim.process.pid, saves_before=10)
        world.sandbox.at_arrival = ambush.arrive
        assert victim.next_of("run.finished") is None
        assert ambush.dead.wait(PATIENCE)
        world.note(victim)
        world.dead_runs = [line["run_id"] for line in victim.log if line["event"] == "run.started"]

        assert AT_ONCE == len(ambush.in_flight)
        its_tenants = {tenant for tenant, _ in ambush.in_flight}
        assert 2 == len(its_tenants)
        leave_alone(world, survivor, its_tenants)
        assert ambush.in_flight == world.open_intents()

        world.release_leases(victim.process.pid)
        world.wait_until_converged(survivor)
        world.end(survivor)

    world.check_converged()
    numbers = {call.number: call for call in world.sandbox.calls}
    found = {(numbers[n].tenant, world.sandbox.key_of(numbers[n])) for n in ambush.done_all_the_same}
    assert 2 == len(found)
    assert found < ambush.in_flight
    recovered = [line for line in survivor.log if line["event"] == "connection.recovered"]
    assert ambush.in_flight == {(line["tenant"], line["key"]) for line in recovered}
    assert found == {(line["tenant"], line["key"]) for line in recovered if "erp_connection_id" in line}
    saves = Counter(world.sandbox.worked_writes())
    assert {place: 2 if place in found else 1 for place in world.wanted} == saves


def leave_alone(world: World, survivor: Daemon, tenants: set[str]) -> None:
    """See a whole run of the survivor go well that leaves the dead one's tenants alone, quietly."""
    finished = finish_run_after(world, survivor)
    mine = [line for line in survivor.log if line.get("run_id") == finished["run_id"]]
    skipped = [line for line in mine if line["event"] == "tenant.skipped"]

    assert [(tenant, "leased") for tenant in sorted(tenants)] == sorted(
        (line["tenant"], line["error_class"]) for line in skipped
    )
    assert ("ok", 0) == (finished["status"], finished.get("failed", 0))
    assert [] == failures(survivor)
    others = world.query(
        "SELECT DISTINCT state FROM connections JOIN tenants ON tenants.id = tenant_id "
        "WHERE lease_owner IS NULL OR lease_owner NOT IN (SELECT lease_owner FROM tenants WHERE name = :name)",
        name=min(tenants),
    )
    assert [("in_sync",)] == [tuple(row) for row in others]


def finish_run_after(world: World, daemon: Daemon) -> dict[str, Any]:
    """Return the end of the first run that a daemon begins from now on."""
    ((last,),) = world.query("SELECT max(id) FROM runs")
    while daemon.wait_for("run.started")["run_id"] <= last:
        pass
    return daemon.wait_for("run.finished")


def failures(daemon: Daemon) -> list[dict[str, Any]]:
    """Return what a daemon has complained about."""
    events = ("tenant.failed", "connection.failed", "check.failed", "tenant.crashed", "run.failed")
    return [line for line in daemon.log if line["event"] in events]


@on_postgresql
def test_both_at_once(world: World) -> None:
    """No tenant is worked on by both at a time, whoever comes first, and everything is saved once."""
    world.sandbox.at_arrival = Meeting(world.sandbox).arrive
    with world.doomed(UNREACHED) as one, world.doomed(UNREACHED) as other:
        pids = {one.process.pid, other.process.pid}
        check_round(world, (one, other), expected=EACH, after=0, pids=pids)
        last = world.sandbox.calls[-1].number
        world.sandbox.at_arrival = Meeting(world.sandbox).arrive
        world.turn(creates=3, updates=3, deletes=2)
        check_round(world, (one, other), expected=3 + 3 + 2, after=last, pids=pids)
        world.end(one)
        world.end(other)

    assert [] == failures(one) + failures(other)
    world.check_converged()


def check_round(world: World, daemons: tuple[Daemon, Daemon], *, expected: int, after: int, pids: set[int]) -> None:
    """Let both work until nothing is left to do: so many writes in each tenant, each made once."""
    while not world.is_converged():
        for daemon in daemons:  # by turns, or one of them could not get rid of its log any more
            daemon.wait_for("run.finished")
    for daemon in daemons:
        finish_run_after(world, daemon)
        assert {"ok"} == {line["status"] for line in daemon.log if line["event"] == "run.finished"}
    writes = Counter(world.sandbox.worked_writes(after=after))
    assert {1} == set(writes.values())
    assert dict.fromkeys(world.tenants, expected) == Counter(tenant for tenant, _ in writes)
    check_one_at_a_time(world, after=after, pids=pids)


def check_one_at_a_time(world: World, *, after: int, pids: set[int]) -> None:
    """Look at who called each tenant, in the order of arrival: one of them, and then perhaps the other."""
    came = [each for each in world.sandbox.attributed if each.call.number > after]
    assert pids == {each.pid for each in came if each.call.operation == "SaveConnection"}
    for tenant in world.tenants:
        callers = [pid for pid, _ in groupby(each.pid for each in came if each.call.tenant == tenant)]
        assert len(callers) == len(set(callers)), f"both at work on {tenant}"

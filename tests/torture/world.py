"""A store, tenants and a plan of what should stand in them, for processes that do not live long."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import text

from commands import Daemon, Erpsyncd
from erpsyncd.domain.tenants import Protocol
from erpsyncd.store import SqlStore, open_store
from factories import make_connection, make_document, make_tenant
from torture.points import Doom
from torture.sandboxes import WatchedSandbox

TESTS = Path(__file__).parents[1]
APPLIED = {"create": "created", "update": "updated", "delete": "deleted"}


@dataclass(kw_only=True)
class Wanted:
    """What should become of one connection."""

    name: str
    description: str = ""
    present: bool = True
    password: str = "erp password"
    creations: int = 1
    """How often it may have been created: once, and once more each time it was wanted back after a delete."""


@dataclass(kw_only=True)
class World:
    """Everything around the processes under test."""

    command: Erpsyncd
    sandbox: WatchedSandbox
    store: SqlStore
    protocol: Protocol
    tenants: tuple[str, ...]
    rng: Random
    careful: bool = False
    wanted: dict[tuple[str, str], Wanted] = field(default_factory=dict)
    reported: set[tuple[int, str, str, str]] = field(default_factory=set)
    """Run, tenant, key and change of everything that any process has reported as applied."""

    dead_runs: list[int] = field(default_factory=list)

    @property
    def on_server(self) -> bool:
        """Whether the store is one that several processes may work on."""
        return self.command.store_url.startswith("postgresql")

    # What is wanted.

    def populate(self, connections: int) -> None:
        """Describe so many new connections in each tenant."""
        for tenant in self.tenants:
            for _ in range(connections):
                key = f"k{len(self.wanted):04d}"
                self.wanted[tenant, key] = Wanted(name=f"Name of {key}")
        self.describe(self.wanted)

    def turn(self, *, creates: int, updates: int, deletes: int) -> None:
        """Want something else of so many connections in each tenant, whatever is under way for them."""
        changed: set[tuple[str, str]] = set()
        for tenant in self.tenants:
            mine = [place for place in self.wanted if place[0] == tenant]
            self.rng.shuffle(mine)
            present = [place for place in mine if self.wanted[place].present]
            # One that stands there stays: no pass would delete everything that a tenant has.
            spared = next((place for place in present if self._stands(place)), None)
            going = [place for place in present if place != spared][:deletes]
            changed |= {self._dismiss(place) for place in going}
            changed |= {self._edit(place) for place in [place for place in present if place not in going][:updates]}
            gone = [place for place in mine if not self.wanted[place].present and self._is_deleted(place)]
            back = [self._want_back(place) for place in gone[: creates // 2]]
            changed |= {*back, *(self._invent(tenant) for _ in range(creates - len(back)))}
        self.describe(sorted(changed))

    def _dismiss(self, place: tuple[str, str]) -> tuple[str, str]:
        self.wanted[place].present = False
        return place

    def _edit(self, place: tuple[str, str]) -> tuple[str, str]:
        wanted = self.wanted[place]
        if self.rng.random() < 0.5:
            wanted.name = f"Name {self.rng.randrange(10**9)} of {place[1]}"
        wanted.description = f"Edited {self.rng.randrange(10**9)}"
        return place

    def _want_back(self, place: tuple[str, str]) -> tuple[str, str]:
        self.wanted[place].present = True
        self.wanted[place].creations += 1
        return place

    def _invent(self, tenant: str) -> tuple[str, str]:
        key = f"k{len(self.wanted):04d}"
        self.wanted[tenant, key] = Wanted(name=f"Name of {key}")
        return tenant, key

    def _is_deleted(self, place: tuple[str, str]) -> bool:
        (row,) = self.store.list_connections(tenant=place[0], key=place[1])
        return row.state == "deleted"

    def _stands(self, place: tuple[str, str]) -> bool:
        (row,) = self.store.list_connections(tenant=place[0], key=place[1])
        return row.erp_connection_id is not None and row.state != "deleted"

    def describe(self, places: Sequence[tuple[str, str]] | dict[tuple[str, str], Wanted]) -> None:
        """Import what is wanted of these connections."""
        tenants = (
            make_tenant(
                name,
                url=self.sandbox.tenant_url(name),
                protocol=self.protocol,
                calls_per_second=10_000.0,
                careful=self.careful,
                auth={"username": "sandbox", "password": "sandbox"},
            )
            for name in self.tenants
        )
        connections = (
            make_connection(
                key,
                tenant=tenant,
                present=self.wanted[tenant, key].present,
                display_name=self.wanted[tenant, key].name,
                display_description=self.wanted[tenant, key].description,
                config_fields={"Client": key, "Password": self.wanted[tenant, key].password},
            )
            for tenant, key in places
        )
        self.store.apply_document(make_document(*tenants, *connections))

    # Processes.

    @contextmanager
    def doomed(self, doom: Doom) -> Iterator[Daemon]:
        """Start a daemon that comes to its end, or to a stop, at a point."""
        with self.command.daemon(program=(sys.executable, "-m", "torture.doomed", str(doom))) as daemon:
            yield daemon

    def release_leases(self, pid: int | None = None) -> None:
        """Let the leases of a dead process, or all, run out; on PostgreSQL nothing else tells that they are dead."""
        if self.on_server:
            self.execute(
                "UPDATE tenants SET lease_until = now() - interval '1 second' WHERE lease_owner LIKE :owner",
                owner=_owner(pid),
            )

    def converge(self) -> None:
        """Let a daemon that nobody kills work until nothing is left to do; it ends in order."""
        self.release_leases()
        with self.command.daemon() as daemon:
            self.wait_until_converged(daemon)
            self.end(daemon)

    def wait_until_converged(self, daemon: Daemon) -> None:
        """Return once a daemon has found nothing left to do."""
        for _ in range(100):
            daemon.wait_for("run.finished", trigger="reconcile")
            if self.is_converged():
                return
        raise AssertionError(f"still open after many passes: {self.open_intents()}; {daemon.log[-20:]}")

    def end(self, daemon: Daemon) -> None:
        """Tell a daemon to stop, and see it end in order."""
        daemon.signal(signal.SIGTERM)
        daemon.wait_for("service.stopped")
        self.note(daemon)
        assert 0 == daemon.end()

    def note(self, daemon: Daemon) -> None:
        """Remember what a process has reported."""
        self.reported |= {
            (line["run_id"], line["tenant"], line["key"], line["change"])
            for line in daemon.log
            if line["event"] == "connection.applied"
        }

    # What is there.

    def query(self, statement: str, **parameters: Any) -> list[Any]:
        """Look at rows of the store as they are."""
        with self.store._database.read() as connection:
            return list(connection.execute(text(statement), parameters).all())

    def execute(self, statement: str, **parameters: Any) -> None:
        """Change rows of the store behind its back."""
        with self.store._database.write() as connection:
            connection.execute(text(statement), parameters)

    def is_converged(self) -> bool:
        """Whether nothing is open and nothing is due."""
        open_rows = "SELECT 1 FROM connections WHERE state NOT IN ('in_sync', 'deleted')"
        return not self.query(f"{open_rows} UNION SELECT 1 FROM intents")

    def tenant_name(self, tenant_id: int) -> str:
        """Return a tenant's name by its number in the store."""
        ((name,),) = self.query("SELECT name FROM tenants WHERE id = :id", id=tenant_id)
        return str(name)

    def open_intents(self, run_id: int | None = None) -> set[tuple[str, str]]:
        """Return tenant and key of what may be on its way, in all or of one run."""
        rows = self.query(
            "SELECT tenants.name, connections.key FROM intents "
            "JOIN connections ON connections.id = intents.connection_id "
            "JOIN tenants ON tenants.id = intents.tenant_id WHERE :run = 0 OR run_id = :run",
            run=run_id or 0,
        )
        return {(row.name, row.key) for row in rows}

    def open_intents_of(self, pid: int) -> set[tuple[str, str]]:
        """Return tenant and key of what may be on its way in the tenants that a process holds."""
        rows = self.query("SELECT name FROM tenants WHERE lease_owner LIKE :owner", owner=_owner(pid))
        its_tenants = {row.name for row in rows}
        return {place for place in self.open_intents() if place[0] in its_tenants}

    def rows(self, *tables: str) -> dict[str, list[Any]]:
        """Return all that stands in these tables."""
        return {table: [tuple(row) for row in self.query(f"SELECT * FROM {table} ORDER BY 1, 2")] for table in tables}

    def recorded(self) -> set[tuple[int, str, str, str]]:
        """Return run, tenant, key and change of everything that the store says was applied."""
        rows = self.query("SELECT run_id, tenant, key, change, status FROM outcomes WHERE key IS NOT NULL")
        return {(row.run_id, row.tenant, row.key, row.change) for row in rows if APPLIED.get(row.change) == row.status}

    # What must be true.

    def check_at_any_time(self) -> None:
        """Look for what must never be, not even right after a kill."""
        assert self.reported <= self.recorded(), "reported, but not on disk"
        in_flight = self.query(
            "SELECT tenants.name, key FROM connections JOIN tenants ON tenants.id = tenant_id WHERE state = 'in_flight'"
        )
        assert {tuple(row) for row in in_flight} <= self.open_intents(), "in flight without an intent"
        for tenant in self.tenants:
            live = Counter(key for key, _ in self.live(tenant))
            assert not [key for key, count in live.items() if count > 1], f"twice in {tenant}"
            assert 0 == self.sandbox.tenant(tenant).cursor_rewinds

    def check_converged(self) -> None:
        """Compare everything with what is wanted, once nothing is left to do."""
        assert self.is_converged()
        self.check_at_any_time()
        for tenant in self.tenants:
            mine = {key: wanted for (name, key), wanted in self.wanted.items() if name == tenant}
            expected = {key: (w.name, w.description) for key, w in mine.items() if w.present}
            live = dict(self.live(tenant))
            assert expected == {key: (row.display_name, row.display_description) for key, row in live.items()}
            rows = {row.key: row for row in self.store.list_connections(tenant=tenant)}
            assert {key: "in_sync" if w.present else "deleted" for key, w in mine.items()} == {
                key: row.state for key, row in rows.items()
            }
            for key, row in live.items():
                assert row.erp_connection_id == rows[key].erp_connection_id
                assert str(row.guid) == (rows[key].connection_id or "").lower()
            ever = Counter(row.config_fields["Client"] for row in self.sandbox.tenant(tenant).connections.values())
            assert [] == [key for key, count in ever.items() if count > mine[key].creations], "created too often"
        self._check_runs()

    def _check_runs(self) -> None:
        shown = {run.run_id: run for run in self.store.list_runs()}
        assert {"interrupted"} >= {shown[run_id].status for run_id in self.dead_runs}
        assert {None} >= {shown[run_id].finished_at for run_id in self.dead_runs}
        assert set(self.dead_runs) == {run_id for run_id, run in shown.items() if run.finished_at is None}

    def live(self, tenant: str) -> list[tuple[str, Any]]:
        """Return the connections that a tenant has and has not deleted, each with our key."""
        rows = self.sandbox.tenant(tenant).connections.values()
        return [(row.config_fields["Client"], row) for row in rows if not row.deleted]


def _owner(pid: int | None) -> str:
    """Return the pattern of a process's name in a lease."""
    return "%" if pid is None else f"%:{pid}:%"


SETTINGS = {
    # What is killed brings no coverage home, and what lives does what others are measured at.
    "COVERAGE_PROCESS_START": "",
    "COVERAGE_PROCESS_CONFIG": "",
    "ERPSYNCD__SCHEDULE__RECONCILE": "0.3s",
    "ERPSYNCD__SCHEDULE__JITTER": "0s",
    "ERPSYNCD__SAFETY__MAX_DELETES": "1000",
    "ERPSYNCD__REMOTE__SETTLE": "1s",
    "PYTHONPATH": str(TESTS),
}


@contextmanager
def opened_world(
    directory: Path, store_url: str, protocol: Protocol, *, tenants: int = 5, seed: int = 0, careful: bool = False
) -> Iterator[World]:
    """Make a world on an empty store."""
    state = directory / "state"
    state.mkdir(mode=0o700)
    command = Erpsyncd(directory, store_url, dict(SETTINGS))
    names = tuple(f"t{number}" for number in range(tenants))
    with WatchedSandbox() as sandbox, open_store(store_url, key_path=None, state_directory=state) as store:
        yield World(
            command=command,
            sandbox=sandbox,
            store=store,
            protocol=protocol,
            tenants=names,
            rng=Random(seed),
            careful=careful,
        )

"""A pass that has one of everything to do, for stores that fail in the middle of it, and what must be true then."""

from __future__ import annotations

import asyncio
import copy
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool
from structlog.testing import capture_logs

from erpsyncd.domain.results import ChangedDataItem, PluginResponse, RecordChange, RunReport, RunStatus, Status
from erpsyncd.errors import DaemonError
from erpsyncd.service.policy import Policy
from erpsyncd.store import SqlStore, open_store
from factories import make_connection, make_tenant
from fakes import FakeTenants
from pass_bench import Bench

#: What the pass has to do: tenant, key and change.
TO_DO = {
    ("acme", "edit", "update"),
    ("acme", "gone", "delete"),
    ("acme", "new", "create"),
    ("other", "first", "create"),
    ("other", "second", "create"),
}
#: What stands in the tenants when it is done: each key with its name there.
DONE = {
    "acme": {"edit": "New name", "keep": "Name of keep", "new": "Name of new"},
    "other": {"first": "Name of first", "second": "Name of second"},
}
_APPLIED = (Status.CREATED, Status.UPDATED, Status.DELETED)


@dataclass(kw_only=True)
class Turn:
    """A store with something to do, its tenants, and what was said about it."""

    bench: Bench
    url: str
    logs: list[Any] = field(default_factory=list)

    @property
    def store(self) -> SqlStore:
        return self.bench.store

    async def prepare(self) -> None:
        """Bring three connections into sync, then want something else."""
        self.bench.load(make_tenant(), make_tenant("other"), *map(make_connection, ("edit", "gone", "keep")))
        assert RunStatus.OK is (await self.bench.run()).status
        self.want_more()

    def want_more(self) -> None:
        """Want what `TO_DO` says; one connection comes with a secret that is resolved at the pass."""
        self.bench.environ["P"] = "erp password"
        self.bench.load(
            make_connection("edit", display_name="New name"),
            make_connection("gone", present=False),
            make_connection("new", config_fields={"Client": "F0001", "Password": "@{env:P}"}),
            *(make_connection(key, tenant="other") for key in ("first", "second")),
        )
        change = ChangedDataItem(change=RecordChange.ADDED, table_name="erpconnection", record_id=99)
        self.bench.tenants["acme"].response = PluginResponse(is_ok=True, changes=(change,))

    async def run(self) -> RunReport:
        """Make a scheduled pass, and note what it reports."""
        with capture_logs() as logs:
            try:
                return await self.bench.run(scheduled=True)
            finally:
                self.logs += logs

    async def fail(self) -> DaemonError:
        """Make a pass that the store ends; return why."""
        error = await self.fail_unseen()
        self.check_reported()
        return error

    async def fail_unseen(self) -> DaemonError:
        """As `fail`, for a store that cannot be looked at."""
        try:
            report = await self.run()
        except DaemonError as exc:
            return exc
        raise AssertionError(f"nothing failed: {report}")

    def spoil_at_save(self, spoil: Callable[[], object], *, tenant: str = "acme", nth: int = 1) -> None:
        """Do something to the store when the nth save call is at this tenant."""
        arrivals = count(1)

        async def before(operation: str) -> None:
            if operation == "SaveConnection" and next(arrivals) == nth:
                await asyncio.to_thread(spoil)

        self.bench.tenants[tenant].before = before

    async def recover(self, *, after: timedelta = timedelta(minutes=3)) -> None:
        """Make the next pass, as the daemon does, and look at what must be true after it."""
        self.bench.time += after
        report = await self.run()
        assert RunStatus.OK is report.status, report
        self.check_converged()

    # What must be true.

    @property
    def reported(self) -> set[tuple[str, str, str]]:
        """Tenant, key and change of what the log says was applied."""
        return {
            (line["tenant"], line["key"], str(line["change"]))
            for line in self.logs
            if line["event"] == "connection.applied"
        }

    def check_reported(self) -> None:
        """What was reported is in the store and in the tenant."""
        rows = self.query("SELECT tenant, key, change FROM outcomes WHERE status IN ('created', 'updated', 'deleted')")
        assert self.reported <= {tuple(row) for row in rows}, "reported, but not in the store"
        assert [] == [change for change in self.reported if not self._is_done(*change)], "reported, but not there"
        for line in self.logs:
            if line["event"] == "changed_data.recorded":
                ids = self.query("SELECT record_id FROM changes WHERE tenant = 'acme'")
                assert (line["record_id"],) in [tuple(row) for row in ids]

    def check_converged(self) -> None:
        """Everything is done, just once, and nothing is open."""
        self.check_reported()
        assert [] == self.query("SELECT id FROM intents")
        states = Counter(row.state for row in self.store.list_connections())
        assert {"in_sync": 5, "deleted": 1} == states
        for name, wanted in DONE.items():
            rows = self.bench.tenants[name].connections.values()
            live = sorted((_key(row), row.spec.display_name) for row in rows if not row.deleted)
            assert sorted(wanted.items()) == live
            ever = Counter(map(_key, rows))
            assert {1} == set(ever.values()), f"made more than once: {ever}"
            for row in self.store.list_connections(tenant=name):
                there = self.bench.tenants[name].connections[row.erp_connection_id or 0]
                assert (row.key, row.connection_id) == (_key(there), there.connection_id)

    def query(self, statement: str) -> list[Any]:
        """Look at the rows of what is at the store's place now, as they are."""
        looking = create_engine(self.url, poolclass=NullPool)
        with looking.connect() as connection:
            return list(connection.execute(text(statement)).all())

    def _is_done(self, tenant: str, key: str, change: str) -> bool:
        rows = [row for row in self.bench.tenants[tenant].connections.values() if _key(row) == key]
        if change == "delete":
            return [True] == [row.deleted for row in rows]
        return [DONE[tenant][key]] == [row.spec.display_name for row in rows]


def _key(row: Any) -> str:
    """Return our key of a connection in a tenant, by which of its two names it has."""
    name: str = row.spec.display_name
    return "edit" if name == "New name" else name.removeprefix("Name of ")


#: One thing after the other, so that the nth statement is the same one each time.
IN_ORDER = Policy(tenants_at_once=1, connections_at_once=1)


@contextmanager
def opened_turn(url: str, directory: Path, tenants: FakeTenants | None = None) -> Iterator[Turn]:
    """Open a store for a turn. `tenants` are copied, where they are given."""
    with open_store(url, key_path=None, state_directory=directory) as store:
        bench = Bench(store, directory / "erpsyncd.db", policy=IN_ORDER)
        bench.environ["P"] = "erp password"
        if tenants is not None:
            bench.tenants = copy.deepcopy(tenants)
        store.lock_process()
        yield Turn(bench=bench, url=url.replace("postgresql:", "postgresql+psycopg:"))

"""A store, tenants with a memory and a clock: what tests of whole passes are made on."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from erpsyncd.domain.intents import Uptime
from erpsyncd.domain.ports import Progress
from erpsyncd.domain.results import RunReport
from erpsyncd.service.clocks import boot_seconds
from erpsyncd.service.policy import Policy, RunOptions
from erpsyncd.service.reconciler import Reconciler
from erpsyncd.service.recording import Unwatched
from erpsyncd.service.secrets import SecretResolver
from erpsyncd.store import SqlStore
from factories import make_document
from fakes import FakeTenants


@dataclass
class Bench:
    """A store, some tenants and a clock that only tests move."""

    store: SqlStore
    database: Path
    tenants: FakeTenants = field(default_factory=FakeTenants)
    environ: dict[str, str] = field(default_factory=dict)
    time: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)
    uptime: Uptime | None = None
    """The clock that nobody can set; without it there is only `time`."""

    held_up: float = 0.0
    """Seconds during which this process or machine stood still."""

    policy: Policy = field(default_factory=Policy)
    reconciler: Reconciler | None = None

    def load(self, *entries: Any, prune: bool = False) -> None:
        self.store.apply_document(make_document(*entries), prune=prune)

    async def run(self, *, progress: Progress | None = None, **options: Any) -> RunReport:
        self.reconciler = Reconciler(
            store=self.store,
            apis=self.tenants,
            resolver=SecretResolver(environ=self.environ),
            policy=self.policy,
            owner="test",
            now=lambda: self.time,
            uptime=lambda: self.uptime,
            elapsed=lambda: boot_seconds() + self.held_up,
            rng=Random(1),
            progress=progress or Unwatched(),
        )
        return await self.reconciler.run(RunOptions(trigger="run-once", **({"check_always": True} | options)))

    def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return every row of every table."""
        connection = sqlite3.connect(self.database)
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        names.remove("sqlite_sequence")
        rows = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}
        connection.close()
        return rows

    async def stop_at_save(self, operation: str) -> None:
        """Tell erpsyncd to stop while a save is in flight."""
        if operation == "SaveConnection":
            assert self.reconciler is not None
            self.reconciler.stopping.set()

    def columns(self, table: str) -> list[tuple[Any, ...]]:
        """Return what SQLite knows about a table's columns."""
        connection = sqlite3.connect(self.database)
        found = connection.execute(f"PRAGMA table_info({table})").fetchall()
        connection.close()
        return found

    def row(self, key: str = "visma", tenant: str = "acme") -> Any:
        return next(row for row in self.store.list_connections() if (row.tenant, row.key) == (tenant, key))


def statuses(report: RunReport) -> list[tuple[str | None, str, str | None]]:
    return [
        (outcome.key, str(outcome.status), outcome.error_class)
        for tenant in report.tenants
        for outcome in tenant.outcomes
    ]


def only(report: RunReport) -> tuple[str | None, str, str | None]:
    (found,) = statuses(report)
    return found

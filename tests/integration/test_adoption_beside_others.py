"""Taking over while other processes live, start and rename, and while the store fails: whole connections only."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest
from test_adoption import adopt, type_in

from erpsyncd import bootstrap, by_hand
from erpsyncd.errors import DaemonError, LeaseLost, RunInProgress, TenantLeased
from erpsyncd.settings import Settings, load_settings
from erpsyncd.store import open_store
from factories import make_connection, make_erp_connection
from failing_sqlite import Trap, connections_failing
from pass_bench import Bench, statuses


@pytest.fixture
def settings(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Those of a command on the bench's store, whose tenants are the bench's."""
    monkeypatch.setattr(bootstrap, "tenant_apis", lambda _: bench.tenants)
    found = {"store.url": f"sqlite:///{bench.database}", "state.directory": str(tmp_path)}
    return load_settings(None, {}, found)


def adopt_by_command(settings: Settings) -> list[str | None]:
    """Adopt as the command does; return the keys."""
    found = by_hand.adopt_connections(settings, "acme", {}, only=None, key=None, dry_run=False)
    return [one.key for one in found]


def test_no_pass_starts_and_nobody_renames_meanwhile(bench: Bench, settings: Settings) -> None:
    """Else whoever starts would take the lease for that of a dead process, and the tenant with it."""
    type_in(bench, 1)
    bench.load(make_connection("other"))
    refused: list[type[DaemonError]] = []

    async def interfere(operation: str) -> None:
        for attempt in (
            bench.store.lock_process,
            lambda: bench.store.rename_tenant("acme", "new"),
            lambda: bench.store.rename_connection("acme", "other", "new"),
            lambda: bench.store.resolve_connection("acme", "other", erp_connection_id=1),
        ):
            try:
                attempt()
            except DaemonError as exc:
                refused.append(type(exc))

    bench.tenants["acme"].before = interfere

    assert ["name-1"] == adopt_by_command(settings)
    assert [RunInProgress, TenantLeased, TenantLeased, TenantLeased] * 2 == refused
    assert ["name-1", "other"] == [row.key for row in bench.store.list_connections()]
    bench.store.lock_process()


def test_a_daemon_need_not_be_stopped(bench: Bench, settings: Settings) -> None:
    """Beside one the lease is enough: it frees none, and its passes leave the tenant alone meanwhile."""
    bench.store.lock_process()
    type_in(bench, 1)
    passes: list[object] = []

    async def make_a_pass(operation: str) -> None:
        passes.append(statuses(await bench.run()))

    bench.tenants["acme"].before = make_a_pass

    assert ["name-1"] == adopt_by_command(settings)
    assert [[(None, "skipped", "leased")]] * 2 == passes
    assert [("in_sync", 1)] == [(row.state, row.erp_connection_id) for row in bench.store.list_connections()]


async def test_who_lost_the_lease_takes_nothing(bench: Bench) -> None:
    """As when the daemon beside it was restarted: not even a description is left behind."""
    type_in(bench, 1, 2)

    async def restart(operation: str) -> None:
        if operation == "GetConnection" and bench.store.list_connections():
            bench.store.free_leases()

    bench.tenants["acme"].before = restart

    with pytest.raises(LeaseLost):
        await adopt(bench)
    assert [("name-1", "in_sync", 1)] == [
        (row.key, row.state, row.erp_connection_id) for row in bench.store.list_connections()
    ]


@contextmanager
def opened(directory: Path) -> Iterator[Bench]:
    path = directory / "erpsyncd.db"
    with open_store(f"sqlite:///{path}", key_path=None, state_directory=directory) as store:
        yield Bench(store, path)


async def test_any_statement_may_fail(tmp_path: Path) -> None:
    """One after the other: a connection is ours and in sync, or the store has never heard of it."""
    before = tmp_path / "before"
    before.mkdir()
    with opened(before) as bench:
        type_in(bench)
    for nth in count(1):
        directory = shutil.copytree(before, tmp_path / f"{nth}")
        with connections_failing(Trap(error="SQLITE_FULL")) as trap, opened(directory) as bench:
            bench.tenants["acme"].type_in(make_erp_connection(7))
            trap.nth = nth
            with suppress(DaemonError):
                await adopt(bench)
            sprung, trap.nth = trap.sprung, 0
            rows = [(row.state, row.erp_connection_id) for row in bench.store.list_connections()]

        assert rows in ([], [("in_sync", 7)])
        if not sprung:
            assert (True, [("in_sync", 7)]) == (nth > 8, rows)
            return

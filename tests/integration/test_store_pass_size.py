"""A pass costs what there is to do, however much is stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import event
from store_support import execute, fill, query

from erpsyncd.domain.results import Status
from erpsyncd.errors import OutcomeUnknown, Unsettled
from erpsyncd.service.policy import Policy
from erpsyncd.store import SqlStore
from factories import make_connection, make_tenant
from pass_bench import Bench

#: Few rows for each tenant, or for all of them.
SMALL_TABLES = ("tenants", "store_metadata", "alembic_version", "runs")


@pytest.fixture
def stored(store: SqlStore, tmp_path: Path) -> Bench:
    """A bench on either database, without checks."""
    return Bench(store, tmp_path / "erpsyncd.db", policy=Policy(checks_enabled=False))


@contextmanager
def statements_of(store: SqlStore) -> Iterator[list[tuple[str, Any]]]:
    """Collect what is sent to the database, each with the parameters of its first row."""
    sent: list[tuple[str, Any]] = []

    def collect(_: Any, __: Any, statement: str, parameters: Any, ___: Any, many: bool) -> None:  # noqa: FBT001 -- SQLAlchemy's signature
        if statement.startswith(("SELECT", "INSERT", "UPDATE", "DELETE")):
            sent.append((statement, parameters[0] if many else parameters))

    event.listen(store._database.engine, "before_cursor_execute", collect)
    yield sent
    event.remove(store._database.engine, "before_cursor_execute", collect)


def whole_tables_read(store: SqlStore, statements: list[tuple[str, Any]]) -> set[str]:
    """Return the steps of the plans of statements in which a table is read from end to end."""
    found = set()
    with store._database.read() as connection:
        sqlite = connection.dialect.name == "sqlite"
        if not sqlite:  # which reads small tables whole, wherever it may
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        for statement, parameters in dict(statements).items():
            explained = connection.exec_driver_sql(
                f"{'EXPLAIN QUERY PLAN' if sqlite else 'EXPLAIN'} {statement}", parameters
            )
            steps = [str(row[-1]).strip() for row in explained]
            found |= {step for step in steps if "SCAN " in step or "Seq Scan on " in step}
    return {step for step in found if not any(table in step for table in SMALL_TABLES)}


@contextmanager
def work_counted(store: SqlStore) -> Iterator[list[int]]:
    """Count the steps of SQLite's machine, which are the same each time."""
    steps = [0]

    def count() -> None:
        steps[0] += 1

    def watch(connection: Any, *_: object) -> None:
        connection.set_progress_handler(count, 1)

    event.listen(store._database.engine, "checkout", watch)
    yield steps
    event.remove(store._database.engine, "checkout", watch)
    store._database.engine.dispose()


async def converge(bench: Bench, *, beside: int) -> None:
    """Converge one connection, and put others beside it that are so already."""
    bench.load(make_tenant(), make_connection())
    await bench.run()
    fill(bench.store, beside)


async def test_a_pass_reads_by_index_only(stored: Bench) -> None:
    """When nothing is to be done, and for what is to be done: a create, an update and a delete."""
    await converge(stored, beside=500)

    with statements_of(stored.store) as idle:
        await stored.run()
    stored.load(make_connection("visma", display_name="Other"), make_connection("new"))
    with statements_of(stored.store) as busy:
        report = await stored.run()
    stored.load(make_connection("new", present=False))
    with statements_of(stored.store) as deleting:
        await stored.run()

    assert (1, 1) == (report.counts[Status.CREATED], report.counts[Status.UPDATED])
    assert set() == whole_tables_read(stored.store, [*idle, *busy, *deleting])
    # SQLite has RETURNING from 3.35 on; Red Hat 9 comes with 3.34, and there it would be an error.
    sqlite = stored.store._database.engine.dialect.name == "sqlite"
    assert [] == [statement for statement, _ in [*idle, *busy, *deleting] if sqlite and "RETURNING" in statement]


async def test_a_converged_pass_does_the_same_at_any_size(stored: Bench) -> None:
    """As many statements, and none of them for a single connection."""
    await converge(stored, beside=10)
    with statements_of(stored.store) as few:
        await stored.run()
    fill_more(stored.store)
    with statements_of(stored.store) as many:
        await stored.run()

    assert [statement for statement, _ in few] == [statement for statement, _ in many]
    assert len(few) < 20


@pytest.mark.parametrize("changed", [False, True])
async def test_the_work_of_a_pass_is_that_of_what_changed(bench: Bench, changed: bool) -> None:  # noqa: FBT001 -- a parameter
    """A hundred times as many connections in sync cost the database nothing more, step by step."""
    bench.policy = Policy(checks_enabled=False)
    await converge(bench, beside=20)
    work = []
    for number in range(2):
        if changed:
            bench.load(make_connection("visma", display_name=f"Name {number}"))
        with work_counted(bench.store) as steps:
            report = await bench.run()
        assert int(changed) == report.counts[Status.UPDATED]
        work.append(steps[0])
        fill_more(bench.store)

    few, many = work
    assert few > 100
    assert many <= few * 1.05


def fill_more(store: SqlStore) -> None:
    """Put 2,000 converged connections more beside the others."""
    execute(store, "UPDATE connections SET key = key || '-', display_name = display_name || '-' WHERE key <> 'visma'")
    fill(store, 2_000)


@pytest.mark.parametrize("seed", range(3))
async def test_the_kept_number_of_connections_is_right_whatever_happens(stored: Bench, seed: int) -> None:
    """Imports, prunes, passes that fail and passes that do not, removals and new names."""
    rng = Random(seed)
    names = ("acme", "zeta")
    stored.load(*(make_tenant(name) for name in names))
    for _ in range(25):
        name = rng.choice(names)
        keys = sorted({f"k{rng.randrange(8)}" for _ in range(4)})
        match rng.randrange(6):
            case 0 | 1:
                entries = (make_connection(key, tenant=name, present=rng.random() < 0.8) for key in keys)
                stored.load(make_tenant(name), *entries, prune=rng.random() < 0.3)
            case 2 | 3:
                if rng.random() < 0.5:
                    stored.tenants[name].fail["SaveConnection"].append(OutcomeUnknown("SaveConnection", "no answer"))
                await stored.run()
            case 4 if known := stored.store.connection_keys(name):
                stored.store.remove_connection(name, rng.choice(known))
            case 5 if known := stored.store.connection_keys(name):
                with suppress(Unsettled):
                    stored.store.rename_connection(name, rng.choice(known), f"r{rng.randrange(1_000_000)}")
            case _:
                stored.store.remove_tenant(name)
                stored.load(make_tenant(name))
        await assert_counts_are_right(stored.store)
    stored.store.remove_tenant("zeta")
    await assert_counts_are_right(stored.store)


async def assert_counts_are_right(store: SqlStore) -> None:
    """Compare what is kept with what is there."""
    counted = query(
        store,
        "SELECT t.id, t.connection_count AS kept, COUNT(c.id) AS there, "
        "COALESCE(SUM(CASE WHEN c.state IN ('in_sync', 'drifted') THEN 1 ELSE 0 END), 0) AS settled "
        "FROM tenants t LEFT JOIN connections c ON c.tenant_id = t.id GROUP BY t.id, t.connection_count",
    )
    for row in counted:
        assert row["there"] == row["kept"]
        assert row["settled"] == await store.in_sync_count(row["id"])

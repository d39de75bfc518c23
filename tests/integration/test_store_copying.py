"""A whole store copied into an empty one, from either database to either: every row, and where numbers go on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from store_support import NOW, added, begin_pass, execute, outcome, query

from erpsyncd.domain.connections import State
from erpsyncd.domain.results import ChangeKind, PluginResponse, RunReport
from erpsyncd.errors import ConfigurationError, RunInProgress, StoreError, UsageError
from erpsyncd.store import SqlStore, copying, engine, open_store, schema, tables, upgrade_store
from erpsyncd.store.addresses import read_url
from erpsyncd.store.database import Database
from erpsyncd.store.lock import ProcessLock
from factories import make_connection, make_document, make_tenant
from postgres_server import PostgresServer

Place = Callable[[str], str]

LEASE = ("lease_owner", "lease_until")


@pytest.fixture
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    """Make the URL of a place where there is no store yet, on the database of this name."""
    numbers = count(1)
    with ExitStack() as stack:

        def made(database: str) -> str:
            if database == "sqlite":
                return f"sqlite:///{tmp_path}/copy {next(numbers)}.db"
            server: PostgresServer = request.getfixturevalue("postgres")
            return stack.enter_context(server.database())

        yield made


async def fill(store: SqlStore) -> None:
    """Make a store with history, open intents, what was removed, and texts from everywhere."""
    fields = {"P": "secret \U0001f600", "Q": "a@{env:Q}", "R": "@{file:/r}", "Empty": "", "W": "@{stored}"}
    store.apply_document(
        make_document(
            make_tenant(calls_per_second=0.1, rest_url="https://rest.example"),
            make_tenant("Ölten"),
            make_tenant("removed"),
            *(make_connection(f"k{number}", config_fields=fields) for number in range(4)),
            *(make_connection(key, tenant="Ölten", config_fields={"Q": "@{env:Q}"}) for key in "abcd"),
            make_connection(tenant="removed"),
        )
    )
    one = await begin_pass(store, "Ölten")
    first, second, third, fourth = await one.due()
    await one.open(first, ChangeKind.CREATE, frozenset({1, 2, 3}))
    await one.create(second, 2**40)
    await one.settle(
        third,
        State.FAILED,
        attempts=3,
        next_attempt_at=NOW + timedelta(microseconds=1),
        outcome=outcome("c", error="nul \x00 and half \ud800", error_class="fault", fields=("x",)),
    )
    gone = await one.open(fourth)
    await one.settle(fourth, State.IN_SYNC, intent_id=gone)
    for minute in range(5):
        moment = NOW + timedelta(minutes=minute, microseconds=minute)
        response = PluginResponse(is_ok=bool(minute % 2), tech_explanation="☃", changes=(added(2**40 + minute),))
        await one.check(response, moment)
    await store.finish_run(RunReport(run_id=one.run_id, started_at=NOW, problems=("why",)), finished_at=NOW)
    await store.start_run(trigger="died", dry_run=False, started_at=NOW)
    await store.renew(one.lease, now=NOW, seconds=-1)
    await store.remember_tenant(one.lease, refused_auth="f", parked_until=NOW, transient_failures=8)
    fill_what_belongs(store)
    store.remove_tenant("removed")
    execute(store, "DELETE FROM runs WHERE id = (SELECT max(id) FROM runs)")
    await store.start_run(trigger="died", dry_run=True, started_at=NOW)


def fill_what_belongs(store: SqlStore) -> None:
    """One row for each tenant, and one for each connection, in the tables that go with them."""
    for statement in (
        (
            "INSERT INTO tenant_lists (tenant_id, name, items, read_at)"
            " SELECT id, 'usergroup', '[]', created_at FROM tenants"
        ),
        (
            "INSERT INTO drifts (connection_id, field, kind, observed_fingerprint, first_seen_at, last_seen_at)"
            " SELECT id, 'active', 'changed', 'f', created_at, updated_at FROM connections"
        ),
        (
            "INSERT INTO drift_decisions (connection_id, field, decision, reason, decided_at)"
            " SELECT id, 'active', 'ignore', 'why', created_at FROM connections"
        ),
    ):
        execute(store, statement)


def dump(store: SqlStore) -> dict[str, list[dict[str, Any]]]:
    """Return every row of every table, and the number that each would give to the next one."""
    found: dict[str, list[dict[str, Any]]] = {}
    with store._database.read() as connection:
        for table in tables.metadata.sorted_tables:
            rows = connection.execute(select(table).order_by(*table.primary_key)).mappings()
            found[table.name] = [{name: row[name] for name in row if name not in LEASE} for row in rows]
        for table in copying._NUMBERED:
            if table.dialect_options["sqlite"]["autoincrement"]:
                found[f"next of {table.name}"] = [{"number": copying._last_number(connection, table)}]
    return found


@pytest.mark.parametrize(
    ("source", "target"), [("sqlite", "postgresql"), ("postgresql", "sqlite"), ("sqlite", "sqlite")]
)
@pytest.mark.parametrize("batch", [1, 2, 1000])
async def test_there_and_back_everything_is_the_same(
    tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch, source: str, target: str, batch: int
) -> None:
    """Both ways, in steps of any size; what is counted is what arrived. Leases stay behind."""
    monkeypatch.setattr(copying, "_BATCH", batch)
    one, two, three = place(source), place(target), place(source)
    upgrade_store(one)
    with open_store(one, key_path=None, state_directory=tmp_path) as store:
        await fill(store)
        before = dump(store)
        rows = {name: len(found) for name, found in before.items() if not name.startswith("next")}
        copy = store.copy_to(read_url(two))

    assert rows == {copied.table: copied.rows for copied in copy.tables}
    assert min(rows.values()) > 0
    with open_store(two, key_path=None, state_directory=tmp_path) as store:
        assert before == dump(store)
        assert {None} == {found["lease_owner"] for found in query(store, "SELECT lease_owner FROM tenants")}
        assert all(one.is_ok for one in store.examine())
        assert [before["store_metadata"][0]["key_id"]] == [copy.key_id]
        store.copy_to(read_url(three))
    with open_store(three, key_path=None, state_directory=tmp_path) as store:
        assert before == dump(store)


@pytest.mark.parametrize(("source", "target"), [("sqlite", "postgresql"), ("postgresql", "sqlite")])
async def test_the_copy_works_on(tmp_path: Path, place: Place, source: str, target: str) -> None:
    """Under numbers that were never given out before, with the values that it has, and nothing to import."""
    one, two = place(source), place(target)
    upgrade_store(one)
    with open_store(one, key_path=None, state_directory=tmp_path) as store:
        await fill(store)
        document = store.read_document()
        numbers = {name: found[0]["number"] for name, found in dump(store).items() if name.startswith("next")}
        store.copy_to(read_url(two))

    with open_store(two, key_path=None, state_directory=tmp_path) as store:
        assert document == store.read_document()
        assert () == store.apply_document(document, prune=True).items
        store.apply_document(make_document(make_tenant("new"), make_connection(tenant="new")))
        another = await begin_pass(store, "new")
        (due,) = await another.due()
        intent = await another.open(due)
        assert (another.tenant_id, due.id, intent, another.run_id) == tuple(
            numbers[f"next of {name}"] + 1 for name in ("tenants", "connections", "intents", "runs")
        )
        await another.check(PluginResponse(is_ok=True, changes=(added(),)))
        await another.settle(due, outcome=outcome(), intent_id=intent)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_an_upgraded_or_freshly_unlocked_store_is_empty(
    store: SqlStore, tmp_path: Path, place: Place, database: str
) -> None:
    """It gets the other one's key, whatever it had of its own."""
    store.apply_document(make_document(make_tenant(), make_connection()))
    url = place(database)
    upgrade_store(url)
    (tmp_path / "own").mkdir()
    with open_store(url, key_path=None, state_directory=tmp_path / "own") as target:
        target.unlock()

    store.copy_to(read_url(url))

    with open_store(url, key_path=None, state_directory=tmp_path) as target:
        assert store.read_document() == target.read_document()
        assert dump(store) == dump(target)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_store_that_was_never_unlocked_has_no_key(store: SqlStore, place: Place, database: str) -> None:
    """There is nothing to open in it."""
    copy = store.copy_to(read_url(place(database)))

    assert (None, {0}) == (copy.key_id, {copied.rows for copied in copy.tables})


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_a_store_that_was_worked_with_is_refused(
    store: SqlStore, tmp_path: Path, place: Place, database: str
) -> None:
    """Tenants or only history: nothing in it is touched."""
    store.apply_document(make_document(make_tenant()))
    url = place(database)
    upgrade_store(url)
    with open_store(url, key_path=None, state_directory=tmp_path / "own") as target:
        await target.start_run(trigger="test", dry_run=False, started_at=NOW)
        before = dump(target)

        with pytest.raises(UsageError, match="is not empty: there are runs in it; name an empty one"):
            store.copy_to(read_url(url))

        assert before == dump(target)
    with pytest.raises(UsageError, match="is the store itself"):
        store.copy_to(store._database.url)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
@pytest.mark.parametrize("failing", ["_go_on_from", "_compare"])
def test_a_failure_leaves_nothing(
    store: SqlStore, tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch, database: str, failing: str
) -> None:
    """No table and no file, and then it can be tried again."""
    store.apply_document(make_document(make_tenant(), make_connection()))
    url = place(database)

    def fail(*_: object) -> None:
        raise RuntimeError("pulled the plug")

    with monkeypatch.context() as patched:
        patched.setattr(copying, failing, fail)
        with pytest.raises(RuntimeError, match="plug"):
            store.copy_to(read_url(url))

    assert [] == [path.name for path in tmp_path.glob("copy *")]
    if database == "postgresql":
        target = Database(read_url(url))
        with target.read() as connection:
            assert schema.Standing.EMPTY is schema.standing(connection, "test")
        target.close()
    assert store.copy_to(read_url(url)).tables


@pytest.mark.parametrize("was_there", [True, False])
def test_a_store_that_was_founded_there_meanwhile_is_left_alone(
    store: SqlStore, tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch, *, was_there: bool
) -> None:
    """Whether it came before the copy made its file, or into that very file."""
    store.apply_document(make_document(make_tenant(), make_connection()))
    url = place("sqlite")
    upgraded, made = schema.upgraded, engine.create_file

    def found() -> None:
        monkeypatch.undo()
        (tmp_path / "own").mkdir()
        with open_store(url, key_path=None, state_directory=tmp_path / "own") as other:
            other.apply_document(make_document(make_tenant("theirs")))

    def late(path: Path) -> bool:
        found()
        return made(path)

    def early(target: Any) -> Any:
        found()
        return upgraded(target)

    if was_there:
        monkeypatch.setattr(copying, "create_file", late)
    else:
        monkeypatch.setattr(schema, "upgraded", early)
    with pytest.raises(UsageError, match="is not empty"):
        store.copy_to(read_url(url))

    with open_store(url, key_path=None, state_directory=tmp_path / "own") as other:
        assert ["theirs"] == [tenant.name for tenant in other.list_tenants()]


def test_a_file_that_is_in_use_is_not_deleted(
    store: SqlStore, tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who works with it may be about to found a store in it. An empty file that was there before stays too."""
    url, path = place("sqlite"), tmp_path / "copy 1.db"

    def fail(*_: object) -> None:
        raise RuntimeError("pulled the plug")

    monkeypatch.setattr(schema, "upgraded", fail)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:

        def made(path: Path) -> bool:
            other.execute("BEGIN IMMEDIATE")
            return path.exists()

        monkeypatch.setattr(copying, "create_file", made)
        with pytest.raises(RuntimeError, match="plug"):
            store.copy_to(read_url(url))
    monkeypatch.undo()
    assert path.exists()

    monkeypatch.setattr(schema, "upgraded", fail)
    with pytest.raises(RuntimeError, match="plug"):
        store.copy_to(read_url(url))
    assert path.exists()


@pytest.mark.parametrize(
    ("table", "error"),
    [("connections", "of 1 connections, 0 arrived in"), ("tenants", "would not hold together: 1 rows of connections")],
)
def test_what_arrives_is_compared(
    store: SqlStore, tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch, table: str, error: str
) -> None:
    """Rows that got lost on the way are noticed before anything is kept."""
    store.apply_document(make_document(make_tenant(), make_connection()))
    whole = copying._go_on_from

    def lose(connection: Any, numbered: Any, number: int) -> None:
        whole(connection, numbered, number)
        if numbered.name == table:
            connection.exec_driver_sql(f"DELETE FROM {table}")

    def count_less(source: Any, there: Any, here: Any, copied: Any) -> Any:
        found = original(source, there, here, copied)
        return replace(found, rows=0) if (found.table, table) == ("tenants", "tenants") else found

    original = copying._copy_rows
    monkeypatch.setattr(copying, "_go_on_from", lose)
    monkeypatch.setattr(copying, "_copy_rows", count_less)
    with pytest.raises(StoreError, match=error):
        store.copy_to(read_url(place("sqlite")))

    assert [] == [path.name for path in tmp_path.glob("copy *")]


async def test_a_store_that_somebody_works_on_is_refused(upgraded_url: str, tmp_path: Path, place: Place) -> None:
    """A lock, an open lease, or just another process that is connected: what it does next would be missing."""
    target = read_url(place("sqlite"))
    with (
        open_store(upgraded_url, key_path=None, state_directory=tmp_path) as store,
        open_store(upgraded_url, key_path=None, state_directory=tmp_path) as daemon,
    ):
        store.apply_document(make_document(make_tenant()))
        daemon.lock_process()
        daemon.list_tenants()
        with pytest.raises(
            RunInProgress, match=r"another erpsyncd process|1 other erpsyncd processes work on the store"
        ):
            store.copy_to(target)
    with open_store(upgraded_url, key_path=None, state_directory=tmp_path) as store:
        one = await begin_pass(store)
        if not store._database.is_sqlite:
            with pytest.raises(RunInProgress, match="stop all nodes"):
                store.copy_to(target)
        await store.release(one.lease)
        assert store.copy_to(target).tables
        if store._database.path is not None:
            assert ProcessLock(store._database.path).is_held()


def test_a_target_that_cannot_be_used_is_named(store: SqlStore, tmp_path: Path) -> None:
    """By its path, and nothing is made."""
    with pytest.raises(ConfigurationError, match="nowhere"):
        store.copy_to(read_url(f"sqlite:///{tmp_path}/nowhere/x.db"))
    (tmp_path / "text.db").write_text("no database, but long enough to be looked at as one" * 40)
    with pytest.raises(ConfigurationError, match=r"text\.db is not a SQLite database"):
        store.copy_to(read_url(f"sqlite:///{tmp_path}/text.db"))
    assert (tmp_path / "text.db").read_text().startswith("no database")


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_the_source_is_named_when_it_fails(tmp_path: Path, place: Place, database: str) -> None:
    """Not the target, into which it was being copied."""
    source, target = place(database), place("sqlite")
    upgrade_store(source)
    with open_store(source, key_path=None, state_directory=tmp_path) as store:
        store.apply_document(make_document(make_tenant(), make_connection()))
        execute(store, "DROP TABLE changes")

        with pytest.raises(StoreError, match="changes") as caught:
            store.copy_to(read_url(target))

    assert store.place in str(caught.value)
    assert not Path(target.removeprefix("sqlite:///")).exists()

"""What `db check` finds in a store, each kind of damage by itself."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from store_support import added, begin_pass, execute, outcome

from commands import Invoke, connection, document
from erpsyncd.domain.results import PluginResponse
from erpsyncd.store import SqlStore
from factories import make_connection, make_document, make_tenant


@pytest.fixture
async def full(store: SqlStore) -> SqlStore:
    """A store with a bit of everything."""
    keys = ("a", "b", "c")
    store.apply_document(
        make_document(
            make_tenant(),
            make_tenant("other"),
            *(make_connection(key, config_fields={"P": "secret", "Q": "@{env:Q}", "R": "@{stored}"}) for key in keys),
            make_connection("d"),
        )
    )
    one = await begin_pass(store)
    (due,) = await one.due()
    await one.open(due, seen=frozenset({1}))
    await one.settle(due, outcome=outcome())
    await one.check(PluginResponse(is_ok=True, changes=(added(),)))
    store.apply_document(make_document(make_connection("a", present=False)))
    store.remove_connection("acme", "b")
    return store


def problems(store: SqlStore) -> dict[str, tuple[str, ...]]:
    return {one.name: one.problems for one in store.examine() if not one.is_ok}


def test_nothing_is_wrong_with_a_store_that_was_worked_with(full: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is looked at, also in several steps."""
    monkeypatch.setattr("erpsyncd.store.integrity._BATCH", 1)

    assert {} == problems(full)
    assert ["file", "links", "sealed values", "counts"] == [one.name for one in full.examine()]


def test_values_that_do_not_open_are_named(full: SqlStore) -> None:
    """With their places, one by one; what is marked absent counts too."""
    execute(full, "UPDATE tenants SET auth_fields = (SELECT t.auth_fields FROM tenants t WHERE t.name = 'acme')")
    execute(
        full,
        "UPDATE connections SET config_fields = (SELECT c.config_fields FROM connections c WHERE c.key = 'c')",
    )

    places = [problem.partition(" ")[0] for problem in problems(full)["sealed values"]]

    assert ["auth/other/username", "auth/other/password", "config_fields/acme/a/P", "config_fields/acme/d/P"] == places


def test_wrong_counts_are_named(full: SqlStore) -> None:
    """Also of a tenant without connections."""
    execute(full, "UPDATE tenants SET connection_count = connection_count + 1")

    assert {
        "counts": (
            "tenant 'acme' has 3 connections, but is said to have 4",
            "tenant 'other' has 0 connections, but is said to have 1",
        )
    } == problems(full)


@pytest.fixture
def loaded(invoke: Invoke, tmp_path: Path) -> Invoke:
    """The command line on a store in a file."""
    path = tmp_path / "acme.toml"
    path.write_text(document("http://127.0.0.1:9", "soap", connection("a")))
    assert 0 == invoke("import", str(path))[0]
    assert 75 == invoke("--run-once")[0]
    return invoke


def test_a_whole_store_as_text_and_json(loaded: Invoke, tmp_path: Path) -> None:
    """Each thing that was looked at is told."""
    code, out, _ = loaded("db", "check")

    assert (0, "file: ok\nlinks: ok\nsealed values: ok\ncounts: ok\n") == (code, out[: out.index("The store")])
    assert f"The store {tmp_path}/state/erpsyncd.db is whole, up to date, and its key is here." in out
    report = json.loads(loaded("db", "check", "--output", "json")[1])
    assert ("db_check", True, {"check": "links", "ok": True, "problems": []}) == (
        report["kind"],
        report["ok"],
        report["items"][1],
    )


def test_a_damaged_store_ends_with_1(loaded: Invoke, tmp_path: Path) -> None:
    """Loose ends and broken rules are found, which only SQLite can have."""
    path = tmp_path / "state" / "erpsyncd.db"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA foreign_keys = OFF")
        database.execute("INSERT INTO listings (tenant_id, digest, ids) VALUES (99, 'x', '[]')")
        database.execute("PRAGMA ignore_check_constraints = ON")
        database.execute("UPDATE store_metadata SET id = 2")
    database.close()

    code, out, _ = loaded("db", "check")

    assert 1 == code
    assert "links: 1 rows of listings name a row of tenants that is not there" in out
    assert "file: SQLite says: CHECK constraint failed in store_metadata" in out
    assert out.endswith("erpsyncd.db is damaged.\n")
    report = json.loads(loaded("db", "check", "--output", "json")[1])
    assert (False, [False, False, True, True]) == (report["ok"], [item["ok"] for item in report["items"]])


def test_another_key_is_a_matter_of_configuration(loaded: Invoke, tmp_path: Path) -> None:
    """So is a missing one."""
    (tmp_path / "state" / "erpsyncd.key").unlink()

    assert 78 == loaded("db", "check")[0]

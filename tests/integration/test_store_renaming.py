"""Other names for tenants and connections: nothing else changes, and no pass has anything to do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from store_support import begin_pass, execute, outcome, query, row

from erpsyncd.domain.connections import State
from erpsyncd.domain.documents import ImportReport
from erpsyncd.errors import StoreError, TenantLeased, Unsettled, UsageError
from erpsyncd.store import SqlStore, open_store
from erpsyncd.store.lock import ProcessLock
from factories import make_connection, make_document, make_tenant
from pass_bench import Bench, statuses

FIELDS = {"Client": "F0001", "Password": "secret", "Token": "a@{env:T}", "User": "@{env:U}", "Empty": ""}


@pytest.fixture
def loaded(store: SqlStore) -> SqlStore:
    """Two tenants with two connections each."""
    entries = [make_connection(key, tenant=name, config_fields=FIELDS) for name in ("acme", "other") for key in "ab"]
    store.apply_document(make_document(make_tenant(), make_tenant("other"), *entries))
    return store


def renamed(tenant: str, *keys: str) -> Any:
    """Return the document of `acme` under other names; what users see has not changed."""
    entries = [
        make_connection(key, tenant=tenant, config_fields=FIELDS, display_name=f"Name of {old}")
        for key, old in zip(keys, "ab", strict=True)
    ]
    return make_document(make_tenant(tenant, url="https://acme.example"), *entries)


def test_a_renamed_connection_is_the_same_under_another_key(loaded: SqlStore) -> None:
    """A document with the new key changes nothing, and its values open there."""
    before = query(loaded, "SELECT id, tenant_id, revision, state, applied FROM connections ORDER BY id")

    loaded.rename_connection("acme", "a", "new key")

    assert before == query(loaded, "SELECT id, tenant_id, revision, state, applied FROM connections ORDER BY id")
    assert ImportReport(unchanged=3) == loaded.apply_document(renamed("acme", "new key", "b"), prune=True)
    assert ["b", "new key"] == [view.key for view in loaded.list_connections(tenant="acme")]
    assert ["a", "b"] == [view.key for view in loaded.list_connections(tenant="other")]


def test_a_renamed_tenant_is_the_same_under_another_name(loaded: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """With everything that it has, however much, deleted connections too."""
    monkeypatch.setattr("erpsyncd.store.renaming._BATCH", 1)
    loaded.apply_document(make_document(make_connection("b", present=False)))

    loaded.rename_tenant("acme", "Äcme 2")
    loaded.apply_document(
        make_document(make_connection("b", tenant="Äcme 2", config_fields=dict.fromkeys(FIELDS, "@{stored}")))
    )

    assert ImportReport(unchanged=3) == loaded.apply_document(renamed("Äcme 2", "a", "b"), prune=True)
    assert ["other", "Äcme 2"] == [view.name for view in loaded.list_tenants()]
    assert [False] * 5 == [
        template.damage is not None for template in loaded.read_document().connections[-1].template.templates.values()
    ]


@pytest.mark.parametrize(
    ("new", "problem"),
    [
        ("", "must have 1 to 127 characters"),
        ("a/b", "must not contain"),
        (" x", "must not begin or end with a blank"),
        ("x\n", "must not"),
        ("b", "has a connection 'b' already"),
        ("a", "has a connection 'a' already"),
    ],
)
def test_a_key_that_cannot_be_one_is_refused(loaded: SqlStore, new: str, problem: str) -> None:
    """By the rules of the document, or because it is taken."""
    with pytest.raises(UsageError, match=problem):
        loaded.rename_connection("acme", "a", new)


def test_a_name_that_cannot_be_one_is_refused(loaded: SqlStore) -> None:
    """So is what is not there."""
    for new, problem in (("", "must have 1 to 127"), ("a/b", "must not contain"), ("other", "tenant 'other' already")):
        with pytest.raises(UsageError, match=problem):
            loaded.rename_tenant("acme", new)
    with pytest.raises(UsageError, match="no tenant 'nobody'"):
        loaded.rename_tenant("nobody", "x")
    with pytest.raises(UsageError, match="no tenant 'nobody'"):
        loaded.rename_connection("nobody", "a", "x")
    with pytest.raises(UsageError, match="has no connection 'c'"):
        loaded.rename_connection("acme", "c", "x")
    with pytest.raises(UsageError, match="already"):
        loaded.rename_tenant("acme", "acme")


async def test_what_is_worked_on_keeps_its_name(loaded: SqlStore, tmp_path: Path) -> None:
    """Until the pass is done; on SQLite a lease counts only as long as somebody holds the lock."""
    one = await begin_pass(loaded)
    future = datetime.now(UTC) + timedelta(hours=1)
    await loaded.renew(one.lease, now=future, seconds=600)
    lock = ProcessLock(loaded._database.path) if loaded._database.path else None
    if lock is not None:
        lock.acquire()

    for rename in (partial(loaded.rename_tenant, "acme", "x"), partial(loaded.rename_connection, "acme", "a", "x")):
        with pytest.raises(TenantLeased, match="one is working on tenant 'acme'; try again"):
            rename()
    loaded.rename_connection("other", "a", "x")

    await loaded.release(one.lease)
    loaded.rename_connection("acme", "a", "x")
    one = await begin_pass(loaded)
    await loaded.renew(one.lease, now=future, seconds=600)
    if lock is not None:
        lock.release()
        loaded.rename_tenant("acme", "y")
        assert ["other", "y"] == [view.name for view in loaded.list_tenants()]


async def test_what_has_an_open_write_keeps_its_name(loaded: SqlStore) -> None:
    """Its neighbour does not have to."""
    one = await begin_pass(loaded)
    await one.open((await one.due())[1])
    await loaded.release(one.lease)

    with pytest.raises(Unsettled, match=r"acme/b has a write .*; run: erpsyncd --run-once"):
        loaded.rename_connection("acme", "b", "x")
    with pytest.raises(Unsettled, match="tenant 'acme' has a write"):
        loaded.rename_tenant("acme", "x")
    loaded.rename_connection("acme", "a", "x")
    loaded.rename_tenant("other", "y")


def test_a_value_that_does_not_open_stops_it(loaded: SqlStore) -> None:
    """All or nothing: under a new name nobody could ever mend it."""
    execute(loaded, "UPDATE tenants SET auth_fields = (SELECT t.auth_fields FROM tenants t WHERE t.name = 'acme')")
    before = query(loaded, "SELECT * FROM tenants ORDER BY id")

    with pytest.raises(StoreError, match="nothing was renamed: auth/other/username does not open"):
        loaded.rename_tenant("other", "x")

    execute(
        loaded, "UPDATE connections SET config_fields = (SELECT c.config_fields FROM connections c ORDER BY id LIMIT 1)"
    )
    with pytest.raises(StoreError, match="nothing was renamed: config_fields/acme/b/Client does not open"):
        loaded.rename_connection("acme", "b", "x")
    with pytest.raises(StoreError, match="nothing was renamed: config_fields/acme/b/Client does not open"):
        loaded.rename_tenant("acme", "x")
    assert before == query(loaded, "SELECT * FROM tenants ORDER BY id")


async def test_history_keeps_the_old_names(loaded: SqlStore) -> None:
    """It says what things were called when they happened."""
    one = await begin_pass(loaded)
    await one.settle((await one.due())[0], outcome=outcome("a"))
    await loaded.release(one.lease)

    loaded.rename_connection("acme", "a", "x")
    loaded.rename_tenant("acme", "y")

    found = loaded.get_run(one.run_id)
    assert found is not None
    assert [("acme", "a")] == [(told.tenant, told.key) for told in found[1]]
    assert State.IN_SYNC == row(loaded, "x", "y").state


async def test_a_pass_has_nothing_to_do_after_it(bench: Bench) -> None:
    """What was pushed is remembered, refused credentials and all; the tenant sees no write."""
    bench.environ |= {"T": "t", "U": "u"}
    bench.load(make_tenant(), *(make_connection(key, config_fields=FIELDS) for key in "ab"))
    await bench.run()
    bench.tenants.by_name["new"] = bench.tenants["acme"]
    saves = bench.tenants["acme"].saves

    bench.store.rename_tenant("acme", "new")
    bench.store.rename_connection("new", "a", "c")
    report = await bench.run()

    assert ([], 0, 2) == (statuses(report), report.exit_code, report.tenants[0].unchanged)
    assert saves == bench.tenants["new"].saves
    bench.load(
        make_connection("c", tenant="new", display_name="Other", config_fields=dict.fromkeys(FIELDS, "@{stored}"))
    )
    assert [("c", "updated", None)] == statuses(await bench.run())
    assert "secret" == bench.tenants["new"].connections[1].spec.config_fields["Password"].reveal()


def test_another_process_sees_it(upgraded_url: str, tmp_path: Path) -> None:
    """Values open for whoever reads them next."""
    with open_store(upgraded_url, key_path=None, state_directory=tmp_path) as first:
        first.apply_document(make_document(make_tenant(), make_connection()))
        first.rename_connection("acme", "visma", "x")
    with open_store(upgraded_url, key_path=None, state_directory=tmp_path) as second:
        (entry,) = second.read_document().connections
        assert ("x", "erp password") == (entry.key, entry.template.config_fields["Password"].source())

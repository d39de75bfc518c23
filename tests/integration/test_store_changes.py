"""Changed records in their order: exported a page at a time, followed as they come."""

from __future__ import annotations

from datetime import datetime
from itertools import islice

import pytest
from sqlalchemy import insert
from store_support import MINUTE, NOW, execute, plan_of, query

from erpsyncd.store import SqlStore
from erpsyncd.store.changes import iterate, select_page
from erpsyncd.store.tables import changes


def record(store: SqlStore, *numbers: int, tenant: str = "acme", at: datetime = NOW) -> None:
    with store._database.write() as connection:
        connection.execute(insert(changes), [values(number, tenant, at) for number in numbers])


def values(number: int, tenant: str = "acme", at: datetime = NOW) -> dict[str, object]:
    return {
        "run_id": 1,
        "tenant": tenant,
        "operation": "HasConnections",
        "change": "added",
        "table_name": "erpconnection",
        "record_id": number,
        "recorded_at": at,
    }


@pytest.mark.parametrize("page", [1, 2, 3, 100])
def test_all_come_once_and_in_order(store: SqlStore, page: int) -> None:
    """By their moments, whatever order they were written in, and however they fall on pages."""
    record(store, 5, at=NOW + 2 * MINUTE)
    record(store, 1, 2, 3)
    record(store, 4, at=NOW + MINUTE)
    record(store, 9, tenant="other", at=NOW + MINUTE)

    def numbers(since: datetime | None = None, tenant: str | None = None) -> list[int]:
        return [one.record_id for one in iterate(store._database, since=since, tenant=tenant, page=page)]

    assert [1, 2, 3, 4, 9, 5] == numbers()
    assert [1, 2, 3, 4, 5] == numbers(tenant="acme")
    assert [4, 9, 5] == numbers(NOW + MINUTE)
    assert [] == numbers(NOW + 3 * MINUTE)
    assert [4, 9, 5] == [one.record_id for one in store.iterate_changes(since=NOW + MINUTE)]
    assert [4, 5] == [one.record_id for one in store.list_changes(since=NOW + MINUTE, tenant="acme")]


def test_an_export_does_not_hold_the_store(store: SqlStore) -> None:
    """Half-way through, others write; no transaction is open while somebody else does the reading."""
    record(store, *range(5))
    pages = iterate(store._database, since=None, tenant=None, page=2)
    first = list(islice(pages, 3))

    record(store, 7, at=NOW + MINUTE)

    assert [0, 1, 2, 3, 4, 7] == [one.record_id for one in (*first, *pages)]


def test_each_page_is_found_by_an_index(store: SqlStore) -> None:
    """However many came before it."""
    record(store, 1)
    names = ", ".join(name for name in query(store, "SELECT * FROM changes")[0] if name not in {"id", "recorded_at"})
    later = "recorded_at + n * interval '1 minute'" if "@" in store.place else "datetime(recorded_at, n || ' minutes')"
    execute(
        store,
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000) "
        f"INSERT INTO changes ({names}, recorded_at) SELECT {names}, {later} FROM n, changes",
    )
    execute(store, "ANALYZE")

    page = select_page((NOW + 19_000 * MINUTE, 19_000), since=None, tenant=None, page=100)

    assert "ix_changes_recorded_at" in plan_of(store, page)


def test_what_comes_is_told_once(store: SqlStore) -> None:
    """What was there before is not; another tenant's is not where one was asked for."""
    record(store, 1)
    everything, acme = store.follow_changes(), store.follow_changes(tenant="acme")

    assert ((), ()) == (everything.news(), acme.news())

    record(store, 2, 3)
    record(store, 4, tenant="other")

    assert [2, 3, 4] == [one.record_id for one in everything.news()]
    assert [2, 3] == [one.record_id for one in acme.news()]

    record(store, *range(5, 1505))

    assert list(range(5, 1505)) == [one.record_id for one in everything.news()]
    assert () == everything.news()


def test_what_becomes_visible_late_is_not_missed(store: SqlStore) -> None:
    """On a server a record can appear after one with a higher number; it is told then."""
    if store._lock is not None:
        pytest.skip("a file has one writer at a time")
    follower = store.follow_changes()
    with store._database.engine.connect() as slow, slow.begin():
        slow.execute(insert(changes), [values(1)])
        record(store, 2)
        assert [2] == [one.record_id for one in follower.news()]

    assert [1] == [one.record_id for one in follower.news()]
    assert () == follower.news()

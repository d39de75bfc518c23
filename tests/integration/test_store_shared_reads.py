"""Reads of one turn share a transaction, and each caller has his own fate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, event, text
from store_support import NOW

from erpsyncd.errors import ConfigurationError, StoreError, Undecided
from erpsyncd.store import SqlStore
from erpsyncd.store.reader import MOST


@contextmanager
def transactions_counted(store: SqlStore) -> Iterator[list[Connection]]:
    """Collect the transactions that read."""
    seen: list[Connection] = []
    begun = seen.append
    engine = store._database._reading
    event.listen(engine, "begin", begun)
    yield seen
    event.remove(engine, "begin", begun)


async def read_all(store: SqlStore, *reads: Callable[[Connection], object]) -> list[object]:
    return await asyncio.gather(*(store._read(read) for read in reads), return_exceptions=True)


def number(connection: Connection) -> int:
    """Read something."""
    return int(connection.execute(text("SELECT count(*) + 1 FROM tenants")).scalar_one())


async def test_reads_of_one_turn_share_a_transaction(store: SqlStore) -> None:
    """So many at most; what else waits has its own."""
    with transactions_counted(store) as begun:
        assert [1] * (MOST + 1) == await read_all(store, *[number] * (MOST + 1))

    assert 2 == len(begun)


async def test_who_reads_later_sees_what_was_written(store: SqlStore) -> None:
    """A transaction of his own begins after his turn."""
    await read_all(store, number, number)
    await store.start_run(trigger="test", dry_run=False, started_at=NOW)

    runs, _ = await read_all(
        store, lambda connection: len(connection.execute(text("SELECT id FROM runs")).all()), number
    )

    assert 1 == runs


@pytest.mark.parametrize("broken", ["SELECT nonsense", None], ids=["by the database", "by us"])
async def test_one_readers_error_is_nobody_elses(store: SqlStore, broken: str | None) -> None:
    """On PostgreSQL a statement that failed spoils its transaction, and the others are made again."""

    def fail(connection: Connection) -> None:
        if broken is not None:
            connection.execute(text(broken))
        raise ConfigurationError("this cannot be read", problems=("there",))

    first, failed, last = await read_all(store, number, fail, number)

    assert (1, 1) == (first, last)
    assert (StoreError if broken else ConfigurationError) is type(failed)


async def test_a_store_that_does_not_answer_is_asked_once_for_all(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each caller gets an error of his own: they raise it at the same time."""
    asked = []

    def gone() -> None:
        asked.append(1)
        raise ConfigurationError("there is no such database", problems=("store.url",))

    with monkeypatch.context() as patch:
        patch.setattr(store._database, "read", gone)
        told = await read_all(store, number, number)

    assert [1] == asked
    assert [ConfigurationError] * 2 == [type(each) for each in told]
    assert 2 == len({id(each) for each in told})
    assert all(getattr(each, "problems", None) == ("store.url",) for each in told)
    assert [1] == await read_all(store, number)


async def test_an_error_of_any_form_is_told(store: SqlStore) -> None:
    """Also one that is made of more than its message; nobody waits for ever for what cannot be copied."""

    def refuse(_connection: Connection) -> None:
        raise Undecided("missing", "it is not there")

    def lose(connection: Connection) -> None:
        connection.invalidate()
        raise Undecided("missing", "it is not there")

    async with asyncio.timeout(5):
        told = [*await read_all(store, refuse), *await read_all(store, lose, number)]

    assert [("missing", "it is not there")] * 3 == [(getattr(each, "reason", None), str(each)) for each in told]


async def test_a_connection_that_breaks_fails_those_who_share_it(store: SqlStore) -> None:
    """Whoever comes next has another one."""

    def lose(connection: Connection) -> None:
        connection.invalidate()
        raise StoreError("the server went away")

    assert [StoreError] * 2 == [type(each) for each in await read_all(store, number, lose)]
    assert [1] == await read_all(store, number)


async def test_who_went_away_is_not_told(store: SqlStore) -> None:
    """His neighbours are."""
    gone, stays = (asyncio.create_task(store._read(number)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()

    assert 1 == await stays
    assert gone.cancelled()


async def test_what_nobody_waits_for_any_more_is_not_read(store: SqlStore) -> None:
    """A process that ends at once has no long reads to wait for."""
    with transactions_counted(store) as begun:
        gone = [asyncio.create_task(store._read(number)) for _ in range(2)]
        await asyncio.sleep(0)
        for each in gone:
            each.cancel()
        await asyncio.wait(gone)
        store.close()

    assert [] == begun


async def test_a_closed_store_is_not_read(store: SqlStore) -> None:
    """Nobody waits for ever."""
    store.close()

    (refused,) = await read_all(store, number)

    assert "the store is closed" in str(refused)

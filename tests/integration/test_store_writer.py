"""Group commit: many callers, few commits, and each caller's own fate."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import Connection, event, exc, text
from store_support import NOW, Pass, begin_pass, execute, outcome, query, states, waiting, writer_held

from erpsyncd.domain.connections import State
from erpsyncd.errors import LeaseLost, NotTried, StoreError
from erpsyncd.store import SqlStore
from erpsyncd.store.writer import MAX_BATCH
from factories import make_connection, make_document, make_tenant


async def begin(store: SqlStore, count: int) -> Pass:
    store.apply_document(make_document(make_tenant(), *(make_connection(f"k{n:03d}") for n in range(count))))
    return await begin_pass(store)


@contextmanager
def commits_counted(store: SqlStore) -> Iterator[list[Connection]]:
    seen: list[Connection] = []
    count = seen.append
    event.listen(store._database.engine, "commit", count)
    yield seen
    event.remove(store._database.engine, "commit", count)


@contextmanager
def commits_failing(store: SqlStore) -> Iterator[None]:
    def fail(_: Connection) -> None:
        raise exc.OperationalError("COMMIT", {}, OSError("the disk is on fire"))

    event.listen(store._database.engine, "commit", fail)
    yield
    event.remove(store._database.engine, "commit", fail)


async def test_many_settlements_share_few_commits(store: SqlStore) -> None:
    """Two hundred callers do not cost two hundred times a wait for the disk."""
    one = await begin(store, 200)
    due = await one.due()

    with commits_counted(store) as commits:
        await asyncio.gather(*(one.create(connection, connection.id) for connection in due))

    assert len(commits) < 40
    assert 200 == await store.in_sync_count(one.tenant_id)


async def test_a_batch_has_an_end(store: SqlStore) -> None:
    """However many wait, nobody waits for all of them."""
    one = await begin(store, 1)
    with commits_counted(store) as commits:
        async with writer_held(store):
            tasks = [asyncio.create_task(store.renew(one.lease, now=NOW, seconds=60)) for _ in range(2 * MAX_BATCH + 1)]
            await waiting(store, len(tasks))
        await asyncio.gather(*tasks)

    assert 1 + 3 == len(commits)


async def test_one_callers_error_does_not_undo_the_others(store: SqlStore) -> None:
    """A lost lease, a broken statement and a defect are each their own caller's, in one transaction."""
    one = await begin(store, 4)
    due = await one.due()
    stale = replace(one, lease=replace(one.lease, fence=99))

    def broken(connection: Connection) -> None:
        connection.execute(text("DELETE FROM connections"))
        connection.execute(text("SELECT * FROM there_is_no_such_table"))

    def defect(connection: Connection) -> None:
        connection.execute(text("DELETE FROM connections"))
        raise ZeroDivisionError

    with commits_counted(store) as commits:
        async with writer_held(store):
            tasks = [
                asyncio.create_task(coroutine)
                for coroutine in (
                    one.create(due[0]),
                    stale.create(due[1]),
                    store._writer.write(broken, order=one.tenant_id),
                    store._writer.write(defect, order=one.tenant_id),
                    one.create(due[3]),
                )
            ]
            await waiting(store, len(tasks))
        results = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(None), LeaseLost, StoreError, ZeroDivisionError, type(None)] == [type(result) for result in results]
    assert 2 == len(commits)
    assert {"k000": "in_sync", "k001": "pending", "k002": "pending", "k003": "in_sync"} == states(store)


async def test_writes_of_one_kind_share_their_statements(store: SqlStore) -> None:
    """A hundred outcomes and a hundred intents cost the database as many statements as ten of each."""
    counts = []
    one = await begin(store, 110)
    due = await one.due()
    for some in (due[:10], due[10:]):
        sent: list[str] = []

        def note(_: object, __: object, statement: str, *___: object, sent: list[str] = sent) -> None:
            sent.append(statement)

        async with writer_held(store):
            event.listen(store._database.engine, "before_cursor_execute", note)
            tasks = [asyncio.create_task(step(each)) for each in some for step in (one.open, one.create)]
            await waiting(store, len(tasks))
        await asyncio.gather(*tasks)
        event.remove(store._database.engine, "before_cursor_execute", note)
        counts.append(sum(not statement.startswith(("SAVEPOINT", "RELEASE", "SET")) for statement in sent))

    assert counts[0] == counts[1]


async def test_only_a_batch_in_which_something_fails_has_savepoints(store: SqlStore) -> None:
    """What goes well is not kept apart; one failure, and the batch is begun anew with each kind by itself."""
    one = await begin(store, 4)
    due = await one.due()
    stale = replace(one, lease=replace(one.lease, fence=99))
    savepoints = []
    for second in (one, stale):
        sent: list[str] = []

        def note(_: object, __: object, statement: str, *___: object, sent: list[str] = sent) -> None:
            sent.append(statement)

        async with writer_held(store):
            event.listen(store._database.engine, "before_cursor_execute", note)
            mine, other, *due = due
            tasks = [asyncio.create_task(one.create(mine)), asyncio.create_task(second.create(other))]
            await waiting(store, 2)
        await asyncio.gather(*tasks, return_exceptions=True)
        event.remove(store._database.engine, "before_cursor_execute", note)
        savepoints.append(sum(statement.startswith("SAVEPOINT") for statement in sent))

    assert 0 == savepoints[0]
    assert 0 < savepoints[1]
    assert {"k000": "in_sync", "k001": "in_sync", "k002": "in_sync", "k003": "pending"} == states(store)


async def test_what_was_removed_meanwhile_is_not_sent_and_its_neighbours_are(store: SqlStore) -> None:
    """Their intents share a statement, and only one of them finds no row."""
    one = await begin(store, 3)
    due = await one.due()
    store.remove_connection("acme", "k001")
    async with writer_held(store):
        tasks = [asyncio.create_task(one.open(connection)) for connection in due]
        await waiting(store, 3)
    first, second, third = await asyncio.gather(*tasks, return_exceptions=True)

    assert isinstance(second, NotTried)
    assert "'k001'" in str(second)
    assert [first, third] == [intent.id for intent in await store.open_intents(one.tenant_id)]
    assert [due[0].id, due[2].id] == [intent.connection_row_id for intent in await store.open_intents(one.tenant_id)]


async def test_two_outcomes_of_one_connection_stand_in_their_order(store: SqlStore) -> None:
    """The later one counts, whatever its neighbours share with which of them."""
    one = await begin(store, 2)
    first, second = await one.due()
    async with writer_held(store):
        tasks = [
            asyncio.create_task(coroutine)
            for coroutine in (one.create(second), one.settle(first, State.FAILED, attempts=1), one.create(first, 8))
        ]
        await waiting(store, len(tasks))
    await asyncio.gather(*tasks)

    assert {"k000": "in_sync", "k001": "in_sync"} == states(store)


async def test_a_failed_commit_fails_all_its_callers(store: SqlStore) -> None:
    """Their intents stay open for recovery, nothing is recorded, and the writer lives on."""
    one = await begin(store, 3)
    due = await one.due()
    intents = [await one.open(connection) for connection in due]

    with commits_failing(store):
        async with writer_held(store):
            tasks = [
                asyncio.create_task(one.settle(connection, intent_id=intent, outcome=outcome(connection.key)))
                for connection, intent in zip(due, intents, strict=True)
            ]
            await waiting(store, len(tasks))
        results = await asyncio.gather(*tasks, return_exceptions=True)

    assert [StoreError] * 3 == [type(result) for result in results]
    assert 3 == len({id(result) for result in results})
    assert all("not known whether" in str(result) and "on fire" in str(result) for result in results)
    assert intents == [intent.id for intent in await store.open_intents(one.tenant_id)]
    assert {State.IN_FLIGHT} == set(states(store).values())
    assert [] == query(store, "SELECT * FROM outcomes")
    await one.settle(due[0], intent_id=intents[0], outcome=outcome(due[0].key))
    assert intents[1:] == [intent.id for intent in await store.open_intents(one.tenant_id)]


async def test_a_transaction_that_cannot_begin_fails_its_callers(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect too is told to the caller, and the thread goes on."""
    one = await begin(store, 1)

    def defect() -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(store._database, "write", defect)
        with pytest.raises(ZeroDivisionError):
            await store.renew(one.lease, now=NOW, seconds=60)
    await store.renew(one.lease, now=NOW, seconds=60)


async def test_a_broken_connection_fails_the_whole_batch(store: SqlStore) -> None:
    """What was written before it broke is gone with the transaction."""
    one = await begin(store, 2)
    due = await one.due()

    def lose(connection: Connection) -> None:
        connection.invalidate()
        raise StoreError("the server went away")

    async with writer_held(store):
        tasks = [
            asyncio.create_task(coroutine)
            for coroutine in (one.create(due[0]), store._writer.write(lose, order=one.tenant_id), one.create(due[1]))
        ]
        await waiting(store, len(tasks))
    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert [StoreError] * 3 == [type(result) for result in results]
    assert {"k000": "pending", "k001": "pending"} == states(store)
    await one.create(due[0])


async def test_who_is_cancelled_while_waiting_writes_nothing(store: SqlStore) -> None:
    """What has begun is finished all the same."""
    one = await begin(store, 1)
    (due,) = await one.due()
    async with writer_held(store):
        task = asyncio.create_task(one.create(due))
        await waiting(store, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await store.renew(one.lease, now=NOW, seconds=60)

    assert {"k000": "pending"} == states(store)


async def test_a_batch_of_cancelled_writes_is_no_transaction(store: SqlStore) -> None:
    """Nobody waits for it."""
    one = await begin(store, 1)
    with commits_counted(store) as commits:
        async with writer_held(store):
            task = asyncio.create_task(store.renew(one.lease, now=NOW, seconds=60))
            await waiting(store, 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        store.close()

    assert 1 == len(commits)


async def test_writes_run_in_the_order_of_their_tenants(store: SqlStore) -> None:
    """So that processes lock the rows of several tenants in one order."""
    ran: list[int] = []

    def note(number: int, _: Connection) -> None:
        ran.append(number)

    async with writer_held(store):
        tasks = [
            asyncio.create_task(store._writer.write(partial(note, number), order=number // 10))
            for number in (31, 11, 21, 12, 32)
        ]
        await waiting(store, len(tasks))
    await asyncio.gather(*tasks)

    assert [11, 12, 21, 31, 32] == ran


async def test_closing_writes_what_waits(store: SqlStore) -> None:
    """After that, writing is refused."""
    one = await begin(store, 1)
    (due,) = await one.due()
    async with writer_held(store):
        task = asyncio.create_task(one.create(due))
        await waiting(store, 1)
        closing = asyncio.create_task(asyncio.to_thread(store._writer.close))
    await asyncio.gather(task, closing)

    assert {"k000": "in_sync"} == states(store)
    with pytest.raises(StoreError, match="closed"):
        await store.renew(one.lease, now=NOW, seconds=60)
    execute(store, "DELETE FROM runs")

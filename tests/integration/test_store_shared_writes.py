"""Writes that share a transaction on PostgreSQL, beside somebody who has locked what one of them needs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, func, make_url, select
from sqlalchemy.pool import NullPool
from store_support import NOW, Pass, begin_pass, execute, outcome, query, waiting, writer_held

from erpsyncd.domain.connections import State
from erpsyncd.domain.results import Verdict
from erpsyncd.errors import StoreError
from erpsyncd.store import SqlStore, open_store, server_connection
from erpsyncd.store.importing import _IMPORT_LOCK
from factories import make_connection, make_document, make_tenant
from postgres_server import PostgresServer


@pytest.fixture
def url(postgres: PostgresServer, upgraded_postgres: str) -> Iterator[str]:
    with postgres.database(upgraded_postgres) as given:
        yield given


@pytest.fixture
def store(url: str, tmp_path: Path) -> Iterator[SqlStore]:
    with open_store(url, key_path=None, state_directory=tmp_path) as opened:
        opened.apply_document(
            make_document(
                *map(make_tenant, ("first", "second", "third")),
                *(make_connection(key, tenant=tenant) for tenant in ("first", "second", "third") for key in "ab"),
            )
        )
        yield opened


async def settle_all(store: SqlStore, passes: list[Pass]) -> list[BaseException | None]:
    """Let all connections be settled in one transaction, with an outcome each; return what each was told."""
    due = [(one, connection) for one in passes for connection in await one.due()]
    async with writer_held(store):
        tasks = [
            asyncio.create_task(one.settle(connection, outcome=outcome(f"{one.tenant_id}{connection.key}")))
            for one, connection in due
        ]
        await waiting(store, len(tasks))
    return await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def beside(url: str) -> Iterator[Connection]:
    """Open a transaction of another process."""
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    with engine.connect() as connection:
        yield connection


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no statement of connections that are opened from now on wait long for a lock."""
    monkeypatch.setattr(server_connection, "LOCK_SECONDS", 0.2)


@pytest.mark.usefixtures("impatient")
async def test_a_tenant_that_is_locked_for_too_long_fails_alone(store: SqlStore, url: str) -> None:
    """What became of its neighbours' connections is on disk, once, although they shared their statements with it."""
    passes = [await begin_pass(store, name) for name in ("first", "second", "third")]
    with beside(url) as other:
        other.exec_driver_sql("SELECT id FROM tenants WHERE name = 'second' FOR UPDATE")
        told = await settle_all(store, passes)

    assert [type(None)] * 2 + [StoreError] * 2 + [type(None)] * 2 == [type(each) for each in told]
    assert "locks these rows for too long" in str(told[2])
    ids = [str(one.tenant_id) for one in passes]
    recorded = [f"{tenant}{key}" for tenant in (ids[0], ids[2]) for key in "ab"]
    assert recorded == [found["key"] for found in query(store, "SELECT key FROM outcomes ORDER BY id")]


async def test_claims_do_not_wait_for_who_has_one_of_the_tenants(store: SqlStore, url: str) -> None:
    """A process that stands still in the middle of a write keeps its own tenant, and nobody else's."""
    held = await begin_pass(store, "second", owner="stands still")
    ids = [tenant.id for tenant in await store.tenants()]
    with beside(url) as other:
        other.exec_driver_sql("SELECT id FROM tenants WHERE name = 'second' FOR NO KEY UPDATE")
        async with asyncio.timeout(5):
            told = await asyncio.gather(*(store.claim(one, owner="one", now=NOW, seconds=60) for one in ids))

    assert [held.tenant_id] == [one for one, lease in zip(ids, told, strict=True) if lease is None]


@pytest.mark.parametrize("left", ["given back", "run out"])
async def test_what_is_free_is_locked_in_turn(store: SqlStore, url: str, left: str) -> None:
    """Who locks several tenants, as an import does, is not waited for with one of them in hand."""
    gone, *passes = [await begin_pass(store, name, owner=name) for name in ("first", "second", "third")]
    if left == "given back":
        await store.release(gone.lease)
    else:
        execute(store, "UPDATE tenants SET lease_until = now() - interval '1 second' WHERE name = 'first'")
    due = [(await one.due())[0] for one in passes]
    with beside(url) as other:
        other.exec_driver_sql("SELECT id FROM tenants WHERE name = 'first' FOR NO KEY UPDATE")
        async with writer_held(store):
            claim = asyncio.create_task(store.claim(gone.tenant_id, owner="next", now=NOW, seconds=60))
            settled = [
                asyncio.create_task(one.settle(each, outcome=outcome(each.key)))
                for one, each in zip(passes, due, strict=True)
            ]
            await waiting(store, 3)
        await asyncio.to_thread(one_waits, url, "transactionid")
        other.exec_driver_sql("SELECT id FROM tenants WHERE name = 'second' FOR NO KEY UPDATE NOWAIT")
        other.rollback()

    await asyncio.gather(*settled)
    assert await claim is not None


def one_waits(url: str, for_what: str) -> None:
    """Come back when somebody waits for a lock."""
    with beside(url) as looking:
        while not looking.exec_driver_sql(
            f"SELECT 1 FROM pg_locks WHERE locktype = '{for_what}' AND NOT granted"
        ).all():
            looking.rollback()


async def test_who_adopts_beside_an_import_keeps_no_tenant_from_it(store: SqlStore, url: str) -> None:
    """Imports go first, and then lock their tenants: a neighbour's tenant must not be held while one waits for that."""
    first, second = [await begin_pass(store, name) for name in ("first", "second")]
    document = make_document(make_connection("c", tenant="second"))
    with beside(url) as other:
        other.execute(select(func.pg_advisory_xact_lock(_IMPORT_LOCK)))
        async with writer_held(store):
            tasks = [
                asyncio.create_task(store.renew(first.lease, now=NOW, seconds=600)),
                asyncio.create_task(store.adopt(second.lease, document, Verdict(state=State.IN_SYNC), at=NOW)),
            ]
            await asyncio.sleep(0)
        await asyncio.to_thread(one_waits, url, "advisory")
        other.exec_driver_sql("SELECT id FROM tenants WHERE name = 'first' FOR NO KEY UPDATE")
        other.rollback()
    await asyncio.gather(*tasks)

    assert ["c"] == [found["key"] for found in query(store, "SELECT key FROM connections WHERE state = 'in_sync'")]

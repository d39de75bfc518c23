"""A PostgreSQL server that goes away, falls silent or refuses in the middle of a pass, and is there at the next one."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, event, make_url
from sqlalchemy.pool import NullPool

from erpsyncd.errors import StoreError
from erpsyncd.store import server_connection, upgrade_store
from fault_turn import TO_DO, Turn, opened_turn
from postgres_proxy import AtCommit, PostgresProxy, postgres_proxy
from postgres_server import PostgresServer, own_postgres


@pytest.fixture
def url(postgres: PostgresServer, upgraded_postgres: str) -> Iterator[str]:
    with postgres.database(upgraded_postgres) as given:
        yield given


@pytest.fixture
def proxy(url: str) -> Iterator[PostgresProxy]:
    with postgres_proxy(url) as running:
        yield running


@pytest.fixture
async def turn(url: str, proxy: PostgresProxy, tmp_path: Path) -> AsyncIterator[Turn]:
    """A store behind the proxy that has something to do."""
    with opened_turn(proxy.url, tmp_path) as opened:
        await opened.prepare()
        opened.url = url.replace("postgresql:", "postgresql+psycopg:")  # looked at past the proxy
        yield opened


def execute(url: str, *statements: str) -> None:
    """Do something on the server beside erpsyncd."""
    beside = create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    with beside.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


TERMINATE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'erpsyncd' AND pid <> pg_backend_pid()
"""


@pytest.mark.parametrize(
    ("at_commit", "words"),
    [
        (AtCommit.CUT_BEFORE, "it is not known whether this was written: the store .* does not answer"),
        (AtCommit.CUT_AFTER, "it is not known whether this was written: the store .* does not answer"),
        (AtCommit.MUTE_AFTER, "does not answer: no answer for 0.2 s; look at the server and at store.url"),
    ],
    ids=lambda value: value.name if isinstance(value, AtCommit) else "",
)
async def test_any_commit_of_a_pass_may_stay_unanswered(
    postgres: PostgresServer,
    upgraded_postgres: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at_commit: AtCommit,
    words: str,
) -> None:
    """One after the other, done or not: nothing is made twice, and nothing reported is missing."""
    for nth in count(1):
        directory = tmp_path / f"{nth}"
        directory.mkdir()
        with (
            postgres.database(upgraded_postgres) as url,
            postgres_proxy(url) as proxy,
            opened_turn(proxy.url, directory) as turn,
        ):
            await turn.prepare()
            turn.url = url.replace("postgresql:", "postgresql+psycopg:")
            if at_commit is AtCommit.MUTE_AFTER:
                # Not before: a busy machine may be as slow.
                proxy.when_sprung = partial(monkeypatch.setattr, server_connection, "SILENCE_SECONDS", 0.2)
            proxy.spring_at(at_commit, nth)
            if not await is_stopped(turn, proxy, words):
                assert TO_DO == turn.reported
                assert nth > 15
                return
            monkeypatch.undo()
            await turn.recover()


async def is_stopped(turn: Turn, proxy: PostgresProxy, words: str) -> bool:
    """Make a pass in which a COMMIT goes astray; say whether it has so many, and look at what was said."""
    error = None
    try:
        await turn.run()
    except StoreError as exc:
        error = str(exc)
    turn.check_reported()
    assert proxy.sprung == (error is not None), "nobody was told"
    if error is not None:
        assert re.search(words, error)
        assert 1 == len(error.splitlines())
        assert "127.0.0.1" in error
    return proxy.sprung


@contextmanager
def cut_at_write(turn: Turn, nth: int) -> Iterator[None]:
    """Cut every connection when a statement is about to be sent that writes."""
    writes = count(1)

    def cut(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if statement.startswith(("INSERT", "UPDATE", "DELETE")) and next(writes) == nth:
            execute(turn.url, TERMINATE)

    event.listen(turn.store._database.engine, "before_cursor_execute", cut)
    yield
    event.remove(turn.store._database.engine, "before_cursor_execute", cut)


async def test_connections_may_be_cut_at_any_write_of_a_pass(
    postgres: PostgresServer, upgraded_postgres: str, tmp_path: Path
) -> None:
    """All of them at once, as a restart does: the next pass goes on."""
    for nth in count(1):
        directory = tmp_path / f"{nth}"
        directory.mkdir()
        with postgres.database(upgraded_postgres) as url, opened_turn(url, directory) as turn:
            await turn.prepare()
            error = None
            with cut_at_write(turn, nth):
                try:
                    await turn.run()
                except StoreError as exc:
                    error = str(exc)
            turn.check_reported()
            if error is None:
                assert TO_DO == turn.reported
                assert nth > 15
                return
            assert re.search(r"nothing was written: .*(\(57P01\); it was restarted, or|does not answer)", error)
            assert 1 == len(error.splitlines())
            await turn.recover()


async def test_connections_that_are_cut_between_two_writes_cost_nothing(turn: Turn, url: str) -> None:
    """They are looked at before they are used again, also in the middle of a pass."""
    turn.spoil_at_save(lambda: execute(url, TERMINATE))
    execute(url, TERMINATE)

    await turn.recover()


async def test_a_server_that_is_restarted_in_mid_pass(tmp_path: Path) -> None:
    """While it is down every pass says so; the first one after that goes on."""
    with own_postgres() as server, server.database() as url:
        upgrade_store(url)
        with opened_turn(url, tmp_path) as turn:
            await turn.prepare()
            turn.spoil_at_save(server.stop)

            for _ in range(2):
                error = await turn.fail_unseen()
                assert re.search("does not answer: .*; look at the server and at store.url", str(error))
                assert 1 == len(str(error).splitlines())

            server.start()
            turn.check_reported()
            turn.spoil_at_save(server.restart, tenant="other")
            await turn.recover()


async def test_a_server_that_freezes_in_mid_pass(
    url: str, proxy: PostgresProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes everything and says nothing, also to who connects anew: nobody waits for ever."""

    def freeze() -> None:
        monkeypatch.setattr(server_connection, "SILENCE_SECONDS", 0.2)
        proxy.freeze()

    with opened_turn(f"{proxy.url}&connect_timeout=2", tmp_path) as turn:
        turn.url = url.replace("postgresql:", "postgresql+psycopg:")
        await turn.prepare()
        turn.spoil_at_save(freeze)

        for _ in range(2):
            error = await turn.fail()
            assert re.search("does not answer: .*; look at the server and at store.url", str(error))

        monkeypatch.undo()
        proxy.thaw()
        await turn.recover()


async def test_a_server_that_is_locked_for_too_long(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody's open transaction ends the pass, and the message says whom to look for."""
    monkeypatch.setattr(server_connection, "LOCK_SECONDS", 0.2)
    beside = create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    with opened_turn(url, tmp_path) as turn, beside.connect() as other:
        await turn.prepare()
        turn.spoil_at_save(lambda: other.exec_driver_sql("LOCK TABLE connections"))

        error = await turn.fail_unseen()

        assert re.search(
            r"lock timeout \(55P03\); another program locks these rows for too long; look for one", str(error)
        )
        other.rollback()
        await turn.recover()


def read_only(url: str) -> None:
    """Make the server refuse writes from now on, as the old primary does after a failover."""
    name = make_url(url).database
    execute(url, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on', TERMINATE)


@pytest.mark.parametrize("in_mid_pass", [False, True], ids=["between-passes", "mid-pass"])
async def test_a_server_that_only_answers_questions(turn: Turn, url: str, *, in_mid_pass: bool) -> None:
    """Each pass looks anew whether it is the primary again, without anybody closing connections."""
    if in_mid_pass:
        turn.spoil_at_save(lambda: read_only(url))
        await turn.fail()
    else:
        read_only(url)

    for _ in range(2):
        error = await turn.fail()
        assert re.search(r"read-only transaction \(25006\); this server only answers questions; look wh", str(error))

    execute(url, "SET default_transaction_read_only = off", f'ALTER DATABASE "{make_url(url).database}" RESET ALL')
    await turn.recover()

"""Stores that fail in the middle of a pass: what is said, what stands afterwards, and that the next pass mends it."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import TypeAlias

import pytest

from erpsyncd.domain.results import Status
from erpsyncd.errors import ConfigurationError, RunInProgress, StoreError
from erpsyncd.store import engine, open_store, sqlite_file, upgrade_store
from erpsyncd.store.addresses import read_url
from erpsyncd.store.database import Database
from erpsyncd.store.lock import ProcessLock
from factories import make_connection, make_document, make_tenant
from failing_sqlite import Trap, connections_failing
from fakes import FakeTenants
from fault_turn import TO_DO, Turn, opened_turn
from pass_bench import Bench

# What the disk does.


@pytest.fixture
async def prepared(tmp_path: Path) -> FakeTenants:
    """A store in `tmp_path / "before"` that has something to do, and the tenants to it."""
    before = tmp_path / "before"
    before.mkdir()
    with opened_turn(f"sqlite:///{before}/erpsyncd.db", before) as turn:
        await turn.prepare()
        return turn.bench.tenants


@pytest.mark.parametrize(
    ("trap", "words"),
    [
        (Trap(error="SQLITE_FULL"), "the disk is full"),
        (Trap(error="SQLITE_IOERR_WRITE", at=("COMMIT",)), "cannot be written: the disk failed or is full"),
        (Trap(error="SQLITE_IOERR_FSYNC", at=("COMMIT",), written=True), "the disk failed"),
        (Trap(error="SQLITE_IOERR_READ", at=("SELECT",)), "the disk failed"),
        (Trap(error="SQLITE_BUSY", at=("BEGIN",)), "locked by another program"),
    ],
    ids=["any-write", "commit-undone", "commit-found-later", "any-read", "any-begin"],
)
async def test_any_statement_of_a_pass_may_fail(prepared: FakeTenants, tmp_path: Path, trap: Trap, words: str) -> None:
    """One after the other, each in a pass of its own: nothing is made twice, and nothing reported is missing."""
    with connections_failing(trap):
        for nth in count(1):
            directory = shutil.copytree(tmp_path / "before", tmp_path / f"{nth}")
            with opened_turn(f"sqlite:///{directory}/erpsyncd.db", directory, prepared) as turn:
                if not await is_stopped_by(turn, trap, nth, words):
                    assert TO_DO == turn.reported
                    assert nth > 15
                    return
                await turn.recover()
            shutil.rmtree(directory)


async def is_stopped_by(turn: Turn, trap: Trap, nth: int, words: str) -> bool:
    """Make a pass in which a statement fails; say whether it has so many, and look at what was said."""
    trap.nth, trap.arrivals = nth, 0
    error = None
    try:
        await turn.run()
    except StoreError as exc:
        error = str(exc)
    sprung, trap.nth = trap.sprung, 0
    turn.check_reported()
    assert sprung == (error is not None), f"nobody was told that statement {nth} failed"
    if error is not None:
        assert words in error
        assert f"the store {turn.bench.database}" in error
        assert 1 == len(error.splitlines())
    return sprung


# What somebody does to the file.


@pytest.fixture
async def turn(tmp_path: Path, upgraded_sqlite: Path) -> AsyncIterator[Turn]:
    """A store on SQLite that has something to do."""
    shutil.copy(upgraded_sqlite, tmp_path / "erpsyncd.db")
    with opened_turn(f"sqlite:///{tmp_path}/erpsyncd.db", tmp_path) as opened:
        await opened.prepare()
        yield opened


Spoil: TypeAlias = Callable[[Path], object]


def with_suffix(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def move_alone(database: Path) -> None:
    """Leave the log and its index where they are."""
    database.rename(with_suffix(database, ".away"))


def move_with_log(database: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        if with_suffix(database, suffix).exists():
            with_suffix(database, suffix).rename(with_suffix(database, f".away{suffix}"))


def move_directory(database: Path) -> None:
    """And what else is in it: the key and the lock."""
    database.parent.rename(with_suffix(database.parent, ".away"))


def put_back(database: Path) -> None:
    away = with_suffix(database.parent, ".away")
    if away.exists():
        away.rename(database.parent)
        return
    for suffix in ("-wal", "-shm"):
        with_suffix(database, suffix).unlink(missing_ok=True)
    for suffix in ("", "-wal", "-shm"):
        if with_suffix(database, f".away{suffix}").exists():
            with_suffix(database, f".away{suffix}").rename(with_suffix(database, suffix))


def replace_by_backup(database: Path) -> None:
    """Put a backup of this very moment in its place, and forget about the old one's log."""
    backup = with_suffix(database, ".backup")
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(backup)) as target:
        source.backup(target)
    move_alone(database)
    backup.rename(database)


def replace_by_empty(database: Path) -> None:
    move_alone(database)
    database.touch(mode=0o600)


def replace_by_garbage(database: Path) -> None:
    move_alone(database)
    database.write_bytes(b"This is not a database, and long enough not to be taken for an empty one." * 200)


def replace_by_strangers(database: Path) -> None:
    """Put a store there that has another key."""
    other = database.parent / "other"
    other.mkdir()
    with open_store(f"sqlite:///{other}/erpsyncd.db", key_path=None, state_directory=other) as store:
        store.apply_document(make_document(make_tenant("stranger")))
    move_with_log(database)
    (other / "erpsyncd.db").rename(database)


def replace_by_unused(database: Path) -> None:
    """Put a store there that nobody has worked with."""
    unused = with_suffix(database, ".unused")
    upgrade_store(f"sqlite:///{unused}")
    move_with_log(database)
    unused.rename(database)


def remove_log(database: Path) -> None:
    with_suffix(database, "-wal").unlink()


def remove_index(database: Path) -> None:
    with_suffix(database, "-shm").unlink()


@pytest.mark.parametrize("in_mid_pass", [False, True], ids=["between-passes", "mid-pass"])
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (replace_by_backup, "was replaced by another file while it was in use; the next pass works with the one"),
        (remove_log, r"lost its erpsyncd.db-wal or erpsyncd.db-shm .* The next pass goes on"),
        (remove_index, r"lost its erpsyncd.db-wal or erpsyncd.db-shm .* The next pass goes on"),
    ],
)
async def test_a_file_that_was_replaced_costs_a_pass(
    turn: Turn, spoil: Spoil, words: str, *, in_mid_pass: bool
) -> None:
    """Nobody has to do anything: the next pass goes on with what is there, and nothing is lost."""
    if in_mid_pass:
        turn.spoil_at_save(lambda: spoil(turn.bench.database))
    else:
        spoil(turn.bench.database)

    error = await turn.fail()
    assert isinstance(error, StoreError)
    assert re.search(words, str(error))
    assert str(turn.bench.database) in str(error)

    await turn.recover()


@pytest.mark.parametrize("in_mid_pass", [False, True], ids=["between-passes", "mid-pass"])
@pytest.mark.parametrize(
    ("spoil", "kind", "first", "later"),
    [
        (move_alone, StoreError, "is gone: it was moved or deleted", "put it back"),
        (move_with_log, StoreError, "is gone: it was moved or deleted", "put it back"),
        (move_directory, StoreError, "is gone: it was moved or deleted", "put it back"),
        (replace_by_empty, StoreError, "was replaced", "was replaced by an empty one while it was in use; put a"),
        (replace_by_unused, StoreError, "was replaced", "was replaced by an empty one while it was in use; put a"),
        (replace_by_garbage, StoreError, "was replaced", "is not a SQLite database"),
        (replace_by_strangers, ConfigurationError, "was replaced", "is encrypted under key"),
    ],
)
async def test_a_file_that_is_gone_is_waited_for(
    turn: Turn, spoil: Spoil, kind: type[Exception], first: str, later: str, *, in_mid_pass: bool
) -> None:
    """Pass after pass says so; the one after it was put back goes on as if nothing had been."""
    database = turn.bench.database
    if in_mid_pass:
        turn.spoil_at_save(lambda: spoil(database))
    else:
        spoil(database)

    with pytest.raises(StoreError, match=first):
        await turn.run()
    saves = turn.bench.tenants["acme"].saves
    for _ in range(2):
        with pytest.raises(kind, match=later) as caught:
            await turn.run()
        assert str(database) in str(caught.value)
    assert saves == turn.bench.tenants["acme"].saves

    put_back(database)
    await turn.recover()


def overwrite(database: Path) -> None:
    database.write_bytes(b"x" * database.stat().st_size)


def overwrite_pages(database: Path) -> None:
    with database.open("r+b") as file:
        file.seek(3 * 4096)
        file.write(bytes(4 * 4096))


def cut_in_half(database: Path) -> None:
    os.truncate(database, database.stat().st_size // 2)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (overwrite, "is not a SQLite database; look at store.url, or stop erpsyncd and restore it from a backup"),
        (overwrite_pages, "is damaged; stop erpsyncd and restore it from a backup"),
        (cut_in_half, "is damaged; stop erpsyncd and restore it from a backup"),
    ],
)
async def test_a_damaged_file_is_gone_on_with_once_it_is_whole(
    turn: Turn, damage: Spoil, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure lets go of the file, whatever an error's traceback still remembers; also of its lock."""
    monkeypatch.setattr(engine, "_BUSY_SECONDS", 0.05)
    database = turn.bench.database
    turn.store._database.engine.dispose()  # the last one brings all of the log into the file
    whole = database.read_bytes()
    damage(database)

    errors = []
    for _ in range(2):
        with pytest.raises(StoreError, match=words) as caught:
            await turn.run()
        errors.append(caught.value)
    with closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as other:
        database.write_bytes(whole)
        other.execute("BEGIN IMMEDIATE")

    await turn.recover()


async def test_an_emptied_file_is_told_of(turn: Turn) -> None:
    """Connections go on with what they found in it, so that it takes a new start; the message says so."""
    turn.store._database.engine.dispose()
    os.truncate(turn.bench.database, 0)

    with pytest.raises(StoreError, match=r"no such table: .*; stop erpsyncd and restore it from a backup"):
        await turn.run()


async def test_a_file_that_cannot_be_looked_at_is_not_lost(turn: Turn) -> None:
    """Nobody knows what became of it: the same connections go on once it shows again."""
    database = turn.bench.database
    move_alone(database)
    database.symlink_to(database)  # a loop, which not even root can follow

    for _ in range(2):
        with pytest.raises(StoreError, match="cannot be found: Too many levels of symbolic links; look at its direct"):
            await turn.run()

    with_suffix(database, ".away").rename(database)
    await turn.recover()


async def test_a_file_is_not_opened_beside_one_whose_place_it_took(turn: Turn) -> None:
    """SQLite would read the old one's log into it, and a checkpoint would ruin it."""
    store, database = turn.store._database, turn.bench.database
    backup = with_suffix(database, ".backup")
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(backup)) as target:
        source.backup(target)
    expected = backup.read_bytes()
    store.engine.dispose()
    turn.bench.load(make_connection("after-the-backup"))  # with the one connection that there is now

    with store.read():
        move_alone(database)
        backup.rename(database)
        assert with_suffix(database, "-wal").stat().st_size > 0
        with pytest.raises(StoreError, match="was replaced"), store.read():  # would need another connection
            pass

    turn.store.close()
    assert expected == database.read_bytes()


def test_the_log_of_a_store_that_was_new_is_known_too(tmp_path: Path) -> None:
    """It came into being after the file had been opened; in a backup's place it is found to be the old file's."""
    path, backup = tmp_path / "erpsyncd.db", tmp_path / "erpsyncd.db.backup"
    with closing(sqlite3.connect(backup)) as target:
        target.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES ('backup')")
    expected = backup.read_bytes()
    with closing(Database(read_url(f"sqlite:///{path}"))) as database:
        with database.write() as connection:
            connection.exec_driver_sql("CREATE TABLE t (a)")

        with database.read():
            backup.rename(path)
            with pytest.raises(StoreError, match="was replaced"), database.write():
                pass
            with pytest.raises(StoreError, match="db-wal is still the old file's"), database.found_again():
                pass

    assert expected == path.read_bytes()


async def test_a_file_that_came_while_nothing_was_open_is_noticed(turn: Turn) -> None:
    """After a failure no connection is kept; the key and the leases of the new file count, not the old one's."""
    with connections_failing(Trap(error="SQLITE_IOERR_READ", at=("SELECT",))) as trap:
        turn.store._database.engine.dispose()
        trap.nth = 1
        with pytest.raises(StoreError, match="the disk failed"):
            turn.store.list_runs()
    replace_by_strangers(turn.bench.database)

    with pytest.raises(StoreError, match="was replaced"):
        await turn.run()
    with pytest.raises(ConfigurationError, match="is encrypted under key"):
        await turn.run()

    put_back(turn.bench.database)
    await turn.recover()


async def test_a_log_that_is_left_of_another_file_is_refused(turn: Turn) -> None:
    """Where it cannot be emptied, because somebody still reads from it, an operator has to take it away."""
    database = turn.bench.database
    log, index = with_suffix(database, "-wal"), with_suffix(database, "-shm")
    backup = with_suffix(database, ".backup")
    with closing(sqlite3.connect(database, isolation_level=None)) as reader:
        with closing(sqlite3.connect(backup)) as target:
            reader.backup(target)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM runs").fetchall()
        move_alone(database)
        backup.rename(database)

        with pytest.raises(StoreError, match="was replaced by another file"):
            await turn.run()
        for _ in range(2):
            with pytest.raises(StoreError, match=r"erpsyncd.db-wal is still the old file's; stop erpsyncd and remove"):
                await turn.run()

        log.unlink()
        index.unlink()
        await turn.recover()


async def test_two_processes_never_work_on_one_file(turn: Turn) -> None:
    """One whose file was moved away finds the place taken by another: pass after pass, until that one has gone."""
    database = turn.bench.database
    move_with_log(database)
    with_suffix(database, ".lock").rename(with_suffix(database, ".lock.away"))
    with opened_turn(turn.url, database.parent) as other:
        other.bench.load(make_tenant("acme"), make_connection("theirs"))
        with pytest.raises(StoreError, match="was replaced"):
            await turn.run()
        for _ in range(3):
            with pytest.raises(RunInProgress, match="another erpsyncd process"):
                await turn.run()
        assert 3 == turn.bench.tenants["acme"].saves

    put_back(database)
    await turn.recover()


async def test_an_empty_file_in_its_place_is_left_empty(turn: Turn) -> None:
    """Whoever put it there may put a backup there next."""
    replace_by_empty(turn.bench.database)

    for _ in range(3):
        with pytest.raises(StoreError, match="was replaced"):
            await turn.run()

    assert [] == turn.query("SELECT name FROM sqlite_master")


async def test_a_file_is_whole_when_it_is_let_go(turn: Turn) -> None:
    """Also where somebody else has it open, so that closing it does not bring the log into it."""
    database = turn.bench.database
    with closing(sqlite3.connect(database)) as other:
        other.execute("SELECT * FROM runs").fetchall()
        turn.bench.load(make_connection("last"))
        move_alone(database)
        with pytest.raises(StoreError, match="is gone"):
            await turn.run()

        alone = shutil.copy(with_suffix(database, ".away"), with_suffix(database, ".alone"))

    with closing(sqlite3.connect(alone)) as looking:
        assert [("last",)] == looking.execute("SELECT key FROM connections WHERE key = 'last'").fetchall()


async def test_a_lock_file_that_is_gone_is_taken_anew(turn: Turn) -> None:
    """Who locks the file that is there now must find it locked."""
    database = turn.bench.database
    with_suffix(database, ".lock").unlink()
    replace_by_backup(database)

    with pytest.raises(StoreError, match="was replaced"):
        await turn.run()
    await turn.recover()

    with pytest.raises(RunInProgress, match=f"pid {os.getpid()}"):
        ProcessLock(database).acquire()


async def test_a_dry_run_takes_no_lock(turn: Turn) -> None:
    """Nor does it free the leases of others, whatever became of the file."""
    with open_store(turn.url, key_path=None, state_directory=turn.bench.database.parent) as looking:
        dry = Turn(bench=Bench(looking, turn.bench.database, tenants=turn.bench.tenants), url=turn.url)
        dry.bench.environ["P"] = "erp password"
        assert 5 == (await dry.bench.run(dry_run=True)).counts[Status.PLANNED]
        replace_by_backup(turn.bench.database)

        with pytest.raises(StoreError, match="was replaced"):
            await dry.bench.run(dry_run=True)
        turn.store.close()
        report = await dry.bench.run(dry_run=True)

        assert 5 == report.counts[Status.PLANNED]
        assert not ProcessLock(turn.bench.database).is_held()


async def test_what_was_committed_into_a_lost_file_is_not_taken_for_written(turn: Turn) -> None:
    """Also not by who comes second; and whatever is moved back has it all the same."""
    store, database = turn.store._database, turn.bench.database

    def write() -> None:
        with store.write() as connection:
            connection.exec_driver_sql("UPDATE tenants SET transient_failures = 7")
            move_alone(database)
            with pytest.raises(StoreError, match="is gone"), store.read():
                pass

    with pytest.raises(StoreError, match="is gone"):
        write()

    put_back(database)
    assert [(7,), (7,)] == turn.query("SELECT transient_failures FROM tenants")
    await turn.recover()


async def test_a_file_that_is_replaced_while_it_is_opened(turn: Turn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can say then which one it is that was opened."""
    real = sqlite_file._set_up

    def set_up(connection: sqlite3.Connection, *, foreign_keys: bool) -> None:
        monkeypatch.undo()
        real(connection, foreign_keys=foreign_keys)
        replace_by_backup(turn.bench.database)

    turn.store._database.engine.dispose()
    monkeypatch.setattr(sqlite_file, "_set_up", set_up)
    with pytest.raises(StoreError, match="was replaced"):
        await turn.run()

    await turn.recover()


# Somebody else has it.


@pytest.mark.parametrize("in_mid_pass", [False, True], ids=["between-passes", "mid-pass"])
async def test_a_file_that_is_locked_for_too_long(
    tmp_path: Path, upgraded_sqlite: Path, monkeypatch: pytest.MonkeyPatch, *, in_mid_pass: bool
) -> None:
    """The pass ends and says who to look for; reading goes on, and the next pass after it goes on."""
    monkeypatch.setattr(engine, "_BUSY_SECONDS", 0.05)
    shutil.copy(upgraded_sqlite, tmp_path / "erpsyncd.db")
    with (
        opened_turn(f"sqlite:///{tmp_path}/erpsyncd.db", tmp_path) as turn,
        closing(sqlite3.connect(turn.bench.database, isolation_level=None, check_same_thread=False)) as other,
    ):
        await turn.prepare()
        if in_mid_pass:
            turn.spoil_at_save(lambda: other.execute("BEGIN IMMEDIATE"))
        else:
            other.execute("BEGIN IMMEDIATE")

        error = await turn.fail()
        assert re.search("locked by another program for too long; look for one that has it open", str(error))
        assert turn.store.list_runs()

        other.execute("ROLLBACK")
        await turn.recover()

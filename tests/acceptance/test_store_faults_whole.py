"""The installed command on a store that fails: what it says, what stands afterwards, and that it goes on by itself."""

from __future__ import annotations

import json
import os
import re
import resource
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

from commands import COMMAND, Daemon, Erpsyncd, Result, connection, document
from erpsyncd.sandbox import Call, SandboxServer
from in_process import InProcess
from postgres_server import PostgresServer

#: What the second pass has to do; the first one makes `edit`, `gone` and `keep`.
TO_DO = {("edit", "update"), ("gone", "delete"), ("new", "create"), ("other", "create")}
DONE = {"edit": "New name", "keep": "Name of keep", "new": "Name of new", "other": "Name of other"}
SETTINGS = {
    "ERPSYNCD__SCHEDULE__RECONCILE": "0.3s",
    "ERPSYNCD__SCHEDULE__JITTER": "0s",
    "ERPSYNCD__REMOTE__SETTLE": "1s",
    "ERPSYNCD__LIMITS__CONNECTIONS_AT_ONCE": "1",
}
#: A process that may not write would not get its coverage to the disk either.
UNMEASURED = {"COVERAGE_PROCESS_START": "", "COVERAGE_PROCESS_CONFIG": ""}

IMPATIENT = (
    sys.executable,
    "-c",
    "from erpsyncd.store import engine; engine._BUSY_SECONDS = 0.3; from erpsyncd.__main__ import main; main()",
)
#: With the signal as a shell hands it on, so that it is Python that must ignore it.
_LIMITED = """
import os, resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
os.execv(sys.argv[2], sys.argv[2:])
"""
#: Root obeys modes as everybody does once it has given these away: CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH.
_MODEST = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
for capability in (1, 2) if os.geteuid() == 0 else ():
    if libc.prctl(24, capability, 0, 0, 0) != 0:
        sys.exit(f"PR_CAPBSET_DROP: {os.strerror(ctypes.get_errno())}")
os.execv(sys.argv[1], sys.argv[1:])
"""
MODEST = (sys.executable, "-c", _MODEST, COMMAND)


def limited_to(size: int) -> tuple[str, ...]:
    """Return the command that can write no file beyond this size."""
    return (sys.executable, "-c", _LIMITED, str(size), COMMAND)


@dataclass(kw_only=True)
class House:
    """A store with something to do, the tenant to it, and what processes have reported."""

    command: Erpsyncd
    sandbox: SandboxServer
    inside: Erpsyncd
    """Commands on the same store in this process, for what nothing goes wrong with."""

    reported: set[tuple[str, str]] = field(default_factory=set)

    @property
    def database(self) -> Path:
        return self.command.directory / "state" / "erpsyncd.db"

    def prepare(self) -> None:
        """Bring three connections into sync, then want something else."""
        three = "".join(map(connection, ("edit", "gone", "keep")))
        assert 0 == self.inside.load(document(self.sandbox.url, "soap", three)).code
        assert 0 == self.inside.run_once().code
        more = connection("edit", display_name="New name") + connection("gone", state="absent")
        assert 0 == self.inside.load(more + connection("new") + connection("other")).code

    def at_save(self, spoil: Callable[[], object], *, nth: int = 1) -> None:
        """Do something when the nth save call from now on is at the tenant, which does its work all the same."""
        arrivals = count(1)

        def before(call: Call) -> None:
            if call.operation == "SaveConnection" and next(arrivals) == nth:
                spoil()

        self.sandbox.before_call = before

    # What processes say.

    def note(self, result: Result) -> None:
        """Remember what a run has reported, in its log and in its report."""
        assert "Traceback" not in result.stderr
        lines = [json.loads(line) for line in result.stderr.splitlines()]
        self.reported |= applied(lines)
        if result.stdout:
            outcomes = result.json["outcomes"]
            done = {(o["key"], o["change"]) for o in outcomes if o["status"] in ("created", "updated", "deleted")}
            assert done == applied(lines)

    def fail(self, words: str, *, code: int = 1) -> None:
        """Make a pass that the store ends."""
        result = self.command.run_once()
        assert code == result.code, result
        said: str = result.error["error"]
        assert re.search(words, said), said
        assert 1 == len(said.splitlines())
        assert "" == result.stdout
        self.note(result)

    def recover(self) -> None:
        """Make the next pass."""
        result = self.inside.run_once()
        assert (0, "ok") == (result.code, result.json["status"]), result
        self.note(result)
        self.check_converged()

    def see_failing(self, daemon: Daemon, words: str) -> None:
        """Wait for a job of the daemon that the store ends; another job may have met the same before."""
        errors = [daemon.wait_for("run.failed")["error"]]
        while not re.search(words, errors[-1]):
            assert len(errors) < 3, errors
            errors.append(daemon.wait_for("run.failed")["error"])
        assert 1 == len(errors[-1].splitlines())
        assert daemon.process.poll() is None

    def see_recovering(self, daemon: Daemon) -> None:
        """Let the same process go on until nothing is left to do, and end it."""
        for _ in range(30):
            daemon.wait_for("run.finished", trigger="reconcile")
            if self.is_converged():
                break
        daemon.process.terminate()
        daemon.wait_for("service.stopped")
        assert 0 == daemon.end()
        assert [] == [line for line in daemon.log if "exception" in line]
        self.reported |= applied(daemon.log)
        self.check_converged()

    # What must be true.

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        url = self.command.store_url.replace("postgresql:", "postgresql+psycopg:") or f"sqlite:///{self.database}"
        with create_engine(url, poolclass=NullPool).connect() as looking:
            return [tuple(row) for row in looking.execute(text(statement))]

    def is_converged(self) -> bool:
        return not self.query(
            "SELECT 1 FROM connections WHERE state NOT IN ('in_sync', 'deleted') UNION SELECT 1 FROM intents"
        )

    def check_reported(self) -> None:
        """What was reported is in the store and in the tenant."""
        recorded = self.query("SELECT key, change FROM outcomes WHERE status IN ('created', 'updated', 'deleted')")
        assert self.reported <= set(recorded), "reported, but not in the store"
        for key, change in self.reported:
            (row,) = [row for row in self._there() if _key(row) == key]
            assert row["Deleted"] == (change == "delete"), "reported, but not there"
            assert row["Deleted"] or row["DisplayName"] == DONE[key]

    def check_converged(self) -> None:
        """Everything is done, just once, and nothing is open."""
        self.check_reported()
        assert self.is_converged()
        there = self._there()
        assert DONE == {_key(row): row["DisplayName"] for row in there if not row["Deleted"]}
        assert {1} == set(Counter(map(_key, there)).values()), "made more than once"
        ids = dict(self.query("SELECT key, erp_connection_id FROM connections"))
        assert {_key(row): row["ErpConnectionId"] for row in there} == ids

    def _there(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.sandbox.state()["tenants"]["acme"]["connections"]
        return rows


def _key(row: dict[str, Any]) -> str:
    name: str = row["DisplayName"]
    return "edit" if name == "New name" else name.removeprefix("Name of ")


def applied(lines: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(line["key"], line["change"]) for line in lines if line.get("event") == "connection.applied"}


def house_in(directory: Path, sandbox: SandboxServer, store_url: str = "") -> House:
    command, inside = (kind(directory, store_url, dict(SETTINGS)) for kind in (Erpsyncd, InProcess))
    return House(command=command, inside=inside, sandbox=sandbox)


@pytest.fixture
def house(tmp_path: Path, sandbox: SandboxServer, logging_restored: None) -> House:
    """On SQLite."""
    prepared = house_in(tmp_path, sandbox)
    prepared.prepare()
    return prepared


# Another process has the file.


@contextmanager
def locked(database: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(database, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


LOCKED = r"the store \S+/erpsyncd.db is locked by another program for too long; look for one that has it open"


def test_a_locked_store_ends_a_pass(house: House) -> None:
    """At its start, or with a save call at the tenant."""
    house.command.program = IMPATIENT
    with locked(house.database):
        house.fail(LOCKED)
    with closing(sqlite3.connect(house.database, isolation_level=None, check_same_thread=False)) as other:
        house.at_save(lambda: other.execute("BEGIN IMMEDIATE"))
        house.fail(LOCKED)
    house.check_reported()

    house.recover()


def test_a_lock_that_is_given_back_in_time_is_waited_for(house: House) -> None:
    """It costs nothing."""
    with locked(house.database) as other:
        giving_back = threading.Timer(2.0, other.execute, ["ROLLBACK"])
        giving_back.start()
        house.recover()
        giving_back.join()


def test_a_locked_store_ends_no_daemon(house: House) -> None:
    """Pass after pass says so, until the lock is given back."""
    house.command.program = IMPATIENT
    with closing(sqlite3.connect(house.database, isolation_level=None, check_same_thread=False)) as other:
        house.at_save(lambda: other.execute("BEGIN IMMEDIATE"), nth=2)
        with house.command.daemon() as daemon:
            for _ in range(2):
                house.see_failing(daemon, LOCKED)
            house.check_reported()
            other.execute("ROLLBACK")
            house.see_recovering(daemon)


# The disk is full, or a limit is reached.

NO_ROOM = r"(cannot be (written|created|opened|made)|cannot grow|the disk)"


@pytest.mark.parametrize("size", [0, 40, 1000, 4096, 10_000, 32_768, 50_000, 100_000])
def test_a_first_start_without_room_leaves_nothing_in_the_way(
    tmp_path: Path, sandbox: SandboxServer, size: int, logging_restored: None
) -> None:
    """Whichever file it is that cannot grow: the database, its log or index, the key; the next start makes them."""
    command = Erpsyncd(tmp_path, environ=dict(UNMEASURED), program=limited_to(size))
    loading = document(sandbox.url, "soap", connection("a"))

    result = command.load(loading)

    assert 1 == result.code, result
    assert re.search(NO_ROOM, result.error["error"])
    assert str(tmp_path) in result.error["error"]
    assert 1 == len(result.stderr.splitlines())
    healthy = InProcess(tmp_path)
    assert 0 == healthy.load(loading).code
    assert 1 == healthy.run_once().json["counts"]["created"]


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_file_that_may_not_grow_ends_a_pass(house: House, nth: int) -> None:
    """From a moment on at which a save call is at the tenant."""
    house.command.environ |= UNMEASURED
    with house.command.daemon() as daemon:
        pid = daemon.process.pid
        house.at_save(lambda: resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY)), nth=nth)
        for _ in range(2):
            house.see_failing(
                daemon, r"the store \S+/erpsyncd.db cannot be written: the disk failed or is full, or a qu"
            )
        house.check_reported()
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        house.see_recovering(daemon)


def test_a_run_that_may_not_write_reports_nothing(house: House) -> None:
    """Not even that it began."""
    house.command.environ |= UNMEASURED
    house.command.program = limited_to(1)
    house.fail(NO_ROOM)
    house.check_reported()

    house.recover()


@contextmanager
def mounted(place: Path, *options: str) -> Iterator[Path]:
    """Mount something, where that is allowed."""
    done = subprocess.run(["mount", *options, place], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"only root may mount a disk here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a megabyte, for the state directory."""
    (tmp_path / "state").mkdir(mode=0o700)
    with mounted(tmp_path / "state", "-t", "tmpfs", "-o", "size=512k,mode=0700", "tmpfs") as place:
        yield place


def fill(place: Path) -> None:
    """Take all the room that is left."""
    with suppress(OSError), (place / "filling").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_a_full_disk_ends_a_pass(
    small_disk: Path, tmp_path: Path, sandbox: SandboxServer, logging_restored: None
) -> None:
    """Also the very first start, and a daemon's pass with a save call at the tenant; room makes it go on."""
    house = house_in(tmp_path, sandbox)
    for left in (0, 1, 5, 12):
        fill(small_disk)
        os.truncate(small_disk / "filling", (small_disk / "filling").stat().st_size - left * 4096)
        result = house.command.load(document(sandbox.url, "soap", connection("a")))
        assert 1 == result.code, result
        assert re.search(NO_ROOM, result.error["error"]), result
        assert "Traceback" not in result.stderr
    (small_disk / "filling").unlink()
    house.prepare()

    house.at_save(lambda: fill(small_disk))
    with house.command.daemon() as daemon:
        for _ in range(2):
            house.see_failing(daemon, r"erpsyncd.db cannot grow: the disk is full")
        house.check_reported()
        (small_disk / "filling").unlink()
        house.see_recovering(daemon)


def test_a_disk_without_room_for_the_state_directory(tmp_path: Path) -> None:
    """It may pass, so it is not what systemd gives up on."""
    (tmp_path / "disk").mkdir()
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "nr_inodes=1", "tmpfs") as place:
        command = Erpsyncd(tmp_path, environ={"ERPSYNCD__STATE__DIRECTORY": str(place / "state")})
        result = command("runs", "list")

    assert (1, "") == (result.code, result.stdout)
    assert re.fullmatch(
        r"erpsyncd: the state directory \S+ cannot be made: No space left on device; make .*\n", result.stderr
    )


# Somebody does something to the file.


def with_suffix(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def test_a_daemon_whose_store_is_moved_away_waits_for_it(house: House) -> None:
    """With its log, and with a save call at the tenant."""

    def move(source: str, target: str) -> None:
        for suffix in ("", "-wal", "-shm"):
            with_suffix(house.database, source + suffix).rename(with_suffix(house.database, target + suffix))

    house.at_save(lambda: move("", ".away"))
    with house.command.daemon() as daemon:
        for _ in range(3):
            house.see_failing(daemon, "the store .* is gone: it was moved or deleted while it was in use; put it back")
        with_suffix(house.database, ".away").rename(house.database)
        house.see_recovering(daemon)


def test_a_daemon_whose_store_is_replaced_goes_on_with_the_new_one(house: House) -> None:
    """By a backup of that moment."""

    def replace() -> None:
        backup = with_suffix(house.database, ".backup")
        with closing(sqlite3.connect(house.database)) as source, closing(sqlite3.connect(backup)) as target:
            source.backup(target)
        backup.rename(house.database)

    house.at_save(replace)
    with house.command.daemon() as daemon:
        house.see_failing(daemon, "was replaced by another file while it was in use; the next pass works with the one")
        house.see_recovering(daemon)


@pytest.mark.parametrize("content", [b"", b"This is not a database. " * 500], ids=["empty", "garbage"])
def test_a_daemon_whose_store_is_replaced_by_none_waits(house: House, content: bytes) -> None:
    """Nobody begins a new store on his own; the old one is gone on with once it is back."""

    def replace() -> None:
        house.database.rename(with_suffix(house.database, ".away"))
        house.database.write_bytes(content)

    house.at_save(replace)
    with house.command.daemon() as daemon:
        house.see_failing(daemon, "was replaced by another file while it was in use")
        for _ in range(2):
            house.see_failing(daemon, "was replaced by an empty one|is not a SQLite database; look at store.url, or st")
        with_suffix(house.database, ".away").rename(house.database)
        house.see_recovering(daemon)


def test_a_daemon_whose_log_is_removed_loses_nothing(house: House) -> None:
    """What was only in there is brought into the database before it is let go."""
    house.at_save(with_suffix(house.database, "-wal").unlink, nth=2)
    with house.command.daemon() as daemon:
        house.see_failing(daemon, "lost its erpsyncd.db-wal or erpsyncd.db-shm while it was in use")
        house.see_recovering(daemon)


def test_a_store_that_is_read_only_for_this_user(house: House) -> None:
    """Neither a pass nor a daemon begins; both say what to look at, and systemd does not try again."""
    house.command.program = MODEST
    tried = house.command("--version")
    if tried.code != 0:
        pytest.skip(f"modes cannot be made to count for root here: {tried.stderr.strip()}")
    words = r"the store \S+/erpsyncd.db is not writable for this user; look at its owner, its mode and"
    house.database.chmod(0o400)
    house.fail(words, code=78)
    refused = house.command("--output", "json")
    assert (78, True) == (refused.code, bool(re.search(words, refused.error["error"])))
    house.check_reported()

    house.database.chmod(0o600)
    house.recover()


def test_a_store_on_a_read_only_disk(house: House) -> None:
    """As after an error of the disk; a dry run, which only wants to write its own row, says so too."""
    state = house.database.parent
    with mounted(state, "--bind", "-o", "ro", str(state)):
        house.fail("is not writable for this user|cannot be opened", code=78)
        result = house.command.run_once("--dry-run")
        assert (78, 78) == (result.code, result.error["exit_code"])
        house.note(result)
    house.recover()


# The server goes away.


@pytest.fixture
def house_on_server(
    tmp_path: Path, sandbox: SandboxServer, postgres: PostgresServer, upgraded_postgres: str, logging_restored: None
) -> Iterator[House]:
    """On PostgreSQL."""
    with postgres.database(upgraded_postgres) as url:
        house = house_in(tmp_path, sandbox, url)
        house.prepare()
        yield house


def execute(house: House, *statements: str) -> None:
    """Do something on the server beside erpsyncd."""
    url = make_url(house.command.store_url).set(drivername="postgresql+psycopg")
    with create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as beside:
        for statement in statements:
            beside.exec_driver_sql(statement.format(database=url.database))


def fail_over(house: House) -> None:
    """Cut all connections, and let the server take no writes from then on."""
    execute(
        house,
        'ALTER DATABASE "{database}" SET default_transaction_read_only = on',
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )


def fail_back(house: House) -> None:
    execute(house, "SET default_transaction_read_only = off", 'ALTER DATABASE "{database}" RESET ALL')


READ_ONLY = r"read-only transaction \(25006\); this server only answers questions; look whether another one is the pr"


def test_a_daemon_whose_server_fails_over(house_on_server: House) -> None:
    """Its connections are cut with a save call at the tenant, and what answers then does not take writes."""
    house = house_on_server
    house.at_save(lambda: fail_over(house), nth=2)
    with house.command.daemon() as daemon:
        for _ in range(2):
            house.see_failing(daemon, READ_ONLY)
        house.check_reported()
        fail_back(house)
        house.see_recovering(daemon)


def test_a_run_whose_server_fails_over(house_on_server: House) -> None:
    """The next one settles what this one left open, once its lease has run out."""
    house = house_on_server
    house.at_save(lambda: fail_over(house), nth=2)
    house.fail(READ_ONLY)
    house.check_reported()
    house.fail(READ_ONLY)

    fail_back(house)
    execute(house, "UPDATE tenants SET lease_until = now() - interval '1 second'")
    house.recover()

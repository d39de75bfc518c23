"""What systemd hears while the daemon lives, hangs, upgrades its store and ends: over a real socket."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection
from test_daemon_life import FakeReconciler, make_daemon, running

from erpsyncd.errors import StoreError
from erpsyncd.service.notify import Notifier
from erpsyncd.service.watchdog import Watchdog, watchdog_interval
from erpsyncd.store import SqlStore, open_store
from erpsyncd.store.addresses import read_url
from erpsyncd.store.engine import make_engine, to_write
from erpsyncd.store.schema import _watched, migrate

EVERY = timedelta(milliseconds=10)
PATIENCE = 30.0


class Systemd:
    """The listening end of NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(PATIENCE)
        self.notifier = Notifier(str(path))

    def next(self, *, beginning: str = "") -> list[str]:
        """Return the lines of the next message that begins like that."""
        while not (message := self._socket.recv(4096).decode()).startswith(beginning):
            pass
        return message.splitlines()

    async def hears(self, beginning: str) -> list[str]:
        return await asyncio.to_thread(lambda: self.next(beginning=beginning))

    def waiting(self) -> list[str]:
        """Return what was told and not read yet."""
        self._socket.settimeout(0)
        found = []
        try:
            while True:
                found.append(self._socket.recv(4096).decode())
        except BlockingIOError:
            return found
        finally:
            self._socket.settimeout(PATIENCE)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    listening = Systemd(tmp_path / "notify")
    yield listening
    listening.close()


async def test_signs_of_life_come_until_the_very_end(systemd: Systemd, store: SqlStore) -> None:
    """They begin with the start and go on while calls in flight are waited for."""
    hanging, ending = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        hanging.set()
        await ending.wait()

    watchdog = Watchdog(notifier=systemd.notifier, interval=EVERY, store_moves=store.pulse)
    daemon = make_daemon(FakeReconciler(work=hang), notifier=systemd.notifier, watchdog=watchdog)
    async with running(daemon) as task:
        await systemd.hears("WATCHDOG=1")
        await hanging.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        stopping = await systemd.hears("STOPPING=1")
        for _ in range(3):
            await systemd.hears("WATCHDOG=1")
        ending.set()

        assert 0 == await task

    assert f"EXTEND_TIMEOUT_USEC={(3600 + 60) * 1_000_000}" == stopping[1]


@pytest.mark.parametrize("stuck", ["writer", "readers"])
async def test_a_hung_store_gives_no_sign(systemd: Systemd, store: SqlStore, stuck: str) -> None:
    """While the writer, or every reader, stands still, systemd hears nothing, however often the job is run."""
    reached, go_on = threading.Semaphore(0), threading.Event()

    def stand_still(connection: Connection) -> None:
        reached.release()
        go_on.wait(PATIENCE)

    ways = [store._writer.write(stand_still)] if stuck == "writer" else [store._read(stand_still) for _ in range(4)]
    held = [asyncio.ensure_future(way) for way in ways]
    for _ in held:
        await asyncio.to_thread(reached.acquire)
    watchdog = Watchdog(notifier=systemd.notifier, interval=EVERY, store_moves=store.pulse)
    pulses = [asyncio.create_task(watchdog.pulse()) for _ in range(3)]
    # What can move has moved after these: the other way through the store is free.
    if stuck == "writer":
        await store._read(lambda connection: None)
    else:
        await store._writer.write(lambda connection: None)

    assert [] == systemd.waiting()
    assert not any(pulse.done() for pulse in pulses)

    go_on.set()
    await asyncio.gather(*held, *pulses)

    assert ["WATCHDOG=1"] * 3 == systemd.waiting()


async def test_a_store_that_fails_has_moved(systemd: Systemd) -> None:
    """Starting again does not mend a full disk, so systemd is not made to do it."""

    async def fail() -> None:
        raise StoreError("the disk is full")

    await Watchdog(notifier=systemd.notifier, interval=EVERY, store_moves=fail).pulse()

    assert ["WATCHDOG=1"] == systemd.waiting()


async def test_the_status_line_counts_and_names_the_next_pass(systemd: Systemd) -> None:
    """Before, during and after a pass, and after one that could not be made."""

    async def fail() -> None:
        if len(reconciler.runs) > 1:
            raise StoreError("the disk is full")

    reconciler = FakeReconciler(work=fail)
    daemon = make_daemon(reconciler, notifier=systemd.notifier)
    async with running(daemon):
        ready = await systemd.hears("READY=1")
        told = [await systemd.hears("STATUS=") for _ in range(2)]
        with pytest.raises(StoreError):
            await daemon._reconcile()
        told += [await systemd.hears("STATUS=") for _ in range(2)]

    assert ready[1].startswith("STATUS=no pass yet; next pass at 20")
    assert ["STATUS=a pass is under way; no pass yet"] == told[0]
    assert told[1][0].startswith("STATUS=last pass ok: nothing to do; next pass at 20")
    assert told[2][0].startswith("STATUS=a pass is under way; last pass ok")
    assert told[3][0].startswith("STATUS=the last pass could not be made: the disk is full; next pass at 20")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "300000000"}, timedelta(seconds=100)),
        ({"WATCHDOG_USEC": "300000000", "WATCHDOG_PID": "7"}, timedelta(seconds=100)),
        ({"WATCHDOG_USEC": "300000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "often"}, None),
    ],
)
def test_how_often_systemd_wants_a_sign(environ: dict[str, str], expected: timedelta | None) -> None:
    """A third of its patience, and only where this process is meant."""
    assert expected == watchdog_interval(environ, pid=7)


def test_an_upgrade_asks_for_patience(systemd: Systemd, tmp_path: Path) -> None:
    """An old store that takes long is not killed at its start; one that is up to date asks for nothing."""
    url = f"sqlite:///{tmp_path}/erpsyncd.db"
    with open_store(url, key_path=None, state_directory=tmp_path):
        pass
    engine = make_engine(read_url(url), foreign_keys=False)
    with to_write(engine).begin() as connection:
        migrate(connection, "downgrade", "0001")
    engine.dispose()

    with open_store(url, key_path=None, state_directory=tmp_path, upgrading=systemd.notifier.upgrading()):
        pass
    told = systemd.waiting()
    with open_store(url, key_path=None, state_directory=tmp_path, upgrading=systemd.notifier.upgrading()):
        pass

    assert ["EXTEND_TIMEOUT_USEC=60000000\nSTATUS=upgrading the store"] == told
    assert [] == systemd.waiting()


def test_an_upgrade_asks_again_only_while_it_moves(tmp_path: Path) -> None:
    """The words come from SQLite's machine at work, so one that stands still says none; nor does one that is done."""
    words: list[str] = []
    work = "WITH RECURSIVE n(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM n WHERE v < 200000) SELECT count(*) FROM n"
    engine = make_engine(read_url(f"sqlite:///{tmp_path}/erpsyncd.db"))
    with to_write(engine).begin() as connection:
        with _watched(connection, lambda: words.append("moves")):
            begun = len(words)
            connection.exec_driver_sql(work).all()
            worked = len(words)
        connection.exec_driver_sql(work).all()
    engine.dispose()

    assert (1, True) == (begun, worked > 2)
    assert worked == len(words)


def test_few_words_are_told_however_many_there_are(systemd: Systemd, monkeypatch: pytest.MonkeyPatch) -> None:
    """One in five seconds is enough for systemd, which waits for sixty."""
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    moves = systemd.notifier.upgrading()

    for _ in range(120):
        moves()
        clock[0] += 0.1

    assert 3 == len(systemd.waiting())

"""`db backup`: a whole store in one file, made beside whoever writes, and what a restore leads to."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from commands import Erpsyncd, connection, document
from erpsyncd.errors import ConfigurationError, StoreError, UsageError
from erpsyncd.sandbox import SandboxServer
from erpsyncd.store import SqlStore, backup, open_store
from erpsyncd.store.addresses import read_url
from erpsyncd.store.backup import back_up
from erpsyncd.store.views import Backup
from factories import make_connection, make_document, make_tenant
from in_process import InProcess


@pytest.fixture
def sqlite_command(tmp_path: Path, logging_restored: None) -> Erpsyncd:
    """The command line in this process, on SQLite."""
    return InProcess(tmp_path, f"sqlite:///{tmp_path}/erpsyncd.db")


def test_a_restored_store_goes_on_without_making_anything_twice(
    sqlite_command: Erpsyncd, sandbox: SandboxServer, tmp_path: Path
) -> None:
    """What the tenants got since the backup is not known to it any more: it is reported, not created again."""
    sqlite_command.load(document(sandbox.url, "soap", connection("a")))
    assert 0 == sqlite_command.run_once().code
    made = sqlite_command("db", "backup", str(tmp_path / "backup.db"), "--output", "json")
    both = document(sandbox.url, "soap", connection("a") + connection("b"))
    sqlite_command.load(both)
    assert 1 == sqlite_command.run_once().json["counts"]["created"]

    for name in ("erpsyncd.db", "erpsyncd.db-wal", "erpsyncd.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "backup.db").rename(tmp_path / "erpsyncd.db")

    assert (0, str(tmp_path / "backup.db")) == (made.code, made.json["file"])
    assert (0, True) == (sqlite_command("db", "check").code, f"{made.json['key_id']}" != "None")
    assert (0, ["a"]) == (sqlite_command.run_once().code, [row["key"] for row in sqlite_command.listed("connections")])
    sqlite_command.load(both)
    report = sqlite_command.run_once()
    assert (3, "exists") == (report.code, report.json["outcomes"][0]["error_class"])
    assert 2 == len(sandbox.tenant("acme").connections)
    assert 0 == sqlite_command("connections", "adopt", "acme", "--id", "2", "--key", "b").code
    assert 0 == sqlite_command.run_once().code
    assert 2 == len(sandbox.tenant("acme").connections)


def test_a_backup_is_of_one_moment_while_others_write(tmp_path: Path) -> None:
    """Every backup has whole transactions only: each import of two connections, or none of it."""
    url = f"sqlite:///{tmp_path}/erpsyncd.db"
    with open_store(url, key_path=None, state_directory=tmp_path) as store:
        store.apply_document(make_document(make_tenant()))
        ended = threading.Event()
        writer = threading.Thread(target=_write_pairs, args=(store, ended))
        writer.start()
        try:
            for number in range(5):
                target = tmp_path / f"backup-{number}.db"
                before = len(store.list_connections())
                back_up(read_url(url), target, replace=False)

                with closing(sqlite3.connect(target)) as copy:
                    (count,) = copy.execute("SELECT count(*) FROM connections").fetchone()
                assert (0, True) == (count % 2, count >= before)
        finally:
            ended.set()
            writer.join()


def _write_pairs(store: SqlStore, ended: threading.Event) -> None:
    number = 0
    while not ended.is_set():
        store.apply_document(make_document(make_connection(f"a{number}"), make_connection(f"b{number}")))
        number += 1


def test_only_its_owner_can_read_it_and_nothing_else_is_left(sqlite_command: Erpsyncd, tmp_path: Path) -> None:
    """One file, not three; people are told that the key is not in it."""
    sqlite_command.load(document("http://127.0.0.1:9", "soap", connection("a")))
    (tmp_path / "backups").mkdir()

    said = sqlite_command("db", "backup", str(tmp_path / "backups" / "one.db"))

    assert ["one.db"] == [path.name for path in (tmp_path / "backups").iterdir()]
    assert 0o600 == stat.S_IMODE((tmp_path / "backups" / "one.db").stat().st_mode)
    assert "The key is not in it" in said.stdout
    assert str(tmp_path / "state" / "erpsyncd.key") in said.stdout
    assert b"erp password" not in (tmp_path / "backups" / "one.db").read_bytes()


def test_nothing_is_replaced_by_accident(sqlite_command: Erpsyncd, tmp_path: Path) -> None:
    """Another backup only with --force; the store itself, its log, and a store in use never."""
    sqlite_command.load(document("http://127.0.0.1:9", "soap", connection("a")))
    there = tmp_path / "there"
    there.write_text("mine")
    in_use = tmp_path / "other.db"
    (tmp_path / "other.db-wal").touch()
    own = [tmp_path / f"erpsyncd.db{suffix}" for suffix in ("", "-wal", "-shm", ".lock")]
    (tmp_path / "link").symlink_to(tmp_path / "erpsyncd.db")

    refused = sqlite_command("db", "backup", str(there))

    assert (2, "mine") == (refused.code, there.read_text())
    assert "is there already; name another file, or replace it with --force" in refused.stderr
    for target in (*own, tmp_path / "link", in_use):
        assert 2 == sqlite_command("db", "backup", "--force", str(target)).code, target
    assert 0 == sqlite_command("db", "check").code
    assert (0, 0o600) == (
        sqlite_command("db", "backup", "--force", str(there)).code,
        stat.S_IMODE(there.stat().st_mode),
    )
    assert there.read_bytes().startswith(b"SQLite format 3")


def test_a_damaged_store_has_no_backup(tmp_path: Path, upgraded_sqlite: Path) -> None:
    """A copy with a fault in it would be found when it is needed; an older good one stays."""
    database, target = tmp_path / "erpsyncd.db", tmp_path / "backup.db"
    target.write_text("the last good one")
    content = bytearray(upgraded_sqlite.read_bytes())
    size = int.from_bytes(content[16:18], "big")
    content[3 * size : 4 * size] = b"\xff" * size
    database.write_bytes(content)

    with pytest.raises(StoreError, match="so there is no backup"):
        back_up(read_url(f"sqlite:///{database}"), target, replace=True)

    assert "the last good one" == target.read_text()
    assert {"erpsyncd.db", "backup.db"} == {path.name for path in tmp_path.iterdir()}


def test_a_store_with_loose_ends_has_no_backup(tmp_path: Path) -> None:
    """SQLite finds nothing wrong with the file, but what is in it does not hold together."""
    url = f"sqlite:///{tmp_path}/erpsyncd.db"
    with open_store(url, key_path=None, state_directory=tmp_path) as store:
        store.apply_document(make_document(make_tenant(), make_connection()))
    with closing(sqlite3.connect(tmp_path / "erpsyncd.db")) as connection:
        connection.execute("DELETE FROM tenants")
        connection.commit()

    with pytest.raises(StoreError, match=r"is damaged, so there is no backup: \d+ rows belong to others"):
        back_up(read_url(url), tmp_path / "backup.db", replace=False)

    assert not (tmp_path / "backup.db").exists()


def test_a_file_that_came_meanwhile_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the end somebody else may have made a backup of that name."""
    url, target = f"sqlite:///{tmp_path}/erpsyncd.db", tmp_path / "backup.db"
    with open_store(url, key_path=None, state_directory=tmp_path) as store:
        store.apply_document(make_document(make_tenant()))
    looked_through = backup._looked_through

    def slowly(copy: Path, wanted: Path) -> Backup:
        target.write_text("theirs")
        return looked_through(copy, wanted)

    monkeypatch.setattr(backup, "_looked_through", slowly)

    with pytest.raises(UsageError, match="is there already"):
        back_up(read_url(url), target, replace=False)

    assert "theirs" == target.read_text()


def test_where_nothing_can_be_written_nothing_is_left(tmp_path: Path, upgraded_sqlite: Path) -> None:
    """No store, no directory."""
    with pytest.raises(UsageError, match=r"there is no store .*erpsyncd\.db to make a backup of"):
        back_up(read_url(f"sqlite:///{tmp_path}/erpsyncd.db"), tmp_path / "backup.db", replace=False)
    with pytest.raises(ConfigurationError, match=r"the backup .*backup\.db cannot be made: No such file or directory"):
        back_up(read_url(f"sqlite:///{upgraded_sqlite}"), tmp_path / "no" / "backup.db", replace=False)
    assert [] == list(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose commands are the owner's")
def test_where_the_service_may_not_write_root_is_told_who_he_is(sqlite_command: Erpsyncd, tmp_path: Path) -> None:
    """Root's commands act as the service: a directory of root's own is closed to them, and no defect."""
    sqlite_command.load(document("http://127.0.0.1:9", "soap", connection("a")))
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    program = """
import os, sys
from pathlib import Path
from erpsyncd.files import is_missing
from erpsyncd.store import backup
from erpsyncd.store.addresses import read_url
os.setegid(65534)
os.seteuid(65534)
there = Path(sys.argv[2])
print(is_missing(there))
backup.store_exists = lambda url: True
backup.back_up(read_url(sys.argv[1]), there, replace=False)
"""
    url = f"sqlite:///{tmp_path}/erpsyncd.db"

    done = subprocess.run(
        [sys.executable, "-c", program, url, str(closed / "backup.db")], capture_output=True, text=True, check=False
    )

    assert "False\n" == done.stdout
    assert (
        f"the backup {closed}/backup.db cannot be made: Permission denied for the user nobody; look at" in done.stderr
    )


def test_a_server_makes_its_own_backups(sqlite_command: Erpsyncd) -> None:
    """The command is said, without the password."""
    sqlite_command.store_url = "postgresql://keeper:canary-7d1f@db.example:5433/erp?password=canary-7d1f"

    said = sqlite_command("db", "backup", "my backup", "--output", "json")

    assert (2, "") == (said.code, said.stdout)
    assert "pg_dump --format=custom --file='my backup' postgresql://keeper@db.example:5433/erp" in said.error["error"]
    assert "canary" not in said.stderr

"""Opening the store: addresses, files, how connections are set up, and what is said when it fails."""

from __future__ import annotations

import errno
import os
import socket
import sqlite3
import stat
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from psycopg import OperationalError
from psycopg.errors import DiskFull
from sqlalchemy import exc, select, text
from store_support import NOW, begin_pass, execute, query

from erpsyncd.errors import ConfigurationError, DaemonError, StoreError
from erpsyncd.files import file_error
from erpsyncd.store import SqlStore, addresses, engine, open_store, server_connection, tables
from erpsyncd.store.addresses import read_url, shown, without_password
from erpsyncd.store.columns import storable
from erpsyncd.store.database import Database
from erpsyncd.store.failures import database_errors_translated
from factories import make_connection, make_document, make_tenant
from postgres_server import PostgresServer

PASSWORD = "canary-password"

#: An @ in the password that is not written as %40 ends it, wherever its rest is taken to belong then.
MISREAD = (
    f"postgresql://u:p@{PASSWORD}@127.0.0.1:1/db",
    f"postgresql://u:p@x/{PASSWORD}@h/db",
    f"postgresql://u:p@{PASSWORD}?y@h/db",
    f"postgresql://u@{PASSWORD}:p@h/db",
    f"mysql://u:p@{PASSWORD}@h/db",
    f"sqlite://u:p@{PASSWORD}@h/db",
)


@pytest.mark.parametrize(
    "url",
    ["postgres://u@h/d", "postgresql://u@h/d", "postgresql+psycopg://u@h/d"],
)
def test_postgresql_is_spoken_to_with_psycopg(url: str) -> None:
    """However an operator writes it."""
    read = read_url(url)

    assert ("postgresql+psycopg", "10") == (read.drivername, read.query["connect_timeout"])
    assert "3" == read_url(url + "?connect_timeout=3").query["connect_timeout"]


def test_a_silent_network_is_noticed(postgres: PostgresServer, upgraded_postgres: str) -> None:
    """In half a minute rather than in the kernel's two hours; what the URL says goes first."""
    wanted = {
        "keepalives_idle": "30",
        "keepalives_interval": "10",
        "keepalives_count": "3",
        "tcp_user_timeout": "30000",
    }
    with (
        postgres.database(upgraded_postgres) as url,
        closing(Database(read_url(url))) as database,
        database.read() as connection,
    ):
        assert connection.connection.dbapi_connection is not None
        used = connection.connection.dbapi_connection.info.get_parameters()

    assert wanted == {name: used.get(name) for name in wanted}
    assert "5" == read_url("postgresql://u@h/d?keepalives_idle=5").query["keepalives_idle"]


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        (PASSWORD, "cannot be read"),
        (f"postgresql://u:{PASSWORD}@h:port/d", "cannot be read"),
        ("mysql://u@h/d", "cannot keep its store in 'mysql'"),
        ("postgresql+psycopg2://u@h/d", "'postgresql\\+psycopg2'"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("sqlite:///file:x?uri=true", "must name a file"),
        ("sqlite:////x.db?timeout=1", "takes no options"),
        *((url, "more than one @ .* is written as %40$") for url in MISREAD),
    ],
)
def test_a_url_that_is_no_place_for_a_store_is_refused(url: str, complaint: str) -> None:
    """It may hold a password, so it is not repeated."""
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        read_url(url)

    assert PASSWORD not in str(caught.value)


def test_a_missing_driver_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL is an extra."""
    monkeypatch.setattr(addresses, "find_spec", lambda _: None)

    with pytest.raises(ConfigurationError, match=r"pip install 'erpsyncd\[postgres\]'"):
        read_url("postgresql://u@h/d")


def test_addresses_are_shown_without_secrets() -> None:
    """Neither the password nor the query, which may hold one too."""
    assert "postgresql+psycopg://u:***@h/d" == shown(read_url(f"postgresql://u:{PASSWORD}@h/d?password={PASSWORD}"))
    assert "/var/x.db" == shown(read_url("sqlite:////var/x.db"))


@pytest.mark.parametrize("url", MISREAD)
def test_the_rest_of_a_password_is_no_part_of_an_address(url: str) -> None:
    """Nobody knows where it ends, so `config show` shows nothing of it."""
    assert "***" == without_password(url)


def test_an_at_sign_in_its_place_is_none_of_a_password() -> None:
    """Between a login and a host, written as %40, or in the name of a file."""
    assert "p@w" == read_url("postgresql://u:p%40w@h/d").password
    assert "postgresql://u:***@h/d" == without_password("postgresql://u:p%40w@h/d")
    assert "/var/a@b/c@d.db" == shown(read_url("sqlite:////var/a@b/c@d.db"))
    assert "***" not in without_password("sqlite:////var/a@b/c@d.db")


def test_a_server_that_does_not_answer_is_a_store_error(tmp_path: Path) -> None:
    """It may answer later; the message says where and what, and no password."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"postgresql://erpsyncd:{PASSWORD}@127.0.0.1:{unused.getsockname()[1]}/erpsyncd"
        with pytest.raises(StoreError, match=r"does not answer: .*refused.*look at the server") as caught:
            open_store(url, key_path=None, state_directory=tmp_path)

    assert "127.0.0.1" in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    """Whatever the umask says: the database, its log and its index."""
    before = os.umask(0)
    try:
        store = open_store(f"sqlite:///{tmp_path}/erpsyncd.db", key_path=None, state_directory=tmp_path)
        store.apply_document(make_document(make_tenant()))
        store.lock_process()
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        store.close()
    finally:
        os.umask(before)

    names = ("erpsyncd.db", "erpsyncd.db-wal", "erpsyncd.db-shm", "erpsyncd.db.lock", "erpsyncd.key")
    assert dict.fromkeys(names, 0o600) == modes


def test_a_place_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    """Each with what to do about it."""
    not_a_database = tmp_path / "notes.txt"
    not_a_database.write_text("This is not a database, and long enough not to be taken for an empty one." * 20)
    for place, complaint in (
        (tmp_path / "nowhere" / "x.db", "nowhere does not exist; create it"),
        (tmp_path / "notes.txt" / "x.db", "cannot be created: Not a directory"),
        (tmp_path, "cannot be opened"),
        (not_a_database, "is not a SQLite database"),
    ):
        with pytest.raises(ConfigurationError, match=complaint):
            open_store(f"sqlite:///{place}", key_path=None, state_directory=tmp_path)


def test_sqlite_is_set_up_for_durability(tmp_path: Path) -> None:
    """A commit is on disk when it returns, readers do not wait for writers, and references hold."""
    with open_store(f"sqlite:///{tmp_path}/erpsyncd.db", key_path=None, state_directory=tmp_path) as store:
        found = {name: query(store, f"PRAGMA {name}")[0] for name in ("journal_mode", "synchronous", "foreign_keys")}
        timeout = query(store, "PRAGMA busy_timeout")[0]

    assert {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1} == {
        name: values[name] for name, values in found.items()
    }
    assert {"timeout": 30_000} == timeout


def test_a_locked_sqlite_store_is_a_store_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that will write waits at its beginning, and says who to look for."""
    monkeypatch.setattr(engine, "_BUSY_SECONDS", 0.01)
    with open_store(f"sqlite:///{tmp_path}/erpsyncd.db", key_path=None, state_directory=tmp_path) as store:
        other = sqlite3.connect(tmp_path / "erpsyncd.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(StoreError, match="locked by another program"):
            store.prune_history(NOW)
        assert () == store.list_runs()
        other.close()


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("SQLITE_FULL", StoreError, "disk is full"),
        ("SQLITE_IOERR_WRITE", StoreError, "disk failed"),
        ("SQLITE_CORRUPT", StoreError, "restore it from a backup"),
        ("SQLITE_READONLY_DBMOVED", ConfigurationError, "not writable"),
        ("SQLITE_PERM", ConfigurationError, "not accessible"),
        ("SQLITE_IOERR_SHMSIZE", StoreError, "the disk failed or is full, or a quota or a limit on the size"),
        ("SQLITE_IOERR_READ", StoreError, "cannot be read or written: the disk failed"),
        ("SQLITE_CANTOPEN_ISDIR", ConfigurationError, "cannot be opened; this user has to"),
        ("SQLITE_PROTOCOL", StoreError, "locked by another program"),
        ("SQLITE_MISUSE", StoreError, "failed: first line$"),
    ],
)
def test_what_sqlite_says_is_translated(name: str, kind: type[DaemonError], words: str) -> None:
    """Into what an operator can do."""
    error = sqlite3.OperationalError("first line\nsecond line")
    error.sqlite_errorname = name

    with pytest.raises(kind, match=words), database_errors_translated("/x.db"):
        raise exc.OperationalError("SELECT secret", {"parameter": PASSWORD}, error)


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, StoreError, "No space left on device; make room, or look for a quota or a limit"),
        (errno.EFBIG, StoreError, "File too large; make room, or look for a quota or a limit"),
        (errno.EIO, StoreError, "Input/output error$"),
        (errno.EMFILE, StoreError, "Too many open files$"),
        (
            errno.EACCES,
            ConfigurationError,
            r"Permission denied for the user \S+; look at the owner and the mode of its directory$",
        ),
        (errno.EROFS, ConfigurationError, "Read-only file system; look at"),
    ],
)
def test_what_the_file_system_says_is_translated(number: int, kind: type[DaemonError], words: str) -> None:
    """What may pass by itself is no matter of configuration, after which systemd does not try again."""
    with pytest.raises(kind, match=f"^the file /x cannot be made: {words}"):
        raise file_error("the file /x cannot be made", OSError(number, os.strerror(number)))


def test_a_store_that_has_worked_is_set_up_right() -> None:
    """What goes wrong with it then may pass, and must not end a daemon for good."""
    error = sqlite3.OperationalError("attempt to write a readonly database")
    error.sqlite_errorname = "SQLITE_READONLY"

    with pytest.raises(StoreError, match="not writable"), database_errors_translated("/x.db", has_worked=True):
        raise exc.OperationalError("UPDATE", {}, error)


@pytest.mark.parametrize(
    ("driver_error", "words"),
    [
        (DiskFull("could not extend file\nHINT: Check free disk space."), r"could not extend file \(53100\); its disk"),
        (OperationalError("connection failed:\nmany lines"), "does not answer: connection failed:; look at the server"),
        (OperationalError(), "does not answer: OperationalError; look at the server and at store.url"),
    ],
)
def test_what_a_server_says_is_one_line(driver_error: Exception, words: str) -> None:
    """With its code, where it has one."""
    with pytest.raises(StoreError, match=words) as caught, database_errors_translated("/x.db"):
        raise exc.OperationalError("SELECT secret", {"parameter": PASSWORD}, driver_error)

    assert 1 == len(str(caught.value).splitlines())


def test_other_failures_of_the_library_are_translated() -> None:
    """None of them carries a parameter."""
    for error, words in (
        (exc.TimeoutError("too many"), "failed: too many"),
        (exc.InvalidRequestError("odd"), "failed: odd"),
        (exc.StatementError("odd", "SELECT", {"parameter": PASSWORD}, None), "failed: StatementError"),
    ):
        with pytest.raises(StoreError, match=words) as caught, database_errors_translated("/x.db"):
            raise error
        assert PASSWORD not in str(caught.value)


def test_what_postgresql_says_is_cut_to_its_sentence(postgres: PostgresServer, upgraded_postgres: str) -> None:
    """Its details repeat whole rows."""
    with postgres.database(upgraded_postgres) as url:
        database = Database(read_url(url))
        with (
            pytest.raises(StoreError, match=r"null value in column .*\(23502\)") as caught,
            database.write() as connection,
        ):
            connection.execute(text(f"INSERT INTO tenants (name) VALUES ('{PASSWORD}')"))
        assert PASSWORD not in str(caught.value)
        with pytest.raises(ConfigurationError, match=r"permission denied.*grant"), database.write() as connection:
            # pg_monitor is a role that every server has and that owns nothing.
            connection.execute(text("SET LOCAL ROLE pg_monitor; DELETE FROM tenants"))
        database.close()


def limits_of(database: Database) -> dict[str, str]:
    with database.read() as connection:
        return {
            name: connection.exec_driver_sql(f"SHOW {name}").scalar_one()
            for name in ("lock_timeout", "statement_timeout")
        }


def test_a_server_is_told_how_long_things_may_take(postgres: PostgresServer, upgraded_postgres: str) -> None:
    """Unless the URL's own options say something else."""
    with postgres.database(upgraded_postgres) as url:
        both = "-c%20lock_timeout=1s%20-c%20statement_timeout=2s"
        for options, expected in (
            ("", {"lock_timeout": "30s", "statement_timeout": "1min"}),
            ("-c%20lock_timeout=1s", {"lock_timeout": "1s", "statement_timeout": "1min"}),
            (both, {"lock_timeout": "1s", "statement_timeout": "2s"}),
        ):
            given = read_url(url + ("&" if "?" in url else "?") + f"options={options}")
            with closing(Database(given)) as database:
                assert expected == limits_of(database)


def test_a_statement_that_takes_too_long_is_ended(
    postgres: PostgresServer, upgraded_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the server, which says so; the same connection goes on."""
    monkeypatch.setattr(server_connection, "STATEMENT_SECONDS", 0.1)
    with postgres.database(upgraded_postgres) as url, closing(Database(read_url(url))) as database:
        with (
            pytest.raises(StoreError, match=r"statement timeout \(57014\); it took too long, or somebody cancelled it"),
            database.write() as connection,
        ):
            connection.exec_driver_sql("SELECT pg_sleep(60)")
        assert "100ms" == limits_of(database)["statement_timeout"]


def test_a_connection_that_cannot_be_set_up_is_closed(
    postgres: PostgresServer, upgraded_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would ever close it."""
    monkeypatch.setattr(server_connection, "LOCK_SECONDS", -1.0)
    with (
        postgres.database(upgraded_postgres) as url,
        closing(Database(read_url(url))) as database,
        pytest.raises(StoreError, match=r"outside the valid range .*\(22023\)"),
        database.read(),
    ):
        pass


def test_a_server_that_comes_back_is_used_again(
    postgres: PostgresServer, upgraded_postgres: str, tmp_path: Path
) -> None:
    """A connection that the server closed is replaced at the next use."""
    with postgres.database(upgraded_postgres) as url, open_store(url, key_path=None, state_directory=tmp_path) as store:
        assert () == store.list_runs()
        with Database(read_url(url)).engine.connect() as other:
            other.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
            other.invalidate()

        assert () == store.list_runs()


async def test_naive_moments_are_refused(store: SqlStore) -> None:
    """Nobody can tell which moment they are."""
    naive = datetime(2026, 3, 1, 12)  # noqa: DTZ001 -- that is the point
    with pytest.raises(ValueError, match="no time zone"):
        await store.start_run(trigger="test", dry_run=False, started_at=naive)
    with pytest.raises(ValueError, match="no time zone"):
        store.prune_history(naive)
    with store._database.read() as connection:
        nothing = connection.execute(select(tables.tenants.c.parked_until)).all()

    assert [] == nothing
    assert () == store.list_runs()


async def test_moments_come_back_in_utc(store: SqlStore) -> None:
    """Whatever offset they had, and whatever the session's time zone is."""
    store.apply_document(make_document(make_tenant(), make_connection()))
    one = await begin_pass(store)
    moment = datetime.fromisoformat("2026-07-01T12:30:00.123456+05:45")
    await one.store.remember_tenant(one.lease, refused_auth=None, parked_until=moment, transient_failures=1)

    (tenant,) = await store.tenants()

    assert moment == tenant.parked_until
    assert "2026-07-01T06:45:00.123456+00:00" == tenant.parked_until.isoformat()


def test_what_no_database_can_hold_is_replaced() -> None:
    """A REST answer may carry NUL or half a surrogate pair."""
    assert "a\ufffdb\ufffdc☃" == storable("a\u0000b\ud800c☃")


def test_a_closed_store_leaves_nothing_open(upgraded_url: str, tmp_path: Path) -> None:
    """Closing twice is no error."""
    store = open_store(upgraded_url, key_path=None, state_directory=tmp_path)
    execute(store, "DELETE FROM runs")

    store.close()
    store.close()

    assert upgraded_url.rpartition("/")[2].split("?")[0] in store.place

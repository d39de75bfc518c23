"""What tests share: stores on SQLite and on PostgreSQL, the installed command, and a tenant to talk to."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import structlog

from commands import Erpsyncd, Invoke
from erpsyncd.cli.main import run
from erpsyncd.sandbox import SandboxServer
from erpsyncd.store import SqlStore, open_store, upgrade_store
from in_process import InProcess
from pass_bench import Bench
from postgres_server import PostgresServer, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def upgraded_postgres(postgres: PostgresServer) -> Iterator[str]:
    """The name of a database with the tables, to copy from."""
    with postgres.database() as url:
        upgrade_store(url)
        yield urlsplit(url).path.lstrip("/")


@pytest.fixture(scope="session")
def upgraded_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with the tables, to copy from."""
    path = tmp_path_factory.mktemp("template") / "erpsyncd.db"
    upgrade_store(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a place where there is no store yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/erpsyncd.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def upgraded_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty store."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("upgraded_sqlite"), tmp_path / "erpsyncd.db")
        yield f"sqlite:///{tmp_path}/erpsyncd.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.database(request.getfixturevalue("upgraded_postgres")) as url:
        yield url


@pytest.fixture
def store(upgraded_url: str, tmp_path: Path) -> Iterator[SqlStore]:
    """An empty store."""
    with open_store(upgraded_url, key_path=None, state_directory=tmp_path) as opened:
        yield opened


@pytest.fixture
def bench(tmp_path: Path, upgraded_sqlite: Path) -> Iterator[Bench]:
    """A store on SQLite, tenants with a memory, and a clock."""
    shutil.copy(upgraded_sqlite, tmp_path / "erpsyncd.db")
    with open_store(f"sqlite:///{tmp_path}/erpsyncd.db", key_path=None, state_directory=tmp_path) as opened:
        yield Bench(opened, tmp_path / "erpsyncd.db")


@pytest.fixture(params=["sqlite", "postgresql"])
def erpsyncd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Erpsyncd]:
    """The installed command: on SQLite where there is no store yet, and on an empty one on PostgreSQL."""
    if request.param == "sqlite":
        yield Erpsyncd(tmp_path)
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.database(request.getfixturevalue("upgraded_postgres")) as url:
        yield Erpsyncd(tmp_path, url)


@pytest.fixture
def quick(tmp_path: Path, upgraded_url: str, logging_restored: None) -> Erpsyncd:
    """The command line in this process, on SQLite and on PostgreSQL."""
    return InProcess(tmp_path, upgraded_url)


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    """A stand-in NetServer in this process, so that tests can look inside."""
    with SandboxServer(open_tenants=True) as server:
        yield server


@pytest.fixture
def invoke(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], logging_restored: None
) -> Invoke:
    """Run a command line on a store of its own; return its code, stdout and stderr."""
    monkeypatch.setenv("ERPSYNCD__STATE__DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setenv("ERPSYNCD__REMOTE__ATTEMPTS", "1")
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)

    def invoked(*arguments: str) -> tuple[int, str, str]:
        code = run(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return invoked


@pytest.fixture
def logging_restored() -> Iterator[None]:
    """Leave no trace in the logging of other tests."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in ("httpx", "httpcore", "apscheduler", "alembic", "sqlalchemy"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def few_logs(logging_restored: None) -> None:
    """Leave out the line that each call logs; a fuzz makes tens of thousands of them."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))

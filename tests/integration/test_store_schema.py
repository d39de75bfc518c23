"""The store's tables: migrations make what the program expects, and nothing else is worked on."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from store_support import NOW

from erpsyncd.domain.secrets import parse_template
from erpsyncd.errors import ConfigurationError, StoreError
from erpsyncd.store import open_store, schema, tables, upgrade_store
from erpsyncd.store.addresses import read_url
from erpsyncd.store.database import Database
from erpsyncd.store.engine import make_engine, to_write
from factories import make_document, make_tenant
from postgres_server import PostgresServer


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(files("erpsyncd.migrations")))
    config.set_main_option("path_separator", "newline")
    return ScriptDirectory.from_config(config)


@contextmanager
def reading(url: str) -> Iterator[Connection]:
    database = Database(read_url(url))
    with closing(database), database.read() as connection:
        yield connection


def described(connection: Connection) -> dict[str, Any]:
    """Return everything about the tables that a database tells."""
    found = inspect(connection)
    return {
        name: {
            "columns": [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in found.get_columns(name)],
            "primary key": found.get_pk_constraint(name),
            "foreign keys": sorted(found.get_foreign_keys(name), key=str),
            "uniques": sorted(found.get_unique_constraints(name), key=str),
            "checks": sorted(found.get_check_constraints(name), key=str),
            "indexes": [
                index | {"dialect_options": {key: str(value) for key, value in index["dialect_options"].items()}}
                for index in found.get_indexes(name)
            ],
        }
        for name in found.get_table_names()
        if name != "alembic_version"
    }


def test_there_is_one_head_and_the_program_knows_it() -> None:
    """The revisions beside the tables are alembic's, in their order, with one head."""
    directory = scripts()

    assert [tables.HEAD] == directory.get_heads()
    assert list(tables.REVISIONS) == [script.revision for script in directory.walk_revisions()][::-1]


def test_an_upgrade_makes_what_the_tables_say(upgraded_url: str) -> None:
    """Autogenerate finds nothing to add, indexes and unique constraints included."""
    with reading(upgraded_url) as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})

        assert [] == compare_metadata(context, tables.metadata)


def test_an_upgrade_makes_what_create_all_makes(store_url: str, upgraded_url_beside: str) -> None:
    """What autogenerate does not compare (partial indexes, cascades, checks) is the same too."""
    engine = make_engine(read_url(store_url))
    with to_write(engine).begin() as connection:
        tables.metadata.create_all(connection)
        expected = described(connection)
    engine.dispose()
    with reading(upgraded_url_beside) as connection:
        actual = described(connection)

    assert expected == actual


@pytest.fixture
def upgraded_url_beside(request: pytest.FixtureRequest, store_url: str, tmp_path: Path) -> Any:
    """An upgraded store of the same kind as `store_url`."""
    if store_url.startswith("sqlite"):
        url = f"sqlite:///{tmp_path}/beside.db"
        upgrade_store(url)
        yield url
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.database(request.getfixturevalue("upgraded_postgres")) as url:
        yield url


def test_down_to_nothing_and_up_again(upgraded_url: str) -> None:
    """A downgrade leaves no table of ours, and the way up is open again."""
    engine = make_engine(read_url(upgraded_url), foreign_keys=False)
    with to_write(engine).begin() as connection:
        schema.migrate(connection, "downgrade", "base")
        left = inspect(connection).get_table_names()
    engine.dispose()

    assert ["alembic_version"] == left
    assert upgrade_store(upgraded_url)
    assert not upgrade_store(upgraded_url)


def test_tenants_of_an_older_store_have_no_certificates_and_no_proxy(upgraded_url: str, tmp_path: Path) -> None:
    """The way down to 0002 forgets them and nothing else; on the way up again nobody has any."""
    described = make_tenant(
        ca_file="/ca.pem",
        client_certificate="/client.pem",
        client_key="/client.key",
        proxy=parse_template("http://proxy.example:3128"),
    )
    with open_store(upgraded_url, key_path=None, state_directory=tmp_path) as store:
        store.apply_document(make_document(described))
    engine = make_engine(read_url(upgraded_url), foreign_keys=False)
    with to_write(engine).begin() as connection:
        schema.migrate(connection, "downgrade", "0002")
    engine.dispose()

    assert upgrade_store(upgraded_url)
    with open_store(upgraded_url, key_path=None, state_directory=tmp_path) as store:
        assert [make_tenant().spec] == [tenant.spec for tenant in store.read_document().tenants]


def test_an_upgrade_is_whole_or_not_at_all(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails half-way leaves nothing behind."""
    real = schema.migrate

    def fail(connection: Connection, direction: str, target: str) -> None:
        real(connection, direction, target)
        connection.execute(text("SELECT * FROM there_is_no_such_table"))

    monkeypatch.setattr(schema, "migrate", fail)
    with pytest.raises(StoreError, match="there_is_no_such_table"):
        upgrade_store(store_url)

    with reading(store_url) as connection:
        assert [] == inspect(connection).get_table_names()


def test_sqlite_is_upgraded_at_start_postgresql_is_not(store_url: str, tmp_path: Path) -> None:
    """On a server other nodes may be at work, so an operator says when."""
    if store_url.startswith("sqlite"):
        open_store(store_url, key_path=None, state_directory=tmp_path).close()
        assert not upgrade_store(store_url)
        return
    with pytest.raises(ConfigurationError, match="erpsyncd db upgrade"):
        open_store(store_url, key_path=None, state_directory=tmp_path)
    assert upgrade_store(store_url)
    open_store(store_url, key_path=None, state_directory=tmp_path).close()


def set_revision(url: str, revision: str) -> None:
    database = Database(read_url(url))
    with closing(database), database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


def test_a_newer_store_is_refused(upgraded_url: str, tmp_path: Path) -> None:
    """Neither a start nor an upgrade touches a store that a newer version made."""
    set_revision(upgraded_url, "9999")

    with pytest.raises(ConfigurationError, match=r"9999.*newer erpsyncd"):
        open_store(upgraded_url, key_path=None, state_directory=tmp_path)
    with pytest.raises(ConfigurationError, match="newer erpsyncd"):
        upgrade_store(upgraded_url)


def test_an_older_postgresql_store_is_refused(
    postgres: PostgresServer, upgraded_postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server's store that is behind waits for `db upgrade`."""
    monkeypatch.setattr(schema, "REVISIONS", ("0000", *tables.REVISIONS))
    with postgres.database(upgraded_postgres) as url:
        set_revision(url, "0000")

        with pytest.raises(ConfigurationError, match="erpsyncd db upgrade"):
            open_store(url, key_path=None, state_directory=tmp_path)


def test_somebody_elses_database_is_refused(store_url: str, tmp_path: Path) -> None:
    """A table of ours without a revision of ours is not ours."""
    database = Database(read_url(store_url))
    with closing(database), database.write() as connection:
        connection.execute(text("CREATE TABLE tenants (landlord TEXT)"))

    with pytest.raises(ConfigurationError, match="not of erpsyncd"):
        open_store(store_url, key_path=None, state_directory=tmp_path)


def test_a_start_without_an_upgrade_does_not_import_alembic(upgraded_sqlite: Path) -> None:
    """Importing alembic costs more than everything else that the store does at start."""
    program = (
        "import sys; from pathlib import Path; from erpsyncd.store import open_store;"
        "open_store(sys.argv[1], key_path=None, state_directory=Path('/')).close();"
        "print('alembic' in sys.modules)"
    )
    arguments = [sys.executable, "-c", program, f"sqlite:///{upgraded_sqlite}"]

    assert "False\n" == subprocess.run(arguments, check=True, capture_output=True, text=True).stdout


def test_an_upgrade_neither_prints_nor_configures_logging(store_url: str, capfd: pytest.CaptureFixture[str]) -> None:
    """The program's own log configuration stays as it is."""
    root = logging.getLogger()
    before = (list(root.handlers), root.level, logging.getLogger("alembic").level, logging.root.manager.disable)

    upgrade_store(store_url)

    assert before == (list(root.handlers), root.level, logging.getLogger("alembic").level, logging.root.manager.disable)
    assert ("", "") == tuple(capfd.readouterr())


async def test_a_claim_refuses_a_store_that_was_upgraded_meanwhile(upgraded_url: str, tmp_path: Path) -> None:
    """A node of the old version stops working when another one upgraded the store."""
    with open_store(upgraded_url, key_path=None, state_directory=tmp_path) as store:
        set_revision(upgraded_url, "9999")

        with pytest.raises(ConfigurationError, match="9999"):
            await store.claim(1, owner="one", now=NOW, seconds=60)


async def test_a_claim_refuses_a_store_that_was_downgraded_meanwhile(
    upgraded_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restored backup may be older than the program."""
    monkeypatch.setattr(schema, "REVISIONS", ("0000", *tables.REVISIONS))
    with open_store(upgraded_url, key_path=None, state_directory=tmp_path) as store:
        set_revision(upgraded_url, "0000")

        with pytest.raises(ConfigurationError, match="has to be upgraded first"):
            await store.claim(1, owner="one", now=NOW, seconds=60)

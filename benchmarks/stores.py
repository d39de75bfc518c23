"""Stores to measure on: made from an import document, pushed to the stub, multiplied, copied for each round."""

from __future__ import annotations

import atexit
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from pathlib import Path

from benchmarks.passes import make_pass
from benchmarks.stub import stub
from erpsyncd.service.document import read_documents
from erpsyncd.store import SqlStore, open_store
from erpsyncd.store.tables import connections


def document(connection_count: int, tenant_count: int, *, url: str = "", calls_per_second: float = 100_000.0) -> bytes:
    """Return an import document with so many connections, dealt out to so many tenants at `url`.

    The rate is one that never binds, unless it is given: what is measured is what erpsyncd costs.
    """
    described = [
        {
            "name": f"tenant-{number}",
            "url": f"{url}/tenant-{number}" if url else f"https://tenant-{number}.example",
            "calls_per_second": calls_per_second,
            "auth": {"kind": "ticket", "ticket": "7T:a ticket that does not end"},
        }
        for number in range(tenant_count)
    ]
    entries = [
        {
            "tenant": f"tenant-{number % tenant_count}",
            "key": f"connection-{number}",
            "erp_connector_id": 1,
            "display_name": f"Connection {number}",
            "user_group_access_ids": [1, 3],
            "config_fields": {"Client": f"F{number:05d}", "Password": f"password {number}"},
        }
        for number in range(connection_count)
    ]
    return json.dumps({"tenants": described, "connections": entries}).encode()


def opened(directory: Path) -> SqlStore:
    """Open the store of a directory."""
    return open_store(f"sqlite:///{directory}/erpsyncd.db", key_path=None, state_directory=directory)


def import_into(directory: Path, content: bytes) -> None:
    """Put a document into the store of a directory, which is made where there is none."""
    with opened(directory) as store:
        store.apply_document(read_documents([("x.json", content)]), prune=False, dry_run=False)


@contextmanager
def pending(content: bytes) -> Iterator[Path]:
    """Yield the directory of a store in which a document was just imported; for copies."""
    with tempfile.TemporaryDirectory() as name:
        import_into(Path(name), content)
        yield Path(name)


@contextmanager
def copy_of(directory: Path) -> Iterator[Path]:
    """Yield a copy of a store that may be worked on, and is forgotten."""
    with tempfile.TemporaryDirectory() as name:
        yield shutil.copytree(directory, Path(name) / "store")


@contextmanager
def converged(connection_count: int, tenant_count: int) -> Iterator[Path]:
    """Yield the directory of a store whose connections are all in sync; the tenants are not there any more.

    A hundred or more of them are really pushed, to a stub. The others are copies of their rows, so that a million is
    there within a minute; nobody will open the values that are sealed for the first.
    """
    pushed = max(tenant_count, min(100, connection_count))
    with tempfile.TemporaryDirectory() as name, stub() as server:
        directory = Path(name)
        import_into(directory, document(pushed, tenant_count, url=server.url))
        make_pass(directory)
        _multiply(directory / "erpsyncd.db", pushed, connection_count // pushed)
        yield directory


@cache
def kept_converged(connection_count: int, tenant_count: int) -> Path:
    """Return the directory of such a store that is there until this process ends, for figures that share it."""
    kept = ExitStack()
    atexit.register(kept.close)
    return kept.enter_context(converged(connection_count, tenant_count))


def _multiply(path: Path, pushed: int, times: int) -> None:
    """Add each row some times more, under other keys, as fast as SQLite can: nobody else has the file open."""
    names = [column.name for column in connections.c if column.name not in ("id", "key", "display_name")]
    into = ", ".join(("key", "display_name", *names))
    values = ", ".join(("key || '-' || number", "display_name || ' ' || number", *names))
    insert = f"""
        INSERT INTO connections ({into})
        WITH RECURSIVE numbers(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < {times - 1})
        SELECT {values} FROM connections CROSS JOIN numbers WHERE id = ?"""  # noqa: S608 -- names of our own tables
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -400000"):
            database.execute(f"PRAGMA {pragma}")
        if times > 1:
            database.execute("BEGIN")
            # Row by row, so that what is added is near together in every index.
            for (row_id,) in database.execute("SELECT id FROM connections ORDER BY tenant_id, key").fetchall():
                database.execute(insert, (row_id,))
            database.execute(
                "UPDATE tenants SET connection_count ="
                " (SELECT count(*) FROM connections WHERE connections.tenant_id = tenants.id)"
            )
            database.execute("COMMIT")
        assert database.execute("SELECT count(*) FROM connections WHERE state = 'in_sync'").fetchone() == (
            pushed * times,
        )
        database.execute("PRAGMA journal_mode = WAL")

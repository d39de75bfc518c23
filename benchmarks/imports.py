"""Importing a document, against inserting the rows that come of it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select

from benchmarks.measuring import Figure, Round, cpu_seconds
from erpsyncd.service.document import read_documents
from erpsyncd.store import SqlStore, open_store
from erpsyncd.store.tables import connections

CONNECTIONS = 10_000
TENANTS = 10


def document(connection_count: int, tenant_count: int = TENANTS) -> bytes:
    """Return an import document with so many connections in so many tenants."""
    tenants = [
        {
            "name": f"tenant-{number}",
            "url": f"https://tenant-{number}.example",
            "auth": {"kind": "password", "username": "sync", "password": "tenant password"},
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
    return json.dumps({"tenants": tenants, "connections": entries}).encode()


@contextmanager
def stores() -> Iterator[Path]:
    """Yield a directory with a store that has its key and its schema, and nothing in it."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with opened(directory) as store:
            store.unlock()
        yield directory


def opened(directory: Path) -> SqlStore:
    """Open the store of a directory."""
    return open_store(f"sqlite:///{directory}/erpsyncd.db", key_path=None, state_directory=directory)


@contextmanager
def _sides() -> Iterator[tuple[Round, Round]]:
    content = document(CONNECTIONS)
    with stores() as empty:

        def import_into(directory: Path) -> float:
            with opened(directory) as store:
                return cpu_seconds(
                    lambda: store.apply_document(read_documents([("x.json", content)]), prune=False, dry_run=False)
                )

        def on_a_copy(work: Any) -> float:
            with tempfile.TemporaryDirectory() as name:
                copy = shutil.copytree(empty, Path(name) / "store")
                return float(work(copy))

        def read_rows(directory: Path) -> list[dict[str, Any]]:
            import_into(directory)
            with opened(directory) as store, store._database.read() as connection:
                return [dict(row._mapping) for row in connection.execute(select(connections))]

        with tempfile.TemporaryDirectory() as name:
            rows = read_rows(shutil.copytree(empty, Path(name) / "store"))
        tenant_content = document(0)

        def insert_into(directory: Path) -> float:
            with opened(directory) as store:
                store.apply_document(read_documents([("x.json", tenant_content)]), prune=False, dry_run=False)

                def insert_rows() -> None:
                    with store._database.write() as connection:
                        connection.execute(insert(connections), rows)

                return cpu_seconds(insert_rows)

        yield lambda: on_a_copy(import_into), lambda: on_a_copy(insert_into)


IMPORT = Figure(
    name=f"import of {CONNECTIONS:,} connections, from the document's bytes to the commit",
    against="the same rows by plain SQLAlchemy Core inserts",
    most=4.0,
    sides=_sides,
)

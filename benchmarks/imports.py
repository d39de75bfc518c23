"""Importing a document, against inserting the rows that come of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import insert, select

from benchmarks import stores
from benchmarks.measuring import Figure, Round, Sample, Unit, cpu_of
from erpsyncd.service.document import read_documents
from erpsyncd.store.tables import connections

CONNECTIONS = 10_000
TENANTS = 10


@contextmanager
def sides(connection_count: int = CONNECTIONS) -> Iterator[tuple[Round, Round]]:
    """Prepare a store with nothing in it, and one that has the tenants, whose rows are then inserted."""
    content = stores.document(connection_count, TENANTS)
    with stores.pending(stores.document(0, 0)) as empty, stores.pending(stores.document(0, TENANTS)) as without_rows:
        rows = _rows_of(content)

        def import_all() -> Sample:
            with stores.copy_of(empty) as directory, stores.opened(directory) as store:
                return cpu_of(
                    lambda: store.apply_document(read_documents([("x.json", content)]), prune=False, dry_run=False)
                )

        def insert_all() -> Sample:
            with stores.copy_of(without_rows) as directory, stores.opened(directory) as store:

                def insert_rows() -> None:
                    with store._database.write() as connection:
                        connection.execute(insert(connections), rows)

                return cpu_of(insert_rows)

        yield import_all, insert_all


def _rows_of(content: bytes) -> list[dict[str, Any]]:
    with stores.pending(content) as directory, stores.opened(directory) as store, store._database.read() as connection:
        return [dict(row._mapping) for row in connection.execute(select(connections))]


IMPORT = Figure(
    name=f"import of {CONNECTIONS:,} connections, from the document's bytes to the commit",
    against="the same rows by plain SQLAlchemy Core inserts",
    unit=Unit.CPU,
    most=4.0,
    sides=sides,
)

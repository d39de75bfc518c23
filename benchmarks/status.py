"""`erpsyncd status` on a large store, against the same on a small one: it must not count what is in sync."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from sqlalchemy import func, insert, select, update

from benchmarks.imports import document, opened
from benchmarks.measuring import Figure, Round, cpu_seconds
from erpsyncd.cli.main import run
from erpsyncd.service.document import read_documents
from erpsyncd.store import SqlStore
from erpsyncd.store.tables import connections, tenants

TENANTS = 100
FAILED = 20
SMALL, LARGE = 1_000, 100_000


@contextmanager
def _sides() -> Iterator[tuple[Round, Round]]:
    with _store(LARGE) as large, _store(SMALL) as small:
        yield lambda: _look(large), lambda: _look(small)


@contextmanager
def _store(count: int) -> Iterator[Path]:
    """Yield the state directory of a store with so many connections in the same tenants, a few of them failed."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with opened(directory) as store:
            store.apply_document(read_documents([("x.json", document(SMALL, TENANTS))]), prune=False, dry_run=False)
            for number in range(1, count // SMALL):
                _multiply(store, number)
            with store._database.write() as connection:
                connection.execute(update(connections).values(state="in_sync"))
                connection.execute(
                    update(connections)
                    .where(connections.c.id <= FAILED)
                    .values(state="failed", error_class="fault", error="SaveConnection: the connector is down")
                )
                number_of = select(func.count()).where(connections.c.tenant_id == tenants.c.id).scalar_subquery()
                connection.execute(update(tenants).values(connection_count=number_of))
        yield directory


def _multiply(store: SqlStore, number: int) -> None:
    """Add the first thousand once more, under other keys. Nobody will open the values that are sealed for the first."""
    columns = [column for column in connections.c if column.name not in ("id", "key", "display_name")]
    copy = select(
        (connections.c.key + f"-{number}").label("key"),
        (connections.c.display_name + f" {number}").label("display_name"),
        *columns,
    ).where(connections.c.id <= SMALL)
    names = ["key", "display_name", *(column.name for column in columns)]
    with store._database.write() as connection:
        connection.execute(insert(connections).from_select(names, copy))


def _look(directory: Path) -> float:
    os.environ["ERPSYNCD__STATE__DIRECTORY"] = str(directory)
    with redirect_stdout(io.StringIO()) as shown:
        seconds = cpu_seconds(lambda: run(["status"]))
    assert "the connector is down" in shown.getvalue()
    return seconds


STATUS = Figure(
    name=f"status on {LARGE:,} connections, {FAILED} of them failed",
    against=f"the same on {SMALL:,}",
    most=2.0,
    sides=_sides,
)

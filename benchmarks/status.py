"""`erpsyncd status` on a large store, against the same on a small one: it must not count what is in sync."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from sqlalchemy import update

from benchmarks import stores
from benchmarks.measuring import Figure, Round, Sample, Unit, cpu_of
from erpsyncd.cli.main import run
from erpsyncd.store.tables import connections

TENANTS = 100
FAILED = 20
SMALL, LARGE = 1_000, 100_000


@contextmanager
def sides(small: int = SMALL, large: int = LARGE) -> Iterator[tuple[Round, Round]]:
    """Prepare a large and a small store."""
    with _store(large) as in_large, _store(small) as in_small:
        yield lambda: _look(in_large), lambda: _look(in_small)


@contextmanager
def _store(count: int) -> Iterator[Path]:
    """Yield the state directory of a store in which all but a few connections are in sync."""
    with stores.converged(count, TENANTS) as directory:
        with stores.opened(directory) as store, store._database.write() as connection:
            connection.execute(
                update(connections)
                .where(connections.c.id <= FAILED)
                .values(state="failed", error_class="fault", error="SaveConnection: the connector is down")
            )
        yield directory


def _look(directory: Path) -> Sample:
    os.environ["ERPSYNCD__STATE__DIRECTORY"] = str(directory)
    with redirect_stdout(io.StringIO()) as shown:
        sample = cpu_of(lambda: run(["status"]))
    assert "the connector is down" in shown.getvalue()
    return sample


STATUS = Figure(
    name=f"status on {LARGE:,} connections, {FAILED} of them failed",
    against=f"the same on {SMALL:,}",
    unit=Unit.CPU,
    most=2.0,
    sides=sides,
)

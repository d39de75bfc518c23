"""A pass with nothing to do, over a store of a million connections."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import stores
from benchmarks.measuring import Figure, Round, Sample, Unit, cpu_of, wall_of
from benchmarks.passes import CHECKS_OFF, make_pass

TENANTS = 100
SMALL, LARGE = 10_000, 1_000_000


@contextmanager
def pass_sides(small: int = SMALL, large: int = LARGE, tenants: int = TENANTS) -> Iterator[tuple[Round, Round]]:
    """Prepare a large and a small store that are converged; passes leave them so."""
    in_large = stores.kept_converged(large, tenants)
    with stores.converged(small, tenants) as in_small:
        yield lambda: wall_of(lambda: make_pass(in_large)), lambda: wall_of(lambda: make_pass(in_small))


@contextmanager
def pass_cpu_sides(small: int, large: int, tenants: int) -> Iterator[tuple[Round, Round]]:
    """Prepare the same; what counts is what a pass takes of a processor."""
    with stores.converged(large, tenants) as in_large, stores.converged(small, tenants) as in_small:
        yield lambda: cpu_of(lambda: make_pass(in_large)), lambda: cpu_of(lambda: make_pass(in_small))


@contextmanager
def memory_sides(connections: int = LARGE, tenants: int = TENANTS) -> Iterator[tuple[Round, Round]]:
    """Prepare a process that makes the pass, and one that imports every module which the first had in the end."""
    directory = stores.kept_converged(connections, tenants)
    modules: list[str] = _peak("pass", directory)["modules"]
    yield (
        lambda: Sample(value=_peak("pass", directory)["peak"]),
        lambda: Sample(value=_peak("import", directory, modules)["peak"]),
    )


def _peak(what: str, directory: Path, modules: Sequence[str] = ()) -> Any:
    """Start a process that says in the end how much memory it had at most, and what it had imported."""
    environ = {**os.environ, **CHECKS_OFF, "ERPSYNCD__STATE__DIRECTORY": str(directory)}
    with tempfile.NamedTemporaryFile("r") as said:
        subprocess.run(  # noqa: S603 -- our own module
            [sys.executable, "-m", "benchmarks.peak", said.name, what],
            check=True,
            env=environ,
            input="\n".join(modules),
            text=True,
            cwd=Path(__file__).parents[1],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return json.load(said)


PASS = Figure(
    name=f"a pass over a converged store of {LARGE:,} connections, {TENANTS} tenants",
    against=f"the same over {SMALL:,}",
    unit=Unit.WALL,
    most=1.5,
    sides=pass_sides,
)
MEMORY = Figure(
    name=f"peak memory of that process, {LARGE:,} connections",
    against="a process that only imports the same modules",
    unit=Unit.MEMORY,
    most=1.3,
    sides=memory_sides,
)

"""Whole processes: a pass with nothing to do, and what only says its version."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks import stores
from benchmarks.measuring import Figure, Round, Sample, Unit, children_cpu_of
from benchmarks.passes import CHECKS_OFF

CONNECTIONS, TENANTS = 100, 10
PASS_TIMES, VERSION_TIMES = 2, 5
PYTHON = (sys.executable, "-c")
ERPSYNCD = str(Path(sys.executable).with_name("erpsyncd"))


@contextmanager
def run_once_sides(times: int = PASS_TIMES) -> Iterator[tuple[Round, Round]]:
    """Prepare a store in which everything is in sync."""
    with stores.converged(CONNECTIONS, TENANTS) as directory:
        environ = {**CHECKS_OFF, "ERPSYNCD__STATE__DIRECTORY": str(directory)}
        imports = (*PYTHON, "import httpx, sqlalchemy, apscheduler, structlog")
        yield lambda: _started([ERPSYNCD, "--run-once"], times, environ), lambda: _started(imports, times, environ)


@contextmanager
def version_sides(times: int = VERSION_TIMES) -> Iterator[tuple[Round, Round]]:
    """Prepare nothing."""
    yield lambda: _started([ERPSYNCD, "--version"], times, {}), lambda: _started((*PYTHON, "pass"), times, {})


def _started(command: Sequence[str], times: int, environ: dict[str, str]) -> Sample:
    """Start a process some times, one after the other; return what one took of a processor."""

    def work() -> None:
        for _ in range(times):
            subprocess.run(  # noqa: S603 -- our own program, and Python
                command,
                check=True,
                env={**os.environ, **environ},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

    sample = children_cpu_of(work)
    return replace(sample, value=sample.value / times)


RUN_ONCE = Figure(
    name="erpsyncd --run-once with nothing to do, the whole process",
    against='python -c "import httpx, sqlalchemy, apscheduler, structlog"',
    unit=Unit.CPU,
    most=1.3,
    sides=run_once_sides,
)
VERSION = Figure(
    name="erpsyncd --version, the whole process",
    against="python -c pass",
    unit=Unit.CPU,
    most=6.0,
    sides=version_sides,
)

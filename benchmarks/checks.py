"""Small versions of the figures for CI: no wall time, some seconds each, and bounds that noise does not reach.

Each bound lies about half way between what was measured when it was set and twice as much: what came to cost twice as
much does not get past it. Who makes something faster writes down here what it costs now:
`python -m benchmarks.checks` says it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from benchmarks import codec, commits, converged, imports, pushing, starts, status
from benchmarks.measuring import Figure, Sides, Unit, measure

SLACK = 1.5
"""How many times as large as it was measured a ratio may become."""


def _check(name: str, against: str, measured: float, sides: Callable[[], Sides], *, unit: Unit = Unit.CPU) -> Figure:
    return Figure(name=name, against=against, unit=unit, most=measured * SLACK, sides=sides)


CHECKS = (
    _check("pushed", "a bare httpx POST", 1.7, lambda: pushing.cpu_sides(tenants=5, each=40)),
    _check("pushed to 200 tenants", "to 40", 0.9, lambda: pushing.growth_cpu_sides(many=200, few=40, each=1)),
    _check("codec", "zeep", 0.09, lambda: codec.sides(times=100)),
    _check(
        "recorded in groups",
        "plain statements with a commit each",
        0.15,
        lambda: commits.cpu_sides(tenants=8, each=16),
    ),
    _check("pass over 50,000", "2,000", 1.0, lambda: converged.pass_cpu_sides(small=2_000, large=50_000, tenants=2)),
    _check(
        "memory at 50,000",
        "its modules alone",
        1.1,
        lambda: converged.memory_sides(50_000, tenants=2),
        unit=Unit.MEMORY,
    ),
    _check("import of 2,000", "plain inserts of the rows", 4.0, lambda: imports.sides(2_000)),
    _check("status of 50,000", "1,000", 1.1, lambda: status.sides(small=1_000, large=50_000)),
    _check("an idle pass", "its libraries' imports", 1.1, lambda: starts.run_once_sides(times=1)),
    _check("--version", "python -c pass", 3.0, lambda: starts.version_sides(times=5)),
)


if __name__ == "__main__":
    for figure in CHECKS:
        sys.stdout.write(f"{measure(figure).ratio:6.2f} x {figure.name}\n")
        sys.stdout.flush()

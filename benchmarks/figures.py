"""All figures, in the order of the table in docs/explanation/performance.md."""

from __future__ import annotations

from benchmarks import converged, pushing, starts
from benchmarks.codec import CODEC
from benchmarks.commits import COMMITS
from benchmarks.imports import IMPORT
from benchmarks.latency import LATENCY_FIGURE
from benchmarks.status import STATUS

FIGURES = (
    pushing.CPU,
    pushing.RATE,
    CODEC,
    *pushing.GROWTH,
    LATENCY_FIGURE,
    converged.PASS,
    converged.MEMORY,
    starts.RUN_ONCE,
    starts.VERSION,
    COMMITS,
    IMPORT,
    STATUS,
)

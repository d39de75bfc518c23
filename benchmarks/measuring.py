"""A figure: two sides, measured in turn, and the ratio of their times."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeAlias

Round: TypeAlias = Callable[[], float]
"""Does the work once and returns the seconds that count."""

ROUNDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What is measured against what, and how many times as long it may take."""

    name: str
    against: str
    most: float
    """The largest ratio that is good enough."""

    sides: Callable[[], AbstractContextManager[tuple[Round, Round]]]
    """Prepares both sides: what is measured, and what it is measured against."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A figure and what came out: the median of the ratios of rounds that were run one right after the other."""

    figure: Figure
    ratios: tuple[float, ...]
    seconds: float
    """Of the side that is measured, the median."""

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return statistics.median(self.ratios)

    @property
    def is_good(self) -> bool:
        """Whether the ratio is good enough."""
        return self.ratio <= self.figure.most


def measure(figure: Figure, rounds: int = ROUNDS) -> Measured:
    """Run both sides in turn, so that a machine whose speed drifts does not favour one of them."""
    with figure.sides() as (ours, theirs):
        ours(), theirs()  # what is only slow the first time does not count
        pairs = [(ours(), theirs()) for _ in range(rounds)]
    return Measured(
        figure=figure,
        ratios=tuple(one / other for one, other in pairs),
        seconds=statistics.median(one for one, _ in pairs),
    )


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the processor time that this process needs for the work."""
    started = time.process_time()
    work()
    return time.process_time() - started

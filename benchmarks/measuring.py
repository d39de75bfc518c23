"""A figure: two sides, measured in turn, and the ratio of what came out."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one side took, or did, in one round."""

    value: float
    """In the figure's unit."""

    stub_busy: float = 0.0
    """For how much of the time the stub had a processor; 1 is all of it."""


Round: TypeAlias = Callable[[], Sample]
"""Does the work once and returns what counts."""

Sides: TypeAlias = AbstractContextManager[tuple[Round, Round]]

ROUNDS = 5

#: A stub that has a processor for longer than this part of a round may have been what was waited for.
MOST_STUB_BUSY = 0.7


class Unit(Enum):
    """What a side's number is."""

    CPU = "ms CPU"
    WALL = "ms"
    RATE = "/s"
    MEMORY = "MB"

    def shown(self, value: float) -> str:
        """Return seconds, numbers per second or bytes as people read them."""
        scale = {Unit.CPU: 1e3, Unit.WALL: 1e3, Unit.RATE: 1.0, Unit.MEMORY: 1e-6}[self]
        return f"{value * scale:.4g} {self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What is measured against what, and how far apart they may or must be."""

    name: str
    against: str
    unit: Unit
    sides: Callable[[], Sides]
    """Prepares both sides: what is measured, and what it is measured against."""

    most: float | None = None
    """The largest ratio that is good enough, where less is better."""

    least: float | None = None
    """The smallest ratio that is good enough, where more is better."""

    rounds: int = ROUNDS
    """How often each side is measured; the first time, which does not count, comes on top."""

    warms_up: bool = True
    """Whether there is a first time that does not count."""

    @property
    def bound(self) -> str:
        """What the ratio must be."""
        return f"at most {self.most:g} x" if self.most is not None else f"at least {self.least:g} x"

    def is_met_by(self, ratio: float) -> bool:
        """Whether a ratio is good enough."""
        return (self.most is None or ratio <= self.most) and (self.least is None or ratio >= self.least)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A figure and what came out of rounds that were run one right after the other."""

    figure: Figure
    ours: tuple[Sample, ...]
    theirs: tuple[Sample, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """Of each round: what is measured over what it is measured against."""
        return tuple(one.value / other.value for one, other in zip(self.ours, self.theirs, strict=True))

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return statistics.median(self.ratios)

    @property
    def stub_busy(self) -> tuple[float, float]:
        """The median of how busy the stub was in each side's rounds."""
        ours, theirs = (statistics.median(sample.stub_busy for sample in side) for side in (self.ours, self.theirs))
        return ours, theirs

    @property
    def is_valid(self) -> bool:
        """Whether it was the sides that were measured, and not the stub."""
        return max(self.stub_busy) <= MOST_STUB_BUSY

    @property
    def is_good(self) -> bool:
        """Whether the figure is reached."""
        return self.is_valid and self.figure.is_met_by(self.ratio)

    @property
    def verdict(self) -> str:
        """One word, or two."""
        return "ok" if self.is_good else "missed" if self.is_valid else "stub too busy"

    @property
    def values(self) -> tuple[str, str]:
        """The median of each side, for people."""
        ours, theirs = (statistics.median(sample.value for sample in side) for side in (self.ours, self.theirs))
        return self.figure.unit.shown(ours), self.figure.unit.shown(theirs)


def measure(figure: Figure) -> Measured:
    """Run both sides in turn, so that a machine whose speed drifts does not favour one of them."""
    with figure.sides() as (ours, theirs):
        if figure.warms_up:
            ours(), theirs()  # what is only slow the first time does not count
        pairs = [(ours(), theirs()) for _ in range(figure.rounds)]
    return Measured(figure=figure, ours=tuple(one for one, _ in pairs), theirs=tuple(other for _, other in pairs))


def cpu_of(work: Callable[[], object]) -> Sample:
    """Return the seconds of a processor that this process, with all its threads, needs for the work."""
    started = time.process_time()
    work()
    return Sample(value=time.process_time() - started)


def wall_of(work: Callable[[], object]) -> Sample:
    """Return the seconds that go by meanwhile."""
    started = time.perf_counter()
    work()
    return Sample(value=time.perf_counter() - started)


def children_cpu_of(work: Callable[[], object]) -> Sample:
    """Return the seconds of a processor that the processes need which the work starts and waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Sample(value=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

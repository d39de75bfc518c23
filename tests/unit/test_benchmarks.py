"""The benchmarks' own arithmetic: what counts as reached, what as missed, and what as not measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from benchmarks.latency import ideal_seconds
from benchmarks.measuring import Figure, Measured, Round, Sample, Unit, measure
from benchmarks.table import as_table, put_into


def sides_of(ours: list[float], theirs: list[float], *, stub_busy: float = 0.0) -> Figure:
    """A figure whose rounds come out as given; the first of each is the one that does not count."""

    @contextmanager
    def sides() -> Iterator[tuple[Round, Round]]:
        one, other = iter(ours), iter(theirs)
        yield lambda: Sample(value=next(one), stub_busy=stub_busy), lambda: Sample(value=next(other))

    return Figure(name="a", against="b", unit=Unit.CPU, most=1.5, sides=sides, rounds=len(ours) - 1)


def measured(ours: list[float], theirs: list[float], *, stub_busy: float = 0.0) -> Measured:
    return measure(sides_of(ours, theirs, stub_busy=stub_busy))


def test_median_of_neighbours_counts() -> None:
    """Each round is held against the one right after it; one outlier decides nothing, nor does the first time."""
    result = measured([99.0, 2.0, 3.0, 40.0], [1.0, 2.0, 2.0, 2.0])

    assert (1.0, 1.5, 20.0) == result.ratios
    assert 1.5 == result.ratio
    assert result.is_good


def test_what_is_above_the_most_is_missed() -> None:
    """Where less is better, a larger ratio misses the figure."""
    result = measured([1.0, 1.6], [1.0, 1.0])

    assert not result.is_good
    assert "missed" == result.verdict


@pytest.mark.parametrize(("ratio", "good"), [(1.9, False), (2.0, True), (9.0, True)])
def test_where_more_is_better_less_is_missed(ratio: float, *, good: bool) -> None:
    """A figure of throughput has a least ratio."""
    figure = replace(sides_of([1.0, ratio], [1.0, 1.0]), most=None, least=2.0)

    assert good == measure(figure).is_good
    assert "at least 2 x" == figure.bound


def test_busy_stub_is_not_measured() -> None:
    """However good the ratio is: the stub may have been what was waited for."""
    result = measured([1.0, 1.0], [1.0, 1.0], stub_busy=0.71)

    assert not result.is_good
    assert "stub too busy" == result.verdict


def test_ideal_follows_the_limits() -> None:
    """A listing and five rounds of two creates, one second each, for 500 tenants on 32 places."""
    assert 500 * 6.0 / 32 == ideal_seconds(tenants=500, each=10)
    assert 1.0 == ideal_seconds(tenants=32, each=0)


def test_table_goes_between_its_marks() -> None:
    """What stood there goes, the rest of the page stays."""
    page = "before\n<!-- figures -->\nold\n<!-- /figures -->\nafter\n"
    figure = {"name": "codec", "against": "zeep", "bound": "at most 0.1 x", "ratio": 0.081, "verdict": "ok"}
    table = as_table({"figures": [figure | {"ours": "1 ms", "theirs": "12 ms", "stub_busy": [0.0, 0.0]}]})

    done = put_into(page, table)

    assert done.startswith("before\n<!-- figures -->\n| figure |")
    assert "| codec | zeep | at most 0.1 x | **0.08 x** | 1 ms | 12 ms |  |\n<!-- /figures -->\nafter\n" in done
    assert "old" not in done

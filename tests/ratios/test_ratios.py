"""What is fast stays fast: small versions of the figures of `make bench`, as ratios of processor time."""

from __future__ import annotations

import pytest
from benchmarks.checks import CHECKS
from benchmarks.measuring import Figure, measure

pytestmark = pytest.mark.ratio


@pytest.mark.parametrize("figure", CHECKS, ids=lambda figure: figure.name)
def test_costs_what_it_used_to_cost(figure: Figure) -> None:
    """The ratio to what it is held against has not grown; once too much may be a busy machine, twice is not."""
    first = measure(figure)
    again = first if first.is_good else measure(figure)

    assert again.is_good, f"{again.ratio:.2f} x {figure.against}, {figure.bound}; at first {first.ratio:.2f} x"

"""Many tenants that take a second to answer: against the time that nobody can beat under the same limits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import stores
from benchmarks.measuring import Figure, Round, Sample, Unit, wall_of
from benchmarks.passes import created, make_pass
from benchmarks.stub import stub
from erpsyncd.netserver.rate import window_of
from erpsyncd.setting_sections import LimitsSettings

TENANTS, EACH = 500, 10
LATENCY = 1.0
#: What erpsyncd comes with, and the rate that the vendor allows.
LIMITS = LimitsSettings()
CALLS_PER_SECOND = 10.0


def ideal_seconds(tenants: int = TENANTS, each: int = EACH) -> float:
    """Return how long it takes where nothing costs anything but waiting for answers.

    One tenant's critical path is its listing, and then its creates as many at once as are allowed, as fast as the rate
    allows. So many tenants as are allowed go on at once, without a gap.
    """
    rounds = math.ceil(each / LIMITS.connections_at_once)
    calls, window = window_of(CALLS_PER_SECOND)
    by_latency = LATENCY * (1 + rounds)
    by_rate = each // calls * window + LATENCY  # the listing is a call, too
    return tenants * max(by_latency, by_rate) / min(tenants, LIMITS.tenants_at_once)


@contextmanager
def sides(tenants: int = TENANTS, each: int = EACH) -> Iterator[tuple[Round, Round]]:
    """Prepare tenants that take their time, and the number that is computed."""
    count = tenants * each
    with stub(LATENCY) as server:
        content = stores.document(count, tenants, url=server.url, calls_per_second=CALLS_PER_SECOND)
        with stores.pending(content) as described:

            def push() -> Sample:
                with stores.copy_of(described) as directory:
                    pushed: list[int] = []
                    sample = server.watched(lambda: wall_of(lambda: pushed.append(created(make_pass(directory)))))
                assert pushed == [count], f"{pushed} connections were created, not {count}"
                return sample

            yield push, lambda: Sample(value=ideal_seconds(tenants, each))


LATENCY_FIGURE = Figure(
    name=f"wall time of {TENANTS} tenants with {EACH} creates each, {LATENCY:g} s for each answer, default limits",
    against="the ideal: each tenant's critical path over the allowed concurrency",
    unit=Unit.WALL,
    most=1.15,
    sides=sides,
    rounds=3,  # each takes minutes of waiting, and what it is held against is computed
    warms_up=False,
)

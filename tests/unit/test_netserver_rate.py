"""The tenant's limit of calls per second, on a clock that only sleeping moves."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erpsyncd.domain.tenants import AuthKind, Protocol
from erpsyncd.netserver.apis import NetServerApis
from erpsyncd.netserver.limits import RemoteLimits
from erpsyncd.netserver.rate import RateLimiter, window_of
from netserver_support import QUICK, FakeTime, Wire, answer, credentials, tenant_spec, until

BASIC = credentials(AuthKind.PASSWORD)


@pytest.mark.parametrize(
    ("rate", "expected"), [(10, (10, 1.05)), (2.5, (2, 1.05)), (1, (1, 1.05)), (0.5, (1, 2.05)), (0.1, (1, 10.05))]
)
def test_windows(rate: float, expected: tuple[int, float]) -> None:
    """Whole calls per second and a margin; below one call per second, a longer window."""
    assert expected == pytest.approx(window_of(rate))


@given(
    rate=st.sampled_from([0.25, 0.5, 1, 1.5, 3, 10]),
    gaps=st.lists(st.floats(min_value=0, max_value=2), min_size=1, max_size=40),
)
def test_no_window_holds_too_many_calls(rate: float, gaps: list[float]) -> None:
    """However calls come, no second (or 1 / rate seconds) holds more of them than allowed."""
    time = FakeTime()
    limiter = time.limiter()
    sent: list[float] = []

    async def send() -> None:
        for gap in gaps:
            time.now += gap
            await limiter.wait_turn(rate)
            sent.append(time.now)

    asyncio.run(send())
    calls, window = (int(rate), 1.0) if rate >= 1 else (1, 1 / rate)
    for number, moment in enumerate(sent[calls:]):
        assert moment - sent[number] >= window


async def test_rate_may_change() -> None:
    """A tenant whose limit was lowered waits by the new one, history included."""
    time = FakeTime()
    limiter = time.limiter()
    for _ in range(10):
        await limiter.wait_turn(10)
    assert [] == time.slept

    await limiter.wait_turn(1)

    assert [pytest.approx(1.05)] == time.slept


async def test_rate_survives_between_passes() -> None:
    """Two passes over one tenant share its limit; another tenant has its own."""
    time = FakeTime()
    apis = NetServerApis(QUICK, wire=lambda: Wire(HasConnections=answer({"IsOk": True})), limiter=time.limiter)
    for name in ("acme", "acme", "other"):
        async with apis.open(tenant_spec(Protocol.REST, name=name, calls_per_second=2), BASIC) as api:
            await api.has_connections()
            await api.has_connections()

    assert [pytest.approx(1.05)] == time.slept


async def test_cancelled_waiter_is_not_counted() -> None:
    """Who gives up waiting for his turn has not used one, and the next one gets it."""
    gate = asyncio.Event()
    time = FakeTime()

    async def sleep(seconds: float) -> None:
        await gate.wait()
        await time.sleep(seconds)

    limiter = RateLimiter(clock=time.clock, sleep=sleep)
    await limiter.wait_turn(1)
    waiter = asyncio.create_task(limiter.wait_turn(1))
    await until(limiter._turn.locked)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    gate.set()

    await limiter.wait_turn(1)

    assert [pytest.approx(1.05)] == time.slept


async def test_waiting_for_ones_turn_is_not_in_the_deadline() -> None:
    """A call that waits longer than its deadline before it is sent is still sent."""
    apis = NetServerApis(
        RemoteLimits(deadline_seconds=0.2),
        wire=lambda: Wire(HasConnections=answer({"IsOk": True})),
    )
    async with apis.open(tenant_spec(Protocol.REST, calls_per_second=4), BASIC) as api:
        limiter = apis._limiters["acme"]
        limiter._sent.extend([limiter._clock() - 0.7] * 4)
        assert (await api.has_connections()).is_ok

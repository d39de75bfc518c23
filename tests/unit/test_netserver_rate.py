"""The tenant's limit of calls per second, on a clock that only sleeping moves."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from erpsyncd.domain.ports import BeforeSend, StillAllowed
from erpsyncd.domain.tenants import AuthKind, Protocol
from erpsyncd.errors import RemoteUnreachable, StoreError
from erpsyncd.netserver.apis import NetServerApis
from erpsyncd.netserver.limits import RemoteLimits
from erpsyncd.netserver.rate import RateLimiter, window_of
from erpsyncd.netserver.transport import Transport
from erpsyncd.netserver.wire import Answer, Request
from netserver_support import (
    QUICK,
    FakeTime,
    Wire,
    answer,
    call,
    connection_json,
    credentials,
    erp_connection,
    tenant_spec,
    until,
)

BASIC = credentials(AuthKind.PASSWORD)


async def take(limiter: RateLimiter, rate: float) -> None:
    leave = await limiter.turn(rate)
    leave()


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
            leave = await limiter.turn(rate)
            sent.append(time.now)
            leave()

    asyncio.run(send())
    calls, window = (int(rate), 1.0) if rate >= 1 else (1, 1 / rate)
    for number, moment in enumerate(sent[calls:]):
        assert moment - sent[number] >= window


async def test_rate_may_change() -> None:
    """A tenant whose limit was lowered waits by the new one, history included."""
    time = FakeTime()
    limiter = time.limiter()
    for _ in range(10):
        await take(limiter, 10)
    assert [] == time.slept

    await take(limiter, 1)

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
    await take(limiter, 1)
    waiter = asyncio.create_task(take(limiter, 1))
    await until(limiter._queue.locked)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    gate.set()

    await take(limiter, 1)

    assert [pytest.approx(1.05)] == time.slept


async def _store_is_gone() -> StillAllowed:
    raise StoreError("the store is gone")


async def _given_up() -> StillAllowed:
    raise asyncio.CancelledError


async def _too_late() -> StillAllowed:
    return lambda: False


@pytest.mark.parametrize(
    ("before_send", "error"),
    [
        (_store_is_gone, StoreError),
        (_given_up, asyncio.CancelledError),
        (_too_late, RemoteUnreachable),
        (None, RemoteUnreachable),
    ],
    ids=["not recorded", "cancelled", "held up", "nobody listens"],
)
async def test_a_call_that_never_leaves_gives_its_turn_back(
    before_send: BeforeSend | None, error: type[BaseException]
) -> None:
    """Whatever ends it, the next one leaves when the window lets it: nobody waits for ever for one that is gone."""
    time = FakeTime()

    class Way(Wire):
        async def ask(self, request: Request, max_body: int) -> Answer:
            request.progress.connect()
            if request.address.host == b"nobody.example":
                raise httpx.ConnectError("nobody listens")
            request.progress.leave()
            return await super().ask(request, max_body)

    wire = Way(SaveConnection=answer({}))
    transport = Transport(wire, tenant="a", limits=QUICK, limiter=time.limiter(), calls_per_second=1)
    with pytest.raises(error):
        await transport.send(call(url="https://nobody.example/SaveConnection"), before_send)

    async with asyncio.timeout(5):
        assert 200 == (await transport.send(call(url="https://crm.acme.example/SaveConnection"))).status
    assert [pytest.approx(1.05)] == time.slept


@given(
    rate=st.sampled_from([0.5, 1, 3]),
    delays=st.lists(st.tuples(*[st.floats(min_value=0, max_value=5)] * 3, st.booleans()), min_size=1, max_size=15),
)
def test_calls_that_are_held_up_do_not_leave_together(
    rate: float, delays: list[tuple[float, float, float, bool]]
) -> None:
    """However long calls are held up after their turn, no window has too many at the moment of leaving."""
    time = FakeTime()
    limiter = time.limiter()
    sent: list[float] = []

    async def wait(seconds: float) -> None:
        due = time.now + seconds
        await until(lambda: time.now >= due)

    async def send(arrives: float, held_up: float, answered: float, says_so: bool) -> None:  # noqa: FBT001 -- drawn
        await wait(arrives)
        leave = await limiter.turn(rate)
        await wait(held_up)
        if says_so:
            leave()
            sent.append(time.now)
        await wait(answered)
        if not says_so:
            sent.append(time.now)
        leave()

    async def run() -> None:
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            calls = [group.create_task(send(*delay)) for delay in delays]
            while not all(each.done() for each in calls):
                await asyncio.sleep(0)
                time.now += 0.1

    asyncio.run(run())
    assert len(delays) == len(sent)
    sent.sort()
    calls, window = (int(rate), 1.0) if rate >= 1 else (1, 1 / rate)
    for number, moment in enumerate(sent[calls:]):
        assert moment - sent[number] >= window


async def test_slow_intents_do_not_make_calls_leave_together() -> None:
    """Calls whose `before_send` takes seconds leave no faster than the tenant allows."""
    time = FakeTime()
    sent: list[float] = []

    def save(_: httpx.Request) -> httpx.Response:
        sent.append(time.now)
        return answer(connection_json())

    gate = asyncio.Event()

    async def held_up() -> StillAllowed:
        await gate.wait()
        return lambda: True

    apis = NetServerApis(QUICK, wire=lambda: Wire(SaveConnection=save), limiter=time.limiter)
    async with apis.open(tenant_spec(Protocol.REST, calls_per_second=2), BASIC) as api:
        limiter = apis._limiters["acme"]
        for _ in range(2):
            gate.clear()
            first = [asyncio.create_task(api.save_connection(erp_connection(), held_up)) for _ in range(4)]
            await until(lambda: limiter._about_to_leave == 2)
            time.now += 3
            gate.set()
            await asyncio.gather(*first)

    assert 8 == len(sent)
    assert all(later - earlier >= 1 for earlier, later in zip(sent, sent[2:], strict=False))


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

"""Pushing connections: what one costs, how many go in a second, and whether that holds with many tenants."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx

from benchmarks import stores
from benchmarks.measuring import Figure, Round, Sample, Unit, cpu_of, wall_of
from benchmarks.passes import created, make_pass
from benchmarks.stub import Stub, stub
from benchmarks.zeep_loop import ZeepLoop
from erpsyncd.setting_sections import LimitsSettings

#: What both sides of the first figure keep open at once follows from the settings that erpsyncd comes with.
LIMITS = LimitsSettings()
CPU_TENANTS, CPU_EACH = 20, 50
RATE_TENANTS, RATE_EACH = 200, 10
FEW, MANY = 10, (100, 500)


@contextmanager
def cpu_sides(tenants: int = CPU_TENANTS, each: int = CPU_EACH) -> Iterator[tuple[Round, Round]]:
    """Prepare pending connections, and the bytes that one of them makes of itself on the wire."""
    count = tenants * each
    with stub() as server, stores.pending(stores.document(count, tenants, url=server.url)) as described:
        with stores.copy_of(described) as directory:
            make_pass(directory)
        saved = server.last_save()

        def post() -> Sample:
            with asyncio.Runner() as runner:
                clients = [httpx.AsyncClient() for _ in range(tenants)]
                sample = server.watched(lambda: cpu_of(lambda: runner.run(_post_all(clients, server, saved, each))))
                runner.run(_close_all(clients))
            return replace(sample, value=sample.value / count)

        yield lambda: _cpu(described, server, count), post


async def _post_all(
    clients: list[httpx.AsyncClient], server: Stub, saved: tuple[dict[str, str], bytes], each: int
) -> None:
    headers, body = saved

    async def post(client: httpx.AsyncClient, url: str, left: Iterator[int]) -> None:
        for _ in left:
            response = await client.post(url, content=body, headers=headers)
            assert response.status_code == httpx.codes.OK

    async def post_to_tenant(number: int, client: httpx.AsyncClient) -> None:
        url = f"{server.url}/tenant-{number}/Remote/Services86/ErpSync.svc"
        left = iter(range(each))
        await asyncio.gather(*(post(client, url, left) for _ in range(LIMITS.connections_at_once)))

    pending = iter(enumerate(clients))

    async def work() -> None:
        for number, client in pending:
            await post_to_tenant(number, client)

    await asyncio.gather(*(work() for _ in range(LIMITS.tenants_at_once)))


async def _close_all(clients: list[httpx.AsyncClient]) -> None:
    for client in clients:
        await client.aclose()


def _pushed(described: Path, server: Stub, measured: Callable[[Callable[[], object]], Sample], count: int) -> Sample:
    """Push all connections of a copy of a store."""
    with stores.copy_of(described) as directory:
        pushed: list[int] = []
        sample = server.watched(lambda: measured(lambda: pushed.append(created(make_pass(directory)))))
    assert pushed == [count], f"{pushed} connections were created, not {count}"
    return sample


def _cpu(described: Path, server: Stub, count: int) -> Sample:
    sample = _pushed(described, server, cpu_of, count)
    return replace(sample, value=sample.value / count)


def _rate(described: Path, server: Stub, count: int) -> Sample:
    sample = _pushed(described, server, wall_of, count)
    return replace(sample, value=count / sample.value)


@contextmanager
def rate_sides(tenants: int = RATE_TENANTS, each: int = RATE_EACH) -> Iterator[tuple[Round, Round]]:
    """Prepare pending connections for erpsyncd and for the loop that somebody would write without it."""
    count = tenants * each
    with stub() as server, stores.pending(stores.document(count, tenants, url=server.url)) as described:
        loop = ZeepLoop(server.url, tenants=tenants, each=each)

        def push_by_hand() -> Sample:
            with loop.database() as engine:
                sample = server.watched(lambda: wall_of(lambda: loop.push(engine)))
            return replace(sample, value=count / sample.value)

        yield lambda: _rate(described, server, count), push_by_hand


@contextmanager
def growth_sides(
    many: int, few: int = FEW, each: int = RATE_EACH, *, measured: Callable[[Path, Stub, int], Sample] = _rate
) -> Iterator[tuple[Round, Round]]:
    """Prepare the same number of connections for each of many and of few tenants."""
    with (
        stub() as server,
        stores.pending(stores.document(many * each, many, url=server.url)) as of_many,
        stores.pending(stores.document(few * each, few, url=server.url)) as of_few,
    ):
        yield lambda: measured(of_many, server, many * each), lambda: measured(of_few, server, few * each)


@contextmanager
def growth_cpu_sides(many: int, few: int, each: int) -> Iterator[tuple[Round, Round]]:
    """Prepare the same; what counts is what each connection takes of a processor."""
    with growth_sides(many, few, each, measured=_cpu) as both:
        yield both


def _growth(many: int) -> Figure:
    return Figure(
        name=f"pushes per second, {many} tenants with {RATE_EACH} connections each",
        against=f"the same with {FEW} tenants",
        unit=Unit.RATE,
        least=0.85,
        sides=lambda: growth_sides(many),
    )


CPU = Figure(
    name="CPU of a pushed connection, from the store's row to the recorded outcome, SOAP",
    against="a bare httpx POST of the same bytes with one client per tenant",
    unit=Unit.CPU,
    most=1.35,
    sides=cpu_sides,
)
RATE = Figure(
    name=f"pushes per second, {RATE_TENANTS} tenants with {RATE_EACH} connections each, one process",
    against="a loop with zeep (official WSDL, read once), requests, and SQLAlchemy with a commit per push",
    unit=Unit.RATE,
    least=2.0,
    sides=rate_sides,
)
GROWTH = tuple(_growth(many) for many in MANY)

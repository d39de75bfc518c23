"""Faults on the way to a tenant, over real sockets: its certificate, ours, the version of TLS, a proxy."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog

from certificates import Authority
from erpsyncd.domain.secrets import parse_template
from erpsyncd.errors import Effect
from erpsyncd.netserver.network import Network
from erpsyncd.netserver.wire import Answer, Request
from erpsyncd.store import open_store
from fault_bench import KEYS, LIMITS, LISTS, READ, SAVE, FaultBench, name_of, results, sandbox_server
from fault_cases import BOTH
from faulty_proxy import Visit, faulty_proxy
from forward_proxy import forward_proxy
from netserver_support import operation_asked_for
from tls_door import tls_door
from way_faults import PROXY, TLS_CASES, WAY_CASES, Way, WayCase

SECRETS = ("erp password", "tenant password", "proxy password", "proxy%20password", "cHJveHktdXNlcjpw")
#: Long enough for a handshake on a busy machine.
SLOW = replace(LIMITS, connect_seconds=0.4)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(directory=tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(directory=tmp_path_factory.mktemp("stranger"))


@pytest.fixture
async def way(
    upgraded_sqlite: Path, tmp_path: Path, protocol: str, ours: Authority, stranger: Authority
) -> AsyncIterator[Way]:
    """Two tenants in a store, one of them behind TLS, and a forward proxy; nobody's secret gets into the log."""
    shutil.copy(upgraded_sqlite, tmp_path / "erpsyncd.db")
    with (
        open_store(f"sqlite:///{tmp_path}/erpsyncd.db", key_path=None, state_directory=tmp_path) as store,
        sandbox_server() as sandbox,
        structlog.testing.capture_logs() as log,
    ):
        async with faulty_proxy(sandbox.port) as proxy, forward_proxy() as forward:
            bench = FaultBench(store=store, sandbox=sandbox, proxy=proxy, protocol=protocol)
            with tls_door(proxy.port, ours.server()) as door:
                yield Way(bench=bench, door=door, ours=ours, stranger=stranger, forward=forward)
        assert [] == proxy.crashes
        assert [] == [event for event in log if any(secret in str(event) for secret in SECRETS)]


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each operation on `acme` was handed to the network: nobody else sees one that never left."""
    counted: Counter[str] = Counter()
    ask = Network.ask

    async def counting(network: Network, request: Request, max_body: int) -> Answer:
        if b"/acme/" in request.address.url:
            counted[operation_asked_for(request)] += 1
        return await ask(network, request, max_body)

    monkeypatch.setattr(Network, "ask", counting)
    return counted


def ways(cases: Sequence[WayCase]) -> list[Any]:
    """Return each case with both protocols; one that costs real time with one."""
    return [
        pytest.param(case, protocol, id=f"{case.name}-{protocol}")
        for case in cases
        for protocol in (BOTH[1:] if case.is_slow else BOTH)
    ]


@pytest.mark.parametrize(("case", "protocol"), ways(WAY_CASES))
@pytest.mark.parametrize("operation", [SAVE, READ])
async def test_a_fault_on_the_way(way: Way, case: WayCase, operation: str, handed_over: Counter[str]) -> None:
    """Class, attempts and state are as described, nothing arrives, the other tenant is done, and all is made good."""
    bench = way.bench
    bench.settings = way.settings(case)
    bench.connections_at_once = 1 if case.ends_pass else 2
    bench.describe()
    if operation == READ:
        await bench.run()
        bench.describe("new")
    # The call before the one that it is about is the last that gets through.
    before = {SAVE: LISTS[bench.protocol], READ: ""}[operation]  # a session that was kept asks for no login

    async def last_answer(visit: Visit) -> None:
        answer = await visit.forward()
        case.strike(way)
        await visit.send(answer.head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + answer.body)
        await visit.finish()

    if before:
        bench.proxy.spoil(last_answer, before)
    else:
        case.strike(way)
    arrived, handed = len(bench.proxy.made(operation)), handed_over[operation]

    report = await bench.run(SLOW if case.is_slow else LIMITS)

    became = results(report)
    assert ("updated" if operation == READ else "created", None) == became["only"]
    met = KEYS[:1] if case.ends_pass else KEYS
    assert {("failed", case.error_class)} == {became[key] for key in met}
    assert {("skipped", "not_tried")} >= {became[key] for key in KEYS if key not in met}
    assert {case.state} == {bench.row(key).state for key in met}
    attempts = case.read_attempts if operation == READ else case.save_attempts
    assert len(met) * attempts == handed_over[operation] - handed
    assert arrived == len(bench.proxy.made(operation))
    errors = [bench.row(key).error for key in met]
    assert [] == [error for error in errors if any(secret in error for secret in SECRETS)]
    assert [] == [error for error in errors if (case.group == PROXY) != ("check proxy" in error)]
    uncertain = operation == SAVE and case.effect is Effect.UNCERTAIN
    assert ({name_of(key) for key in KEYS} if uncertain else set()) == set(await bench.intents())

    await way.mend()
    await bench.heal()

    assert bench.is_as_described("new" if operation == READ else "")
    assert {} == await bench.intents()
    assert (case.group == PROXY) == bool(way.forward.heads)


@pytest.mark.parametrize("protocol", ["rest"])
async def test_a_file_that_is_missing(way: Way, tmp_path: Path) -> None:
    """It costs its own tenant one pass, in which nothing is sent and nothing counts as tried; the others go on."""
    bench, trusted = way.bench, tmp_path / "ca.pem"
    bench.settings = {**way.settings(TLS_CASES[0]), "ca_file": str(trusted)}
    bench.describe()

    report = await bench.run()

    became = results(report)
    assert {None: ("failed", "configuration"), "only": ("created", None)} == became
    assert {("pending", 0)} == {(bench.row(key).state, bench.row(key).attempts) for key in KEYS}
    (outcome,) = [outcome for tenant in report.tenants for outcome in tenant.outcomes if outcome.key is None]
    assert f"tenant acme: ca_file {trusted} cannot be read: no such file or directory" == outcome.error
    assert [] == bench.proxy.requests

    shutil.copy(way.ours.file, trusted)
    await bench.run(scheduled=True)

    assert bench.is_as_described()


@pytest.mark.parametrize("protocol", ["rest"])
@pytest.mark.parametrize(
    ("proxy", "error_class", "error"),
    [
        ("http://user:@{env:NONE}@127.0.0.1:1", "secret_missing", "cannot use the proxy: @{env:NONE} is not set"),
        ("nonsense", "configuration", "tenant acme: proxy must be an address such as http://"),
    ],
)
async def test_a_proxy_that_cannot_be_used(way: Way, proxy: str, error_class: str, error: str) -> None:
    """There is no way around it: nothing is sent, and the others go on."""
    bench = way.bench
    bench.settings = {"proxy": parse_template(proxy)}
    bench.describe()

    report = await bench.run()

    assert {None: ("failed", error_class), "only": ("created", None)} == results(report)
    (outcome,) = [outcome for tenant in report.tenants for outcome in tenant.outcomes if outcome.key is None]
    assert str(outcome.error).startswith(error)
    assert [] == bench.proxy.requests

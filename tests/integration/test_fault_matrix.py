"""Every fault of the catalogue between erpsyncd and a tenant, over real sockets, and what becomes of the rest."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
import structlog

import wire_faults as wire
from erpsyncd.errors import Effect
from erpsyncd.netserver.limits import RemoteLimits
from erpsyncd.netserver.network import Network
from erpsyncd.netserver.wire import Answer, Request
from erpsyncd.store import SqlStore, open_store
from fault_bench import (
    HIT,
    IMPATIENT,
    KEYS,
    LIMITS,
    LISTS,
    READ,
    SAVE,
    FaultBench,
    name_of,
    results,
    sandbox_server,
)
from fault_cases import BOTH, FaultCase, OddAnswer
from fault_catalogue import CASES, DONE, ODD_CASES, UNREACHABLE, OddCase, WireCase
from faulty_proxy import Visit, faulty_proxy, pass_through
from netserver_support import PLAIN, operation_asked_for
from postgres_server import PostgresServer

LOGIN = "AuthenticateUsernamePassword"
SECRETS = ("erp password", "tenant password")
_SLOW = tuple(case for case in CASES if case.is_slow and case.name != "silence")
_QUICK = tuple(case for case in CASES if case not in _SLOW)


def matrix(cases: Sequence[FaultCase | OddAnswer], *protocols: str) -> list[Any]:
    """Return each case with each of its protocols, or with those of them that are named."""
    return [
        pytest.param(case, protocol, id=f"{case.name}-{protocol}")
        for case in cases
        for protocol in case.protocols
        if protocol in (protocols or BOTH)
    ]


#: Up to its outcome a save is a save; afterwards, an update differs from a create by what may have been done.
_KINDS = {
    (case.error_class, case.effect, case.ends_pass, case.group == DONE, case.protocols): case
    for case in reversed(_QUICK)
}
_ALSO_ON_POSTGRESQL = tuple(
    case
    for case in CASES
    if case.name in ("silence", "401 (SOAP)", "401 (REST)", "429", "a page for people", "done, then reset")
)


@pytest.fixture
def fault_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlStore]:
    """A store on SQLite, or on what a test names."""
    if getattr(request, "param", "sqlite") == "sqlite":
        shutil.copy(request.getfixturevalue("upgraded_sqlite"), tmp_path / "erpsyncd.db")
        with open_store(f"sqlite:///{tmp_path}/erpsyncd.db", key_path=None, state_directory=tmp_path) as opened:
            yield opened
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with (
        server.database(request.getfixturevalue("upgraded_postgres")) as url,
        open_store(url, key_path=None, state_directory=tmp_path) as opened,
    ):
        yield opened


@pytest.fixture
async def bench(fault_store: SqlStore, protocol: str) -> AsyncIterator[FaultBench]:
    """Two tenants that were just described; nobody's secret gets into the log."""
    with sandbox_server() as sandbox, structlog.testing.capture_logs() as log:
        async with faulty_proxy(sandbox.port) as proxy:
            bench = FaultBench(store=fault_store, sandbox=sandbox, proxy=proxy, protocol=protocol)
            bench.describe()
            yield bench
        assert 0 == proxy.visitors
        assert [] == proxy.crashes
        assert [] == [event for event in log if any(secret in str(event) for secret in SECRETS)]


def limits_for(case: WireCase) -> RemoteLimits:
    return IMPATIENT if case.until_deadline else LIMITS


def one_by_one(bench: FaultBench, case: FaultCase) -> None:
    """Let the pass go in order where it is going to end, so that it is known who was before."""
    bench.connections_at_once = 1 if case.ends_pass else 2


def expected(case: FaultCase, error_class: str, done: str) -> dict[str | None, tuple[str, str | None]]:
    """Return what has to become of each connection in a pass with the fault."""
    after = ("skipped", "not_tried") if case.ends_pass else (done, None)
    return {"alpha": (done, None), HIT: ("failed", error_class), "omega": after, "only": (done, None)}


@pytest.mark.parametrize(("case", "protocol"), [*matrix(_QUICK), *matrix(_SLOW, "soap")])
async def test_a_create_that_meets_a_fault(bench: FaultBench, case: WireCase) -> None:
    """Class, attempts and state are as described, the rest is done, and in the end it exists exactly once."""
    one_by_one(bench, case)
    bench.proxy.spoil(case.fault, SAVE, display_name=name_of(HIT))

    report = await bench.run(limits_for(case))

    uncertain = case.effect is Effect.UNCERTAIN
    assert expected(case, case.error_class, "created") == results(report)
    assert 3 == report.exit_code
    assert (case.state, case.save_attempts) == (bench.row(HIT).state, bench.saves(HIT))
    assert ({name_of(HIT)} if uncertain else set()) == set(await bench.intents())

    bench.proxy.lift()
    bench.pass_by(seconds=30)
    if not case.ends_pass:
        soon = ("in_doubt", "unsettled") if uncertain else ("created", None)
        assert {HIT: ("updated", None) if bench.has(HIT) else soon} == results(await bench.run())
    await bench.heal(refused=case.ends_pass)

    assert bench.is_as_described()
    assert case.save_attempts + 1 == bench.saves(HIT)
    assert {} == await bench.intents()


@pytest.mark.parametrize("fault_store", ["postgresql"], indirect=True)
@pytest.mark.parametrize(("case", "protocol"), matrix(_ALSO_ON_POSTGRESQL))
async def test_faults_with_a_store_on_postgresql(bench: FaultBench, case: WireCase) -> None:
    """Each kind of effect, and a pass that ends early, with the other database."""
    await test_a_create_that_meets_a_fault(bench, case)


@pytest.mark.parametrize(
    ("case", "protocol"), matrix((*_KINDS.values(), *(case for case in CASES if case.only_replies)))
)
async def test_an_update_that_meets_a_fault(bench: FaultBench, case: WireCase) -> None:
    """It leaves nothing open and is simply pushed again; the rest is done."""
    await bench.run()
    one_by_one(bench, case)
    bench.describe("new")
    bench.proxy.spoil(case.fault, SAVE, display_name=name_of(HIT))

    report = await bench.run(limits_for(case))

    assert expected(case, case.error_class, "updated") == results(report)
    assert (case.state, 1 + case.save_attempts) == (bench.row(HIT).state, bench.saves(HIT))
    assert {} == await bench.intents()

    await bench.heal(refused=case.ends_pass)

    assert bench.is_as_described("new")
    assert 2 + case.save_attempts == bench.saves(HIT)


@pytest.mark.parametrize(("case", "protocol"), [*matrix(_QUICK), *matrix(_SLOW, "rest")])
async def test_a_read_that_meets_a_fault(bench: FaultBench, case: WireCase) -> None:
    """It is made as often as described, nothing is written on the word of it, and the rest is done."""
    await bench.run()
    one_by_one(bench, case)
    bench.describe("new")
    identity = bench.row(HIT).erp_connection_id
    bench.proxy.spoil(case.fault, READ, erp_connection_id=identity)

    report = await bench.run(limits_for(case))

    assert expected(case, case.read_error_class or case.error_class, "updated") == results(report)
    assert (case.state, 1) == (bench.row(HIT).state, bench.saves(HIT))
    assert case.read_attempts == len(bench.proxy.made(READ, erp_connection_id=identity))

    await bench.heal(refused=case.ends_pass)

    assert bench.is_as_described("new")


@pytest.mark.parametrize(("case", "protocol"), matrix(tuple(case for case in _QUICK if not case.only_replies)))
async def test_a_look_up_that_meets_a_fault(bench: FaultBench, case: WireCase) -> None:
    """As long as nobody can say whether an unanswered create happened, it is not sent again, however late it is."""
    bench.proxy.spoil(wire.done_but(wire.reset), SAVE, display_name=name_of(HIT))
    await bench.run()
    bench.proxy.lift()
    bench.pass_by(hours=1)
    bench.proxy.spoil(case.fault, LISTS[bench.protocol])

    report = await bench.run(limits_for(case))

    assert {HIT: ("in_doubt", case.error_class)} == results(report)
    assert {name_of(HIT)} == set(await bench.intents())
    assert 1 == bench.saves(HIT)

    await bench.heal(refused=case.ends_pass)

    assert bench.is_as_described()


@pytest.mark.parametrize(("case", "protocol"), matrix(tuple(case for case in _QUICK if not case.only_replies), "soap"))
async def test_a_login_that_meets_a_fault(bench: FaultBench, case: WireCase) -> None:
    """Nothing is written, the other tenant is done, and a login that was refused is not made again."""
    bench.proxy.spoil(case.fault, LOGIN)

    report = await bench.run(limits_for(case))

    became = results(report)
    assert ("created", None) == became.pop("only")
    assert {"failed", "skipped"} >= {status for status, _ in became.values()}
    assert [] == bench.proxy.made(SAVE)
    again = case.error_class not in ("unauthorized", "forbidden")
    assert (case.read_attempts if again else 1) == len(bench.proxy.made(LOGIN))

    await bench.heal(refused=any(error_class == "unauthorized" for _, error_class in became.values()))

    assert bench.is_as_described()


class CountingWire(Network):
    """The network, with a count of the requests that were handed to it: nobody else sees one that is refused."""

    handed_over: ClassVar[Counter[str]]

    async def ask(self, request: Request, max_body: int) -> Answer:
        self.handed_over[operation_asked_for(request)] += 1
        return await super().ask(request, max_body)


@pytest.mark.parametrize(("case", "protocol"), matrix(UNREACHABLE))
@pytest.mark.parametrize("operation", [SAVE, READ])
async def test_a_tenant_that_cannot_be_reached(
    bench: FaultBench, case: FaultCase, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connecting is tried again, then each connection of this tenant has failed; nothing was sent."""
    monkeypatch.setattr(CountingWire, "handed_over", Counter(), raising=False)
    close = bench.proxy.refuse if case is UNREACHABLE[0] else bench.proxy.swallow
    if operation == READ:
        await bench.run()
        bench.describe("new")
    # The call before the one that it is about is the last that gets through.
    before = {SAVE: LISTS[bench.protocol], READ: ""}[operation]  # a session that was kept asks for no login

    async def last_answer(visit: Visit) -> None:
        answer = await visit.forward()
        close()
        await visit.send(answer.raw)
        await visit.finish()

    if before:
        bench.proxy.spoil(last_answer, before)
    else:
        close()

    report = await bench.run(replace(LIMITS, connect_seconds=0.2), wire=lambda: CountingWire(PLAIN))

    became = results(report)
    assert {("failed", case.error_class)} == {became[key] for key in KEYS}
    assert ("updated" if operation == READ else "created", None) == became["only"]
    attempts = case.read_attempts if operation == READ else case.save_attempts  # and one of the other tenant
    assert len(KEYS) * attempts + 1 == CountingWire.handed_over[operation]
    assert [] == bench.proxy.made(operation)
    assert {} == await bench.intents()

    await bench.proxy.listen()
    await bench.heal()

    assert bench.is_as_described("new" if operation == READ else "")


@pytest.mark.parametrize(("case", "protocol"), matrix(ODD_CASES))
async def test_odd_answers_are_understood(bench: FaultBench, case: OddCase) -> None:
    """They are no failures, neither for what is sent nor for the look-up after an answer that was lost."""
    bench.proxy.spoil(wire.done_but(wire.reset), SAVE, display_name=name_of("alpha"), times=1)
    for operation in case.operations:
        bench.proxy.spoil(case.fault, operation)

    assert {"alpha": ("failed", "outcome_unknown")} | dict.fromkeys(
        (HIT, "omega", "only"), ("created", None)
    ) == results(await bench.run())
    assert {"alpha": ("updated", None)} == results(await bench.run())

    assert bench.is_as_described()


@pytest.mark.parametrize("protocol", ["rest"])
@pytest.mark.parametrize("as_date", [False, True])
async def test_a_pause_that_is_asked_for_is_kept(bench: FaultBench, *, as_date: bool) -> None:
    """The next attempt comes when the tenant said, and not before."""
    not_before: list[datetime] = []

    async def later(visit: Visit) -> None:
        not_before.append(datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1))
        await wire.with_retry_after("429 Too Many Requests", seconds=1, as_date=as_date)(visit)

    async def then(visit: Visit) -> None:
        not_before.append(datetime.now(UTC))
        await pass_through(visit)

    bench.proxy.spoil(later, SAVE, display_name=name_of(HIT), times=1)
    bench.proxy.spoil(then, SAVE, display_name=name_of(HIT))

    report = await bench.run()

    assert ("created", None) == results(report)[HIT]
    first, second = bench.proxy.made(SAVE, name_of(HIT))
    assert not_before[0] <= not_before[1]
    assert as_date or first.at + 1 <= second.at


@pytest.mark.parametrize("protocol", BOTH)
async def test_an_answer_that_nobody_asked_for(bench: FaultBench) -> None:
    """What comes behind an answer is not taken for the answer to the next question."""
    bench.connections_at_once = 1
    bench.proxy.spoil(wire.answered_twice, SAVE, display_name=name_of(HIT))

    await bench.run()
    bench.proxy.lift()
    await bench.heal()

    assert bench.is_as_described()
    assert set(bench.sandbox.tenant("acme").connections) >= {bench.row(key).erp_connection_id for key in KEYS}


@pytest.mark.parametrize("protocol", BOTH)
async def test_a_list_that_contradicts_itself(bench: FaultBench) -> None:
    """One id with two names: nothing is sent again on the word of such a list."""
    bench.proxy.spoil(wire.done_but(wire.reset), SAVE, display_name=name_of(HIT))
    await bench.run()
    bench.proxy.lift()
    bench.pass_by(hours=1)
    bench.proxy.spoil(wire.all_with_one_id, LISTS[bench.protocol])

    await bench.run()

    assert 1 == bench.saves(HIT)


@pytest.mark.parametrize("protocol", BOTH)
async def test_a_secret_that_a_failed_read_quotes(bench: FaultBench) -> None:
    """It gets neither into the outcome nor into the log."""
    await bench.run()
    bench.describe("new")
    quoting = wire.answering(wire.refused_with("SoServerException", text=wire.QUOTING))
    bench.proxy.spoil(quoting, READ, erp_connection_id=bench.row(HIT).erp_connection_id)

    await bench.run()

    assert "erp password" not in str(bench.row(HIT).error)

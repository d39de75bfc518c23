"""Whole passes over a tenant of Online that moves, stops and comes back, over real sockets and into real stores."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from erpsyncd.domain.connections import State
from erpsyncd.domain.results import Status
from erpsyncd.domain.tenants import Protocol
from erpsyncd.netserver import tenant_states
from erpsyncd.sandbox import Action, Answer, Call, Drop, Hang, Raise, Rule, SandboxServer, When
from erpsyncd.store import SqlStore
from factories import make_connection, make_tenant
from online_bench import NAME, OnlineBench, online_tenant
from pass_bench import Bench, only, statuses


@pytest.fixture
def online(store: SqlStore, sandbox: SandboxServer) -> OnlineBench:
    return OnlineBench(store=store, sandbox=sandbox)


# Where it is ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", Protocol)
async def test_address_comes_from_the_state(online: OnlineBench, protocol: Protocol) -> None:
    """A tenant without a url is found through its environment, over either protocol, and what was said is kept."""
    auth = {"username": "sandbox", "password": "sandbox"}
    online.load(online_tenant(protocol=protocol, auth=auth), make_connection())

    report = await online.run()

    assert ("visma", "created", None) == only(report)
    known = online.tenant().reported
    assert known is not None
    assert ("Running", True) == (known.word, known.is_running)
    assert (f"{online.sandbox.url}/{NAME}", f"{online.sandbox.url}/{NAME}/api") == (known.endpoint, known.api)
    assert known.valid_until is not None
    assert timedelta(minutes=9) < known.valid_until - online.time < timedelta(minutes=11)


async def test_url_is_not_where_calls_go(online: OnlineBench) -> None:
    """What the vendor says wins over a url; an explicit soap_url wins over what the vendor says."""
    online.load(online_tenant(url="http://127.0.0.1:9"), make_connection())
    first = await online.run()
    online.say(endpoint="http://127.0.0.1:9/nowhere")
    online.load(
        online_tenant(soap_url=f"{online.sandbox.url}/{NAME}/Remote"), make_connection(display_name="Other name")
    )
    online.pass_time(hours=1)

    second = await online.run()

    assert ("visma", "created", None) == only(first)
    assert ("visma", "updated", None) == only(second)


async def test_converged_pass_asks_nobody_while_the_answer_is_good(online: OnlineBench) -> None:
    """Within ValidUntil a pass makes no state call; after it, one."""
    await online.converge("visma")
    online.pass_time(minutes=9)
    await online.run(scheduled=True)
    within = online.asked

    online.pass_time(minutes=2)
    await online.run(scheduled=True)

    assert (1, 2) == (within, online.asked)


@pytest.mark.parametrize(
    ("said", "asked_after"),
    [
        pytest.param({"valid_until": "2020-10-05T09:52:01.9342965Z"}, 2, id="in the past"),
        pytest.param({"valid_until": "9999-12-31T23:59:59.9999999Z"}, 2, id="for ever"),
        pytest.param({"valid_until": "0001-01-01T00:00:00"}, 2, id="the least moment of .NET"),
        pytest.param({"valid_until": "soon"}, 2, id="no moment"),
        pytest.param({"valid_seconds": None}, 2, id="missing"),
    ],
)
async def test_strange_moment_neither_freezes_nor_floods(
    online: OnlineBench, said: dict[str, str | None], asked_after: int
) -> None:
    """Whatever ValidUntil says: no second question within a minute, and one within a day at the latest."""
    online.say(**said)
    await online.converge("visma")
    online.pass_time(seconds=59)
    await online.run()
    at_once = online.asked

    online.pass_time(days=1)
    await online.run()

    assert (1, asked_after) == (at_once, online.asked)


async def test_clock_that_was_wrong_does_not_freeze_an_answer(online: OnlineBench) -> None:
    """An answer that was read while our clock was years ahead is asked for again."""
    right = online.time
    online.pass_time(days=3650)
    await online.converge("visma")
    online.time = right

    await online.run()

    assert 2 == online.asked


async def test_move_between_passes(online: OnlineBench) -> None:
    """A pass that finds the old host turning it away goes on at the new one, and the next one begins there."""
    await online.converge("visma")
    door = online.sandbox.open_door()
    online.say(address=door)
    online.load(make_connection(display_name="New name"), make_connection("second"))

    report = await online.run()

    assert [("second", "created", None), ("visma", "updated", None)] == sorted(statuses(report))
    assert 2 == online.asked
    known = online.tenant().reported
    assert known is not None
    assert f"{door}/{NAME}" == known.endpoint
    turned_away = sum(call.http_status == 421 for call in online.sandbox.calls)
    online.load(make_connection(display_name="Newest name"))
    assert 0 == (await online.run()).exit_code
    assert turned_away == sum(call.http_status == 421 for call in online.sandbox.calls)


@pytest.mark.parametrize("protocol", Protocol)
async def test_misdirected_create_is_made_once_at_the_new_host(online: OnlineBench, protocol: Protocol) -> None:
    """421 is refused before work, so even a create is repeated; there is exactly one, and its intent is settled."""
    online.load(online_tenant(protocol=protocol), make_connection())
    door = online.sandbox.open_door()

    def move(call: Call) -> Action | None:
        if call.operation == "SaveConnection":
            online.say(address=door)
        return None

    online.sandbox.before_call = move

    report = await online.run()

    assert ("visma", "created", None) == only(report)
    assert [421, 200] == [call.http_status for call in online.sandbox.saves(NAME)]
    assert 1 == len(online.saves) == len(online.there.connections)
    assert State.IN_SYNC == online.row().state
    assert () == await online.store.open_intents(online.tenant().id)


async def test_intent_is_on_disk_before_each_of_both_sends(online: OnlineBench) -> None:
    """Promise 5.1 holds for the repeated call, too: when it arrives, its intent has a time of its own."""
    online.load(online_tenant(), make_connection())
    door = online.sandbox.open_door()
    sent: list[datetime] = []

    def move(call: Call) -> Action | None:
        if call.operation == "SaveConnection":
            sent.append(_sent_at(online))
            online.say(address=door)
            online.pass_time(seconds=7)
        return None

    online.sandbox.before_call = move

    await online.run()

    assert [timedelta(seconds=7)] == [second - first for first, second in pairwise(sent)]


def _sent_at(online: OnlineBench) -> datetime:
    """When the open intent was sent, as another process finds it in the store."""
    intent = online.store.get_connection("acme", "visma").open_intent
    assert intent is not None
    return intent.sent_at


async def test_refused_connections_lead_to_the_new_host(online: OnlineBench) -> None:
    """A host that is gone never got the call: the pass finds the new one and creates there, once."""
    old = online.sandbox.open_door()
    online.say(address=old)
    await online.converge("visma")
    online.sandbox.close_door(old)
    online.say(address=online.sandbox.url)
    online.load(make_connection("second"))

    report = await online.run()

    assert ("second", "created", None) == only(report)
    assert 2 == online.asked
    assert 2 == len(online.saves)


async def test_many_calls_that_fail_at_once_ask_once(online: OnlineBench) -> None:
    """However many calls are turned away together, the vendor is asked once, and each is made again once."""
    keys = [f"number {number}" for number in range(8)]
    online.load(online_tenant(), *(make_connection(key) for key in keys))
    door = online.sandbox.open_door()

    def move(call: Call) -> Action | None:
        if call.operation == "SaveConnection":
            online.say(address=door)
        return None

    online.sandbox.before_call = move

    report = await online.run()

    assert dict.fromkeys(keys, "created") == {key: status for key, status, _ in statuses(report)}
    assert 2 == online.asked
    assert len(keys) == len(online.saves) == len(online.there.connections)


async def test_misdirected_where_nothing_moved_fails_as_ever(online: OnlineBench) -> None:
    """421 from where the state says the tenant is: one question, no repetition, and a sentence that says so."""
    online.load(online_tenant(), *(make_connection(f"number {number}") for number in range(6)))
    online.sandbox.add_faults(
        Rule(operation="SaveConnection", times=6, action=Answer(status=421, body=b"no", headers={}))
    )

    report = await online.run()

    assert {("failed", "not_found")} == {(status, error_class) for _, status, error_class in statuses(report)}
    assert "nobody names another address" in (report.tenants[0].outcomes[0].error or "")
    assert 2 == online.asked
    assert [] == online.saves


async def test_uncertain_create_is_not_repeated_though_the_tenant_moved(online: OnlineBench) -> None:
    """The connection broke after the work was done: another host does not make that a call that never was."""
    online.load(online_tenant(), make_connection())
    door = online.sandbox.open_door()

    def lose(call: Call) -> Action | None:
        if call.operation != "SaveConnection":
            return None
        online.say(address=door)
        return Drop(reset=False)

    online.sandbox.after_call = lose

    report = await online.run()
    online.sandbox.after_call = None
    again = await online.run()

    assert ("visma", "failed", "outcome_unknown") == only(report)
    assert 1 == len(online.there.connections)
    assert ("visma", "updated", None) == only(again)


# Whether it runs -----------------------------------------------------------------------------------------------


async def test_maintenance_is_no_failure_and_ends_by_itself(online: OnlineBench) -> None:
    """Nothing is sent, nothing is counted against anybody, and the pass after it does what waited."""
    online.load(online_tenant(), make_connection())
    online.say(state="OfflineMaintenance", valid_seconds=600.0)

    before = await online.run(scheduled=True)
    within = [await online.run(scheduled=True) for _ in range(12)]
    asked = online.asked
    parked = online.row()
    online.say(state="Running")
    online.pass_time(minutes=11)
    after = await online.run(scheduled=True)

    assert {(None, "skipped", "parked")} == {only(report) for report in (before, *within)}
    assert {75} == {report.exit_code for report in (before, *within)}
    assert 0 == before.counts[Status.FAILED]
    assert 1 == asked
    assert (State.PARKED, 0, None) == (parked.state, parked.attempts, parked.next_attempt_at)
    tenant = online.tenant()
    assert (None, 0, None) == (tenant.parked_until, tenant.transient_failures, tenant.refused_auth)
    assert ("visma", "created", None) == only(after)
    assert {"GetState", "AuthenticateUsernamePassword", "GetList", "SaveConnection", "HasConnections"} == set(
        online.sandbox.counts(NAME)
    )


async def test_by_hand_asks_at_once(online: OnlineBench) -> None:
    """Who starts a run by hand knows why: he does not wait for the moment that was said."""
    online.load(online_tenant(), make_connection())
    online.say(state="MigrationPending", valid_seconds=3600.0)
    parked = await online.run()
    online.say(state="OnlineMaintenance")

    report = await online.run()

    assert (None, "skipped", "parked") == only(parked)
    assert ("visma", "created", None) == only(report)


async def test_is_running_decides_over_an_unknown_word(online: OnlineBench) -> None:
    """A word that is new to us is as good as its IsRunning."""
    online.load(online_tenant(), make_connection())
    online.say(state="Hibernating", is_running=False)
    asleep = await online.run()
    online.say(state="Galloping", is_running=True)

    awake = await online.run()

    assert (None, "skipped", "parked") == only(asleep)
    assert ("visma", "created", None) == only(awake)


async def test_suspended_waits_for_an_operator_and_is_asked_again(online: OnlineBench) -> None:
    """A suspended tenant is not tried, but its state is read each time it may have changed."""
    online.load(online_tenant(), make_connection())
    online.say(state="Suspended", valid_seconds=24 * 3600.0)

    first = await online.run(scheduled=True)
    online.pass_time(minutes=61)
    second = await online.run(scheduled=True)

    error = first.tenants[0].outcomes[0].error or ""
    assert "Suspended" in error
    assert "have the customer or SuperOffice resume it" in error
    assert [(None, "skipped", "parked")] * 2 == [only(first), only(second)]
    assert {"GetState": 2} == online.sandbox.counts(NAME)


@pytest.mark.parametrize("change", ["create", "update"])
async def test_maintenance_that_begins_in_mid_pass(online: OnlineBench, change: str) -> None:
    """The pass ends with what was done; what was sent stays open, the rest waits, and nobody lost an attempt."""
    await online.converge("a first", "b second", "c third")
    if change == "create":
        online.load(*(make_connection(f"{key} of the new") for key in "abc"))
    else:
        online.load(*(make_connection(key, display_name=f"New {key}") for key in ("a first", "b second", "c third")))
    online.policy = replace(online.policy, connections_at_once=1)
    before = len(online.saves)

    def stop(call: Call) -> Action | None:
        if call.operation == "SaveConnection" and len(online.saves) == before + 1:
            online.say(state="OfflineMaintenance")
        return None

    online.sandbox.before_call = stop

    report = await online.run(scheduled=True)
    online.sandbox.before_call = None
    rows = [row for row in online.store.list_connections() if row.state != State.IN_SYNC]
    states = sorted(row.state for row in rows)
    online.say(state="Running")
    online.pass_time(minutes=11)
    after = await online.run(scheduled=True)

    found = [(status, error_class) for _, status, error_class in statuses(report)]
    done = f"{change}d"
    assert [(done, None), ("skipped", "parked"), ("skipped", "not_tried"), ("skipped", "parked")] == found
    assert 3 == report.exit_code
    assert ["in_flight", "parked"] == states
    assert {0} == {row.attempts for row in rows}
    assert 0 == online.tenant().transient_failures
    assert 0 == after.exit_code
    assert {done} == {status for _, status, _ in statuses(after)}
    assert (6 if change == "create" else 3) == len(online.there.connections)


async def test_move_that_ends_in_maintenance(online: OnlineBench) -> None:
    """A create that is turned away by a tenant that then does not run at all leaves no open intent behind."""
    online.load(online_tenant(), make_connection())

    def stop(call: Call) -> Action | None:
        if call.operation == "SaveConnection":
            online.say(address="http://127.0.0.1:9", state="OfflineMaintenance")
        return None

    online.sandbox.before_call = stop

    report = await online.run()

    assert [("visma", "skipped", "parked"), (None, "skipped", "parked")] == statuses(report)
    assert 75 == report.exit_code
    assert (State.PARKED, 0) == (online.row().state, online.row().attempts)
    assert () == await online.store.open_intents(online.tenant().id)


async def test_breaker_does_not_hear_of_maintenance(online: OnlineBench) -> None:
    """Failures in a row that maintenance explains do not park the tenant for longer than maintenance lasts."""
    await online.converge("visma")
    online.load(*(make_connection(f"number {number}") for number in range(20)))
    online.say(state="OfflineMaintenance")

    report = await online.run(scheduled=True)

    assert 75 == report.exit_code
    assert (None, 0) == (online.tenant().parked_until, online.tenant().transient_failures)
    assert 2 == online.asked


async def test_open_create_waits_through_maintenance(online: OnlineBench) -> None:
    """A look-up that meets maintenance leaves the intent open, and says nothing of doubt; the next pass settles it."""
    online.load(online_tenant(), make_connection())
    online.sandbox.after_call = lambda call: Drop(reset=False) if call.operation == "SaveConnection" else None
    await online.run()
    online.sandbox.after_call = None
    online.say(state="OfflineMaintenance")

    within = await online.run()
    still_open = await online.store.open_intents(online.tenant().id)
    online.say(state="Running")
    after = await online.run()

    assert (None, "skipped", "parked") == only(within)
    assert 1 == len(still_open)
    assert ("visma", "updated", None) == only(after)
    assert 1 == len(online.there.connections)


async def test_check_that_meets_maintenance_is_no_failed_check(online: OnlineBench) -> None:
    """Where only the check was to be made, it waits, too."""
    await online.converge("visma")
    online.say(state="OfflineMaintenance")

    report = await online.run(check_always=True, scheduled=True)

    assert (None, "skipped", "parked") == only(report)
    assert (75, False) == (report.exit_code, report.tenants[0].check_failed)


async def test_neighbours_are_worked_on(online: OnlineBench) -> None:
    """One tenant's maintenance is nobody else's."""
    neighbour = make_tenant(
        "neighbour",
        url=online.sandbox.tenant_url("neighbour"),
        auth={"username": "sandbox", "password": "sandbox"},
    )
    online.load(online_tenant(), neighbour, make_connection(), make_connection(tenant="neighbour"))
    online.say(state="OfflineMaintenance")

    report = await online.run()

    assert [(None, "skipped", "parked"), ("visma", "created", None)] == statuses(report)
    assert 3 == report.exit_code


# When nobody says ----------------------------------------------------------------------------------------------


async def test_unreachable_service_where_it_ran_before(online: OnlineBench) -> None:
    """What ran goes on where it was, and what waits in it is done."""
    await online.converge("visma")
    online.load(make_connection("second"))
    online.pass_time(hours=1)
    online.sandbox.add_faults(Rule(operation="GetState", action=Answer(status=503, body=b"", headers={})))

    report = await online.run(scheduled=True)

    assert ("second", "created", None) == only(report)


async def test_unreachable_service_with_a_url(online: OnlineBench) -> None:
    """A url is where calls go as long as nobody knows better."""
    online.host = "http://127.0.0.1:9"
    online.load(online_tenant(url=online.sandbox.tenant_url(NAME)), make_connection())

    report = await online.run()

    assert ("visma", "created", None) == only(report)


async def test_service_that_never_answers_holds_nobody_up(online: OnlineBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question for the state takes no longer than its own deadline, however long other calls may."""
    monkeypatch.setattr(tenant_states, "DEADLINE_SECONDS", 0.3)
    online.load(online_tenant(url=online.sandbox.tenant_url(NAME)), make_connection())
    online.sandbox.add_faults(Rule(operation="GetState", action=Hang()))

    report = await online.run()

    assert ("visma", "created", None) == only(report)


async def test_unreachable_service_and_nothing_known(online: OnlineBench) -> None:
    """Then the tenant fails for now; the credentials went nowhere."""
    online.host = "http://127.0.0.1:9"
    online.load(online_tenant(), make_connection())

    report = await online.run()

    assert (None, "failed", "unreachable") == only(report)
    assert 75 == report.exit_code
    assert () == online.sandbox.calls


async def test_unknown_customer_is_a_failure_that_names_the_settings(online: OnlineBench) -> None:
    """404 from the state service is a wrong context, and not a service that is down."""
    online.load(online_tenant(url=online.sandbox.tenant_url(NAME)), make_connection())
    online.sandbox.add_faults(Rule(operation="GetState", action=Answer(status=404, body=b"", headers={})))

    report = await online.run()

    assert (None, "failed", "not_found") == only(report)
    assert "check environment and context" in (report.tenants[0].outcomes[0].error or "")


@pytest.mark.parametrize("ran_before", [True, False])
async def test_hostile_endpoint_gets_nothing(online: OnlineBench, *, ran_before: bool) -> None:
    """An address outside of the environment is refused by name, and no call leaves."""
    if ran_before:
        await online.converge("visma")
        online.pass_time(hours=1)
    online.load(online_tenant(), make_connection(display_name="New name"))
    online.say(endpoint="https://superoffice.example/Cust12345")
    calls = len(online.sandbox.calls)

    report = await online.run()

    assert (None, "failed", "untrusted_address") == only(report)
    assert "https://superoffice.example/Cust12345" in (report.tenants[0].outcomes[0].error or "")
    assert ["GetState"] == [call.operation for call in online.sandbox.calls[calls:]]


async def test_hostile_endpoint_in_mid_pass_gets_nothing(online: OnlineBench) -> None:
    """A call that was turned away is not repeated where the state says something that is not believed."""
    online.load(online_tenant(), make_connection())

    def move(call: Call) -> Action | None:
        if call.operation == "SaveConnection":
            online.say(address="http://127.0.0.1:9", endpoint="https://superoffice.example/Cust12345")
        return None

    online.sandbox.before_call = move

    report = await online.run()

    assert ("visma", "failed", "not_found") == statuses(report)[0]
    assert [] == online.saves


async def test_cached_address_that_is_not_trusted_any_more_is_asked_for(bench: Bench) -> None:
    """Where the settings name another host than before, what the old one said is not where calls go."""
    bench.load(online_tenant(), make_connection())
    await bench.run()
    await bench.run()
    before = bench.tenants["acme"].asked
    bench.tenants["acme"].trusted = False

    await bench.run()

    assert (1, 2) == (before, bench.tenants["acme"].asked)


# What it leaves behind -----------------------------------------------------------------------------------------


async def test_dry_run_reads_the_state_and_writes_nothing(online: OnlineBench) -> None:
    """A plan may ask the vendor; the store hears nothing of it."""
    online.load(online_tenant(), make_connection())

    report = await online.run(dry_run=True)

    assert ("visma", "planned", None) == only(report)
    assert 1 == online.asked
    assert online.tenant().reported is None


async def test_another_context_is_another_tenant(online: OnlineBench) -> None:
    """What the vendor said of one customer is not believed of the next."""
    await online.converge("visma")
    online.load(online_tenant(context="Cust99"))

    assert online.tenant().reported is None


async def test_resume_asks_anew(online: OnlineBench) -> None:
    """Who resumes a suspended tenant does not wait for the moment that was said."""
    online.load(online_tenant(), make_connection())
    online.say(state="Suspended", valid_seconds=3600.0)
    await online.run(scheduled=True)
    online.say(state="Running")
    online.store.resume_tenant("acme")

    report = await online.run(scheduled=True)

    assert ("visma", "created", None) == only(report)


async def test_fault_of_a_connector_asks_nobody(online: OnlineBench) -> None:
    """A SOAP fault is an answer: it says nothing about where the tenant is."""
    online.load(online_tenant(), make_connection())
    online.sandbox.add_faults(
        Rule(
            operation="SaveConnection", action=Raise(exception_type="SoServerException", message="no", when=When.BEFORE)
        )
    )

    report = await online.run()

    assert ("visma", "failed", "fault") == only(report)
    assert 1 == online.asked

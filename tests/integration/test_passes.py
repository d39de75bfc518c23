"""Passes over a tenant with a memory and a real store: what is written, what is not, and what is remembered."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from erpsyncd.domain.connections import Owned, State, same_guid
from erpsyncd.domain.results import ChangedDataItem, PluginResponse, RecordChange, RunStatus, Status
from erpsyncd.domain.secrets import Secret
from erpsyncd.errors import (
    ConfigurationError,
    Effect,
    LeaseLost,
    MalformedResponse,
    OutcomeUnknown,
    ProxyUnauthorized,
    RemoteFault,
    RemoteUnavailable,
    RemoteUnreachable,
    StoreError,
    StoreOutdated,
    Unauthorized,
    UsageError,
)
from erpsyncd.service.policy import Policy
from erpsyncd.service.remote import LeaseHolder
from factories import make_connection, make_erp_connection, make_tenant
from pass_bench import Bench, only, statuses


async def test_create_keeps_what_the_tenant_made_of_it(bench: Bench) -> None:
    """A new connection is created once, and its id and GUID are remembered."""
    bench.load(make_tenant(), make_connection())

    report = await bench.run()

    made = bench.tenants["acme"].connections[1]
    assert ("visma", "created", None) == only(report)
    assert (State.IN_SYNC, 1, made.connection_id) == (
        bench.row().state,
        bench.row().erp_connection_id,
        bench.row().connection_id,
    )
    assert "erp password" == made.spec.config_fields["Password"].reveal()
    assert 0 == report.exit_code


async def test_second_run_makes_no_save(bench: Bench) -> None:
    """A run over a converged store leaves the remote alone, but for the check."""
    bench.load(make_tenant(), make_connection(), make_connection("other"))
    await bench.run()
    bench.tenants["acme"].calls.clear()

    report = await bench.run()

    assert ["HasConnections"] == bench.tenants["acme"].calls
    assert [] == statuses(report)
    assert 2 == report.counts[Status.UNCHANGED]


async def test_update_sends_everything_with_the_cursor_just_read(bench: Bench) -> None:
    """A changed field is pushed with one save, which keeps the sync engine's cursor and the GUID."""
    bench.load(make_tenant(), make_connection(active=True, user_group_access_ids=(3, 1)))
    await bench.run()
    tenant = bench.tenants["acme"]
    before = tenant.connections[1]
    bench.load(make_connection(display_name="New name", user_group_access_ids=(3, 1)))
    tenant.calls.clear()

    report = await bench.run()

    after = tenant.connections[1]
    assert ["GetConnection", "SaveConnection", "HasConnections"] == tenant.calls
    assert ("visma", "updated", None) == only(report)
    assert ("display_name",) == report.tenants[0].outcomes[0].fields
    assert replace(before.spec, display_name="New name") == after.spec
    assert (before.connection_id, f"cursor {tenant.cursor}") == (after.connection_id, after.most_recent_timestamp)


async def test_absent_is_deleted_there(bench: Bench) -> None:
    """What is marked absent is deleted in the tenant, once."""
    bench.load(make_tenant(), make_connection())
    await bench.run()
    bench.load(make_connection(present=False))

    report = await bench.run()
    again = await bench.run()

    assert ("visma", "deleted", None) == only(report)
    assert bench.tenants["acme"].connections[1].deleted
    assert State.DELETED == bench.row().state
    assert [] == statuses(again)
    assert 1 == bench.tenants["acme"].calls.count("DeleteConnection")


@pytest.mark.parametrize("gone", ["deleted", "unknown"])
async def test_absent_and_already_gone_is_deleted_without_a_call(bench: Bench, gone: str) -> None:
    """Deleting what somebody else deleted is done already."""
    bench.load(make_tenant(), make_connection())
    await bench.run()
    tenant = bench.tenants["acme"]
    if gone == "deleted":
        tenant.connections[1] = replace(tenant.connections[1], deleted=True)
    else:
        del tenant.connections[1]
    bench.load(make_connection(present=False))

    report = await bench.run()

    assert ("visma", "deleted", None) == only(report)
    assert "DeleteConnection" not in tenant.calls


async def test_a_connection_typed_in_by_hand_is_not_doubled(bench: Bench) -> None:
    """An unowned twin stops the create, and the message says how to take it over."""
    bench.tenants["acme"].type_in(make_erp_connection(7, display_name="Name of visma"))
    bench.load(make_tenant(), make_connection(), make_connection("other"))

    report = await bench.run()

    assert {("visma", "failed", "exists"), ("other", "created", None)} == set(statuses(report))
    assert 1 == bench.tenants["acme"].saves
    assert "erpsyncd connections adopt acme --id 7" in (report.tenants[0].outcomes[0].error or "")
    assert 3 == report.exit_code


async def test_a_list_that_nothing_could_be_compared_with_is_no_list(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the store failed right after it came, the connection whose turn is next must not be doubled."""
    bench.tenants["acme"].type_in(make_erp_connection(7, display_name="Name of twin"))
    bench.load(make_tenant(), make_connection("first"), make_connection("twin"))
    owned_ids, failures = bench.store.owned_ids, [StoreError("the server went away")]

    async def fail_once(tenant_id: int) -> Owned:
        if failures:
            raise failures.pop()
        return await owned_ids(tenant_id)

    monkeypatch.setattr(bench.store, "owned_ids", fail_once)
    with pytest.raises(StoreError):
        await bench.run()

    assert 0 == bench.tenants["acme"].saves


@pytest.mark.parametrize(
    ("listed", "wanted", "twin"),
    [
        ('US:"Norway";NO:"Norge"', 'US:"Norway";NO:"Norge"', True),
        ("Norge", 'US:"Norway";NO:"Norge"', True),
        ("Sverige", 'US:"Norway";NO:"Norge"', False),
        ("Name of visma", "Another name", False),
    ],
)
async def test_twins_are_known_by_any_translation(bench: Bench, listed: str, wanted: str, *, twin: bool) -> None:
    """A tenant may give back a multi-language name whole or in one language; both are the same name."""
    bench.tenants["acme"].type_in(make_erp_connection(7, display_name=listed))
    bench.load(make_tenant(), make_connection(display_name=wanted))

    report = await bench.run()

    assert ("exists" if twin else None) == only(report)[2]


async def test_the_same_name_on_another_connector_is_no_twin(bench: Bench) -> None:
    """A twin has the same connector."""
    bench.tenants["acme"].type_in(make_erp_connection(7, erp_connector_id=2))
    bench.load(make_tenant(), make_connection())

    assert "created" == only(await bench.run())[1]


@pytest.mark.parametrize(
    ("change", "error_class", "state"),
    [
        ({"connection_id": "somebody else's"}, "replaced", State.REPLACED),
        ({"deleted": True}, "missing", State.MISSING),
    ],
)
async def test_what_is_no_longer_ours_is_not_written_to(
    bench: Bench, change: dict[str, Any], error_class: str, state: State
) -> None:
    """Replaced and missing connections wait for a decision, and heal when they come back."""
    bench.load(make_tenant(), make_connection())
    await bench.run()
    tenant = bench.tenants["acme"]
    ours = tenant.connections[1]
    tenant.connections[1] = replace(ours, **change)
    bench.load(make_connection(display_name="New name"))

    reports = [await bench.run(), await bench.run()]

    assert [("visma", "failed", error_class)] * 2 == [only(report) for report in reports]
    assert state == bench.row().state
    assert 1 == tenant.saves

    tenant.connections[1] = ours

    assert ("visma", "updated", None) == only(await bench.run())


async def test_a_guid_in_another_case_is_still_ours(bench: Bench) -> None:
    """GUIDs are compared without case."""
    bench.load(make_tenant(), make_connection())
    await bench.run()
    tenant = bench.tenants["acme"]
    tenant.connections[1] = replace(
        tenant.connections[1], connection_id=f"{{{tenant.connections[1].connection_id}}}".lower()
    )
    bench.load(make_connection(display_name="New name"))

    assert ("visma", "updated", None) == only(await bench.run())


async def test_an_answer_without_a_guid_is_not_a_replacement(bench: Bench) -> None:
    """What the tenant leaves out is sent back as we know it."""
    bench.load(make_tenant(), make_connection())
    await bench.run()
    tenant = bench.tenants["acme"]
    guid = tenant.connections[1].connection_id
    tenant.connections[1] = replace(tenant.connections[1], connection_id="")
    bench.load(make_connection(display_name="New name"))

    assert ("visma", "updated", None) == only(await bench.run())
    assert guid == tenant.connections[1].connection_id == bench.row().connection_id


async def test_an_empty_answer_is_not_trusted_while_the_list_shows_the_connection(bench: Bench) -> None:
    """ "Nothing" is also how a failed read looks; nothing is recorded as missing or deleted because of it."""
    bench.load(make_tenant(), make_connection())
    await bench.run()
    tenant = bench.tenants["acme"]

    async def nothing(erp_connection_id: int, hidden: tuple[Secret, ...] = ()) -> None:
        tenant.calls.append("GetConnection")

    tenant.get_connection = nothing  # type: ignore[method-assign]  # a tenant that fails in this way
    bench.load(make_connection(present=False))

    assert ("visma", "failed", "malformed") == only(await bench.run())
    assert "DeleteConnection" not in tenant.calls


async def test_masked_secrets_cause_no_saves(bench: Bench) -> None:
    """Ten passes over a tenant that masks what it gives back make no save."""
    bench.tenants["acme"].mask = lambda _: Secret("********")
    bench.load(make_tenant(), make_connection())
    await bench.run()

    for _ in range(10):
        await bench.run()

    assert 1 == bench.tenants["acme"].saves


async def test_a_rotated_password_reaches_the_tenant_by_itself(bench: Bench) -> None:
    """A changed reference makes just the connections that use it due."""
    bench.environ["ERP"] = "first"
    bench.load(make_tenant(), make_connection(config_fields={"Password": "pw=@{env:ERP}"}), make_connection("other"))
    await bench.run()
    bench.environ["ERP"] = "second"
    bench.tenants["acme"].calls.clear()

    report = await bench.run()
    again = await bench.run()

    assert ("visma", "updated", None) == only(report)
    assert ("config_fields.Password",) == report.tenants[0].outcomes[0].fields
    assert [] == statuses(again)
    assert 1 == bench.tenants["acme"].saves
    assert (
        "pw=second"
        == bench.tenants["acme"].connections[bench.row().erp_connection_id].spec.config_fields["Password"].reveal()
    )


async def test_a_missing_reference_fails_its_own_connections_only(bench: Bench) -> None:
    """What cannot be resolved is named; when it is back unchanged, nothing is saved."""
    bench.environ["ERP"] = "first"
    bench.load(make_tenant(), make_connection(config_fields={"Password": "@{env:ERP}"}), make_connection("other"))
    await bench.run()
    del bench.environ["ERP"]
    bench.load(make_connection("other", display_name="New name"))

    report = await bench.run()

    assert {("visma", "failed", "secret_missing"), ("other", "updated", None)} == set(statuses(report))
    assert "@{env:ERP}" in next(o.error or "" for o in report.tenants[0].outcomes if o.key == "visma")

    bench.environ["ERP"] = "first"
    saves = bench.tenants["acme"].saves

    assert [] == statuses(await bench.run())
    assert (State.IN_SYNC, saves) == (bench.row().state, bench.tenants["acme"].saves)


async def test_a_missing_login_secret_fails_the_tenant(bench: Bench) -> None:
    """Without credentials nothing is tried, and the neighbour goes on."""
    bench.load(
        make_tenant(auth={"username": "u", "password": "@{env:NOT_SET}"}),
        make_connection(),
        make_tenant("beta"),
        make_connection(tenant="beta"),
    )

    report = await bench.run()

    assert ["secret_missing", None] == [tenant.error for tenant in report.tenants]
    assert [] == bench.tenants["acme"].calls
    assert 3 == report.exit_code


async def test_a_resolved_value_that_is_too_long_is_not_sent(bench: Bench) -> None:
    """What a tenant cannot hold is refused here, without its text."""
    bench.environ["ERP"] = "x" * 1024
    bench.load(make_tenant(), make_connection(config_fields={"Password": "@{env:ERP}"}))

    report = await bench.run()

    assert ("visma", "failed", "secret_unusable") == only(report)
    assert 0 == bench.tenants["acme"].saves


async def test_refused_credentials_are_not_tried_again(bench: Bench) -> None:
    """After a refusal nothing more is sent until the credentials change or an operator says so."""
    bench.environ["PW"] = "wrong"
    bench.load(
        make_tenant(auth={"username": "u", "password": "@{env:PW}"}), make_connection(), make_connection("other")
    )
    tenant = bench.tenants["acme"]
    bench.policy = Policy(connections_at_once=1)
    tenant.fail["GetList"].append(Unauthorized("refused"))

    report = await bench.run()
    again = await bench.run()

    assert (77, RunStatus.REFUSED) == (report.exit_code, report.status)
    assert {("other", "failed", "unauthorized"), ("visma", "skipped", "not_tried")} == set(statuses(report))
    assert 77 == again.exit_code
    assert ["GetList"] == tenant.calls

    bench.environ["PW"] = "right"

    assert 0 == (await bench.run()).exit_code
    assert 2 == tenant.saves


async def test_resume_tries_refused_credentials_again(bench: Bench) -> None:
    """`tenants resume` forgets the refusal."""
    bench.load(make_tenant(), make_connection())
    bench.tenants["acme"].fail["GetList"].append(Unauthorized("refused"))
    await bench.run()
    bench.store.resume_tenant("acme")

    assert 0 == (await bench.run()).exit_code


async def test_one_bad_connection_does_not_stop_its_neighbours(bench: Bench) -> None:
    """A fault is one connection's outcome; it backs off and is tried again."""
    bench.load(make_tenant(), make_connection(), make_connection("other"))
    bench.policy = Policy(connections_at_once=1)
    bench.tenants["acme"].fail["SaveConnection"].append(
        RemoteFault("SaveConnection", "no", exception_type="SuperOffice.Exceptions.SoValidationException")
    )

    report = await bench.run()

    assert [("other", "failed", "fault"), ("visma", "created", None)] == statuses(report)
    assert (3, RunStatus.PARTIAL) == (report.exit_code, report.status)
    row = bench.row("other")
    assert (State.FAILED, 1, "fault") == (row.state, row.attempts, row.error_class)
    assert timedelta(seconds=45) <= row.next_attempt_at - bench.time <= timedelta(minutes=1)


async def test_scheduled_runs_honour_backoff(bench: Bench) -> None:
    """A scheduled run leaves alone what waits; a run by hand tries it at once; success forgets the failures."""
    bench.load(make_tenant(), make_connection())
    bench.tenants["acme"].fail["GetList"].append(RemoteUnreachable("GetList", "no route"))
    await bench.run()

    assert [] == statuses(await bench.run(scheduled=True))
    assert [] == statuses(await bench.run(scheduled=True))

    bench.time += timedelta(minutes=2)

    assert ("visma", "created", None) == only(await bench.run(scheduled=True))
    assert (0, None) == (bench.row().attempts, bench.row().next_attempt_at)


async def test_a_defect_in_one_tenants_pass_does_not_stop_the_others(bench: Bench) -> None:
    """An unexpected exception is one tenant's report."""
    bench.load(make_tenant(), make_connection(), make_tenant("beta"), make_connection(tenant="beta"))
    bench.tenants["acme"].fail["SaveConnection"].append(ZeroDivisionError("a defect"))

    report = await bench.run()

    assert ["internal", None] == [tenant.error for tenant in report.tenants]
    assert State.IN_SYNC == bench.row(tenant="beta").state
    assert 3 == report.exit_code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RemoteUnreachable("x", "no route"), 75),
        (RemoteUnavailable("x", "503"), 75),
        (OutcomeUnknown("x", "hung"), 75),
        (MalformedResponse("x", "html"), 1),
        (RemoteFault("x", "fault"), 1),
    ],
)
async def test_a_tenant_that_answers_nothing_fails_as_a_whole(bench: Bench, error: Exception, code: int) -> None:
    """The exit code says why when no tenant could be worked with."""
    bench.load(make_tenant(), make_connection())
    bench.tenants["acme"].fail["GetList"].append(error)
    bench.tenants["acme"].fail["HasConnections"].append(error)

    assert code == (await bench.run()).exit_code


@pytest.mark.parametrize("protocol_error", [OutcomeUnknown, MalformedResponse, RemoteFault, RemoteUnavailable])
async def test_a_create_whose_answer_was_lost_is_found_again(bench: Bench, protocol_error: Any) -> None:
    """Whatever came instead of the answer, the connection is looked up, adopted and pushed once, never doubled."""
    tenant = bench.tenants["acme"]
    tenant.type_in(make_erp_connection(3, display_name="Another"))
    bench.load(make_tenant(), make_connection())
    tenant.lose["SaveConnection"].append(protocol_error("SaveConnection", "lost"))

    first = await bench.run()
    second = await bench.run()
    third = await bench.run()

    assert ("visma", "failed") == only(first)[:2]
    assert ("visma", "updated", None) == only(second)
    assert [] == statuses(third)
    assert [3, 4] == sorted(tenant.connections)
    assert (State.IN_SYNC, 4) == (bench.row().state, bench.row().erp_connection_id)
    assert 2 == tenant.saves


async def test_the_look_up_uses_the_name_that_was_sent(bench: Bench) -> None:
    """A name changed after a lost answer does not hide the connection that was made."""
    bench.load(make_tenant(), make_connection())
    bench.tenants["acme"].lose["SaveConnection"].append(OutcomeUnknown("SaveConnection", "lost"))
    await bench.run()
    bench.load(make_connection(display_name="Changed meanwhile"))

    assert ("visma", "updated", None) == only(await bench.run())
    assert ["Changed meanwhile"] == [c.spec.display_name for c in bench.tenants["acme"].connections.values()]


async def test_an_unanswered_create_that_did_not_happen_is_sent_again_after_settling(bench: Bench) -> None:
    """Until `settle` has gone by, nobody can tell; then it is created, once."""
    bench.load(make_tenant(), make_connection())
    bench.tenants["acme"].fail["SaveConnection"].append(OutcomeUnknown("SaveConnection", "hung"))
    await bench.run()

    bench.time += timedelta(seconds=119)
    early = await bench.run()
    bench.time += timedelta(seconds=2)
    late = await bench.run()

    assert ("visma", "in_doubt", "unsettled") == only(early)
    assert (1, RunStatus.FAILED) == (early.exit_code, early.status)
    assert ("visma", "created", None) == only(late)
    assert [1] == sorted(bench.tenants["acme"].connections)


async def test_several_matches_are_in_doubt(bench: Bench) -> None:
    """When two connections could be the one that was made, an operator decides; nothing is written."""
    bench.load(make_tenant(), make_connection())
    tenant = bench.tenants["acme"]
    tenant.lose["SaveConnection"].append(OutcomeUnknown("SaveConnection", "lost"))
    await bench.run()
    tenant.type_in(make_erp_connection(9, display_name="Name of visma"))

    reports = [await bench.run(), await bench.run()]

    assert [("visma", "in_doubt", "in_doubt")] * 2 == [only(report) for report in reports]
    assert State.IN_DOUBT == bench.row().state
    assert 1 == tenant.saves

    del tenant.connections[9]

    assert ("visma", "updated", None) == only(await bench.run())


async def test_a_create_that_never_left_is_simply_tried_again(bench: Bench) -> None:
    """What was never sent, or refused before work, leaves no doubt behind."""
    bench.load(make_tenant(), make_connection())
    tenant = bench.tenants["acme"]
    tenant.fail["SaveConnection"] += [
        RemoteUnreachable("SaveConnection", "refused"),
        RemoteUnavailable("SaveConnection", "429", effect=Effect.REFUSED),
    ]

    results = [only(await bench.run())[1] for _ in range(3)]

    assert ["failed", "failed", "created"] == results


async def test_an_update_whose_answer_was_lost_is_repeated(bench: Bench) -> None:
    """It is pushed again, even when the operator took the change back meanwhile."""
    bench.load(make_tenant(), make_connection())
    await bench.run()
    bench.load(make_connection(display_name="New name"))
    tenant = bench.tenants["acme"]
    tenant.lose["SaveConnection"].append(OutcomeUnknown("SaveConnection", "lost"))
    await bench.run()
    bench.load(make_connection())

    assert ("visma", "updated", None) == only(await bench.run())
    assert "Name of visma" == tenant.connections[1].spec.display_name


async def test_a_crash_between_intent_and_outcome_is_settled(bench: Bench) -> None:
    """A process that dies in the middle of an update or a delete leaves it due, not in flight."""
    bench.load(make_tenant(), make_connection(), make_connection("other"))
    await bench.run()
    bench.load(make_connection(display_name="New name"), make_connection("other", present=False))
    tenant = bench.tenants["acme"]
    tenant.lose["SaveConnection"].append(ZeroDivisionError("dies"))
    tenant.lose["DeleteConnection"].append(ZeroDivisionError("dies"))
    bench.policy = Policy(connections_at_once=1)
    await bench.run()
    await bench.run()

    report = await bench.run()

    assert [State.DELETED, State.IN_SYNC] == [bench.row("other").state, bench.row().state]
    assert 0 == report.exit_code


async def test_safety_limit_stops_a_tenant_before_any_write(bench: Bench) -> None:
    """More deletes than allowed stop the whole tenant, with the numbers and the way out, which works once."""
    keys = ["a", "b", "c", "d", "e"]
    bench.load(make_tenant(), *(make_connection(key) for key in keys))
    await bench.run()
    bench.load(*(make_connection(key, present=False) for key in keys[:4]), make_connection("e", display_name="New"))
    saves = bench.tenants["acme"].saves

    report = await bench.run()

    assert (6, RunStatus.REFUSED) == (report.exit_code, report.status)
    assert (saves, 0) == (bench.tenants["acme"].saves, bench.tenants["acme"].calls.count("DeleteConnection"))
    assert "4 connections would be deleted" in (report.tenants[0].outcomes[-1].error or "")
    assert "--force acme" in (report.tenants[0].outcomes[-1].error or "")

    forced = await bench.run(force=frozenset({"acme"}))

    assert (4, 1) == (forced.counts[Status.DELETED], forced.counts[Status.UPDATED])


async def test_deleting_all_of_several_is_unsafe(bench: Bench) -> None:
    """An emptied list is not acted upon."""
    bench.load(make_tenant(), make_connection(), make_connection("other"))
    await bench.run()
    bench.load(make_connection(present=False), make_connection("other", present=False))

    assert 6 == (await bench.run()).exit_code


async def test_dry_run_writes_its_run_row_and_nothing_else(bench: Bench) -> None:
    """A dry run plans everything, asks only, and leaves store and tenant as they were."""
    bench.environ["ERP"] = "first"
    keys = {"rotated": {"Password": "@{env:ERP}"}, "renamed": {}, "gone": {}}
    bench.load(make_tenant(), *(make_connection(key, config_fields=fields) for key, fields in keys.items()))
    await bench.run()
    bench.environ["ERP"] = "second"
    bench.load(
        make_connection("renamed", config_fields={}, display_name="New"),
        make_connection("gone", config_fields={}, present=False),
        make_connection("new"),
    )
    tenant = bench.tenants["acme"]
    before = bench.dump()
    tenant.calls.clear()

    report = await bench.run(dry_run=True)

    planned = {(o.key, o.change) for o in report.tenants[0].outcomes if o.status is Status.PLANNED}
    assert {("rotated", "update"), ("renamed", "update"), ("gone", "delete"), ("new", "create")} == planned
    assert (4, 0) == (report.counts[Status.PLANNED], report.exit_code)
    assert {"GetConnection", "GetList"} >= set(tenant.calls)
    assert tenant.read_only
    after = bench.dump()
    assert len(before.pop("runs")) + 1 == len(after.pop("runs"))
    assert before == after


async def test_checks_are_recorded_with_their_changes(bench: Bench) -> None:
    """Every answer is a row, every ChangedDataItem too; "no" is an answer."""
    bench.load(make_tenant(), make_connection())
    changes = (ChangedDataItem(change=RecordChange.ADDED, table_name="erpconnection", record_id=7),)
    bench.tenants["acme"].response = PluginResponse(
        is_ok=False, user_explanation="none", tech_explanation="no connection", error_code="E1", changes=changes
    )

    report = await bench.run()

    assert (0, RunStatus.OK, 1) == (report.exit_code, report.status, report.tenants[0].changed_records)
    (check,) = (check for check in bench.store.list_checks() if check.operation == "HasConnections")
    assert (False, "none", "no connection", "E1", 1) == (
        check.is_ok,
        check.user_explanation,
        check.tech_explanation,
        check.error_code,
        check.times,
    )
    (change,) = bench.store.list_changes()
    assert ("acme", "HasConnections", "added", "erpconnection", 7) == (
        change.tenant,
        change.operation,
        change.change,
        change.table_name,
        change.record_id,
    )


async def test_a_check_that_fails_makes_the_run_partial(bench: Bench) -> None:
    """The connections are done; only the question could not be asked."""
    bench.load(make_tenant(), make_connection())
    bench.tenants["acme"].fail["HasConnections"].append(RemoteFault("HasConnections", "no rights"))

    reports = [await bench.run()]
    bench.tenants["acme"].fail["HasConnections"].append(RemoteFault("HasConnections", "no rights"))
    reports.append(await bench.run())

    assert [(3, RunStatus.PARTIAL)] * 2 == [(report.exit_code, report.status) for report in reports]
    assert State.IN_SYNC == bench.row().state


async def test_checks_are_made_when_old_or_after_a_change(bench: Bench) -> None:
    """A scheduled pass asks again only when there is a reason."""
    bench.load(make_tenant(), make_connection())
    tenant = bench.tenants["acme"]
    await bench.run(scheduled=True, check_always=False)
    await bench.run(scheduled=True, check_always=False)
    assert 1 == tenant.calls.count("HasConnections")

    bench.time += timedelta(hours=7)
    await bench.run(only_checks=True, check_always=False)
    await bench.run(only_checks=True, check_always=False)
    assert 2 == tenant.calls.count("HasConnections")

    bench.policy = Policy(checks_enabled=False)
    await bench.run()
    assert 2 == tenant.calls.count("HasConnections")


async def test_the_breaker_parks_a_tenant_for_scheduled_runs(bench: Bench) -> None:
    """Eight transient failures in a row park it; a run by hand tries at once; success ends it."""
    bench.load(make_tenant(), *(make_connection(f"c{n:02d}") for n in range(12)))
    tenant = bench.tenants["acme"]
    tenant.fail["SaveConnection"] += [RemoteUnavailable("SaveConnection", "503", effect=Effect.REFUSED)] * 8

    report = await bench.run()

    assert (8, 4) == (report.counts[Status.FAILED], report.counts[Status.SKIPPED])
    calls = len(tenant.calls)
    parked = await bench.run(scheduled=True)
    assert ("parked", 75) == (parked.tenants[0].error, parked.exit_code)
    assert [(None, "skipped", "parked")] == statuses(parked)
    assert calls == len(tenant.calls)
    assert 12 == (await bench.run()).counts[Status.CREATED]
    assert 0 == (await bench.run(scheduled=True)).exit_code


async def test_paused_tenants_are_left_alone(bench: Bench) -> None:
    """What an operator paused is no failure."""
    bench.load(make_tenant(), make_connection())
    bench.load(make_tenant("beta"), make_connection(tenant="beta"))
    bench.store.pause_tenant("acme")
    bench.tenants["beta"].fail["GetList"].append(Unauthorized("refused"))

    report = await bench.run()

    assert (77, 0) == (report.exit_code, report.counts[Status.UNCHANGED])
    assert [] == bench.tenants["acme"].calls


async def test_a_lost_lease_ends_all_writing(bench: Bench) -> None:
    """When another process took the tenant over, this pass records nothing more."""
    bench.load(make_tenant(), make_connection(), make_connection("other"))
    bench.policy = Policy(connections_at_once=1)

    async def steal(operation: str) -> None:
        if operation == "SaveConnection":
            bench.time += timedelta(hours=1)
            (tenant,) = await bench.store.tenants()
            await bench.store.claim(tenant.id, owner="another", now=bench.time, seconds=600)

    bench.tenants["acme"].before = steal

    report = await bench.run()

    assert "lease_lost" == report.tenants[0].error
    assert ("lease_lost", None) in {(o.error_class, o.key) for o in report.tenants[0].outcomes}
    assert {State.IN_FLIGHT, State.PENDING} == {bench.row("other").state, bench.row().state}
    assert 1 == bench.tenants["acme"].saves


async def test_a_leased_tenant_is_left_to_its_holder(bench: Bench) -> None:
    """Two processes never work on one tenant."""
    bench.load(make_tenant(), make_connection())
    (tenant,) = await bench.store.tenants()
    await bench.store.claim(tenant.id, owner="another", now=bench.time, seconds=600)

    report = await bench.run()

    assert ("leased", 75) == (report.tenants[0].error, report.exit_code)
    assert [(None, "skipped", "leased")] == statuses(report)
    assert [] == bench.tenants["acme"].calls


@pytest.mark.parametrize(("scheduled", "code"), [(True, 0), (False, 3)])
async def test_what_another_process_works_on_fails_only_a_run_by_hand(
    bench: Bench,
    *,
    scheduled: bool,
    code: int,
) -> None:
    """Two daemons on one store are the normal case; somebody who waits for a run is told what was left out."""
    bench.load(make_tenant(), make_tenant("globex"), make_connection(tenant="globex"))
    tenant = next(tenant for tenant in await bench.store.tenants() if tenant.name == "acme")
    await bench.store.claim(tenant.id, owner="another", now=bench.time, seconds=600)

    report = await bench.run(scheduled=scheduled)

    assert (code, 1) == (report.exit_code, report.counts[Status.CREATED])


async def test_an_import_during_a_pass_is_not_lost(bench: Bench) -> None:
    """What was changed while it was being pushed is pushed again in the next pass."""
    bench.load(make_tenant(), make_connection())
    entries = [make_connection(display_name="Newer")]

    async def edit(operation: str) -> None:
        if operation == "SaveConnection" and entries:
            await asyncio.to_thread(bench.load, entries.pop())

    bench.tenants["acme"].before = edit

    assert ("visma", "created", None) == only(await bench.run())
    assert State.PENDING == bench.row().state
    assert ("visma", "updated", None) == only(await bench.run())
    assert "Newer" == bench.tenants["acme"].connections[1].spec.display_name


async def test_stopping_lets_calls_in_flight_end_and_starts_nothing_new(bench: Bench) -> None:
    """What had begun is finished and recorded; the rest keeps its state."""
    bench.load(make_tenant(), *(make_connection(f"c{n}") for n in range(4)))
    bench.policy = Policy(connections_at_once=1)

    bench.tenants["acme"].before = bench.stop_at_save

    report = await bench.run()

    assert (1, 3) == (report.counts[Status.CREATED], report.counts[Status.SKIPPED])
    assert ["in_sync", "pending", "pending", "pending"] == [row.state for row in bench.store.list_connections()]
    assert 3 == report.exit_code
    assert "HasConnections" not in bench.tenants["acme"].calls


async def test_a_failing_store_ends_the_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is reported that could not be recorded."""
    bench.load(make_tenant(), make_connection())

    async def broken(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(bench.store, "settle", broken)

    with pytest.raises(StoreError, match="disk is full"):
        await bench.run()

    assert State.IN_FLIGHT == bench.row().state
    (run,) = bench.store.list_runs()
    assert ("failed", ("the disk is full",)) == (run.status, run.problems)


async def test_an_import_that_changes_a_connector_is_refused(bench: Bench) -> None:
    """A connection cannot move to another connector."""
    bench.load(make_tenant(), make_connection())

    with pytest.raises(ConfigurationError, match="erp_connector_id"):
        bench.load(make_connection(erp_connector_id=2))


@pytest.mark.parametrize("by_hand", [True, False])
async def test_a_failed_read_does_not_hide_a_twin(bench: Bench, *, by_hand: bool) -> None:
    """An empty answer about a listed connection is no proof that there is no twin; nothing is created beside it."""
    tenant = bench.tenants["acme"]
    bench.load(make_tenant(), make_connection())
    if by_hand:
        tenant.type_in(make_erp_connection(7))
    else:
        tenant.lose["SaveConnection"].append(OutcomeUnknown("SaveConnection", "lost"))
        await bench.run()
        bench.time += timedelta(hours=1)
    there = sorted(tenant.connections)

    async def nothing(erp_connection_id: int, hidden: tuple[Secret, ...] = ()) -> None:
        tenant.calls.append("GetConnection")

    tenant.get_connection = nothing  # type: ignore[method-assign]  # a tenant that fails in this way

    assert "malformed" == only(await bench.run())[2]
    assert there == sorted(tenant.connections)


async def test_settling_is_counted_from_the_sending(bench: Bench) -> None:
    """However long a request waited for its turn, the time after which it is sent again begins when it left."""
    bench.load(make_tenant(), make_connection())
    tenant = bench.tenants["acme"]

    async def wait(operation: str) -> None:
        bench.time += timedelta(minutes=5)

    tenant.hold = wait
    tenant.fail["SaveConnection"].append(OutcomeUnknown("SaveConnection", "hung"))
    await bench.run()
    tenant.hold = None
    bench.time += timedelta(seconds=119)

    assert "unsettled" == only(await bench.run())[2]
    assert 1 == tenant.saves


async def test_a_repeated_request_gets_a_new_time(bench: Bench) -> None:
    """A request that left twice, because the first was turned away, settles from the second."""
    bench.load(make_tenant(), make_connection())
    tenant = bench.tenants["acme"]
    save = tenant.save_connection

    async def twice(connection: Any, before_send: Any, hidden: Any = ()) -> Any:
        await before_send()
        bench.time += timedelta(minutes=5)
        return await save(connection, before_send)

    tenant.save_connection = twice  # type: ignore[method-assign]  # an adapter that repeats
    tenant.fail["SaveConnection"].append(OutcomeUnknown("SaveConnection", "hung"))
    await bench.run()
    bench.time += timedelta(seconds=119)

    assert "unsettled" == only(await bench.run())[2]


async def test_a_clock_set_back_does_not_shorten_the_wait(bench: Bench) -> None:
    """Where it is not known how long ago a create was sent, the wait begins again, and ends."""
    bench.load(make_tenant(), make_connection())
    tenant = bench.tenants["acme"]
    tenant.fail["SaveConnection"].append(OutcomeUnknown("SaveConnection", "hung"))
    await bench.run()

    bench.time -= timedelta(days=1)
    assert "unsettled" == only(await bench.run())[2]
    bench.time += timedelta(seconds=121)
    assert ("visma", "created", None) == only(await bench.run())


async def test_removing_a_connection_during_its_pass_stops_nothing(bench: Bench) -> None:
    """Nothing is sent for it, and its neighbours are done and reported."""
    bench.load(make_tenant(), make_connection("a"), make_connection("b"))
    bench.policy = Policy(connections_at_once=1)

    async def remove(operation: str) -> None:
        if "a" in {row.key for row in bench.store.list_connections()}:
            await asyncio.to_thread(bench.store.remove_connection, "acme", "a")

    bench.tenants["acme"].hold = remove

    report = await bench.run()

    assert [("a", "skipped", "not_tried"), ("b", "created", None)] == statuses(report)
    assert [1] == sorted(bench.tenants["acme"].connections)


async def test_a_delete_that_is_no_longer_wanted_is_not_sent(bench: Bench) -> None:
    """An import that wants the connection again, after the pass read it, wins."""
    bench.load(make_tenant(), make_connection())
    await bench.run()
    bench.load(make_connection(present=False))

    async def want_again(operation: str) -> None:
        await asyncio.to_thread(bench.load, make_connection())

    bench.tenants["acme"].hold = want_again

    assert ("visma", "skipped", "not_tried") == only(await bench.run())
    assert not bench.tenants["acme"].connections[1].deleted
    assert [] == statuses(await bench.run())
    assert State.IN_SYNC == bench.row().state


async def test_refused_credentials_are_remembered_by_a_pass_that_broke_off(bench: Bench) -> None:
    """Whatever else goes wrong, they are not tried again: that can lock the account."""
    bench.load(make_tenant(), make_connection("a"), make_connection("b"))
    tenant = bench.tenants["acme"]
    tenant.fail["SaveConnection"] += [Unauthorized("refused"), ZeroDivisionError("a defect")]

    first = await bench.run()
    calls = len(tenant.calls)
    second = await bench.run()

    assert "internal" == first.tenants[0].error
    assert ("unauthorized", calls) == (second.tenants[0].error, len(tenant.calls))


async def test_what_a_broken_pass_had_done_is_reported(bench: Bench) -> None:
    """A pass that ends early keeps the outcomes that are on disk in its report."""
    bench.load(make_tenant(), make_connection("a"), make_connection("b"))
    bench.policy = Policy(connections_at_once=1)
    bench.tenants["acme"].fail["HasConnections"].append(ZeroDivisionError("a defect"))

    report = await bench.run()

    assert (2, "internal") == (report.counts[Status.CREATED], report.tenants[0].error)


async def test_failed_reads_do_not_get_around_the_safety_limit(bench: Bench) -> None:
    """What is to be deleted and could not be read counts as a delete."""
    keys = [f"c{number}" for number in range(6)]
    bench.load(make_tenant(), *(make_connection(key) for key in keys))
    await bench.run()
    bench.load(*(make_connection(key, present=False) for key in keys[:5]))
    bench.tenants["acme"].fail["GetConnection"] += [RemoteFault("GetConnection", "no")] * 3

    assert 6 == (await bench.run()).exit_code
    assert "DeleteConnection" not in bench.tenants["acme"].calls


async def test_a_dry_run_plans_what_a_crash_left_open(bench: Bench) -> None:
    """An open update is simply made again; an open create leaves a doubt that only a real pass settles."""
    bench.load(make_tenant(), make_connection("old"))
    await bench.run()
    bench.load(make_connection("old", display_name="New"), make_connection("new"))
    tenant = bench.tenants["acme"]
    tenant.lose["SaveConnection"] += [ZeroDivisionError("dies")] * 2
    bench.policy = Policy(connections_at_once=2)
    await bench.run()

    report = await bench.run(dry_run=True)

    assert {("new", "in_doubt", "unsettled"), ("old", "planned", None)} == set(statuses(report))


async def test_an_absent_connection_that_is_gone_is_planned_in_a_dry_run(bench: Bench) -> None:
    """A dry run never says that something was deleted."""
    bench.load(make_tenant(), make_connection())
    await bench.run()
    del bench.tenants["acme"].connections[1]
    bench.load(make_connection(present=False))

    assert ("visma", "planned", None) == only(await bench.run(dry_run=True))


async def test_a_failing_list_is_asked_once(bench: Bench) -> None:
    """Fifty creates do not ask fifty times for a list that is refused."""
    bench.load(make_tenant(), *(make_connection(f"c{number:02d}") for number in range(50)))
    tenant = bench.tenants["acme"]
    tenant.fail["GetList"] += [RemoteFault("GetList", "no rights")] * 50

    report = await bench.run()

    assert (50, 1) == (report.counts[Status.FAILED], tenant.calls.count("GetList"))


async def test_skipped_connections_keep_what_is_known_about_them(bench: Bench) -> None:
    """Not being tried is no news about a connection."""
    bench.load(make_tenant(), make_connection("a"), make_connection("b"))
    bench.policy = Policy(connections_at_once=1)
    refused = RemoteUnavailable("SaveConnection", "429", effect=Effect.REFUSED)
    bench.tenants["acme"].fail["SaveConnection"] += [refused, refused]
    await bench.run()
    bench.tenants["acme"].fail["SaveConnection"].append(Unauthorized("refused"))

    await bench.run()

    assert ["unauthorized", "unavailable"] == [row.error_class for row in bench.store.list_connections()]


async def test_after_parking_one_more_failure_parks_again(bench: Bench) -> None:
    """A tenant that is still down costs a scheduled pass one call, and an idle pass does not forget failures."""
    bench.load(make_tenant(), *(make_connection(f"c{number:02d}") for number in range(12)))
    bench.policy = Policy(connections_at_once=1, checks_enabled=False)
    tenant = bench.tenants["acme"]
    tenant.fail["GetList"] += [RemoteUnavailable("GetList", "503")] * 20
    await bench.run()
    bench.time += timedelta(minutes=16)
    calls = len(tenant.calls)

    report = await bench.run(scheduled=True, check_always=False)

    assert (1, 75) == (len(tenant.calls) - calls, report.exit_code)
    bench.time += timedelta(minutes=1)
    assert "parked" == (await bench.run(scheduled=True)).tenants[0].error


async def test_a_proxy_that_refuses_its_password_is_not_asked_again_and_again(bench: Bench) -> None:
    """The first 407 ends a pass for all that is not under way, and parks the tenant for scheduled ones at once."""
    bench.load(make_tenant(), *(make_connection(f"k{number}") for number in range(8)))
    bench.policy = Policy(connections_at_once=2)
    tenant = bench.tenants["acme"]

    async def concurrently(_: str) -> None:
        await asyncio.sleep(0)

    await bench.run()
    bench.load(*(make_connection(f"k{number}", display_name=f"New {number}") for number in range(8)))
    tenant.calls.clear()
    tenant.before = concurrently
    tenant.fail["GetConnection"] += [ProxyUnauthorized("GetConnection", "407")] * 20

    first = await bench.run(scheduled=True)
    second = await bench.run(scheduled=True)

    assert ["GetConnection"] * 2 == tenant.calls
    assert (2, 6) == (first.counts[Status.FAILED], first.counts[Status.SKIPPED])
    assert [(None, "skipped", "parked")] == statuses(second)
    assert (2, 75) == (bench.store.get_tenant("acme").view.transient_failures, second.exit_code)
    await bench.run()
    assert "parked" == (await bench.run(scheduled=True)).tenants[0].error
    assert ["GetConnection"] * 4 == tenant.calls
    tenant.fail["GetConnection"].clear()
    bench.time += timedelta(minutes=16)
    assert 8 == (await bench.run(scheduled=True)).counts[Status.UPDATED]
    assert 0 == bench.store.get_tenant("acme").view.transient_failures


def test_backoff_never_overflows() -> None:
    """However often something failed, it is tried again after the longest wait at the latest."""
    policy = Policy(backoff_first=timedelta(days=1), backoff_longest=timedelta(days=2))
    now = datetime(2026, 3, 1, tzinfo=UTC)

    later = policy.next_attempt(now=now, attempts=10_000, rng=Random(1))

    assert timedelta(days=1.5) <= later - now <= timedelta(days=2)


async def test_an_operator_decides_what_a_twin_or_a_doubt_is(bench: Bench) -> None:
    """`resolve` names the connection, or none; the next pass pushes once, or creates."""
    tenant = bench.tenants["acme"]
    tenant.type_in(make_erp_connection(7))
    bench.load(make_tenant(), make_connection())
    assert "exists" == only(await bench.run())[2]

    bench.store.resolve_connection("acme", "visma", erp_connection_id=7)

    assert ("visma", "updated", None) == only(await bench.run())
    assert [7] == sorted(tenant.connections)
    assert same_guid(tenant.connections[7].connection_id, bench.row().connection_id)

    bench.load(make_connection("other"))
    with pytest.raises(UsageError, match="is 'visma' already"):
        bench.store.resolve_connection("acme", "other", erp_connection_id=7)
    with pytest.raises(UsageError, match="no connection 'nobody'"):
        bench.store.resolve_connection("acme", "nobody", erp_connection_id=7)

    tenant.connections[7] = replace(tenant.connections[7], deleted=True)
    bench.load(make_connection(display_name="New"))
    assert "missing" == {key: error for key, _, error in statuses(await bench.run())}["visma"]
    bench.store.resolve_connection("acme", "visma", erp_connection_id=None)

    assert ("visma", "created", None) == only(await bench.run())


async def test_a_damaged_secret_fails_its_own_tenant_only(bench: Bench) -> None:
    """A value that does not open any more is one tenant's trouble, or one connection's."""
    bench.load(make_tenant(), make_connection(), make_tenant("beta"), make_connection(tenant="beta"))
    connection = sqlite3.connect(bench.database)
    with connection:
        connection.execute(
            "UPDATE tenants SET auth_fields = (SELECT auth_fields FROM tenants WHERE name = 'beta') WHERE name = 'acme'"
        )
    connection.close()

    report = await bench.run()

    assert ["secret_missing", None] == [tenant.error for tenant in report.tenants]
    assert "import the entry again" in (report.tenants[0].outcomes[0].error or "")
    assert State.IN_SYNC == bench.row(tenant="beta").state

    bench.load(make_tenant())

    assert 0 == (await bench.run()).exit_code


async def test_tenants_that_were_not_visited_are_named(bench: Bench) -> None:
    """A run that is told to stop says whom it did not come to, and is not `ok`."""
    bench.load(make_tenant(), make_connection(), make_tenant("beta"), make_connection(tenant="beta"))
    bench.policy = Policy(tenants_at_once=1)

    bench.tenants["acme"].before = bench.stop_at_save

    report = await bench.run()

    assert ("beta", "stopping") == (report.tenants[1].tenant, report.tenants[1].error)
    assert (3, RunStatus.PARTIAL) == (report.exit_code, report.status)
    assert [] == bench.tenants["beta"].calls


async def test_a_store_that_was_upgraded_meanwhile_ends_the_run(bench: Bench) -> None:
    """A newer version's store is not written to: 78, checked when a tenant is claimed."""
    bench.load(make_tenant(), make_connection())
    connection = sqlite3.connect(bench.database)
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = 'from the future'")
    connection.close()

    with pytest.raises(StoreOutdated, match="from the future") as caught:
        await bench.run()

    assert 78 == caught.value.exit_code
    assert [] == bench.tenants["acme"].calls


async def test_a_lease_is_renewed_before_a_call_that_it_would_not_outlast(bench: Bench) -> None:
    """However long a pass takes, each writing request leaves under a lease that is longer than it may take."""
    bench.load(make_tenant())
    policy = Policy(call_budget=timedelta(seconds=100))
    (tenant,) = await bench.store.tenants()
    lease = await bench.store.claim(tenant.id, owner="test", now=bench.time, seconds=200)
    assert lease is not None
    clock = [0.0]
    holder = LeaseHolder(
        store=bench.store, lease=lease, policy=policy, now=lambda: bench.time, clock=lambda: clock[0], taken_at=0.0
    )

    async def until() -> str:
        (row,) = bench.dump()["tenants"]
        names = [name for _, name, *_ in bench.columns("tenants")]
        return str(row[names.index("lease_until")])

    first = await until()
    clock[0], bench.time = 99.0, bench.time + timedelta(seconds=99)
    await holder.cover_call()
    assert first == await until()

    clock[0], bench.time = 101.0, bench.time + timedelta(seconds=2)
    await holder.cover_call()
    assert first < await until()

    bench.time += timedelta(hours=1)
    assert await bench.store.claim(tenant.id, owner="another", now=bench.time, seconds=200)
    clock[0] = 10_000.0
    with pytest.raises(LeaseLost):
        await holder.cover_call()

"""What a pass asks once its connections are done: HasConnections, why it says no, and SyncAll after saves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from erpsyncd.domain.results import ChangedDataItem, PluginResponse, RecordChange
from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.selection import parse_selection
from erpsyncd.errors import (
    NOT_HERE_FAULT,
    Effect,
    OutcomeUnknown,
    RemoteFault,
    RemoteForbidden,
    RemoteNotFound,
    RemoteUnreachable,
    Unauthorized,
)
from factories import make_connection, make_tenant
from fakes import FakeTenant
from pass_bench import Bench, statuses

NO = PluginResponse(is_ok=False, user_explanation="none", received={"IsOk": False})
DOWN = PluginResponse(is_ok=False, user_explanation="Visma is down", error_code="7", received={"IsOk": False})
ITEM = ChangedDataItem(change=RecordChange.UPDATED, table_name="erpconnection", record_id=1)
OTHERS = ("HasConnections", "GetConnectionStartupErrors", "SyncAll")


def tenant_of(bench: Bench, **described: Any) -> FakeTenant:
    bench.load(make_tenant(**described), make_connection())
    return bench.tenants["acme"]


def asked(tenant: FakeTenant) -> list[str]:
    """Return what was asked of the tenant as a whole since the last look."""
    calls = [call for call in tenant.calls if call in OTHERS or call.startswith(("Save", "Delete"))]
    tenant.calls.clear()
    return calls


def recorded(bench: Bench) -> list[tuple[str, bool, int]]:
    return sorted((check.operation, check.is_ok, check.times) for check in bench.store.list_checks())


# A "no" explained ---------------------------------------------------------------------------------------------


async def test_a_no_is_explained(bench: Bench) -> None:
    """What failed is asked once after the no, and recorded with its changes as the check's are; a yes asks nothing."""
    tenant = tenant_of(bench)
    await bench.run()
    assert ["SaveConnection", "HasConnections"] == asked(tenant)
    tenant.response, tenant.startup_errors = NO, (DOWN, replace(DOWN, user_explanation="File is down", changes=(ITEM,)))

    reports = [await bench.run() for _ in range(2)]

    assert ["HasConnections", "GetConnectionStartupErrors"] * 2 == asked(tenant)
    assert [0, 0] == [report.exit_code for report in reports]
    errors = [check for check in bench.store.list_checks() if check.operation == "GetConnectionStartupErrors"]
    assert [(False, "Visma is down; File is down", "7", 1, 1)] * 2 == [
        (each.is_ok, each.user_explanation, each.error_code, each.times, each.changed_records) for each in errors
    ]
    assert ["GetConnectionStartupErrors"] * 2 == [change.operation for change in bench.store.list_changes()]
    kept = bench.store.get_check(errors[0].check_id)
    assert kept is not None
    assert [{"IsOk": False}, {"IsOk": False}] == kept.response
    assert 1 == reports[0].tenants[0].changed_records


async def test_equal_explanations_in_a_row_are_one_row(bench: Bench) -> None:
    """As answers are; other ones are another row, and so is none at all."""
    tenant = tenant_of(bench)
    tenant.response = NO
    for errors in ((DOWN,), (DOWN,), (DOWN, DOWN), (), ()):
        tenant.startup_errors = errors
        await bench.run()

    assert [
        ("GetConnectionStartupErrors", False, 1),
        ("GetConnectionStartupErrors", False, 2),
        ("GetConnectionStartupErrors", True, 2),
        ("HasConnections", False, 5),
    ] == recorded(bench)


async def test_a_no_without_a_reason_is_still_a_no(bench: Bench) -> None:
    """That the reason could not be asked is a warning and no more; the next check asks again."""
    tenant = tenant_of(bench)
    tenant.response = NO
    tenant.fail["GetConnectionStartupErrors"] += [
        RemoteFault("GetConnectionStartupErrors", "no rights"),
        OutcomeUnknown("GetConnectionStartupErrors", "no answer"),
    ]

    reports = [await bench.run() for _ in range(3)]

    assert [0, 0, 0] == [report.exit_code for report in reports]
    assert [("GetConnectionStartupErrors", True, 1), ("HasConnections", False, 3)] == recorded(bench)


async def test_refused_credentials_are_never_only_a_warning(bench: Bench) -> None:
    """Wherever they are refused, the tenant is left alone from then on."""
    tenant = tenant_of(bench)
    tenant.response = NO
    tenant.fail["GetConnectionStartupErrors"].append(Unauthorized("not any more"))

    first, second = await bench.run(), await bench.run()

    assert (77, 77) == (first.exit_code, second.exit_code)
    assert ["SaveConnection", "HasConnections", "GetConnectionStartupErrors"] == asked(tenant)
    assert [("HasConnections", False, 1)] == recorded(bench)


@pytest.mark.parametrize(
    "absence",
    [
        RemoteNotFound("GetConnectionStartupErrors", "there is no such address (404)"),
        RemoteFault("GetConnectionStartupErrors", "not supported", exception_type=NOT_HERE_FAULT),
    ],
)
async def test_a_tenant_that_cannot_explain_says_so_once(
    bench: Bench, absence: Exception, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """One warning and one row, which counts on; no run is partial because of it."""
    tenant = tenant_of(bench)
    tenant.response = NO
    tenant.fail["GetConnectionStartupErrors"] += [absence] * 3

    reports = [await bench.run() for _ in range(3)]

    assert [0, 0, 0] == [report.exit_code for report in reports]
    assert [("GetConnectionStartupErrors", False, 3), ("HasConnections", False, 3)] == recorded(bench)
    assert 1 == (capsys.readouterr().out + caplog.text).count("operation.missing")


# SyncAll ------------------------------------------------------------------------------------------------------


async def test_sync_all_follows_what_was_saved(bench: Bench) -> None:
    """Once, after the saves and before the check; not where nothing changed, nor where nobody wants it."""
    tenant = tenant_of(bench, sync_all_after_save=True)
    tenant.synchronized = PluginResponse(is_ok=True, changes=(ITEM,), received={"IsOk": True})
    bench.load(make_connection("other"))
    seen = []
    for change in ({}, {}, {"display_name": "New"}, {"present": False}):
        bench.load(make_connection(**change))
        report = await bench.run()
        seen.append((asked(tenant), report.exit_code))

    assert [
        (["SaveConnection", "SaveConnection", "SyncAll", "HasConnections"], 0),
        (["HasConnections"], 0),
        (["SaveConnection", "SyncAll", "HasConnections"], 0),
        (["DeleteConnection", "SyncAll", "HasConnections"], 0),
    ] == seen
    assert [("HasConnections", True, 4), *[("SyncAll", True, 1)] * 3] == recorded(bench)
    assert ["SyncAll"] * 3 == [change.operation for change in bench.store.list_changes()]

    bench.load(make_tenant(), make_connection(display_name="Newer"))
    await bench.run()
    assert ["SaveConnection", "HasConnections"] == asked(tenant)


async def test_sync_all_is_no_part_of_the_check(bench: Bench) -> None:
    """It is done where checks are switched off, and not by the job that only checks."""
    bench.policy = replace(bench.policy, checks_enabled=False)
    tenant = tenant_of(bench, sync_all_after_save=True)
    await bench.run()
    assert ["SaveConnection", "SyncAll"] == asked(tenant)

    bench.policy = replace(bench.policy, checks_enabled=True)
    bench.load(make_connection(display_name="New"))
    tenant.lose["SaveConnection"].append(RemoteFault("SaveConnection", "no"))
    await bench.run(only_checks=True)
    assert ["HasConnections"] == asked(tenant)


async def test_a_no_of_sync_all_is_an_answer(bench: Bench) -> None:
    """It is recorded and shown, like that of a check."""
    tenant = tenant_of(bench, sync_all_after_save=True)
    tenant.synchronized = PluginResponse(is_ok=False, user_explanation="the engine is off", received={"IsOk": False})

    report = await bench.run()

    assert (0, [("HasConnections", True, 1), ("SyncAll", False, 1)]) == (report.exit_code, recorded(bench))


@pytest.mark.parametrize(
    ("failure", "again"),
    [
        (OutcomeUnknown("SyncAll", "no answer"), False),
        (RemoteFault("SyncAll", "failed in the middle"), False),
        (RemoteUnreachable("SyncAll", "not reached"), True),
        (RemoteForbidden("SyncAll", "not granted"), True),
        (RemoteFault("SyncAll", "turned away", effect=Effect.REFUSED), True),
    ],
)
async def test_a_failed_sync_all(bench: Bench, failure: Exception, *, again: bool) -> None:
    """The run is partial. What may have begun is not repeated; what cannot have begun is done by the next pass."""
    tenant = tenant_of(bench, sync_all_after_save=True)
    tenant.lose["SyncAll"].append(failure)

    first = await bench.run()
    assert ["SaveConnection", "SyncAll", "HasConnections"] == asked(tenant)
    second = await bench.run()

    assert (3, 0) == (first.exit_code, second.exit_code)
    assert [("visma", "created", None), (None, "failed", getattr(failure, "error_class", ""))] == statuses(first)
    assert (["SyncAll"] if again else []) + ["HasConnections"] == asked(tenant)


async def test_an_earlier_debt_waits_for_a_whole_pass(bench: Bench) -> None:
    """A crash between the saves and SyncAll leaves it owed: who selects something else does not pay."""
    tenant = tenant_of(bench, sync_all_after_save=True)
    bench.load(make_connection("other"))
    tenant.hold = _crash_at("SyncAll")
    first = await bench.run()
    tenant.hold = None
    asked(tenant)

    selected = await bench.run(selection=parse_selection(["acme/other"], []))
    partly = asked(tenant)
    await bench.run(scheduled=True, check_always=False)

    assert ("internal", 0) == (first.tenants[0].error, selected.exit_code)
    assert ([], ["SyncAll"]) == (partly, asked(tenant)[:1])


def _crash_at(operation: str) -> Any:
    async def crash(called: str) -> None:
        if called == operation:
            raise ZeroDivisionError

    return crash


async def test_a_selection_that_saves_something_syncs(bench: Bench) -> None:
    """SyncAll is about the whole tenant, as the check is; who changes a part of it asks for both."""
    tenant = tenant_of(bench, sync_all_after_save=True)

    await bench.run(selection=parse_selection(["acme/visma"], []))

    assert ["SaveConnection", "SyncAll", "HasConnections"] == asked(tenant)


async def test_a_dry_run_asks_nothing(bench: Bench) -> None:
    """Neither question, though something would be saved and something is owed."""
    tenant = tenant_of(bench, sync_all_after_save=True)
    tenant.response = NO
    tenant.fail["SyncAll"].append(RemoteUnreachable("SyncAll", "not reached"))
    await bench.run()
    bench.load(make_connection(display_name="New"))
    asked(tenant)

    await bench.run(dry_run=True)

    assert [] == asked(tenant)


async def test_a_refused_plan_starts_nothing(bench: Bench) -> None:
    """Where a safety limit stops a tenant before any write, SyncAll is one of the writes."""
    bench.load(make_tenant(sync_all_after_save=True), *(make_connection(f"c{number}") for number in range(20)))
    tenant = bench.tenants["acme"]
    tenant.fail["SyncAll"].append(RemoteUnreachable("SyncAll", "not reached"))
    await bench.run()
    bench.load(*(make_connection(f"c{number}", present=False) for number in range(20)))
    asked(tenant)

    report = await bench.run()

    assert ("unsafe_plan", ["HasConnections"]) == (report.tenants[0].error, asked(tenant))


async def test_a_tenant_without_sync_all_says_so_once(bench: Bench) -> None:
    """It is recorded, and neither a failure nor owed."""
    tenant = tenant_of(bench, sync_all_after_save=True)
    tenant.fail["SyncAll"] += [RemoteNotFound("SyncAll", "there is no such address (404)")] * 2

    reports = [await bench.run(), await bench.run()]
    bench.load(make_connection(config_fields={"Client": "F2", "Password": str(Secret("x"))}))
    reports.append(await bench.run())

    assert [0, 0, 0] == [report.exit_code for report in reports]
    assert 2 == asked(tenant).count("SyncAll")
    assert [("HasConnections", True, 3), ("SyncAll", False, 2)] == recorded(bench)

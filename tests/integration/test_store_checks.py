"""Answers in the store: kept whole, counted on where they say the same, and a SyncAll that is owed."""

from __future__ import annotations

from typing import Any

import pytest
from store_support import MINUTE, NOW, Pass, added, begin_pass, execute, outcome

from erpsyncd.domain.results import ChangeKind, Check, PluginResponse, Status
from erpsyncd.errors import LeaseLost
from erpsyncd.store import SqlStore
from factories import make_connection, make_document, make_tenant


async def begun(store: SqlStore, **tenant: Any) -> Pass:
    store.apply_document(make_document(make_tenant(**tenant), make_connection()))
    return await begin_pass(store)


def response(*, is_ok: bool = True, **more: Any) -> PluginResponse:
    received = more.pop("received", {"IsOk": is_ok})
    return PluginResponse(is_ok=is_ok, received=received, **more)


async def record(one: Pass, answer: PluginResponse, operation: str = "HasConnections", *, minute: int = 0) -> bool:
    check = Check(tenant="acme", operation=operation, checked_at=NOW + minute * MINUTE, response=answer)
    return await one.store.record_check(one.lease, run_id=one.run_id, check=check)


async def test_all_of_an_answer_comes_back(store: SqlStore) -> None:
    """Names in their order, nothing and numbers as they were; what no database can hold is replaced."""
    one = await begun(store, language="nb-NO")
    received = {
        "TableRight": None,
        "IsOk": False,
        "Zeta \x00": ["\ud800 half", {"a\udfff": "NUL \x00"}],
        "Alpha": {"Number": 1.5, "Large": 2**40, "Truth": True, "None": None},
    }
    await record(one, response(is_ok=False, received=received))

    (view,) = store.list_checks()
    found = store.get_check(view.check_id)

    assert found is not None
    assert (view, "nb-NO") == (found.view, found.language)
    assert list(map(str, found.response)) == ["TableRight", "IsOk", "Zeta \ufffd", "Alpha"]
    assert ["\ufffd half", {"a\ufffd": "NUL \ufffd"}] == found.response["Zeta \ufffd"]
    assert received["Alpha"] == found.response["Alpha"]
    assert store.get_check(view.check_id + 1) is None
    assert {"acme": "nb-NO"} == store.languages()


@pytest.mark.parametrize(
    ("first", "second", "times"),
    [
        ({"IsOk": True, "Changes": None}, {"IsOk": True, "Changes": {"AddedRecords": []}}, [2]),
        ({"IsOk": True, "New": "a"}, {"IsOk": True, "New": "a"}, [2]),
        ({"New": 1, "IsOk": True}, {"IsOk": True, "New": 1}, [2]),
        ({"IsOk": True, "New": "a"}, {"IsOk": True, "New": "b"}, [1, 1]),
        ({"IsOk": True}, {"IsOk": True, "TableRight": {"Mask": "Select", "Reason": ""}}, [1, 1]),
        ([{"IsOk": True, "Changes": None}], [{"IsOk": True}], [2]),
        ({"IsOk": True, "New": "\x00"}, {"IsOk": True, "New": "\x00"}, [2]),
    ],
)
async def test_equal_answers_are_one_row(store: SqlStore, first: Any, second: Any, times: list[int]) -> None:
    """All that came counts, but for how it says that nothing was changed; the first way of saying it stays."""
    one = await begun(store)

    is_new = [await record(one, response(received=each), minute=n) for n, each in enumerate((first, second))]

    found = store.list_checks()
    assert (times, [True, len(times) == 2]) == ([check.times for check in found], is_new)
    kept = store.get_check(found[-1].check_id)
    assert kept is not None
    assert list(first) == list(kept.response) or "\x00" in str(first)


async def test_a_row_of_an_earlier_version_counts_on(store: SqlStore) -> None:
    """It has no whole answer; the next one that says the same in its columns gives it one."""
    one = await begun(store)
    await record(one, response())
    execute(store, "UPDATE checks SET response = NULL")

    before = store.get_check(store.list_checks()[0].check_id)
    await record(one, response(received={"IsOk": True, "New": 1}), minute=1)

    (view,) = store.list_checks()
    after = store.get_check(view.check_id)
    assert before is not None
    assert after is not None
    assert (None, {"IsOk": True, "New": 1}, 2) == (before.response, after.response, view.times)


async def test_each_question_has_answers_of_its_own(store: SqlStore) -> None:
    """What stands between two equal answers to one question are answers to others; changes have their operation."""
    one = await begun(store)
    for minute in range(2):
        await record(one, response(is_ok=False), minute=minute)
        await record(
            one, response(is_ok=False, received=[{"IsOk": False}]), "GetConnectionStartupErrors", minute=minute
        )
        await record(one, response(changes=(added(),)), "SyncAll", minute=minute)

    counted = sorted((check.operation, check.times) for check in store.list_checks())
    assert [("GetConnectionStartupErrors", 2), ("HasConnections", 2), ("SyncAll", 1), ("SyncAll", 1)] == counted
    assert ["SyncAll"] * 2 == [change.operation for change in store.list_changes()]


async def test_only_has_connections_is_the_check(store: SqlStore) -> None:
    """SyncAll does not make the last check young, nor is it what a tenant shows as one."""
    one = await begun(store)
    await record(one, response(is_ok=False), "SyncAll", minute=1)
    ((checked, shown),) = [
        (view.last_checked_at, store.get_tenant(view.name).last_check) for view in store.list_tenants()
    ]
    assert (None, None) == (checked, shown)

    await record(one, response())
    await record(one, response(is_ok=False), "SyncAll", minute=2)

    (view,) = store.list_tenants()
    last = store.get_tenant("acme").last_check
    assert last is not None
    assert (NOW, "HasConnections") == (view.last_checked_at, last.operation)


async def test_status_says_why_it_is_no(store: SqlStore) -> None:
    """The explanations of the last no and of what was asked after it, in the tenant's language."""
    one = await begun(store, language="NO")
    both = 'US:"none";NO:"ingen"'
    await record(one, response(is_ok=False, user_explanation=both))
    before = store.overview().tenants[0].quote_reason
    await record(one, response(is_ok=False, user_explanation='NO:"nede";US:"down"'), "GetConnectionStartupErrors")
    after = store.overview().tenants[0].quote_reason
    one.run_id = await store.start_run(trigger="test", dry_run=False, started_at=NOW)
    await record(one, response(is_ok=False, user_explanation=both))
    unexplained = store.overview().tenants[0].quote_reason
    await record(one, response(user_explanation="fine"))

    assert ("ingen", "ingen; nede", "ingen") == (before, after, unexplained)
    assert (True, "") == (store.overview().tenants[0].quote_is_ok, store.overview().tenants[0].quote_reason)


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("status", Status)
async def test_what_was_saved_owes_a_sync(store: SqlStore, status: Status, *, wanted: bool) -> None:
    """What is recorded as changed in a tenant that wants it; committed together, so that no crash is between them."""
    one = await begun(store, sync_all_after_save=wanted)
    stored = await one.one()
    before = await store.sync_all_is_due(one.tenant_id)

    await one.settle(stored, outcome=outcome(status=status, change=ChangeKind.CREATE))

    owed = wanted and status in (Status.CREATED, Status.UPDATED, Status.DELETED)
    assert (False, owed) == (before, await store.sync_all_is_due(one.tenant_id))


async def test_a_debt_is_paid_once(store: SqlStore) -> None:
    """Under the lease; it is owed again where nothing was sent after all."""
    one = await begun(store, sync_all_after_save=True)
    await one.settle(await one.one(), outcome=outcome())

    await store.owe_sync_all(one.lease, due=False)
    paid = await store.sync_all_is_due(one.tenant_id)
    await store.owe_sync_all(one.lease, due=True)

    assert (False, True) == (paid, await store.sync_all_is_due(one.tenant_id))
    await store.release(one.lease)
    with pytest.raises(LeaseLost):
        await store.owe_sync_all(one.lease, due=False)

"""Careful saves over real sockets: the order of calls, and what stands in the tenant whatever step fails."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog

from careful_bench import BY_CONFIG, BY_ID, GET, NEW, SAVE, SECRETS, CarefulBench
from erpsyncd.cli.plan import plan_as_text
from erpsyncd.domain.careful import Step
from erpsyncd.domain.tenants import Protocol
from erpsyncd.sandbox import Answer, Drop, Hang, Raise, Rule, SandboxServer, When
from erpsyncd.sandbox.options import ConfigReading, SandboxConnector
from erpsyncd.store import SqlStore
from pairings import each_store_and_protocol
from pass_bench import only, statuses

pytestmark = each_store_and_protocol

NAME = "Name of visma"
OLD_STATE, NEW_STATE = (True, "old password", NAME), (True, "new password", NAME)
BEFORE_SAVE = [GET, SAVE]


@pytest.fixture
async def bench(store: SqlStore, protocol: Protocol) -> AsyncIterator[CarefulBench]:
    """A careful tenant; no cursor is ever rewound, and no secret gets into the log or the store's texts."""
    with SandboxServer(open_tenants=True) as sandbox, structlog.testing.capture_logs() as log:
        bench = CarefulBench(store=store, sandbox=sandbox, protocol=protocol)
        yield bench
        assert bench.rewinds == bench.tenant.cursor_rewinds
        assert [] == [event for event in log if any(secret in str(event) for secret in SECRETS)]
        assert len(bench.there) <= 2


@pytest.fixture
async def saved(bench: CarefulBench) -> CarefulBench:
    """The same with a connection that is in sync and active, and of which another password is wanted now."""
    bench.describe()
    assert ("visma", "created", None) == only(await bench.run())
    bench.describe(config_fields=NEW)
    return bench


async def test_a_new_connection_is_active_last(bench: CarefulBench) -> None:
    """Its config is tested, it is made inactive, tested, activated, and read back."""
    bench.describe()

    assert ("visma", "created", None) == only(await bench.run())
    assert [BY_CONFIG, SAVE, BY_ID, *BEFORE_SAVE, GET] == bench.calls
    assert [(False, "old password", NAME), OLD_STATE] == bench.saves
    assert ((), "in_sync") == (await bench.intents(), bench.row.state)
    await bench.run()
    assert [] == bench.calls


async def test_the_config_changes_while_it_is_inactive(saved: CarefulBench) -> None:
    """Also a tenant that locks the config of active connections takes it."""
    saved.tenant.configure(config_locked_while_active=True)

    assert ("visma", "updated", None) == only(await saved.run())
    assert [GET, BY_CONFIG, *BEFORE_SAVE, *BEFORE_SAVE, BY_ID, *BEFORE_SAVE, GET] == saved.calls
    assert [(False, "old password", NAME), (False, "new password", NAME), NEW_STATE] == saved.saves
    assert ((), "in_sync") == (await saved.intents(), saved.row.state)
    await saved.run()
    assert [] == saved.calls


@pytest.mark.parametrize(
    ("described", "operations", "saves"),
    [
        ({"display_name": "New"}, [GET, BY_CONFIG, *BEFORE_SAVE, BY_ID, GET], [(True, "old password", "New")]),
        ({"user_group_access_ids": (2,)}, [GET, BY_CONFIG, *BEFORE_SAVE, BY_ID, GET], [OLD_STATE]),
        # To switch off what does not work must be possible.
        ({"active": False}, [GET, *BEFORE_SAVE, GET], [(False, "old password", NAME)]),
        (
            {"active": False, "config_fields": NEW},
            [GET, BY_CONFIG, *BEFORE_SAVE, *BEFORE_SAVE, BY_ID, GET],
            [(False, "old password", NAME), (False, "new password", NAME)],
        ),
    ],
)
async def test_what_keeps_its_config_takes_fewer_steps(
    bench: CarefulBench, described: dict[str, Any], operations: list[str], saves: list[Any]
) -> None:
    """A name or access changes while active; what is wanted inactive is never made active on the way."""
    bench.describe()
    await bench.run()
    bench.describe(**described)

    assert ("visma", "updated", None) == only(await bench.run())
    assert (operations, saves) == (bench.calls, bench.saves)


async def test_an_inactive_connection_is_activated(bench: CarefulBench) -> None:
    """What stands there already is not saved once more; it is tested and made active."""
    bench.describe(active=False)
    await bench.run()
    assert [(False, "old password", NAME)] == bench.saves
    bench.describe()

    assert ("visma", "updated", None) == only(await bench.run())
    assert [GET, BY_CONFIG, GET, BY_ID, *BEFORE_SAVE, GET] == bench.calls
    assert [OLD_STATE] == bench.saves


async def test_without_careful_nothing_is_tested(bench: CarefulBench) -> None:
    """The ordinary save is what it was."""
    bench.careful = False
    bench.describe()
    await bench.run()
    assert [SAVE] == bench.calls
    bench.describe(config_fields=NEW)

    assert ("visma", "updated", None) == only(await bench.run())
    assert [GET, SAVE] == bench.calls


async def test_a_dry_run_tests_nothing(saved: CarefulBench) -> None:
    """It plans from what it reads, pokes no connector, and says how it would be done."""
    report = await saved.run(dry_run=True)

    assert ("visma", "planned", None) == only(report)
    assert [GET] == saved.calls
    assert "~ update acme/visma (carefully)\n" in plan_as_text(report)


@pytest.mark.parametrize("exists", [False, True])
async def test_a_config_that_is_refused_is_not_saved(bench: CarefulBench, *, exists: bool) -> None:
    """The connector's no to what is wanted ends it before anything is written, for creates too; it is tried again."""
    if exists:
        bench.describe()
        await bench.run()
    bench.tenant.configure(connectors={1: SandboxConnector(name="Visma", refused_values=frozenset({"new password"}))})
    bench.describe(config_fields=NEW)

    assert ("visma", "failed", "test_refused") == only(await bench.run())
    assert [] == bench.saves
    assert [OLD_STATE] * exists == bench.there
    assert (f"nothing was {'written' if exists else 'created'}" in (bench.row.error or ""), ()) == (
        True,
        await bench.intents(),
    )

    bench.tenant.configure(connectors={1: SandboxConnector(name="Visma")})

    assert ("visma", "updated" if exists else "created", None) == only(await bench.run())
    assert [NEW_STATE] == bench.there


async def test_a_new_connection_whose_test_fails_is_ours(bench: CarefulBench) -> None:
    """It stays inactive, and the next attempt is an update of the same one that only has to activate it."""
    bench.describe()
    bench.tenant.configure(id_tests_refused=1)

    assert ("visma", "failed", "test_refused") == only(await bench.run())
    assert [(False, "old password", NAME)] == bench.there
    assert (1, "failed") == (bench.row.erp_connection_id, bench.row.state)
    assert "connection 1 was made and is inactive" in bench.row.error

    assert ("visma", "updated", None) == only(await bench.run())
    assert [GET, BY_CONFIG, GET, BY_ID, *BEFORE_SAVE, GET] == bench.calls
    assert [OLD_STATE] == bench.there


async def test_an_activation_that_is_refused_leaves_it_inactive(bench: CarefulBench) -> None:
    """Without mappings none becomes active; there is one connection, it is ours, and it says so each time."""
    bench.describe()
    bench.tenant.configure(mapped=frozenset())

    for status in ("was made and is inactive", "is inactive, as it was"):
        assert ("visma", "failed", "fault") == only(await bench.run())
        assert [(False, "old password", NAME)] == bench.there
        assert status in bench.row.error
        assert "step activate" in bench.row.error
        assert () == await bench.intents()

    bench.tenant.configure(mapped=frozenset({1}))
    assert ("visma", "updated", None) == only(await bench.run())
    assert [OLD_STATE] == bench.there


FAULT = Raise(message="cannot log in with new password")
#: Which call of the careful save fails, and what is said to have failed.
FAILING = [
    (Rule(action=FAULT, operation=BY_CONFIG), "fault", Step.TEST_CONFIG),
    (Rule(action=FAULT, operation=SAVE, nth=1), "fault", Step.DEACTIVATE),
    (Rule(action=FAULT, operation=SAVE, nth=2), "fault", Step.CONFIGURE),
    (Rule(action=FAULT, operation=BY_ID), "fault", Step.TEST),
    (Rule(action=FAULT, operation=SAVE, nth=3), "fault", Step.ACTIVATE),
    (Rule(action=FAULT, operation=GET, nth=5), "fault", Step.READ_BACK),
    (Rule(action=Answer(status=500, body=b"<html>", when=When.AFTER), operation=BY_ID, times=3), None, Step.TEST),
    (Rule(action=Drop(), operation=SAVE, nth=1), None, Step.DEACTIVATE),
    (Rule(action=Drop(), operation=SAVE, nth=2), None, Step.CONFIGURE),
    (Rule(action=Drop(), operation=SAVE, nth=3), None, Step.ACTIVATE),
]


@pytest.mark.parametrize(("rule", "error_class", "step"), FAILING)
async def test_whatever_step_fails_the_old_state_is_back(
    saved: CarefulBench, rule: Rule, error_class: str | None, step: Step
) -> None:
    """The outcome names the step; the old connection stands there, active; the next attempt does it."""
    saved.tenant.configure(config_locked_while_active=True)
    saved.sandbox.add_faults(rule)

    key, status, found = only(await saved.run())

    assert ("visma", "failed") == (key, status)
    assert found == (error_class or found) != "not_restored"
    assert [OLD_STATE] == saved.there
    assert f"at the step {step}: " in saved.row.error
    assert ("nothing was written" if step is Step.TEST_CONFIG else "the old state is back") in saved.row.error
    # A save that nobody answered may still arrive: only then does what is known about it stay.
    assert isinstance(rule.action, Drop) == bool(await saved.intents())

    saved.sandbox.faults.clear()
    assert ("visma", "updated", None) == only(await saved.run())
    assert [NEW_STATE] == saved.there
    assert () == await saved.intents()


async def test_a_refused_test_of_what_was_saved_takes_it_back(saved: CarefulBench) -> None:
    """The connector's no after the save is no exception, and costs the old state nothing."""
    saved.tenant.configure(id_tests_refused=1)

    assert ("visma", "failed", "test_refused") == only(await saved.run())
    assert [(False, "old password", NAME), (False, "new password", NAME), OLD_STATE] == saved.saves
    assert "TestConnectionById answered no" in saved.row.error
    assert () == await saved.intents()


async def test_what_reads_back_otherwise_is_taken_back(saved: CarefulBench) -> None:
    """A tenant that says yes and does something else is found out, also where it does so to what is put back."""
    saved.tenant.configure(config_locked_while_active=True)

    def edit(call: Any) -> None:
        if call.operation == SAVE and saved.tenant.connections[1].active:
            saved.tenant.edit(1, all_access=True)

    saved.sandbox.after_call = edit
    report = await saved.run()
    saved.sandbox.after_call = None

    # What it does to the restored one, too, so that it cannot be said to be back.
    assert ("visma", "failed", "not_restored") == only(report)
    assert "another all_access than was saved" in saved.row.error
    assert [(True, "old password", NAME)] == saved.there
    assert Step.RESTORE is (await saved.intents())[0].step

    assert ("visma", "updated", None) == only(await saved.run())
    assert (False, ()) == (saved.tenant.connections[1].all_access, await saved.intents())


@pytest.mark.parametrize("nth", [1, 2, 3])
async def test_a_lost_answer_is_looked_for(saved: CarefulBench, nth: int) -> None:
    """What arrived all the same goes on, and is not saved twice."""
    saved.sandbox.add_faults(Rule(action=Drop(when=When.AFTER), operation=SAVE, nth=nth))

    assert ("visma", "updated", None) == only(await saved.run())
    assert 3 == len(saved.saves)
    assert [NEW_STATE] == saved.there


async def test_what_cannot_be_put_back_says_so_and_is_kept(saved: CarefulBench) -> None:
    """The tenant goes away in the middle: the old state is remembered, sealed, until it or the new one stands."""
    gone = Answer(status=503)
    saved.sandbox.add_faults(
        Rule(action=gone, operation=BY_ID, times=None), Rule(action=gone, operation=GET, nth=4, times=None)
    )

    assert ("visma", "failed", "not_restored") == only(await saved.run())
    assert "the old state is NOT back and the connection may be inactive" in saved.row.error
    assert [(False, "new password", NAME)] == saved.there
    (intent,) = await saved.intents()
    assert intent.snapshot is not None
    assert "old password" == intent.snapshot.spec.config_fields["Password"].reveal()
    assert [] == [text for text in texts(saved.store) if any(secret in text for secret in SECRETS)]

    # The new config is refused now: what comes back is what stood there before the first step.
    saved.sandbox.faults.clear()
    saved.tenant.configure(config_tests_refused=1)
    assert ("visma", "failed", "test_refused") == only(await saved.run())
    assert [OLD_STATE] == saved.there
    assert () == await saved.intents()


async def test_an_impatient_answer_may_come_late(saved: CarefulBench) -> None:
    """A save that hangs is taken back; its intent stays until an attempt ends without doubt."""
    hang = Hang()
    saved.sandbox.add_faults(Rule(action=hang, operation=SAVE, nth=2))

    report = await saved.impatient()
    assert ("visma", "failed", "outcome_unknown") == only(report)
    assert [OLD_STATE] == saved.there
    assert "may still arrive" in saved.row.error
    (intent,) = await saved.intents()
    assert intent.snapshot is not None
    assert intent.snapshot.spec.active

    arrived = threading.Event()
    saved.sandbox.after_call = lambda _: arrived.set()
    hang.release.set()
    assert arrived.wait(20)
    saved.sandbox.after_call, saved.rewinds = None, 1
    assert [(False, "new password", NAME)] == saved.there
    saved.tenant.configure(config_tests_refused=1)

    assert ("visma", "failed", "test_refused") == only(await saved.run())
    assert [OLD_STATE] == saved.there
    assert () == await saved.intents()


@pytest.mark.parametrize("reading", [ConfigReading.MASKED, ConfigReading.BLANK])
async def test_a_masked_tenant_changes_in_one_save_and_keeps_no_mask(
    saved: CarefulBench, reading: ConfigReading
) -> None:
    """Where old values cannot be read, the connection becomes inactive with the new ones; no mask is ever sent."""
    saved.tenant.configure(config_reading=reading)

    assert ("visma", "updated", None) == only(await saved.run())
    assert [(False, "new password", NAME), NEW_STATE] == saved.saves
    saved.describe(config_fields=NEW, display_name="New")
    assert ("visma", "updated", None) == only(await saved.run())
    assert [(True, "new password", "New")] == saved.saves
    await saved.run()
    assert [] == saved.calls


@pytest.mark.parametrize("reading", [ConfigReading.MASKED, ConfigReading.BLANK])
async def test_a_masked_tenant_is_left_inactive_aloud(saved: CarefulBench, reading: ConfigReading) -> None:
    """The old password is nowhere any more: that is said each time, until the new one stands and is active."""
    saved.tenant.configure(config_reading=reading, id_tests_refused=2)

    for _ in range(2):
        assert ("visma", "failed", "not_restored") == only(await saved.run())
        assert "the tenant does not show what Password held" in saved.row.error
        assert [(False, "new password", NAME)] == saved.there
        assert 1 == len(await saved.intents())

    assert ("visma", "updated", None) == only(await saved.run())
    assert [NEW_STATE] == saved.there
    assert () == await saved.intents()


@pytest.mark.parametrize("reading", [ConfigReading.MASKED, ConfigReading.BLANK])
async def test_fingerprints_prove_what_a_mask_hides(saved: CarefulBench, reading: ConfigReading) -> None:
    """A failed change of the name puts back the password that was pushed last, and not its mask."""
    saved.tenant.configure(config_reading=reading, id_tests_refused=1)
    saved.describe(display_name="New")

    assert ("visma", "failed", "test_refused") == only(await saved.run())
    assert [(True, "old password", "New"), OLD_STATE] == saved.saves
    assert () == await saved.intents()


async def test_a_secret_that_goes_missing_brings_the_old_state_back(saved: CarefulBench) -> None:
    """What was begun and cannot go on does not stay inactive."""
    saved.environ["ERP_PASSWORD"] = "new password"
    saved.describe(config_fields=NEW | {"Password": "@{env:ERP_PASSWORD}"})
    await leave_inactive(saved)
    del saved.environ["ERP_PASSWORD"]

    assert ("visma", "failed", "secret_missing") == only(await saved.run())
    assert [OLD_STATE] == saved.there
    assert "the old state is back" in saved.row.error
    assert () == await saved.intents()


async def test_what_is_not_careful_any_more_is_simply_pushed(saved: CarefulBench) -> None:
    """An open careful save does not outlive the option."""
    await leave_inactive(saved)
    saved.careful = False
    saved.describe(config_fields=NEW)

    assert ("visma", "updated", None) == only(await saved.run())
    assert [GET, SAVE] == saved.calls
    assert ([NEW_STATE], ()) == (saved.there, await saved.intents())


async def test_what_is_replaced_in_the_middle_is_not_written_to(saved: CarefulBench) -> None:
    """Somebody restores a backup between two steps: nothing is put back into a stranger."""
    stranger = saved.tenant.add(display_name="Stranger", active=True)
    saved.tenant.forget(stranger.erp_connection_id)

    def replace_it(call: Any) -> None:
        if call.operation == BY_ID:
            saved.tenant.edit(1, guid=stranger.guid)

    saved.sandbox.after_call = replace_it
    report = await saved.run()
    saved.sandbox.after_call = None

    assert ("visma", "failed", "replaced") == only(report)
    assert 2 == len(saved.saves)
    assert ("replaced", ()) == (saved.row.state, await saved.intents())


async def test_stopping_does_not_leave_half_a_save(saved: CarefulBench) -> None:
    """What was begun comes to its end; what was not is left."""

    def stop(call: Any) -> None:
        if call.operation == SAVE:
            assert saved.reconciler is not None
            saved.reconciler.stopping.set()

    saved.sandbox.after_call = stop
    report = await saved.run()
    saved.sandbox.after_call = None

    assert ("visma", "updated", None) == only(report)
    assert [NEW_STATE] == saved.there


async def test_a_neighbour_is_not_held_up(bench: CarefulBench) -> None:
    """One connection's refused test is its own."""
    bench.describe("visma", "other")
    bench.sandbox.add_faults(Rule(action=Raise(), operation=BY_ID))

    report = await bench.run()

    assert ["created", "failed"] == sorted(status for _, status, _ in statuses(report))


async def leave_inactive(bench: CarefulBench) -> None:
    """Let a careful save break off where it can be neither ended nor taken back."""
    gone = Answer(status=503)
    rules = (Rule(action=gone, operation=BY_ID, times=None), Rule(action=gone, operation=GET, nth=4, times=None))
    bench.sandbox.add_faults(*rules)
    assert ("visma", "failed", "not_restored") == only(await bench.run())
    assert not bench.there[0][0]
    bench.sandbox.faults.clear()


def texts(store: SqlStore) -> list[str]:
    """Return all that stands in the store about intents and what became of connections."""
    from sqlalchemy import text  # noqa: PLC0415 -- for this only

    with store._database.read() as connection:
        return [
            str(tuple(row))
            for table in ("intents", "outcomes", "connections")
            for row in connection.execute(text(f"SELECT * FROM {table}"))
        ]

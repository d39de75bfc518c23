"""What needs an operator: which things, in which order, and the exact command for each."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import pytest

from erpsyncd.cli.main import cli
from erpsyncd.cli.options import Invocation
from erpsyncd.domain.attention import attention, is_served, needing, verdict
from erpsyncd.domain.connections import State
from erpsyncd.domain.items import Item, Severity, in_words
from erpsyncd.domain.standing import (
    TROUBLED,
    LastRun,
    Overview,
    TenantFailure,
    TenantStanding,
    Trouble,
    Worker,
    state_in_words,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
BUSY = Worker(running=True, pid=17)
EXISTS = (
    "the tenant already has a connection 'Visma' of connector 1 (id 7) that erpsyncd did not make; take it over with: "
    "erpsyncd connections adopt acme --id 7 --key visma"
)


def run(*, minutes: float = 1, **more: Any) -> LastRun:
    given: dict[str, Any] = {"run_id": 9, "trigger": "reconcile", "status": "ok"} | more
    return LastRun(started_at=NOW - timedelta(minutes=minutes), **given)


def tenant(name: str = "acme", **more: Any) -> TenantStanding:
    return TenantStanding(name=name, **({"counts": {State.IN_SYNC: 2}} | more))


def overview(*tenants: TenantStanding, **more: Any) -> Overview:
    given: dict[str, Any] = {"last_run": run(), "worker": BUSY} | more
    return Overview(tenants=tenants or (tenant(),), **given)


def trouble(state: State = State.FAILED, key: str = "visma", **more: Any) -> Trouble:
    given: dict[str, Any] = {
        "tenant": "acme",
        "erp_connection_id": 7,
        "error_class": "fault",
        "error": "SaveConnection: no",
    } | more
    return Trouble(key=key, state=state, **given)


def items(of: Overview) -> tuple[Item, ...]:
    return attention(of, now=NOW, expected=QUARTER)


def only(of: Overview) -> Item:
    (item,) = items(of)
    return item


def test_all_is_well() -> None:
    """Then nothing is listed, and the verdict says so."""
    well = overview()

    assert () == items(well)
    assert "Everything is pushed, as described." == verdict(well, ())


def test_what_waits_is_no_trouble() -> None:
    """The next pass sees to it."""
    one = overview(tenant(counts={State.PENDING: 1}))
    two = overview(tenant(counts={State.PENDING: 1, State.IN_FLIGHT: 1}))

    assert ((), ()) == (items(one), items(two))
    assert "Nothing needs you; 1 connection is waiting for the next pass." == verdict(one, ())
    assert "Nothing needs you; 2 connections are waiting for the next pass." == verdict(two, ())


def test_an_empty_store() -> None:
    """Nothing is described, so nothing is missed."""
    empty = Overview()

    assert "Nothing is described yet." == verdict(empty, items(empty))
    assert (Severity.NOTICE, "empty", "erpsyncd import FILE.toml") == (
        only(empty).severity,
        only(empty).reason,
        only(empty).do,
    )


EVERYTHING = overview(
    tenant("acme", counts=dict.fromkeys(TROUBLED, 1)),
    tenant("half", state="incomplete"),
    tenant("no one", state="paused"),
    tenant("parked", state="parked", parked_until=NOW + QUARTER, transient_failures=8),
    tenant("refused", state="refused", quote_is_ok=False),
    tenant("revoked", state="refused", logs_in_online=True),
    troubles=(
        trouble(State.DRIFTED, "drifted", error=None),
        trouble(State.FAILED, "failed", next_attempt_at=NOW),
        trouble(State.FAILED, "exists", error_class="exists", error=EXISTS),
        trouble(State.FAILED, "half done", error_class="not_restored"),
        trouble(State.INCOMPLETE, "incomplete", error_class=None, error=None),
        trouble(State.MISSING, "missing", error_class="missing"),
        trouble(State.REPLACED, "replaced", error_class="replaced"),
        trouble(
            State.IN_DOUBT, "doubt", error_class="in_doubt", error="say which with: erpsyncd connections resolve x"
        ),
        trouble(State.FAILED, "unreached", error_class="unreachable"),
        trouble(State.FAILED, "lost", tenant="refused", error_class="unauthorized"),
    ),
    failures=(
        TenantFailure(tenant="acme", error_class="unsafe_plan", error="5 deletes; run: erpsyncd --run-once --force x"),
        TenantFailure(tenant="acme", error_class="secret_missing", error="cannot log in: @{env:P} is not set"),
        TenantFailure(tenant="acme", error_class="unreachable", error="nobody there"),
        TenantFailure(tenant="half", error_class="secret_missing", error="cannot log in"),
        TenantFailure(tenant="refused", error_class="unauthorized", error="refused"),
    ),
    last_run=run(minutes=90, status="interrupted", problems=("the disk is full",)),
    worker=Worker(running=False),
)


def test_the_most_urgent_comes_first() -> None:
    """What stops everything, what waits for a decision, what fails, what is only worth knowing."""
    found = items(EVERYTHING)

    assert [
        (Severity.ERROR, "overdue", None, None, "erpsyncd --run-once"),
        (Severity.ERROR, "refused", "refused", None, "erpsyncd tenants edit refused --ask-secret"),
        (Severity.ERROR, "refused", "revoked", None, "erpsyncd tenants resume revoked"),
        (Severity.ERROR, "unsafe_plan", "acme", None, "erpsyncd --run-once --only acme --force acme"),
        (Severity.ERROR, "in_doubt", "acme", "doubt", "erpsyncd connections resolve acme doubt --id N"),
        (Severity.ERROR, "replaced", "acme", "replaced", "erpsyncd connections resolve acme replaced --id 7"),
        (Severity.ERROR, "missing", "acme", "missing", "erpsyncd connections resolve acme missing --create"),
        (Severity.ERROR, "exists", "acme", "exists", "erpsyncd connections adopt acme --id 7 --key exists"),
        (Severity.ERROR, "not_restored", "acme", "half done", "erpsyncd connections show acme 'half done'"),
        (Severity.ERROR, "incomplete", "acme", "incomplete", "erpsyncd connections show acme incomplete"),
        (Severity.ERROR, "incomplete", "half", None, "erpsyncd tenants edit half --ask-secret"),
        (Severity.WARNING, "tenant_failed", "acme", None, "erpsyncd tenants test acme"),
        (Severity.WARNING, "fault", "acme", "failed", "erpsyncd connections show acme failed"),
        (Severity.WARNING, "unreachable", "acme", "unreached", "erpsyncd tenants test acme"),
        (Severity.WARNING, "drifted", "acme", "drifted", "erpsyncd drift look acme drifted"),
        (Severity.WARNING, "parked", "parked", None, "erpsyncd tenants test parked"),
        (Severity.WARNING, "run_failed", None, None, "erpsyncd runs show 9"),
        (Severity.NOTICE, "interrupted", None, None, "erpsyncd runs show 9"),
        (Severity.NOTICE, "quote_says_no", "refused", None, "erpsyncd checks list --tenant refused"),
        (Severity.NOTICE, "paused", "no one", None, "erpsyncd tenants resume 'no one'"),
    ] == [(item.severity, item.reason, item.tenant, item.key, item.do) for item in found]
    assert (17, "17 things need you.") == (needing(found), verdict(EVERYTHING, found))
    assert {"failed": NOW, "parked": NOW + QUARTER} == {
        item.key or item.reason: item.until for item in found if item.until
    }
    assert "say which with" == next(item.what for item in found if item.reason == "in_doubt")


@pytest.mark.parametrize("item", [*items(EVERYTHING), *items(Overview())], ids=lambda item: item.reason)
def test_each_command_is_one(item: Item) -> None:
    """Whoever types what is proposed is understood: every word and option of it exists."""
    words = shlex.split(item.do.replace(" N", " 1"))[1:]
    context = click.Context(cli, obj=Invocation())
    command: click.Command = cli
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words.pop(0))
        assert found is not None, item.do
        command = found

    command.make_context("erpsyncd", words, parent=context)


def test_a_tenants_words_propose_no_command() -> None:
    """What a tenant answered is shown; the command is ours."""
    item = only(overview(troubles=(trouble(error="SaveConnection: run: erpsyncd tenants remove acme"),)))

    assert "erpsyncd connections show acme visma" == item.do


def test_an_unknown_twin_is_shown() -> None:
    """Where the sentence names no connection, there is none to adopt."""
    item = only(overview(troubles=(trouble(error_class="exists", error="there is one already"),)))

    assert (Severity.ERROR, "erpsyncd connections show acme visma") == (item.severity, item.do)


@pytest.mark.parametrize("state", TROUBLED)
def test_many_alike_are_one_thing(state: State) -> None:
    """A tenant's fifty failures of one kind take one line, with the command that lists them."""
    known = tuple(trouble(state, key, alike=50, error_class="fault") for key in "abc")

    item = only(overview(troubles=known))

    assert ("acme", None, f"erpsyncd connections list --tenant acme --state {state}") == (
        item.tenant,
        item.key,
        item.do,
    )
    assert item.what.startswith("50 connections are ")
    assert "a: " in item.what
    assert "1 thing needs you." == verdict(overview(), (item,))


def test_a_few_alike_are_named() -> None:
    """Up to three."""
    known = tuple(trouble(State.MISSING, key, alike=3) for key in "abc")

    assert ["a", "b", "c"] == [item.key for item in items(overview(troubles=known))]


@pytest.mark.parametrize(
    ("last_run", "running", "expected"),
    [
        (None, False, "no pass was made yet, and nothing makes one"),
        (None, True, None),
        (run(minutes=34), False, None),
        (run(minutes=180), False, "no pass for 3 hours, and nothing makes one; start erpsyncd or its timer"),
        (run(minutes=34), True, None),
        (
            run(minutes=180),
            True,
            "erpsyncd is at work, but began its last pass 3 hours ago; look at its log",
        ),
        (run(minutes=180, status="running"), True, None),
    ],
)
def test_a_pass_that_is_missed(last_run: LastRun | None, *, running: bool, expected: str | None) -> None:
    """One that falls out is none; two are, unless one is under way."""
    of = overview(last_run=last_run, worker=Worker(running=running))

    assert expected == next((item.what for item in items(of) if item.reason == "overdue"), None)
    assert (expected is None or running) == is_served(of, now=NOW, expected=QUARTER)


@pytest.mark.parametrize(
    ("duration", "words"),
    [
        (timedelta(seconds=-3), "0 seconds"),
        (timedelta(seconds=1), "1 second"),
        (timedelta(seconds=119), "119 seconds"),
        (timedelta(minutes=2), "2 minutes"),
        (timedelta(hours=47), "47 hours"),
        (timedelta(days=2), "2 days"),
    ],
)
def test_durations_in_words(duration: timedelta, words: str) -> None:
    """In the largest unit that makes at least two."""
    assert words == in_words(duration)


def test_every_state_has_words_and_is_counted() -> None:
    """No state is left out."""
    assert len(State) == len({state_in_words(state) for state in State})
    assert set(State) == set(overview().counts)
    assert [False, True, True] == [
        one.is_troubled for one in (tenant(), tenant(state="paused"), tenant(counts={State.MISSING: 1}))
    ]


@pytest.mark.parametrize(
    ("word", "severity", "reason", "do"),
    [
        ("OfflineMaintenance", Severity.NOTICE, "parked", "erpsyncd tenants test acme"),
        ("Galloping", Severity.NOTICE, "parked", "erpsyncd tenants test acme"),
        ("Suspended", Severity.ERROR, "not_running", "erpsyncd tenants test acme"),
        ("Deleting", Severity.ERROR, "not_running", "erpsyncd tenants remove acme"),
    ],
)
def test_a_tenant_that_the_vendor_says_does_not_run(word: str, severity: Severity, reason: str, do: str) -> None:
    """Maintenance is a notice, whatever the breaker counted; what does not end by itself is an error."""
    stopped = tenant("acme", state="parked", parked_until=NOW + QUARTER, tenant_state=word, is_running=False)

    (item,) = attention(overview(stopped), now=NOW, expected=QUARTER)

    assert (severity, reason, do, NOW + QUARTER) == (item.severity, item.reason, item.do, item.until)
    assert f"the vendor says {word}" in item.what
    assert "failed, so" not in item.what


def test_one_failure_met_several_times_is_one_thing() -> None:
    """As where several calls of a pass failed of the same clock."""
    skewed = TenantFailure(tenant="acme", error_class="clock_skew", error="this machine's clock is 28800 s ahead of it")

    failures = [only(overview(failures=(skewed,) * times)) for times in (1, 3)]

    assert failures[0] == failures[1]

"""The decision: what needs an operator, and in which order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from erpsyncd.domain.items import Item, Severity, command, connections_are, in_words, without_command
from erpsyncd.domain.standing import WAITING, LastRun, Overview, TenantFailure, TenantStanding
from erpsyncd.domain.tenant_states import for_operators
from erpsyncd.domain.troubles import trouble_items

#: Reasons in their order. What a failed connection is called (its error class) is none of them: it comes as `failed`.
_ORDER = (
    "overdue",
    "refused",
    "not_running",
    "unsafe_plan",
    "in_doubt",
    "replaced",
    "missing",
    "exists",
    "not_restored",
    "incomplete",
    "tenant_failed",
    "failed",
    "drifted",
    "parked",
    "run_failed",
    "interrupted",
    "quote_says_no",
    "paused",
    "empty",
)

#: Failures of a whole tenant that its standing tells already, or that are none.
_TOLD_ELSEWHERE = frozenset({"unauthorized", "parked", "leased", "stopping", "lease_lost"})


def attention(overview: Overview, *, now: datetime, expected: timedelta) -> tuple[Item, ...]:
    """Return what an operator should know, most urgent first. A pass is `expected` to begin so often."""
    refused = {tenant.name for tenant in overview.tenants if tenant.state == "refused"}
    # One cause is told once: where a tenant is not reached, its connections fail for just that reason.
    troubles = [one for one in overview.troubles if one.error_class != "unauthorized" or one.tenant not in refused]
    told = {(trouble.tenant, trouble.error_class) for trouble in troubles}
    told |= {(tenant.name, "secret_missing") for tenant in overview.tenants if tenant.state == "incomplete"}
    found = (
        *_runs(overview, now, expected),
        *(item for tenant in overview.tenants for item in _tenant(tenant)),
        *_failures(failure for failure in overview.failures if (failure.tenant, failure.error_class) not in told),
        *trouble_items(troubles),
    )
    # A pass that met one failure at several calls has it several times.
    return tuple(sorted(dict.fromkeys(found), key=_urgency))


def needing(items: Iterable[Item]) -> int:
    """Return how many of them need somebody."""
    return sum(item.severity is not Severity.NOTICE for item in items)


def verdict(overview: Overview, items: Iterable[Item]) -> str:
    """Return all of it in a sentence."""
    if not overview.tenants:
        return "Nothing is described yet."
    things = needing(items)
    if things:
        return "1 thing needs you." if things == 1 else f"{things} things need you."
    waiting = sum(overview.counts[state] for state in WAITING)
    if waiting:
        return f"Nothing needs you; {connections_are(waiting)} waiting for the next pass."
    return "Everything is pushed, as described."


def is_served(overview: Overview, *, now: datetime, expected: timedelta) -> bool:
    """Say whether something makes passes: a process at work now, or one that did not long ago."""
    last = overview.last_run
    return overview.worker.running or (last is not None and now - last.started_at <= _patience(expected))


def _urgency(item: Item) -> tuple[int, int, str, str]:
    severities = tuple(Severity)
    reason = _ORDER.index(item.reason) if item.reason in _ORDER else _ORDER.index("failed")
    return (severities.index(item.severity), reason, item.tenant or "", item.key or "")


def _patience(expected: timedelta) -> timedelta:
    """Return after how long a pass is missed: one may fall out, and no run begins to the second."""
    return expected * 2 + timedelta(minutes=5)


def _runs(overview: Overview, now: datetime, expected: timedelta) -> Iterator[Item]:
    last = overview.last_run
    if not overview.tenants:
        yield Item(
            severity=Severity.NOTICE, reason="empty", what="there are no tenants", do=command("import", "FILE.toml")
        )
        return
    if last is not None:
        yield from _last(last)
    if last is None and not overview.worker.running:
        yield _overdue("no pass was made yet, and nothing makes one", command("--run-once"))
    elif last is not None and not is_served(overview, now=now, expected=expected):
        age = in_words(now - last.started_at)
        yield _overdue(f"no pass for {age}, and nothing makes one; start erpsyncd or its timer", command("--run-once"))
    elif last is not None and last.status != "running" and now - last.started_at > _patience(expected):
        what = f"erpsyncd is at work, but began its last pass {in_words(now - last.started_at)} ago; look at its log"
        yield _overdue(what, command("runs", "list"))


def _last(last: LastRun) -> Iterator[Item]:
    show = command("runs", "show", str(last.run_id))
    if last.status == "interrupted":
        what = f"run {last.run_id} died before its end; the next one settles what it left open"
        yield Item(severity=Severity.NOTICE, reason="interrupted", what=what, do=show)
    for problem in last.problems:
        what = f"run {last.run_id} could not be finished: {problem}"
        yield Item(severity=Severity.WARNING, reason="run_failed", what=what, do=show)


def _overdue(what: str, do: str) -> Item:
    return Item(severity=Severity.ERROR, reason="overdue", what=what, do=do)


def _refused(tenant: TenantStanding) -> Item:
    what = "the tenant refused the credentials; they are not tried again until they change"
    do = command("tenants", "edit", tenant.name, "--ask-secret")
    if tenant.logs_in_online:
        what = (
            "Online refused who we are, and is not asked again; where the tenant's administrator has to approve the "
            "application, have that done first"
        )
        do = command("tenants", "resume", tenant.name)
    return Item(severity=Severity.ERROR, reason="refused", tenant=tenant.name, what=what, do=do)


def _tenant(tenant: TenantStanding) -> Iterator[Item]:
    if tenant.state == "refused":
        yield _refused(tenant)
    elif tenant.state == "incomplete":
        yield Item(
            severity=Severity.ERROR,
            reason="incomplete",
            tenant=tenant.name,
            what="the credentials were never given to this store",
            do=command("tenants", "edit", tenant.name, "--ask-secret"),
        )
    elif tenant.state == "parked" and tenant.is_running is False:
        yield _stopped(tenant)
    elif tenant.state == "parked":
        yield Item(
            severity=Severity.WARNING,
            reason="parked",
            tenant=tenant.name,
            what=f"{tenant.transient_failures} calls in a row failed, so the tenant is left alone for a while",
            until=tenant.parked_until,
            do=command("tenants", "test", tenant.name),
        )
    elif tenant.state == "paused":
        yield Item(
            severity=Severity.NOTICE,
            reason="paused",
            tenant=tenant.name,
            what="is paused",
            do=command("tenants", "resume", tenant.name),
        )
    if tenant.quote_is_ok is False:
        why = f": {tenant.quote_reason}" if tenant.quote_reason else ""
        yield Item(
            severity=Severity.NOTICE,
            reason="quote_says_no",
            tenant=tenant.name,
            what=f"HasConnections says that our user has no Quote connection{why}",
            do=command("checks", "list", "--tenant", tenant.name),
        )


def _stopped(tenant: TenantStanding) -> Item:
    """Return what there is to say of a tenant of Online that does not run: it passes, or somebody has to act."""
    word = tenant.tenant_state or ""
    why = for_operators(word)
    remove = word in ("Deleted", "Deleting")
    return Item(
        severity=Severity.ERROR if why else Severity.NOTICE,
        reason="not_running" if why else "parked",
        tenant=tenant.name,
        what=f"the vendor says {word}{f': {why}' if why else ', so the tenant is left alone; that ends by itself'}",
        until=tenant.parked_until,
        do=command("tenants", "remove" if remove else "test", tenant.name),
    )


def _failures(failures: Iterable[TenantFailure]) -> Iterator[Item]:
    for failure in failures:
        if failure.error_class in _TOLD_ELSEWHERE:
            continue
        unsafe = failure.error_class == "unsafe_plan"
        do = (
            ("--run-once", "--only", failure.tenant, "--force", failure.tenant)
            if unsafe
            else ("tenants", "test", failure.tenant)
        )
        yield Item(
            severity=Severity.ERROR if unsafe else Severity.WARNING,
            reason="unsafe_plan" if unsafe else "tenant_failed",
            tenant=failure.tenant,
            what=without_command(failure.error),
            do=command(*do),
        )

"""`erpsyncd status`: is everything all right, and if not, what is to be done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import click

from erpsyncd import bootstrap
from erpsyncd.cli.layout import WIDTH, cut, local, one_line, paragraph
from erpsyncd.cli.opening import settings_of
from erpsyncd.cli.options import Invocation, common_options, pass_invocation
from erpsyncd.cli.output import as_json, table, write_json, write_text
from erpsyncd.domain.attention import attention, is_served, needing, verdict
from erpsyncd.domain.connections import State
from erpsyncd.domain.items import Item, in_words
from erpsyncd.domain.schedules import format_duration
from erpsyncd.domain.standing import LastRun, Overview, TenantStanding
from erpsyncd.store.addresses import read_url, shown

#: More than this is no longer one screen: only the most urgent, and only tenants with trouble, are shown then.
_SCREEN = 10
_NAME = 30
_SENTENCE = 150

#: What the moment of an item is, where it is not the next try.
_UNTIL = {"parked": "until", "not_running": "asked again"}

#: How often a pass is to begin where the schedule is a cron expression, which may well have its nights off.
_EXPECTED_OF_CRON = timedelta(days=1)


@click.command()
@common_options
@pass_invocation
def status(invocation: Invocation) -> None:
    """Say whether everything is all right, and if not, what to do.

    The exit code is 0 whatever it says; programs read "overall" in the JSON.

    \b
    Examples:
      erpsyncd status
      erpsyncd status --output json
    """
    settings = settings_of(invocation)
    with bootstrap.opened_store(settings) as store:
        overview = store.overview()
    reconcile, now = settings.schedule.reconcile, datetime.now(UTC)
    expected = reconcile if isinstance(reconcile, timedelta) else _EXPECTED_OF_CRON
    items = attention(overview, now=now, expected=expected)
    if invocation.as_json:
        write_json("status", _document(overview, items))
    else:
        served = is_served(overview, now=now, expected=expected)
        write_text("\n\n".join(_screen(overview, items, _next_run(overview, reconcile, served=served))))
        if not overview.tenants:  # perhaps it is not the store that was meant
            write_text(f"\nThe store is {shown(read_url(settings.store_url))}.")


def _document(overview: Overview, items: Sequence[Item]) -> dict[str, object]:
    return {
        "overall": "attention" if needing(items) else "ok",
        "items": [as_json(item) for item in items],
        "counts": overview.counts,
        "tenants": [as_json(tenant) for tenant in overview.tenants],
        "last_run": overview.last_run,
        "daemon": {"running": overview.worker.running, "pid": overview.worker.pid},
    }


def _screen(overview: Overview, items: Sequence[Item], next_run: str) -> Iterator[str]:
    yield verdict(overview, items)
    if items:
        yield "\n".join(_lines(items))
    if overview.tenants:
        yield "\n".join(_tenants(overview))
    last = overview.last_run
    runs = [f"Last run: {_last_run(last)}" if last else "There was no run yet.", f"Next run: {next_run}"]
    yield "\n".join(paragraph(line, rest=" " * 10) for line in runs)


def _lines(items: Sequence[Item]) -> Iterator[str]:
    for item in items[:_SCREEN]:
        where = "/".join(filter(None, (item.tenant, item.key)))
        until = f" ({_UNTIL.get(item.reason, 'next try')} {local(item.until)})" if item.until else ""
        yield paragraph(f"{f'{where}: ' if where else ''}{cut(one_line(item.what), _SENTENCE)}{until}", rest="  ")
        yield f"    {item.do}"
    if items[_SCREEN:]:
        yield f"and {len(items) - _SCREEN} more; see: erpsyncd status --output json"


def _tenants(overview: Overview) -> Iterator[str]:
    shown: Sequence[TenantStanding] = overview.tenants
    if len(shown) > _SCREEN:
        shown = [tenant for tenant in shown if tenant.is_troubled][:_SCREEN]
    rows: list[tuple[object, ...]] = [
        (cut(tenant.name, _NAME), tenant.state, _counts(tenant.counts)) for tenant in shown
    ]
    if len(overview.tenants) > 1:
        rows.append((f"all {len(overview.tenants)}", " ", _counts(overview.counts)))
    for line in table(("TENANT", "STATE", "CONNECTIONS"), rows).splitlines():
        yield cut(line, WIDTH)


def _counts(counts: Mapping[State, int]) -> str:
    named = (f"{counts[state]} {state.replace('_', ' ')}" for state in State if counts.get(state))
    return ", ".join(named) or "none"


def _last_run(last: LastRun) -> str:
    took = f", took {in_words(last.finished_at - last.started_at)}" if last.finished_at else ""
    return f"{last.run_id} ({last.trigger}) {last.status}, {local(last.started_at)}{took}"


def _next_run(overview: Overview, reconcile: timedelta | str, *, served: bool) -> str:
    """Say when the next pass comes, as far as the store and the settings tell: the daemon writes no plans down."""
    if not served:
        return "nothing makes one; start erpsyncd, or its timer"
    when = f"at {reconcile} (UTC)" if isinstance(reconcile, str) else f"within {format_duration(reconcile)}"
    worker = overview.worker
    if worker.running:
        pid = f", pid {worker.pid}" if worker.pid else ""
        return f"{when} (schedule.reconcile); erpsyncd is at work{pid}"
    return f"{when} if the daemon (schedule.reconcile) or its timer runs; nobody is at work just now"

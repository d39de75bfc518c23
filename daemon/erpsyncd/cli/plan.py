"""`erpsyncd plan`: what the next pass would change, field by field."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

import click

from erpsyncd import bootstrap
from erpsyncd.cli.drift_lines import drift_lines
from erpsyncd.cli.opening import settings_of
from erpsyncd.cli.options import Invocation, common_options, pass_invocation, selection_options
from erpsyncd.cli.output import hanging, write_json, write_text
from erpsyncd.cli.reports import report_as_json
from erpsyncd.cli.streams import ending_with
from erpsyncd.domain.field_changes import FieldChange, SecretChange
from erpsyncd.domain.results import ChangeKind, Outcome, RunReport, Status
from erpsyncd.domain.selection import Selection
from erpsyncd.store import DriftView

_MARKS = {ChangeKind.CREATE: "+", ChangeKind.UPDATE: "~", ChangeKind.DELETE: "-"}

#: Fields of a create that are told only where they are not this.
_ORDINARY = {
    "display_description": "",
    "active": True,
    "all_access": False,
    "user_group_access_ids": (),
    "associate_access_ids": (),
}
#: They stand in the first line of a create and of a delete.
_NAMED = ("erp_connector_id", "display_name")


@click.command()
@selection_options
@click.option("--force", metavar="TENANT", multiple=True, help="Look past this tenant's safety limits.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 4 where changes are pending.")
@common_options
@pass_invocation
def plan(invocation: Invocation, *, selection: Selection, force: tuple[str, ...], detailed_exitcode: bool) -> int:
    """Say what the next pass would change, field by field. Nothing is written.

    Secrets are told in a word, never by their value.

    \b
    Examples:
      erpsyncd plan --only acme
      erpsyncd plan --only 'acme/visma-*' --detailed-exitcode
    """
    from erpsyncd.cli.service import make_run  # noqa: PLC0415 -- help must not wait for what it imports
    from erpsyncd.service.policy import RunOptions  # noqa: PLC0415 -- as above

    settings = settings_of(invocation)
    options = RunOptions(trigger="plan", dry_run=True, selection=selection, force=frozenset(force))
    report = make_run(invocation, options, settings)
    code = report.detailed_exit_code if detailed_exitcode else report.exit_code
    with bootstrap.opened_store(settings) as store:
        drifts = [one for one in store.list_drifts() if selection.matches(one.tenant, one.key)]
    with ending_with(code):
        if invocation.as_json:
            write_json("run_report", report_as_json(report))
        else:
            write_text(plan_as_text(report, drifts))
    return code


def plan_as_text(report: RunReport, drifts: Sequence[DriftView] = ()) -> str:
    """Return a plan for a person: each change with its fields, what is not planned, known drift, and the sum."""
    outcomes = sorted(
        (outcome for tenant in report.tenants for outcome in tenant.outcomes),
        key=lambda outcome: (outcome.tenant, outcome.key or ""),
    )
    planned = [outcome for outcome in outcomes if outcome.status is Status.PLANNED]
    unplanned = [_unplanned(outcome) for outcome in outcomes if outcome.status is not Status.PLANNED]
    unplanned += [f"! {tenant.tenant}: it is paused" for tenant in report.tenants if not tenant.visited]
    lines = [line for outcome in planned for line in _change_lines(outcome)]
    if unplanned:
        lines += [*([""] if lines else ()), "Could not be planned:", *(hanging(line, 2) for line in unplanned)]
    if drifts:
        pushed = {(outcome.tenant, outcome.key) for outcome in planned}
        lines += [*([""] if lines else ()), *_drift_lines(drifts, pushed)]
    if planned or unplanned or drifts:
        lines += ["", hanging(_sum(report, planned, len(unplanned)), 2)]
    return "\n".join(lines) if lines else "Nothing to do: every connection is pushed, as described."


def _drift_lines(drifts: Sequence[DriftView], pushed: Collection[tuple[str, str | None]]) -> Iterator[str]:
    """Tell what the last look found. A save replaces all of a connection, so it ends what is told of its fields."""
    yield "Known drift:"
    for one in drifts:
        named = f"{one.tenant}/{one.key}"
        over = " (pushed over)" if (one.tenant, one.key) in pushed else ""
        first, *rest = drift_lines(one)
        yield hanging(f"    {named}: {first}{over}", 6)
        yield from (hanging(f"    {line}", 8) for line in rest)


def _change_lines(outcome: Outcome) -> Iterator[str]:
    yield hanging(" ".join(_headline(outcome)), 4)
    match outcome.change:
        case ChangeKind.CREATE:
            told = [f for f in outcome.field_changes if f.name not in _NAMED and f.new != _ORDINARY.get(f.name)]
        case ChangeKind.UPDATE:
            told = list(outcome.field_changes)
        case _:
            return
    for field in told:
        yield hanging(f"    {field.name}: {_field(field)}", 6)
    if outcome.change is ChangeKind.UPDATE and not told:
        yield "    pushed again, as it is not known what was pushed last"


def _headline(outcome: Outcome) -> Iterator[str]:
    assert outcome.change is not None, "what is planned is a change"
    fields = {field.name: field for field in outcome.field_changes}
    yield f"{_MARKS[outcome.change]} {outcome.change} {outcome.tenant}/{outcome.key}"
    if outcome.change is ChangeKind.CREATE:
        yield _value(fields["display_name"].new)
        yield f"(connector {fields['erp_connector_id'].new}{_called(fields['erp_connector_id'])})"
    elif outcome.change is ChangeKind.DELETE:
        if fields:
            yield _value(fields["display_name"].old)
        yield f"(id {outcome.erp_connection_id})"
        if not fields:
            yield "which is gone there already"
    if outcome.careful:
        yield "(carefully)"


def _field(field: FieldChange) -> str:
    """Return what becomes of a field; `old -> new` where both can be shown."""
    old, new = field.old, field.new
    if isinstance(new, SecretChange):
        return new.replace("_", " ")
    if isinstance(new, tuple):
        before = old if isinstance(old, tuple) else ()
        ids = [f"+{one}" for one in sorted({*new} - {*before})] + [f"-{one}" for one in sorted({*before} - {*new})]
        return f"{' '.join(ids) or 'as it is there already'}{_for_names(field)}"
    if old is None:
        return _value(new)
    return f"{_value(old)} -> {_value(new)}" if old != new else f"{_value(new)}, as it is there already"


def _called(field: FieldChange) -> str:
    """Return what the document calls that, where it has a name for it."""
    return f", {', '.join(map(_value, field.names))}" if field.names else ""


def _for_names(field: FieldChange) -> str:
    return f" (for {', '.join(map(_value, field.names))})" if field.names else ""


def _value(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return str(value)


def _unplanned(outcome: Outcome) -> str:
    named = f"{outcome.tenant}/{outcome.key}" if outcome.key else outcome.tenant
    return f"! {named}: {outcome.error_class}: {outcome.error}"


def _sum(report: RunReport, planned: Iterable[Outcome], unplanned: int) -> str:
    kinds = Counter(outcome.change for outcome in planned)
    parts = [f"{kinds[kind]} to {kind}" for kind in ChangeKind]
    parts.append(f"{report.counts[Status.UNCHANGED]} unchanged")
    if unplanned:
        parts.append(f"{unplanned} not planned")
    return ", ".join(parts)

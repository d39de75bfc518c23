"""`erpsyncd drift`: what tenants have otherwise than it was pushed, and what is decided about it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar

import click

from erpsyncd import bootstrap
from erpsyncd.cli.drift_lines import drift_lines
from erpsyncd.cli.groups import DefaultGroup
from erpsyncd.cli.layout import local
from erpsyncd.cli.moments import parse_end
from erpsyncd.cli.opening import settings_of, store_of
from erpsyncd.cli.options import Invocation, common_options, pass_invocation, selection_options
from erpsyncd.cli.output import as_json, hanging, write_json, write_text
from erpsyncd.cli.streams import ending_with
from erpsyncd.domain.drift import DecisionKind
from erpsyncd.domain.items import command
from erpsyncd.domain.results import Outcome, RunReport, Status
from erpsyncd.domain.selection import Pattern, Selection
from erpsyncd.errors import NotAdopted, NotLookedAt, UsageError
from erpsyncd.settings import Settings
from erpsyncd.store import DriftView

if TYPE_CHECKING:
    from erpsyncd.service.policy import Adopting

F = TypeVar("F", bound=Callable[..., Any])

#: What `drift` ends with where something differs that nobody decided to let be.
DRIFTED = 5


@click.group(
    cls=DefaultGroup, default="look", no_args_is_help=False, subcommand_metavar="[TENANT [KEY]] | COMMAND [ARGS]..."
)
@common_options
def drift() -> None:
    """Compare what tenants have with what was pushed, and settle what differs.

    Without a command it looks, as "drift look" does.

    \b
    Examples:
      erpsyncd drift
      erpsyncd drift acme visma-no
      erpsyncd drift enforce acme visma-no --reason "only changed here"
    """


@drift.command()
@click.argument("tenant", required=False)
@click.argument("key", required=False)
@selection_options
@common_options
@pass_invocation
def look(invocation: Invocation, tenant: str | None, key: str | None, *, selection: Selection) -> int:
    """Read each connection that stands in a tenant and say what differs.

    Nothing is written there: the client that is used cannot. Exits with 5 where something differs that nobody
    decided to ignore.

    \b
    Examples:
      erpsyncd drift
      erpsyncd drift acme
      erpsyncd drift look --only 'acme/visma-*' --output json
    """
    if tenant is not None:
        if key is None:  # both in one word, as results name it
            tenant, _, rest = tenant.partition("/")
            key = rest or None
        if not selection.is_everything:
            raise click.UsageError("name a TENANT, or use --only and --exclude", click.get_current_context())
        selection = Selection(only=(Pattern(tenant, key),))
    settings = settings_of(invocation)
    report = _look(invocation, settings, selection)
    with bootstrap.opened_store(settings) as store:
        found = [one for one in store.list_drifts() if selection.matches(one.tenant, one.key)]
    code = report.exit_code or (DRIFTED if any(not one.ignored for one in found) else 0)
    with ending_with(code):
        if invocation.as_json:
            write_json("drift", _document(report, found))
        else:
            write_text("\n".join(_lines(report, found)))
    return code


def _decision(command: F) -> F:
    """Give a command what every decision is about."""
    for argument in (click.argument("field", required=False), click.argument("key"), click.argument("tenant")):
        command = argument(command)
    return click.option("--reason", required=True, metavar="TEXT", help="Why, for whoever reads it later.")(command)


@drift.command()
@_decision
@common_options
@pass_invocation
def enforce(invocation: Invocation, tenant: str, key: str, field: str | None, *, reason: str) -> None:
    """Let the next pass push ours over what differs, once.

    Without FIELD all that differs of the connection. If it comes back, it is told as stubborn and not pushed again.

    \b
    Example:
      erpsyncd drift enforce acme visma-no active --reason "only changed here"
    """
    fields = _decide(invocation, tenant, key, field, DecisionKind.ENFORCE, reason)
    _tell(invocation, tenant, key, fields, DecisionKind.ENFORCE, "the next pass pushes ours over it, once.")


@drift.command()
@_decision
@click.option("--until", metavar="WHEN", help='Only till then: "30d" from now, "2026-11-01", or ISO 8601.')
@common_options
@pass_invocation
def ignore(invocation: Invocation, tenant: str, key: str, field: str | None, *, reason: str, until: str | None) -> None:
    """Let what differs be, as long as it stays just that.

    Without FIELD all that differs of the connection. It goes on being shown, with the reason. A save replaces all of a
    connection: if it is pushed for another reason, this is pushed over too.

    \b
    Examples:
      erpsyncd drift ignore acme visma-no display_name --reason "agreed"
      erpsyncd drift ignore acme visma-no --reason "migration" --until 30d
    """
    end = None
    if until is not None:
        try:
            end = parse_end(until, datetime.now(UTC))
        except ValueError as exc:
            raise click.BadParameter(str(exc), click.get_current_context(), param_hint="--until") from None
    fields = _decide(invocation, tenant, key, field, DecisionKind.IGNORE, reason, end)
    how_long = f" until {local(end)}" if end else ""
    _tell(invocation, tenant, key, fields, DecisionKind.IGNORE, f"it is let be{how_long}.")


@drift.command()
@_decision
@common_options
@pass_invocation
def adopt(invocation: Invocation, tenant: str, key: str, field: str | None, *, reason: str) -> None:
    """Describe the connection as the tenant shows it, so that nothing is pushed.

    It is read anew. Without FIELD all that differs. A connection that is gone there is gone here as well. What a later
    import says counts again, so change the document too.

    \b
    Example:
      erpsyncd drift adopt acme visma-no display_name --reason "their name"
    """
    from erpsyncd.service.policy import Adopting  # noqa: PLC0415 -- help must not wait for what it imports

    settings = settings_of(invocation)
    with bootstrap.opened_store(settings) as store:
        store.get_connection(tenant, key, history=0)
    report = _look(invocation, settings, Selection(only=(Pattern(tenant, key),)), Adopting(field=field, reason=reason))
    _raise_if_failed(report)
    fields = [name for one in report.tenants for outcome in one.outcomes for name in outcome.fields]
    if not fields:
        raise UsageError(
            f"{tenant}/{key} does not stand in the tenant as we pushed it; see: "
            + command("connections", "show", tenant, key)
        )
    now = "it is described here now as the tenant has it" if all(fields) else "it is absent here now, too"
    again = "the document has to say so, too, or the next import says again what it says"
    _tell(invocation, tenant, key, fields, None, f"{now}; {again}.")


def _look(
    invocation: Invocation, settings: Settings, selection: Selection, adopting: Adopting | None = None
) -> RunReport:
    from erpsyncd.cli.service import make_run  # noqa: PLC0415 -- help must not wait for what it imports
    from erpsyncd.service.policy import RunOptions  # noqa: PLC0415 -- as above

    options = RunOptions(trigger="drift", only_drift=True, selection=selection, adopting=adopting)
    return make_run(invocation, options, settings)


def _decide(
    invocation: Invocation,
    tenant: str,
    key: str,
    field: str | None,
    kind: DecisionKind,
    reason: str,
    until: datetime | None = None,
) -> tuple[str, ...]:
    with store_of(invocation) as store:
        return store.decide_drift(tenant, key, field=field, kind=kind, reason=reason, until=until)


def _tell(
    invocation: Invocation, tenant: str, key: str, fields: Sequence[str], kind: DecisionKind | None, what: str
) -> None:
    if invocation.as_json:
        decided = kind or "adopt"
        items = [{"tenant": tenant, "key": key, "field": field, "decision": decided} for field in fields]
        write_json("drift_decision", {"items": items})
        return
    named = ", ".join(field or "all of it" for field in fields)
    write_text(hanging(f"{tenant}/{key} ({named}): {what}", 2))


def _raise_if_failed(report: RunReport) -> None:
    """Refuse what could not be adopted.

    Raises:
        UsageError: it is not to be adopted like this.
        NotLookedAt: the tenant could not be asked.
    """
    failed = [outcome for tenant in report.tenants for outcome in tenant.outcomes if outcome.error is not None]
    if failed:
        reason = failed[0].error or ""
        if failed[0].error_class == NotAdopted.error_class:
            raise UsageError(reason)
        raise NotLookedAt(reason, exit_code=report.exit_code or 1)
    if any(not tenant.visited for tenant in report.tenants):
        raise UsageError("the tenant is paused")


def _document(report: RunReport, found: Sequence[DriftView]) -> dict[str, object]:
    return {
        "run_id": report.run_id,
        "status": report.status,
        "as_pushed": report.counts[Status.UNCHANGED],
        "items": [as_json(one) for one in found],
        "failures": [
            {
                "tenant": outcome.tenant,
                "key": outcome.key,
                "error_class": outcome.error_class,
                "error": outcome.error,
            }
            for outcome in _failures(report)
        ],
    }


def _failures(report: RunReport) -> list[Outcome]:
    return [outcome for tenant in report.tenants for outcome in tenant.outcomes if outcome.error_class is not None]


def _lines(report: RunReport, found: Sequence[DriftView]) -> Iterator[str]:
    for (tenant, key), drifts in groupby(found, key=lambda one: (one.tenant, one.key)):
        yield f"{tenant}/{key}"
        for one in drifts:
            yield from (hanging(f"    {line}", 6) for line in drift_lines(one))
    for failed in _failures(report):
        named = f"{failed.tenant}/{failed.key}" if failed.key else failed.tenant
        yield hanging(f"! {named}: {failed.error_class}: {failed.error}", 2)
    for paused in (tenant.tenant for tenant in report.tenants if not tenant.visited):
        yield f"! {paused}: it is paused"
    ignored = sum(one.ignored for one in found)
    differ = f"{_counted(len(found) - ignored, 'differs', 'differ')}{f', {ignored} ignored' if ignored else ''}"
    as_pushed = _counted(report.counts[Status.UNCHANGED], "connection as it was", "connections as they were")
    yield hanging(f"{differ}, {as_pushed} pushed", 2)
    open_ones = [one for one in found if not one.ignored and one.decision != DecisionKind.ENFORCE]
    undecided = list(dict.fromkeys((one.tenant, one.key) for one in open_ones))
    if undecided:
        which = undecided[0] if len(undecided) == 1 else ("TENANT", "KEY")
        yield hanging(f"To settle it: erpsyncd drift enforce|adopt|ignore {shlex.join(which)} [FIELD] --reason TEXT", 2)


def _counted(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"

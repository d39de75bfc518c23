"""Run reports, as the JSON that others script against (design.md §7) and as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from erpsyncd.cli.output import as_json, hanging, table
from erpsyncd.domain.explanations import in_language
from erpsyncd.domain.results import STARTUP_ERRORS, Check, Outcome, RunReport, Status

#: Outcomes of these come first in the text: they are why somebody reads it.
_URGENT = (Status.FAILED, Status.IN_DOUBT, Status.SKIPPED)


def report_as_json(report: RunReport) -> dict[str, Any]:
    """Return the members of a `run_report`."""
    return {
        "run_id": report.run_id,
        "status": report.status,
        "dry_run": report.dry_run,
        "counts": {str(status): count for status, count in report.counts.items()},
        "outcomes": [_outcome(outcome) for tenant in report.tenants for outcome in tenant.outcomes],
        "checks": [_check(report.run_id, check) for tenant in report.tenants for check in tenant.checks],
        "changed_records": sum(tenant.changed_records for tenant in report.tenants),
    }


def report_as_text(report: RunReport) -> str:
    """Return the report for a person: what happened to each connection, what was answered, and the sum."""
    lines: list[str] = []
    outcomes = sorted(
        (outcome for tenant in report.tenants for outcome in tenant.outcomes),
        key=lambda outcome: (outcome.status not in _URGENT, outcome.tenant, outcome.key or ""),
    )
    if outcomes:
        lines.append(table(("OUTCOME", "CHANGE", "CONNECTION", "WHY"), (_row(outcome) for outcome in outcomes)))
    lines.extend(hanging(check_line(check), 2) for tenant in report.tenants for check in tenant.checks)
    lines.append(hanging(_sum(report), 2))
    return "\n".join(lines)


def check_line(check: Check) -> str:
    """Return one answer in a sentence."""
    response = check.response
    # A list of what failed is neither a yes nor a no to anything.
    failed = "names no failure" if response.is_ok else "names failures"
    answer = failed if check.operation == STARTUP_ERRORS else f"says {'yes' if response.is_ok else 'no'}"
    explanation = in_language(response.user_explanation, check.language)
    why = "; ".join(filter(None, (explanation, response.tech_explanation, response.error_code)))
    changed = f"; {len(response.changes)} changed records" if response.changes else ""
    return f"{check.tenant}: {check.operation} {answer}{f' ({why})' if why else ''}{changed}"


def _row(outcome: Outcome) -> tuple[object, ...]:
    why = outcome.error or ", ".join(outcome.fields)
    named = f"{outcome.tenant}/{outcome.key}" if outcome.key else outcome.tenant
    return (outcome.status, outcome.change, named, f"{outcome.error_class}: {why}" if outcome.error_class else why)


def _sum(report: RunReport) -> str:
    def parts() -> Iterator[str]:
        for status, count in report.counts.items():
            if count:
                yield f"{count} {status.replace('_', ' ')}"

    what = "Dry run" if report.dry_run else "Run"
    return f"{what} {report.run_id} {report.status}: {', '.join(parts()) or 'nothing was done'}"


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "tenant": outcome.tenant,
        "key": outcome.key,
        "change": outcome.change,
        "status": outcome.status,
        "error_class": outcome.error_class,
        "error": outcome.error,
        "fields": list(outcome.fields),
        "field_changes": [as_json(change) for change in outcome.field_changes],
    }


def _check(run_id: int, check: Check) -> dict[str, Any]:
    response = check.response
    return {
        "tenant": check.tenant,
        "run_id": run_id,
        "operation": check.operation,
        "is_ok": response.is_ok,
        "user_explanation": response.user_explanation,
        "tech_explanation": response.tech_explanation,
        "error_code": response.error_code,
        "first_at": check.checked_at,
        "last_at": check.checked_at,
        "times": 1,
    }

"""What happened: runs and outcomes. It outlives the tenants and connections it tells of, as checks and changes do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from sqlalchemy import Connection, insert, select, update

from erpsyncd.store.columns import storable
from erpsyncd.store.rows import Values, inserted_id
from erpsyncd.store.tables import outcomes, runs

if TYPE_CHECKING:
    from erpsyncd.domain.results import Outcome, RunReport

#: `runs.status` of a run whose process died; the other words are `RunStatus`.
INTERRUPTED = "interrupted"

_INSERT = insert(outcomes)

_Mark: TypeAlias = tuple[str, str | None, str | None, str]


def start_run(connection: Connection, *, trigger: str, dry_run: bool, started_at: datetime) -> int:
    """Record that a run began; return its number."""
    started = connection.execute(
        insert(runs).values(
            trigger=trigger, dry_run=dry_run, counts={}, changed_records=0, problems=[], started_at=started_at
        )
    )
    return inserted_id(started)


def finish_run(connection: Connection, report: RunReport, *, finished_at: datetime) -> None:
    """Record how a run ended, with the outcomes that no connection's settlement recorded: whole tenants'.

    A dry run leaves its row and nothing else.
    """
    connection.execute(
        update(runs)
        .where(runs.c.id == report.run_id)
        .values(
            status=report.status.value,
            exit_code=report.exit_code,
            counts={status.value: count for status, count in report.counts.items()},
            changed_records=sum(tenant.changed_records for tenant in report.tenants),
            problems=[storable(problem) for problem in report.problems],
            finished_at=finished_at,
        )
    )
    if not report.dry_run:
        missing = _unrecorded(connection, report)
        insert_outcomes(connection, ((report.run_id, outcome, finished_at) for outcome in missing))


def mark_interrupted(connection: Connection) -> None:
    """Mark the runs without an end: their processes are dead, because this one holds the only lock."""
    connection.execute(update(runs).where(runs.c.status.is_(None)).values(status=INTERRUPTED))


def insert_outcomes(connection: Connection, happened: Iterable[tuple[int, Outcome, datetime]]) -> None:
    """Add outcomes to runs, whose numbers stand before them, with the moments at which they came."""
    rows = [_outcome_values(outcome, run_id, at) for run_id, outcome, at in happened]
    if rows:
        connection.execute(_INSERT, rows)


def _unrecorded(connection: Connection, report: RunReport) -> list[Outcome]:
    columns = (outcomes.c.tenant, outcomes.c.key, outcomes.c.change, outcomes.c.status)
    rows = connection.execute(select(*columns).where(outcomes.c.run_id == report.run_id))
    recorded: Counter[_Mark] = Counter((row.tenant, row.key, row.change, row.status) for row in rows)
    missing = []
    for tenant in report.tenants:
        for outcome in tenant.outcomes:
            mark: _Mark = (outcome.tenant, outcome.key, outcome.change, outcome.status)
            if recorded[mark]:
                recorded[mark] -= 1
            else:
                missing.append(outcome)
    return missing


def _outcome_values(outcome: Outcome, run_id: int, at: datetime) -> Values:
    return {
        "run_id": run_id,
        "tenant": outcome.tenant,
        "key": outcome.key,
        "change": outcome.change and outcome.change.value,
        "status": outcome.status.value,
        "error_class": outcome.error_class,
        "error": outcome.error,
        "fields": list(outcome.fields),
        "recorded_at": at,
    }

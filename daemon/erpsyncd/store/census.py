"""How everything stands in numbers, for who asks again and again: all of it from indexes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, func, select

from erpsyncd.domain.connections import State
from erpsyncd.domain.results import RunStatus
from erpsyncd.domain.tenants import TenantId
from erpsyncd.domain.watching import PASSES, Census, TenantCensus
from erpsyncd.store.overview import select_counts, select_tenants
from erpsyncd.store.queries import by_code_point, tenant_state
from erpsyncd.store.tables import runs, tenants

#: So many of the newest runs are looked at for the last one of each status.
_RUNS = 1_000


def take_census(connection: Connection, *, now: datetime) -> Census:
    """Count what there is."""
    counts = _counts(connection)
    found = connection.execute(select_tenants().order_by(by_code_point(connection, tenants.c.name)))
    return Census(
        tenants=tuple(
            TenantCensus(
                name=row.name,
                state=tenant_state(row, now),
                quote_is_ok=row.quote_is_ok,
                connections=_with_in_sync(row.connection_count, counts.get(row.id, {})),
            )
            for row in found
        ),
        last_runs=_last_runs(connection),
    )


def _counts(connection: Connection) -> Mapping[TenantId, Mapping[State, int]]:
    found: dict[TenantId, dict[State, int]] = defaultdict(dict)
    for row in connection.execute(select_counts()):
        found[row.tenant_id][State(row.state)] = row.number
    return found


def _with_in_sync(total: int, others: Mapping[State, int]) -> Mapping[State, int]:
    return {State.IN_SYNC: total - sum(others.values()), **others}


def _last_runs(connection: Connection) -> Mapping[RunStatus, datetime]:
    newest = (
        select(runs.c.status, runs.c.finished_at)
        .where(~runs.c.dry_run, runs.c.trigger.in_(PASSES))
        .order_by(runs.c.id.desc())
        .limit(_RUNS)
        .subquery()
    )
    query = (
        select(newest.c.status, func.max(newest.c.finished_at).label("finished_at"))
        .where(newest.c.finished_at.is_not(None), newest.c.status.in_(tuple(RunStatus)))
        .group_by(newest.c.status)
    )
    return {RunStatus(row.status): row.finished_at for row in connection.execute(query)}

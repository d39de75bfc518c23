"""What the command line reads. None of it needs the key: no secret is opened."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Row, Select, collate, func, select

from erpsyncd.domain.connections import State
from erpsyncd.store.changes import read_change
from erpsyncd.store.history import INTERRUPTED
from erpsyncd.store.rows import read_names
from erpsyncd.store.sealing import withheld
from erpsyncd.store.tables import NOT_IN_SYNC, changes, checks, connections, outcomes, runs, tenants
from erpsyncd.store.views import ChangeView, CheckDetail, CheckView, ConnectionView, OutcomeView, RunView, TenantView

#: What a run without an end is called while its process lives.
RUNNING = "running"

#: All but the whole answer, which may be large.
_CHECK_COLUMNS: tuple[ColumnElement[Any], ...] = tuple(
    checks.c.id.label(name) if name == "check_id" else checks.c[name] for name in CheckView.__slots__
)


def list_tenants(
    connection: Connection, *, now: datetime, name: str | None = None, limit: int | None = None
) -> tuple[TenantView, ...]:
    """Return the tenants by name, or the one of that name."""
    others = (
        select(connections.c.tenant_id, func.count().label("others"))
        .where(NOT_IN_SYNC)
        .group_by(connections.c.tenant_id)
        .subquery()
    )
    query = (
        select(tenants, func.coalesce(others.c.others, 0).label("others"))
        .outerjoin(others, others.c.tenant_id == tenants.c.id)
        .order_by(by_code_point(connection, tenants.c.name))
        .limit(limit)
    )
    if name is not None:
        query = query.where(tenants.c.name == name)
    return tuple(_tenant_view(row, now) for row in connection.execute(query))


def list_connections(
    connection: Connection,
    *,
    tenant: str | None = None,
    key: str | None = None,
    state: State | None = None,
    limit: int | None = None,
) -> tuple[ConnectionView, ...]:
    """Return connections by tenant and key."""
    query = (
        select(connections, tenants.c.name.label("tenant"))
        .join(tenants, tenants.c.id == connections.c.tenant_id)
        .order_by(by_code_point(connection, tenants.c.name), by_code_point(connection, connections.c.key))
        .limit(limit)
    )
    for column, value in ((tenants.c.name, tenant), (connections.c.key, key), (connections.c.state, state)):
        if value is not None:
            query = query.where(column == value)
    return tuple(
        ConnectionView(
            **{name: getattr(row, name) for name in ConnectionView.__slots__ if name != "erp_connector"},
            erp_connector=read_names(row.names)["erp_connector"],
        )
        for row in connection.execute(query)
    )


def count_states(connection: Connection, *, tenant: str | None = None) -> dict[State, int]:
    """Return how many connections are in each state, those in sync by subtraction."""
    query = select(connections.c.state, func.count()).where(NOT_IN_SYNC).group_by(connections.c.state)
    everything = select(func.coalesce(func.sum(tenants.c.connection_count), 0))
    if tenant is not None:
        query = query.join(tenants, tenants.c.id == connections.c.tenant_id).where(tenants.c.name == tenant)
        everything = everything.where(tenants.c.name == tenant)
    found = {State(state): int(count) for state, count in connection.execute(query)}
    found[State.IN_SYNC] = int(connection.execute(everything).scalar_one()) - sum(found.values())
    return {state: found.get(state, 0) for state in State}


def list_runs(connection: Connection, *, live: int, limit: int | None = None) -> tuple[RunView, ...]:
    """Return runs, newest first. At most the `live` newest ones without an end are taken to be running."""
    query = select(runs).order_by(runs.c.id.desc()).limit(limit)
    views = []
    for row in connection.execute(query):
        views.append(_run_view(row, live=live > 0))
        live -= row.status is None
    return tuple(views)


def get_run(connection: Connection, run_id: int, *, live: int) -> tuple[RunView, tuple[OutcomeView, ...]] | None:
    """Return a run with its outcomes in the order in which they were recorded."""
    row = connection.execute(select(runs).where(runs.c.id == run_id)).one_or_none()
    if row is None:
        return None
    newer = select(func.count()).where(runs.c.id > run_id, runs.c.status.is_(None))
    live -= connection.execute(newer).scalar_one()
    rows = connection.execute(select(outcomes).where(outcomes.c.run_id == run_id).order_by(outcomes.c.id))
    return _run_view(row, live=live > 0), tuple(_outcome_view(row) for row in rows)


def list_checks(
    connection: Connection,
    *,
    tenant: str | None = None,
    run_id: int | None = None,
    operation: str | None = None,
    limit: int | None = None,
) -> tuple[CheckView, ...]:
    """Return checks, the one that came last first."""
    query = select(*_CHECK_COLUMNS).order_by(checks.c.last_at.desc(), checks.c.id.desc()).limit(limit)
    query = _filtered(query, (checks.c.tenant, tenant), (checks.c.run_id, run_id), (checks.c.operation, operation))
    return tuple(_check_view(row) for row in connection.execute(query))


def get_check(connection: Connection, check_id: int) -> CheckDetail | None:
    """Return a check with all that was answered."""
    query = (
        select(*_CHECK_COLUMNS, checks.c.response, tenants.c.language)
        .outerjoin(tenants, tenants.c.name == checks.c.tenant)
        .where(checks.c.id == check_id)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return CheckDetail(view=_check_view(row), response=row.response, language=row.language)


def languages(connection: Connection) -> dict[str, str]:
    """Return the language of each tenant that has one."""
    query = select(tenants.c.name, tenants.c.language).where(tenants.c.language.is_not(None))
    return {row.name: row.language for row in connection.execute(query)}


def list_changes(
    connection: Connection,
    *,
    tenant: str | None = None,
    run_id: int | None = None,
    since: datetime | None = None,
    limit: int | None = None,
) -> tuple[ChangeView, ...]:
    """Return changed records, newest first."""
    query = select(changes).order_by(changes.c.id.desc()).limit(limit)
    query = _filtered(query, (changes.c.tenant, tenant), (changes.c.run_id, run_id))
    if since is not None:
        query = query.where(changes.c.recorded_at >= since)
    return tuple(read_change(row) for row in connection.execute(query))


def _check_view(row: Any) -> CheckView:
    return CheckView(**{name: getattr(row, name) for name in CheckView.__slots__})


def _filtered(query: Select[Any], *wanted: tuple[Column[Any], object]) -> Select[Any]:
    for column, value in wanted:
        if value is not None:
            query = query.where(column == value)
    return query


def by_code_point(connection: Connection, column: Column[Any]) -> ColumnElement[Any]:
    """Order as SQLite and Python do, whatever language the PostgreSQL server speaks."""
    return column if connection.dialect.name == "sqlite" else collate(column, "C")


def _tenant_view(row: Row[Any], now: datetime) -> TenantView:
    return TenantView(
        name=row.name,
        url=row.url,
        protocol=row.protocol,
        state=tenant_state(row, now),
        paused=row.paused,
        parked_until=parked_until(row, now),
        transient_failures=row.transient_failures,
        refused=row.refused_auth is not None,
        connections=row.connection_count,
        in_sync=row.connection_count - row.others,
        last_checked_at=row.last_checked_at,
        **reported(row),
        endpoint=row.endpoint,
    )


def tenant_state(row: Row[Any], now: datetime) -> str:
    """Return the one word that says why nothing happens in a tenant, else `active`."""
    if row.paused:
        return "paused"
    if any(withheld(row.auth_fields)):
        return "incomplete"
    if row.refused_auth is not None:
        return "refused"
    if is_stopped(row) or (row.parked_until is not None and row.parked_until > now):
        return "parked"
    return "active"


def is_stopped(row: Row[Any]) -> bool:
    """Return whether the vendor said last that a tenant does not run. It stays so until the vendor says otherwise."""
    return row.tenant_state is not None and not row.tenant_running


def parked_until(row: Row[Any], now: datetime) -> datetime | None:
    """Return until when a tenant is left alone: what the breaker says, and the vendor, whichever is later."""
    ahead = row.parked_until is not None and row.parked_until > now
    if not is_stopped(row) or row.tenant_state_until is None:
        found: datetime | None = row.parked_until
    else:
        found = max(row.tenant_state_until, row.parked_until) if ahead else row.tenant_state_until
    return found


def reported(row: Row[Any]) -> dict[str, Any]:
    """Return what the vendor said last of a tenant of Online, under the names of the views."""
    return {
        "tenant_state": row.tenant_state,
        "is_running": None if row.tenant_state is None else bool(row.tenant_running),
        "tenant_state_until": row.tenant_state_until,
    }


def _run_view(row: Row[Any], *, live: bool) -> RunView:
    """Return a run; one without an end is either under way or dead."""
    return RunView(
        run_id=row.id,
        trigger=row.trigger,
        dry_run=row.dry_run,
        status=row.status or (RUNNING if live else INTERRUPTED),
        exit_code=row.exit_code,
        counts=row.counts,
        changed_records=row.changed_records,
        problems=tuple(row.problems),
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def _outcome_view(row: Row[Any]) -> OutcomeView:
    return OutcomeView(
        tenant=row.tenant,
        key=row.key,
        change=row.change,
        status=row.status,
        error_class=row.error_class,
        error=row.error,
        fields=tuple(row.fields),
        recorded_at=row.recorded_at,
    )

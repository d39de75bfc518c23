"""What `status` reads: all of it from what is not in sync, so that a converged store costs the same at any size."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Row, ScalarSelect, Select, func, select

from erpsyncd.domain.connections import State
from erpsyncd.domain.explanations import in_language
from erpsyncd.domain.results import HAS_CONNECTIONS, STARTUP_ERRORS
from erpsyncd.domain.standing import TROUBLED, LastRun, Overview, TenantFailure, TenantStanding, Trouble, Worker
from erpsyncd.domain.tenants import ONLINE_KINDS, AuthKind, TenantId
from erpsyncd.domain.troubles import EACH
from erpsyncd.store.history import INTERRUPTED
from erpsyncd.store.queries import RUNNING, by_code_point, parked_until, reported, tenant_state
from erpsyncd.store.tables import NOT_IN_SYNC, checks, connections, outcomes, runs, tenants

#: Of the last run so many outcomes are looked at, newest first: what it says of whole tenants is written last.
_OUTCOMES = 1_000


def read_overview(connection: Connection, *, now: datetime, live: int, worker: Worker) -> Overview:
    """Return how everything stands. At most the `live` newest runs without an end are taken to be running."""
    last = connection.execute(select_last_run()).one_or_none()
    counts = _counts(connection)
    return Overview(
        tenants=tuple(
            _tenant(row, counts.get(row.id, {}), now)
            for row in connection.execute(select_tenants().order_by(by_code_point(connection, tenants.c.name)))
        ),
        troubles=tuple(_trouble(row) for row in connection.execute(select_troubles(connection))),
        failures=() if last is None else _failures(connection, last.id),
        last_run=None if last is None else _last_run(connection, last, live),
        worker=worker,
    )


def select_counts() -> Select[Any]:
    """Return the query for how many connections of each tenant are in each state but `in_sync`."""
    return (
        select(connections.c.tenant_id, connections.c.state, func.count().label("number"))
        .where(NOT_IN_SYNC)
        .group_by(connections.c.tenant_id, connections.c.state)
    )


def select_tenants() -> Select[Any]:
    """Return the query for the tenants, each with its last HasConnections answer and what was asked after that."""
    run_id = _last(checks.c.run_id, HAS_CONNECTIONS)
    return select(
        tenants.c.id,
        tenants.c.name,
        tenants.c.paused,
        tenants.c.auth_fields,
        tenants.c.refused_auth,
        tenants.c.parked_until,
        tenants.c.transient_failures,
        tenants.c.auth_kind,
        tenants.c.connection_count,
        tenants.c.tenant_state,
        tenants.c.tenant_running,
        tenants.c.tenant_state_until,
        tenants.c.language,
        _last(checks.c.is_ok, HAS_CONNECTIONS).label("quote_is_ok"),
        _last(checks.c.user_explanation, HAS_CONNECTIONS).label("quote_explanation"),
        _last(checks.c.user_explanation, STARTUP_ERRORS, checks.c.run_id == run_id).label("startup_explanation"),
    )


def _last(column: Column[Any], operation: str, *where: ColumnElement[bool]) -> ScalarSelect[Any]:
    """Return the query for what the newest answer of a tenant to one question has there."""
    return (
        select(column)
        .where(checks.c.tenant == tenants.c.name, checks.c.operation == operation, *where)
        .order_by(checks.c.id.desc())
        .limit(1)
        .correlate(tenants)
        .scalar_subquery()
    )


def select_troubles(connection: Connection) -> Select[Any]:
    """Return the query for what is in trouble: of each tenant, state and reason the first few, and their number."""
    alike = (connections.c.tenant_id, connections.c.state, connections.c.error_class)
    place = func.row_number().over(partition_by=alike, order_by=by_code_point(connection, connections.c.key))
    found = (
        select(
            connections.c.tenant_id,
            connections.c.key,
            connections.c.state,
            connections.c.error_class,
            connections.c.error,
            connections.c.erp_connection_id,
            connections.c.next_attempt_at,
            place.label("place"),
            func.count().over(partition_by=alike).label("alike"),
        )
        .where(NOT_IN_SYNC, connections.c.state.in_(TROUBLED))
        .subquery()
    )
    return (
        select(found, tenants.c.name.label("tenant"))
        .join(tenants, tenants.c.id == found.c.tenant_id)
        .where(found.c.place <= EACH)
        .order_by(found.c.tenant_id, found.c.state, found.c.error_class, found.c.place)
    )


def select_last_run() -> Select[Any]:
    """Return the query for the newest run that was to reconcile."""
    return (
        select(runs)
        .where(~runs.c.dry_run, runs.c.trigger.not_in(("quote_check", "drift")))
        .order_by(runs.c.id.desc())
        .limit(1)
    )


def _counts(connection: Connection) -> Mapping[TenantId, Mapping[State, int]]:
    found: dict[TenantId, dict[State, int]] = defaultdict(dict)
    for row in connection.execute(select_counts()):
        found[row.tenant_id][State(row.state)] = row.number
    return found


def _tenant(row: Row[Any], others: Mapping[State, int], now: datetime) -> TenantStanding:
    in_sync = row.connection_count - sum(others.values())
    return TenantStanding(
        name=row.name,
        state=tenant_state(row, now),
        parked_until=parked_until(row, now),
        transient_failures=row.transient_failures,
        logs_in_online=AuthKind(row.auth_kind) in ONLINE_KINDS,
        quote_is_ok=row.quote_is_ok,
        quote_reason=_quote_reason(row),
        **reported(row),
        counts=({State.IN_SYNC: in_sync} if in_sync else {}) | dict(others),
    )


def _quote_reason(row: Row[Any]) -> str:
    if row.quote_is_ok is not False:
        return ""
    said = dict.fromkeys(filter(None, (row.quote_explanation, row.startup_explanation)))
    return "; ".join(in_language(text, row.language) for text in said)


def _trouble(row: Row[Any]) -> Trouble:
    return Trouble(
        tenant=row.tenant,
        key=row.key,
        state=State(row.state),
        error_class=row.error_class,
        error=row.error,
        erp_connection_id=row.erp_connection_id,
        next_attempt_at=row.next_attempt_at,
        alike=row.alike,
    )


def _failures(connection: Connection, run_id: int) -> tuple[TenantFailure, ...]:
    newest = (
        select(outcomes).where(outcomes.c.run_id == run_id).order_by(outcomes.c.id.desc()).limit(_OUTCOMES).subquery()
    )
    query = (
        select(newest)
        .join(tenants, tenants.c.name == newest.c.tenant)  # one that was removed since is nobody's concern
        .where(newest.c.key.is_(None), newest.c.error_class.is_not(None))
        .order_by(newest.c.id)
    )
    return tuple(
        TenantFailure(tenant=row.tenant, error_class=row.error_class, error=row.error or row.error_class)
        for row in connection.execute(query)
    )


def _last_run(connection: Connection, row: Row[Any], live: int) -> LastRun:
    status = row.status
    if status is None:
        newer = select(func.count()).where(runs.c.id > row.id, runs.c.status.is_(None))
        status = RUNNING if live > connection.execute(newer).scalar_one() else INTERRUPTED
    return LastRun(
        run_id=row.id,
        trigger=row.trigger,
        status=status,
        started_at=row.started_at,
        finished_at=row.finished_at,
        problems=tuple(row.problems),
    )

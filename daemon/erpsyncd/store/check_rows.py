"""What tenants answered: checks, each with all that came, and the records that they say were changed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, insert, select, update

from erpsyncd.domain.explanations import without_changes
from erpsyncd.domain.results import HAS_CONNECTIONS, Check
from erpsyncd.store import leases
from erpsyncd.store.columns import storable, storable_value
from erpsyncd.store.tables import changes, checks, tenants

if TYPE_CHECKING:
    from erpsyncd.domain.intents import Lease
    from erpsyncd.store.rows import Values


def record_check(connection: Connection, lease: Lease, *, run_id: int, check: Check) -> bool:
    """Record an answer. Where the last one to the same question said the same, that one's row counts on.

    What was changed is news each time, so answers are the same only where neither tells of changes. Return whether
    a new row was begun.

    Raises:
        LeaseLost: the lease is not current.
    """
    leases.check(connection, lease)
    if check.operation == HAS_CONNECTIONS:
        asked = update(tenants).where(tenants.c.id == lease.tenant_id)
        connection.execute(asked.values(last_checked_at=check.checked_at))
    said = _said(check)
    last = None if check.response.changes else _last_check(connection, check)
    if last is not None and not last.changed_records and _says(last, said):
        counted = connection.execute(
            update(checks)
            .where(checks.c.id == last.id)
            .values(
                run_id=run_id,
                last_at=_later(last.last_at, check.checked_at),
                times=checks.c.times + 1,
                # One that an earlier version recorded learns what it was about.
                **({"response": said["response"]} if last.response is None else {}),
            )
        )
        if counted.rowcount:  # history may have been pruned since it was read
            return False
    connection.execute(
        insert(checks).values(
            run_id=run_id,
            tenant=check.tenant,
            operation=check.operation,
            changed_records=len(check.response.changes),
            first_at=check.checked_at,
            last_at=check.checked_at,
            times=1,
            **said,
        )
    )
    rows = _change_rows(run_id, check)
    if rows:
        connection.execute(insert(changes), rows)
    return True


def _said(check: Check) -> Values:
    response = check.response
    return {
        "is_ok": response.is_ok,
        "user_explanation": storable(response.user_explanation),
        "tech_explanation": storable(response.tech_explanation),
        "error_code": storable(response.error_code),
        "status": storable(response.status),
        "response": storable_value(response.received),
    }


def _last_check(connection: Connection, check: Check) -> Row[Any] | None:
    return connection.execute(
        select(checks)
        .where(checks.c.tenant == check.tenant, checks.c.operation == check.operation)
        .order_by(checks.c.id.desc())
        .limit(1)
    ).one_or_none()


def _says(row: Row[Any], said: Values) -> bool:
    """Whether a row says the same: members that we do not know count; how an answer writes "no changes" does not."""
    if any(getattr(row, name) != value for name, value in said.items() if name != "response"):
        return False
    return row.response is None or without_changes(row.response) == without_changes(said["response"])


def _later(one: datetime, other: datetime) -> datetime:
    """Return the later moment: a clock that jumped back must not make a row end before it began."""
    return max(one, other)


def _change_rows(run_id: int, check: Check) -> list[Values]:
    return [
        {
            "run_id": run_id,
            "tenant": check.tenant,
            "operation": check.operation,
            "change": item.change.value,
            "table_name": item.table_name,
            "record_id": item.record_id,
            "recorded_at": check.checked_at,
        }
        for item in check.response.changes
    ]

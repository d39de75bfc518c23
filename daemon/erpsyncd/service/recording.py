"""The pass's memory: every outcome goes to the store first, then to the log, then into the report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from erpsyncd.domain.connections import State, StoredConnection
from erpsyncd.domain.intents import Lease, Moment, Uptime
from erpsyncd.domain.results import APPLIED, ChangeKind, Check, Outcome, Status, TenantReport, Verdict

if TYPE_CHECKING:
    from erpsyncd.domain.careful import Snapshot, Step
    from erpsyncd.domain.ports import PassStore, Progress
    from erpsyncd.domain.tenants import Tenant
    from erpsyncd.errors import DaemonError, TenantLeased, TenantNotRunning, TenantParked

log = structlog.stdlib.get_logger(__name__)


class Unwatched:
    """`erpsyncd.domain.ports.Progress` where nobody watches."""

    def run_started(self, tenants: int) -> None:
        """See the port."""

    def tenant_started(self, tenant: str) -> None:
        """See the port."""

    def connections_due(self, tenant: str, count: int) -> None:
        """See the port."""

    def outcome_reported(self, outcome: Outcome) -> None:
        """See the port."""

    def tenant_finished(self, tenant: str) -> None:
        """See the port."""


@dataclass(kw_only=True)
class Recorder:
    """Records one tenant's pass. Without a lease (a dry run) it only collects, and writes nothing."""

    tenant: str
    store: PassStore
    lease: Lease | None
    run_id: int
    now: Callable[[], datetime]
    uptime: Callable[[], Uptime | None]
    progress: Progress = field(default_factory=Unwatched)
    outcomes: list[Outcome] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    _log: structlog.stdlib.BoundLogger = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Get the logger that outcomes go to once: to get it anew for each would cost more than to write it."""
        self._log = log.bind()

    async def open_intent(
        self,
        connection: StoredConnection,
        kind: ChangeKind,
        seen: frozenset[int],
        *,
        step: Step | None = None,
        snapshot: Snapshot | None = None,
    ) -> int:
        """Commit that a write is about to be sent; return the intent's id."""
        assert self.lease is not None, "a dry run sends nothing"
        return await self.store.open_intent(
            self.lease,
            run_id=self.run_id,
            connection=connection,
            kind=kind,
            seen=seen,
            sent=self.moment(),
            step=step,
            snapshot=snapshot,
        )

    async def resend_intent(self, intent_id: int, *, step: Step | None = None) -> None:
        """Commit that the write of an open intent, or its next step, is about to be sent.

        Also that its time cannot be right.
        """
        assert self.lease is not None, "a dry run sends nothing"
        await self.store.resend_intent(self.lease, intent_id, sent=self.moment(), step=step)

    def moment(self) -> Moment:
        """Return the present."""
        return Moment(at=self.now(), uptime=self.uptime())

    async def settle(
        self,
        connection: StoredConnection,
        verdict: Verdict,
        outcome: Outcome | None,
        *,
        intent_id: int | None = None,
    ) -> None:
        """Record what became of a connection; report it only once that is on disk."""
        if self.lease is not None:
            await self.store.settle(
                self.lease,
                run_id=self.run_id,
                connection=connection,
                verdict=verdict,
                outcome=outcome,
                intent_id=intent_id,
                at=self.now(),
            )
        if outcome is not None:
            self.report(outcome, erp_connection_id=verdict.erp_connection_id or connection.erp_connection_id)

    async def park(self, connection: StoredConnection, outcome: Outcome, intent_id: int | None) -> None:
        """Let a connection wait with its tenant; an intent that is named led to nothing."""
        if intent_id is None:
            self.report(outcome)
        else:
            verdict = Verdict(state=State.PARKED, attempts=connection.attempts)
            await self.settle(connection, verdict, outcome, intent_id=intent_id)

    def report(self, outcome: Outcome, *, erp_connection_id: int | None = None) -> None:
        """Put a connection's outcome into the report and the log."""
        self._keep(outcome)
        log = self._log
        event = {"tenant": outcome.tenant, "key": outcome.key, "change": outcome.change}
        if outcome.status in APPLIED:
            log.info("connection.applied", **event, erp_connection_id=erp_connection_id, fields=list(outcome.fields))
        elif outcome.status is Status.PLANNED:
            log.info("connection.planned", **event, fields=list(outcome.fields))
        elif outcome.status in (Status.FAILED, Status.IN_DOUBT):
            log.warning("connection.failed", **event, error_class=outcome.error_class, error=outcome.error)
        else:
            log.debug("connection.skipped", **event, error_class=outcome.error_class)

    def report_tenant(self, event: str, status: Status, error: DaemonError) -> None:
        """Put into the report and the log what happened to the tenant as a whole, or to its check."""
        self._keep(_of_tenant(self.tenant, status, error))
        log.warning(event, tenant=self.tenant, error_class=error.error_class, error=str(error))

    def report_skipped_tenant(self, reason: TenantLeased | TenantParked | TenantNotRunning) -> None:
        """Put into the report and the log that the tenant was left alone, which is no failure of this pass."""
        self._keep(_of_tenant(self.tenant, Status.SKIPPED, reason))
        log.info("tenant.skipped", tenant=self.tenant, error_class=reason.error_class, error=str(reason))

    async def check(self, check: Check) -> None:
        """Record an answer and each record that it says was changed."""
        assert self.lease is not None, "a dry run checks nothing"
        await self.store.record_check(self.lease, run_id=self.run_id, check=check)
        self.checks.append(check)
        log.info(
            "check.recorded",
            tenant=check.tenant,
            operation=check.operation,
            is_ok=check.response.is_ok,
            user_explanation=check.response.user_explanation,
            tech_explanation=check.response.tech_explanation,
            error_code=check.response.error_code,
            changed_records=len(check.response.changes),
        )
        for item in check.response.changes:
            log.info(
                "changed_data.recorded",
                tenant=check.tenant,
                operation=check.operation,
                change=item.change,
                table_name=item.table_name,
                record_id=item.record_id,
            )

    async def absence(self, check: Check) -> None:
        """Record that the tenant does not have an operation; warn where that is news."""
        assert self.lease is not None, "a dry run checks nothing"
        if await self.store.record_check(self.lease, run_id=self.run_id, check=check):
            said = check.response.tech_explanation
            log.warning("operation.missing", tenant=check.tenant, operation=check.operation, error=said)

    def cut_short(self, error: DaemonError) -> TenantReport:
        """Return the report of a pass that ended before its end: what it did until then, and why it ended."""
        self.report_tenant("tenant.failed", Status.FAILED, error)
        return TenantReport(
            tenant=self.tenant, outcomes=tuple(self.outcomes), checks=tuple(self.checks), error=error.error_class
        )

    def _keep(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self.progress.outcome_reported(outcome)


def _of_tenant(tenant: str, status: Status, error: DaemonError) -> Outcome:
    return Outcome(tenant=tenant, key=None, status=status, error_class=error.error_class, error=str(error))


def not_visited(tenant: Tenant) -> TenantReport:
    """Return the report of a tenant whose turn did not come."""
    outcome = Outcome(
        tenant=tenant.name,
        key=None,
        status=Status.SKIPPED,
        error_class="stopping",
        error="not visited, because erpsyncd was told to stop",
    )
    return TenantReport(tenant=tenant.name, outcomes=(outcome,), error="stopping")

"""What came of it: the tenant's answers, and our own record of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from erpsyncd.domain.connections import Fingerprints, State
    from erpsyncd.domain.field_changes import FieldChange


class ChangeKind(StrEnum):
    """What a pass does to a connection in the tenant."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class Status(StrEnum):
    """What became of one connection in one run; these are the names of the report's counts."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    IN_DOUBT = "in_doubt"
    SKIPPED = "skipped"
    PLANNED = "planned"


#: What a pass has changed in a tenant.
APPLIED = (Status.CREATED, Status.UPDATED, Status.DELETED)


class RunStatus(StrEnum):
    """How a run ended."""

    OK = "ok"
    PARTIAL = "partial"
    FAILED = "failed"
    REFUSED = "refused"


class RecordChange(StrEnum):
    """Which list of a ChangedData a record stood in."""

    ADDED = "added"
    UPDATED = "updated"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedDataItem:
    """One record that NetServer changed behind the scenes of a call (WSDL: ChangedDataItem)."""

    change: RecordChange
    table_name: str
    record_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginResponse:
    """A connector's answer, passed on by NetServer (WSDL: PluginResponse)."""

    is_ok: bool
    user_explanation: str = ""
    tech_explanation: str = ""
    error_code: str = ""
    status: str = ""
    """Only newer Services88 and REST have it; empty elsewhere."""

    changes: tuple[ChangedDataItem, ...] = ()
    received: Any = field(default=None, compare=False, repr=False)
    """All of the answer as it came, members that we do not know among them: a value of JSON in the vendor's names.

    An object, or the list of them where there were several; None where no answer came, or it was not kept.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one connection in one run."""

    tenant: str
    key: str | None
    """None when the whole tenant's pass ended for this reason."""

    status: Status
    change: ChangeKind | None = None
    error_class: str | None = None
    error: str | None = None
    fields: tuple[str, ...] = ()
    """The names of the fields that changed; never their values."""

    field_changes: tuple[FieldChange, ...] = ()
    """What a planned change would do to each field; empty for what was done."""

    erp_connection_id: int | None = None
    """Theirs, where a change of it is planned; None for a create."""

    careful: bool = False
    """Whether a planned change will be tested, and made while the connection is inactive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the store is to remember about a connection after it was worked on."""

    state: State
    erp_connection_id: int | None = None
    connection_id: str | None = None
    applied: Fingerprints | None = None
    """None leaves what is remembered as it is; an empty mapping says that it is no longer known."""

    next_attempt_at: datetime | None = None
    attempts: int = 0


#: The operations whose answers are recorded, as the vendor writes them.
HAS_CONNECTIONS = "HasConnections"
STARTUP_ERRORS = "GetConnectionStartupErrors"
SYNC_ALL = "SyncAll"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One answer to HasConnections, or to what is asked beside it."""

    tenant: str
    operation: str
    checked_at: datetime
    response: PluginResponse
    language: str | None = None
    """The tenant's: in which its explanations are shown where they have several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantReport:
    """One pass over one tenant."""

    tenant: str
    outcomes: tuple[Outcome, ...] = ()
    checks: tuple[Check, ...] = ()
    unchanged: int = 0
    error: str | None = None
    """Why nothing of this tenant's pass succeeded, or why it was left out, as an error class; else None."""

    check_failed: bool = False
    visited: bool = True
    """False for a paused tenant, which says nothing about how the run went."""

    @property
    def changed_records(self) -> int:
        """How many ChangedDataItems its checks carried."""
        return sum(len(check.response.changes) for check in self.checks)

    @property
    def any_failed(self) -> bool:
        """Whether something of this tenant's pass was not done."""
        undone = (Status.FAILED, Status.IN_DOUBT, Status.SKIPPED)
        return self.error is not None or self.check_failed or any(outcome.status in undone for outcome in self.outcomes)


#: Reasons for which a whole tenant can be left alone, and the exit code when all tenants share the reason.
_EXIT_BY_REASON = {
    "unauthorized": 77,
    "unsafe_plan": 6,
    "unreachable": 75,
    "unavailable": 75,
    "outcome_unknown": 75,
    "clock_skew": 75,
    "parked": 75,
    "leased": 75,
    "lease_lost": 75,
    "stopping": 75,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """One run over all tenants."""

    run_id: int
    started_at: datetime
    dry_run: bool = False
    scheduled: bool = False
    """Whether nobody waits for it: what another process is working on just now is no failure of it then."""

    tenants: tuple[TenantReport, ...] = ()
    problems: tuple[str, ...] = field(default=())
    """What went wrong with the run itself, for people."""

    @property
    def counts(self) -> dict[Status, int]:
        """How many connections became what, every status named."""
        found = Counter(outcome.status for tenant in self.tenants for outcome in tenant.outcomes if outcome.key)
        found[Status.UNCHANGED] += sum(tenant.unchanged for tenant in self.tenants)
        return {status: found[status] for status in Status}

    @property
    def exit_code(self) -> int:
        """The exit code of `--run-once` (design.md §7)."""
        if self.problems:
            return 1
        visited = [tenant for tenant in self.tenants if tenant.visited]
        if self.scheduled:
            # Where others have all of them, this process had nothing to do with the store: 75.
            visited = [tenant for tenant in visited if tenant.error != "leased"] or visited
        if not any(tenant.any_failed for tenant in visited):
            return 0
        if any(tenant.error is None for tenant in visited):
            return 3
        codes = {_EXIT_BY_REASON.get(tenant.error or "", 1) for tenant in visited}
        return codes.pop() if len(codes) == 1 else 1

    @property
    def detailed_exit_code(self) -> int:
        """The exit code of `plan --detailed-exitcode`: 4 where nothing failed and something is to be done."""
        return 4 if self.exit_code == 0 and self.counts[Status.PLANNED] else self.exit_code

    @property
    def status(self) -> RunStatus:
        """The run in one word."""
        return {0: RunStatus.OK, 3: RunStatus.PARTIAL, 77: RunStatus.REFUSED, 6: RunStatus.REFUSED}.get(
            self.exit_code, RunStatus.FAILED
        )

"""Reports, their counts and their exit codes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from erpsyncd.domain.results import (
    ChangedDataItem,
    Check,
    Outcome,
    PluginResponse,
    RecordChange,
    RunReport,
    RunStatus,
    Status,
    TenantReport,
)
from erpsyncd.errors import (
    ConfigurationError,
    DaemonError,
    Effect,
    OutcomeUnknown,
    RemoteFault,
    RemoteNotFound,
    RemoteUnreachable,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def outcome(status: Status, key: str | None = "no") -> Outcome:
    """Return what became of one connection."""
    return Outcome(tenant="acme", key=key, status=status)


def done(*statuses: Status, check_failed: bool = False, unchanged: int = 0) -> TenantReport:
    """Return a pass that went through."""
    return TenantReport(
        tenant="acme",
        outcomes=tuple(outcome(status) for status in statuses),
        check_failed=check_failed,
        unchanged=unchanged,
    )


def ended(reason: str) -> TenantReport:
    """Return a pass that ended for a reason."""
    return TenantReport(tenant="acme", outcomes=(outcome(Status.SKIPPED, None),), error=reason)


def report(*tenants: TenantReport) -> RunReport:
    """Return a run over these."""
    return RunReport(run_id=1, started_at=NOW, tenants=tenants)


@pytest.mark.parametrize(
    ("tenants", "code", "status"),
    [
        ((), 0, RunStatus.OK),
        ((done(),), 0, RunStatus.OK),
        ((done(Status.CREATED, Status.PLANNED),), 0, RunStatus.OK),
        ((done(Status.CREATED, Status.SKIPPED),), 3, RunStatus.PARTIAL),
        ((replace(done(Status.FAILED), visited=False), ended("unauthorized")), 77, RunStatus.REFUSED),
        ((replace(done(), visited=False),), 0, RunStatus.OK),
        ((ended("stopping"),), 75, RunStatus.FAILED),
        ((done(), ended("stopping")), 3, RunStatus.PARTIAL),
        ((done(Status.CREATED, Status.FAILED),), 3, RunStatus.PARTIAL),
        ((done(Status.FAILED),), 3, RunStatus.PARTIAL),
        ((done(Status.IN_DOUBT),), 3, RunStatus.PARTIAL),
        ((done(check_failed=True),), 3, RunStatus.PARTIAL),
        ((done(), ended("unauthorized")), 3, RunStatus.PARTIAL),
        ((ended("unauthorized"), ended("unauthorized")), 77, RunStatus.REFUSED),
        ((ended("unsafe_plan"),), 6, RunStatus.REFUSED),
        ((ended("unreachable"),), 75, RunStatus.FAILED),
        ((ended("unreachable"), ended("parked"), ended("leased")), 75, RunStatus.FAILED),
        ((ended("unauthorized"), ended("unreachable")), 1, RunStatus.FAILED),
        ((ended("not_found"),), 1, RunStatus.FAILED),
    ],
)
def test_exit_code_and_status(tenants: tuple[TenantReport, ...], code: int, status: RunStatus) -> None:
    """What a run ends with follows from its tenants (design.md §7)."""
    assert (code, status) == (report(*tenants).exit_code, report(*tenants).status)


def test_counts_name_every_status() -> None:
    """Connections are counted, tenants as a whole are not; what was not due counts as unchanged."""
    counts = report(done(Status.CREATED, Status.CREATED, Status.FAILED, unchanged=5), ended("parked")).counts

    assert list(counts) == list(Status)
    assert {status: number for status, number in counts.items() if number} == {
        Status.CREATED: 2,
        Status.FAILED: 1,
        Status.UNCHANGED: 5,
    }


def test_changed_records_are_counted_over_all_checks() -> None:
    """The number of ChangedDataItems that came with the answers."""
    item = ChangedDataItem(change=RecordChange.ADDED, table_name="contact", record_id=1)
    check = Check(
        tenant="acme",
        operation="HasConnections",
        checked_at=NOW,
        response=PluginResponse(is_ok=False, changes=(item, item)),
    )
    tenant = TenantReport(tenant="acme", checks=(check, check))

    assert tenant.changed_records == 4
    assert report(tenant).exit_code == 0


def test_problems_are_lines_of_the_error() -> None:
    """A configuration error lists each problem under its sentence."""
    error = ConfigurationError("it is bad", problems=("a: x", "b: y"))

    assert str(error) == "it is bad\n  a: x\n  b: y"
    assert (error.exit_code, error.problems) == (78, ("a: x", "b: y"))


def test_errors_say_what_a_call_may_have_done() -> None:
    """The class gives the effect unless the caller knows better."""
    assert RemoteUnreachable("GetConnection", "x").effect is Effect.NEVER_SENT
    assert RemoteNotFound("GetConnection", "x").effect is Effect.REFUSED
    assert OutcomeUnknown("SaveConnection", "x", retry_after=3).retry_after == 3
    fault = RemoteFault("SaveConnection", "x", exception_type="A.B.SoX", effect=Effect.REFUSED)
    assert (fault.effect, fault.exception_type, str(fault)) == (Effect.REFUSED, "SoX", "SaveConnection: x")


def all_errors(base: type[DaemonError]) -> list[type[DaemonError]]:
    """Return an error class and everything under it."""
    return [base, *(found for child in base.__subclasses__() for found in all_errors(child))]


def test_every_error_is_explained() -> None:
    """Each has a sentence, an exit code that design.md knows, and an error class."""
    for error in all_errors(DaemonError):
        assert error.__doc__
        assert error.exit_code in {1, 2, 6, 75, 77, 78, 130}
        assert error.error_class


@pytest.mark.parametrize(
    ("tenants", "code"),
    [
        ((), 0),
        ((done(unchanged=3),), 0),
        ((done(Status.PLANNED),), 4),
        ((done(Status.PLANNED, Status.FAILED),), 3),
        ((done(Status.PLANNED), ended("unauthorized")), 3),
        ((ended("unauthorized"),), 77),
    ],
)
def test_the_detailed_exit_code_tells_pending_changes_only_where_nothing_failed(
    tenants: tuple[TenantReport, ...], code: int
) -> None:
    """4 stands in for 0 and for nothing else."""
    assert code == report(*tenants).detailed_exit_code

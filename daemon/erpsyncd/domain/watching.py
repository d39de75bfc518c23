"""What can be seen of a process from outside: its runs, its calls, its commits, and how everything stands.

Who watches is told; he never holds anything up, and nothing that he does or does not do changes a run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol, TypeAlias

from erpsyncd.domain.results import RunReport, RunStatus

if TYPE_CHECKING:
    from erpsyncd.domain.connections import State

CallWatcher: TypeAlias = Callable[[str, str, float], None]
"""Told of each call to a tenant: its operation, what came of it (`2xx` to `5xx`, or an error class), its seconds."""

CommitWatcher: TypeAlias = Callable[[float], None]
"""Told how many seconds each transaction of the group-commit writer took. It is called in the writer's thread."""

#: The triggers of runs that reconcile; `plan` changes nothing, and `quote_check` and `drift` only ask.
PASSES = frozenset({"reconcile", "run-once"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedRun:
    """A run that has begun, or is about to."""

    trigger: str
    dry_run: bool
    started_at: datetime

    @property
    def is_pass(self) -> bool:
        """Whether it is to bring tenants to what is described."""
        return self.trigger in PASSES and not self.dry_run


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRun:
    """A run that has ended, in whatever way."""

    started: StartedRun
    finished_at: datetime
    duration: timedelta
    """By a clock that nobody sets."""

    report: RunReport | None
    """None where there is none, because the run broke off."""

    error_class: str | None = None
    error: str | None = None
    """Why it broke off."""

    @property
    def status(self) -> RunStatus:
        """The run in one word; one that broke off has failed."""
        return RunStatus.FAILED if self.report is None else self.report.status

    @property
    def exit_code(self) -> int:
        """What `--run-once` would end with; 1 for one that broke off."""
        return 1 if self.report is None else self.report.exit_code


class RunWatcher(Protocol):
    """Somebody who wants to know of runs."""

    def run_started(self, run: StartedRun) -> None:
        """Hear that a run begins. Called on the event loop, so it must return at once."""
        ...

    def run_finished(self, run: FinishedRun) -> None:
        """Hear how a run ended. As above."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantCensus:
    """One tenant in numbers."""

    name: str
    state: str
    """As `tenants list` has it."""

    quote_is_ok: bool | None
    """Its last HasConnections answer; None where it was never asked."""

    connections: Mapping[State, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """How everything stands, in numbers."""

    tenants: tuple[TenantCensus, ...] = ()
    last_runs: Mapping[RunStatus, datetime] = field(default_factory=dict)
    """When the last pass ended that had this status, of those that are not too long ago."""

"""What the store shows of itself: one frozen value for each line of a list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from erpsyncd.domain.connections import FieldValue


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantView:
    """A tenant, as `tenants list` shows it."""

    name: str
    url: str
    protocol: str
    state: str
    """`paused`, `incomplete` or `refused` (its credentials), `parked` (until `parked_until`) or `active`."""

    paused: bool
    parked_until: datetime | None
    """Because of failures in a row; or, where `is_running` is false, because the vendor says that it does not run."""

    transient_failures: int
    refused: bool
    connections: int
    """How many the store has, the deleted ones among them."""

    in_sync: int
    last_checked_at: datetime | None
    tenant_state: str | None
    """The vendor's word for a tenant of Online, such as `Running`; None where it was not asked."""

    is_running: bool | None
    tenant_state_until: datetime | None
    """Until when the vendor's answer is taken as good."""

    endpoint: str | None
    """Where it is, as the vendor said last."""

    @property
    def address(self) -> str:
        """Where it is, as far as that is known: at its endpoint, or as it is described."""
        return self.endpoint or self.url


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionView:
    """A connection, as `connections list` shows it."""

    tenant: str
    key: str
    state: str
    present: bool
    erp_connection_id: int | None
    connection_id: str | None
    erp_connector_id: int
    erp_connector: str | None
    """By which name it is described; the id is what that stood for last, 0 where it was never looked up."""

    display_name: str
    active: bool
    attempts: int
    next_attempt_at: datetime | None
    error_class: str | None
    error: str | None
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftView:
    """One thing that a tenant shows otherwise than we pushed it, with what was decided about it."""

    tenant: str
    key: str
    field: str
    """Empty where it is about the connection as a whole."""

    kind: str
    desired: FieldValue | None
    observed: FieldValue | None
    """Both None for secrets."""

    first_seen_at: datetime
    last_seen_at: datetime
    ignored: bool
    """Whether somebody decided to let just this value be."""

    stubborn: bool
    """Whether ours was pushed over it, and it came back."""

    decision: str | None
    reason: str | None
    decided_at: datetime | None
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """A run, as `runs list` shows it."""

    run_id: int
    trigger: str
    dry_run: bool
    status: str
    """A `RunStatus`; `running`; or `interrupted` where the process died before the end."""

    exit_code: int | None
    counts: Mapping[str, int]
    changed_records: int
    problems: tuple[str, ...]
    started_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeView:
    """What became of one connection in one run; `key` is None where it is about the whole tenant."""

    tenant: str
    key: str | None
    change: str | None
    status: str
    error_class: str | None
    error: str | None
    fields: tuple[str, ...]
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckView:
    """An answer to HasConnections or to what is asked beside it, with how often it came in a row."""

    check_id: int
    tenant: str
    run_id: int
    """The run of its last time."""

    operation: str
    is_ok: bool
    user_explanation: str
    tech_explanation: str
    error_code: str
    status: str
    changed_records: int
    first_at: datetime
    last_at: datetime
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckDetail:
    """An answer with all that came."""

    view: CheckView
    response: Any
    """A value of JSON in the vendor's names; a list where there were several. None where nothing was kept."""

    language: str | None
    """The tenant's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeView:
    """A record that NetServer changed behind the scenes of a call."""

    tenant: str
    run_id: int
    operation: str
    change: str
    table_name: str
    record_id: int
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """Something about the store as a whole that was looked at."""

    name: str
    problems: tuple[str, ...]

    @property
    def is_ok(self) -> bool:
        """Whether nothing is wrong with it."""
        return not self.problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """A table that was copied."""

    table: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A store that was copied from another one."""

    place: str
    key_id: str | None
    """The key that both are encrypted under; None where nothing was encrypted yet."""

    tables: tuple[Copied, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A store that was copied to a file, whole."""

    file: Path
    size: int
    """In bytes."""

    key_id: str | None
    """The key that it is encrypted under; None where nothing was encrypted yet. It is not in the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """How many rows of history went."""

    runs: int = 0
    outcomes: int = 0
    checks: int = 0
    changes: int = 0

    @property
    def total(self) -> int:
        """All of them together."""
        return self.runs + self.outcomes + self.checks + self.changes

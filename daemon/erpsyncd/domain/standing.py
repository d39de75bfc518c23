"""How everything stands, as values: what the store knows of tenants, of what is not in sync, and of the last run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from erpsyncd.domain.connections import State

#: States that say that something is wrong with a connection; each of them can be asked for by name.
TROUBLED = (State.IN_DOUBT, State.REPLACED, State.MISSING, State.FAILED, State.INCOMPLETE, State.DRIFTED)

#: States that the next pass ends by itself.
WAITING = (State.PENDING, State.IN_FLIGHT, State.PARKED)

_WORDS = {
    State.PENDING: "waits for the next pass",
    State.IN_FLIGHT: "a call is on its way, or its answer was lost; the next pass settles it",
    State.IN_SYNC: "as described",
    State.FAILED: "failed, and is tried again",
    State.IN_DOUBT: "nobody can tell whether it was created",
    State.DRIFTED: "as we pushed it, but the tenant has something else now",
    State.REPLACED: "what stands there is another connection now",
    State.MISSING: "gone in the tenant",
    State.PARKED: "waits for its tenant",
    State.INCOMPLETE: "a secret is not known here",
    State.DELETED: "deleted in the tenant",
}


def state_in_words(state: State) -> str:
    """Return what a state means, as a phrase."""
    return _WORDS[state]


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantStanding:
    """One tenant as a whole."""

    name: str
    state: str = "active"
    """`paused`, `incomplete` or `refused` (its credentials), `parked` (until `parked_until`) or `active`."""

    parked_until: datetime | None = None
    """Because of failures in a row; or, where `is_running` is false, because the vendor says that it does not run."""

    transient_failures: int = 0
    logs_in_online: bool = False
    """Whether the vendor's login service decides who we are, so that a refusal may be ended there."""

    quote_is_ok: bool | None = None
    """The last HasConnections answer; None where there is none."""

    quote_reason: str = ""
    """Why it says no, in one language; empty where it says yes, or nothing more."""

    tenant_state: str | None = None
    """The vendor's word for a tenant of Online, such as `Running`; None where it was not asked."""

    is_running: bool | None = None
    tenant_state_until: datetime | None = None

    counts: Mapping[State, int] = field(default_factory=dict)
    """Its connections by state; states that none is in are left out."""

    @property
    def is_troubled(self) -> bool:
        """Whether the tenant, or a connection of it, is not as it should be."""
        return self.state != "active" or any(self.counts.get(state) for state in TROUBLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A connection that is in one of the `TROUBLED` states."""

    tenant: str
    key: str
    state: State
    error_class: str | None = None
    error: str | None = None
    erp_connection_id: int | None = None
    next_attempt_at: datetime | None = None
    alike: int = 1
    """How many of the tenant are in this state for this reason, itself counted. Not each of them need be known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantFailure:
    """Why the last run did not get through a tenant."""

    tenant: str
    error_class: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRun:
    """The newest run that was to reconcile."""

    run_id: int
    trigger: str
    status: str
    """A `RunStatus`; `running`; or `interrupted` where the process died before the end."""

    started_at: datetime
    finished_at: datetime | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Whether a process works on the store just now: the daemon, or a run by hand."""

    running: bool
    pid: int | None = None
    """Known where the store is a file: then the process is on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Everything that `status` is about, as of one moment."""

    tenants: tuple[TenantStanding, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    failures: tuple[TenantFailure, ...] = ()
    last_run: LastRun | None = None
    worker: Worker = Worker(running=False)

    @property
    def counts(self) -> dict[State, int]:
        """All connections by state, every state named."""
        return {state: sum(tenant.counts.get(state, 0) for tenant in self.tenants) for state in State}

"""The numbers and switches of a pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

from erpsyncd.domain.plan import Limits
from erpsyncd.domain.selection import Selection

if TYPE_CHECKING:
    from erpsyncd.domain.tenants import Tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How passes behave, from the settings."""

    settle: timedelta = timedelta(seconds=120)
    """How long after an unanswered create the tenant must not show it before it is sent again."""

    leave_within: timedelta = timedelta(seconds=30)
    """How long after its intent a request may leave. One that was held up for longer is not sent."""

    call_budget: timedelta = timedelta(seconds=180)
    """How long one request may take, with its intent and its outcome; it is made under a lease that outlasts it."""

    tenants_at_once: int = 32
    connections_at_once: int = 2
    limits: Limits = field(default_factory=Limits)
    backoff_first: timedelta = timedelta(minutes=1)
    backoff_longest: timedelta = timedelta(hours=6)
    breaker_failures: int = 8
    """After so many transient failures in a row a tenant is parked."""

    breaker_park: timedelta = timedelta(minutes=15)
    list_lifetime: timedelta = timedelta(hours=1)
    """How long a tenant's list of connectors, groups or associates is good for."""

    checks_enabled: bool = True
    check_interval: timedelta = timedelta(hours=6)
    drift_interval: timedelta = timedelta(hours=6)

    @property
    def lease(self) -> timedelta:
        """How long a tenant is leased; renewed before each request that it would not outlast."""
        return self.call_budget * 2

    def next_attempt(self, *, now: datetime, attempts: int, rng: Random) -> datetime:
        """Return when a connection that failed `attempts` times in a row is tried again: doubling, with jitter."""
        # Doubled as a plain number: a time span that is doubled often enough overflows.
        times = min(2.0 ** min(attempts - 1, 64), self.backoff_longest / self.backoff_first)
        delay = self.backoff_first * times
        jittered: timedelta = delay * rng.uniform(0.75, 1.0)
        return now + jittered


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopting:
    """That what a tenant shows becomes what we describe."""

    field: str | None
    """None for everything that differs."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What one run was asked to do."""

    trigger: str
    """Who asked: `run-once`, `plan`, `reconcile`, `quote_check`, `drift`."""

    dry_run: bool = False
    scheduled: bool = False
    """Honour backoff and the breaker; a person who runs a pass by hand wants it tried now."""

    check_always: bool = False
    """Check every tenant, not only those that changed or whose last answer is old."""

    only_checks: bool = False
    """Leave connections alone; the `quote_check` job."""

    only_drift: bool = False
    """Only look at what tenants have, with a client that cannot write; the `drift` job and command."""

    adopting: Adopting | None = None
    """With `only_drift`: what to take over of the drift of the one connection that is selected."""

    force: frozenset[str] = frozenset()
    """Tenants whose safety limits are overridden once."""

    selection: Selection = field(default_factory=Selection)
    """Which tenants and connections it is about. What was left open is settled in all of a tenant first."""

    @property
    def reads_only(self) -> bool:
        """Whether tenants are opened with a client that cannot write."""
        return self.dry_run or self.only_drift


def concerns(tenant: Tenant, options: RunOptions, policy: Policy, now: datetime) -> bool:
    """Say whether a run is about this tenant: it is selected, and what the run asks for is old enough."""
    if not options.selection.matches(tenant.name):
        return False
    if options.only_drift:
        return not options.scheduled or _is_old(tenant.last_drift_at, policy.drift_interval, now)
    return not options.only_checks or _is_old(tenant.last_checked_at, policy.check_interval, now)


def _is_old(last: datetime | None, interval: timedelta, now: datetime) -> bool:
    """Say whether the last time is so long ago, or never was. One that is still to come was told by a wrong clock."""
    return last is None or not (now - interval < last <= now)

"""The numbers and switches of a pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from erpsyncd.domain.plan import Limits
from erpsyncd.domain.selection import Selection


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
    checks_enabled: bool = True
    check_interval: timedelta = timedelta(hours=6)

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
class RunOptions:
    """What one run was asked to do."""

    trigger: str
    """Who asked: `run-once`, `plan`, `reconcile`, `quote_check`."""

    dry_run: bool = False
    scheduled: bool = False
    """Honour backoff and the breaker; a person who runs a pass by hand wants it tried now."""

    check_always: bool = False
    """Check every tenant, not only those that changed or whose last answer is old."""

    only_checks: bool = False
    """Leave connections alone; the `quote_check` job."""

    force: frozenset[str] = frozenset()
    """Tenants whose safety limits are overridden once."""

    selection: Selection = field(default_factory=Selection)
    """Which tenants and connections it is about. What was left open is settled in all of a tenant first."""

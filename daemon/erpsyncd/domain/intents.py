"""What is on disk before a call is made, so that a process that dies leaves no doubt it cannot settle."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from erpsyncd.domain.careful import Snapshot, Step
    from erpsyncd.domain.connections import ConnectionRowId
    from erpsyncd.domain.results import ChangeKind
    from erpsyncd.domain.tenants import TenantId


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to work on one tenant. Every write of the pass carries its fence."""

    tenant_id: TenantId
    owner: str
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Uptime:
    """How long a machine has been running, asleep or awake. No setting of the wall clock moves it."""

    boot_id: str
    """Which start of which machine the seconds are counted from."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A point in time, told by the wall clock and, where it is known, by what nobody can set."""

    at: datetime
    uptime: Uptime | None = None

    def since(self, earlier: Moment) -> timedelta:
        """Return how much time went by; negative only where nothing but a wall clock that was set back can tell."""
        if self.uptime and earlier.uptime and self.uptime.boot_id == earlier.uptime.boot_id:
            return timedelta(seconds=self.uptime.seconds - earlier.uptime.seconds)
        return self.at - earlier.at


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One write call that may or may not have reached the tenant."""

    id: int
    connection_row_id: ConnectionRowId
    kind: ChangeKind
    erp_connector_id: int
    display_name: str
    """The connector and name that were sent, which is what a look-up has to search for."""

    seen: frozenset[int]
    """The ids that the tenant listed before a create was sent."""

    sent: Moment
    """When its request was last about to leave."""

    step: Step | None = None
    """Which step of a careful save that was; None for an ordinary write."""

    snapshot: Snapshot | None = None
    """What stood there before the first step, for as long as neither that nor what is wanted is known to stand there.

    None also where it cannot be read any more.
    """

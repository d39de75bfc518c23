"""What the vendor says of a tenant of Online: whether it runs, where it is, until when that is good. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

#: The vendor's words by their numbers (domain.md §3.6). There may be others: `IsRunning` decides.
WORDS = {
    0: "Unknown",
    1: "Provisioning",
    2: "Running",
    3: "Deleted",
    4: "Suspended",
    5: "OnlineMaintenance",
    6: "OfflineMaintenance",
    8: "ProvisioningFailed",
    10: "Deleting",
    11: "DeleteFailed",
    12: "MigrationPending",
}
#: The words under which the API is there.
RUNNING_WORDS = frozenset({"Running", "OnlineMaintenance"})

_GONE = "the customer's installation is gone or about to go; if so, forget it here"
_FAILED = "the vendor's own work on it failed; only SuperOffice can mend that"
#: States that do not end by themselves, and what to do about each.
_FOR_OPERATORS = {
    "Suspended": "somebody suspended it; have the customer or SuperOffice resume it",
    "Deleted": _GONE,
    "Deleting": _GONE,
    "ProvisioningFailed": _FAILED,
    "DeleteFailed": _FAILED,
}

#: No answer is asked for again sooner, whatever it says: a moment in the past must not cost a call per pass.
SHORTEST = timedelta(minutes=1)
#: No answer is taken as good for longer, whatever it says.
LONGEST = timedelta(days=1)
#: The same for a tenant that does not run: maintenance usually takes minutes.
LONGEST_PARKED = timedelta(hours=1)
#: How long an answer is good that does not say so.
UNSAID = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedState:
    """One answer of the vendor's tenant state API."""

    word: str
    """The vendor's word, such as `OfflineMaintenance`; others than `WORDS` are kept as they come."""

    is_running: bool
    endpoint: str = ""
    """Under which `/Remote` lies, without a slash at the end; empty where it was not said."""

    api: str = ""
    """Under which `/v1` lies."""

    valid_until: datetime | None = None
    """When to ask again; None where that was not said. What the store has is bounded by `good_until`."""

    @property
    def needs_operator(self) -> bool:
        """Whether this does not end by itself."""
        return needs_operator(self.word, is_running=self.is_running)

    def is_good(self, now: datetime) -> bool:
        """Whether it needs not be asked for again; not further ahead than it can be, if a clock was wrong."""
        return self.valid_until is not None and now < self.valid_until <= now + LONGEST


def needs_operator(word: str | None, *, is_running: bool) -> bool:
    """Return whether a tenant in this state stays in it until somebody does something."""
    return not is_running and word in _FOR_OPERATORS


def for_operators(word: str) -> str:
    """Return what a state that does not end by itself means, and what to do; empty for any other."""
    return _FOR_OPERATORS.get(word, "")


def good_until(said: datetime | None, *, is_running: bool, now: datetime) -> datetime:
    """Return when an answer has to be asked for again: as it says, within bounds."""
    longest = LONGEST if is_running else LONGEST_PARKED
    return min(max(said or now + UNSAID, now + SHORTEST), now + longest)

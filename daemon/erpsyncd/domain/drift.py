"""Drift: a field we own that a tenant shows otherwise than we pushed it, and what was decided about it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from erpsyncd.domain.connections import CONFIG_PREFIX, FieldValue, Fingerprints

#: Where a drift is about the connection as a whole rather than about a field of it.
WHOLE = ""


class DriftKind(StrEnum):
    """In which way a tenant has something else."""

    CHANGED = "changed"
    """Changed in the CRM; the store says what it said when it was pushed."""

    BOTH = "both"
    """Changed in the CRM, and in the store since it was pushed."""

    REMOVED = "removed"
    """A config field that we pushed is not there."""

    UNKNOWN_FIELD = "unknown_field"
    """A config field is there that nobody described."""

    MISSING = "missing"
    """The tenant no longer has the connection."""

    DELETED = "deleted"
    """The tenant has marked the connection as deleted."""

    REPLACED = "replaced"
    """Under its number stands another connection, with another GUID."""


#: What is about the connection as a whole. None of it is ever written over.
OF_THE_WHOLE = (DriftKind.MISSING, DriftKind.DELETED, DriftKind.REPLACED)


class DecisionKind(StrEnum):
    """What was decided about a drift."""

    IGNORE = "ignore"
    """An operator: let it be so."""

    ENFORCE = "enforce"
    """An operator: push ours over it, once."""

    ENFORCED = "enforced"
    """A pass: ours was pushed over just this value. If it comes back, it is not pushed over again."""

    STUBBORN = "stubborn"
    """A pass: the tenant showed something else right after it was pushed. No policy pushes it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is remembered about one field of one connection."""

    kind: DecisionKind
    reason: str
    decided_at: datetime
    until: datetime | None = None
    observed_fingerprint: str | None = None
    """Of what the tenant showed then; a decision is about that value and no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One thing that a tenant shows otherwise."""

    field: str
    """`WHOLE`, or the name of a field."""

    kind: DriftKind
    desired: FieldValue | None = None
    observed: FieldValue | None = None
    """Both None for secrets: what they hold is told nowhere."""

    observed_fingerprint: str

    def __post_init__(self) -> None:
        """Refuse the value of a secret: it would go into the store, into the log and onto a screen."""
        if self.field.startswith(CONFIG_PREFIX) and (self.desired is not None or self.observed is not None):
            raise TypeError(f"{self.field} is secret: say that it drifted, not what it holds")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDrift:
    """A drift as it is remembered, with what was decided about it."""

    drift: Drift
    first_seen_at: datetime
    last_seen_at: datetime
    decision: Decision | None = None

    def is_ignored(self, now: datetime) -> bool:
        """Say whether somebody decided to let just this value be, and that still counts."""
        found = self.decision
        return (
            found is not None
            and found.kind is DecisionKind.IGNORE
            and found.observed_fingerprint == self.drift.observed_fingerprint
            and (found.until is None or now < found.until)
        )

    @property
    def is_stubborn(self) -> bool:
        """Whether ours was pushed over it, and it came back."""
        found = self.decision
        if found is None or found.kind not in (DecisionKind.ENFORCED, DecisionKind.STUBBORN):
            return False
        return found.kind is DecisionKind.STUBBORN or found.observed_fingerprint == self.drift.observed_fingerprint

    def is_to_be_pushed(self, now: datetime, *, enforced: bool) -> bool:
        """Say whether the next pass pushes ours over it; `enforced` is the tenant's policy."""
        if self.drift.kind in OF_THE_WHOLE:
            return False
        if self.decision is not None and self.decision.kind is DecisionKind.ENFORCE:
            return True
        return enforced and not self.is_ignored(now) and not self.is_stubborn


def rebased(applied: Fingerprints, drifts: Iterable[Drift]) -> dict[str, str]:
    """Return what counts as pushed where these were found: what stands there now. So ours is pushed over it.

    What was pushed is not known at all where `applied` is empty; then all of it is pushed anyway.
    """
    if not applied:
        return {}
    found = dict(applied)
    for drift in drifts:
        if drift.kind is DriftKind.REMOVED:
            found.pop(drift.field, None)
        elif drift.kind not in OF_THE_WHOLE:
            found[drift.field] = drift.observed_fingerprint
    return found


_WORDS = {
    DriftKind.CHANGED: "{} was changed in the CRM",
    DriftKind.BOTH: "{} was changed in the CRM, and here",
    DriftKind.REMOVED: "{} was removed in the CRM",
    DriftKind.UNKNOWN_FIELD: "{} was added in the CRM",
    DriftKind.MISSING: "the tenant no longer has it",
    DriftKind.DELETED: "it was deleted in the CRM",
    DriftKind.REPLACED: "another connection stands there",
}


def drift_in_words(field: str, kind: DriftKind) -> str:
    """Return a drift as a phrase, without values."""
    return _WORDS[kind].format(field)

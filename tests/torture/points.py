"""The moments at which a process can die or stand still, and what it leaves behind at each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class Point(StrEnum):
    """A moment on a write call's way, in the order in which it comes to them."""

    INTENT_WRITTEN = "intent-written"
    """In the transaction; before its COMMIT."""

    INTENT_COMMITTED = "intent-committed"
    """The COMMIT is done and nobody knows it yet."""

    REQUEST_LEAVING = "request-leaving"
    """The network connection stands, the first byte is about to leave, and nobody has asked yet whether it may."""

    REQUEST_SENT = "request-sent"
    """The last byte has left."""

    ANSWER_RECEIVED = "answer-received"
    OUTCOME_WRITTEN = "outcome-written"
    """In the transaction; before its COMMIT."""

    OUTCOME_COMMITTED = "outcome-committed"
    """The COMMIT is done and nobody knows it yet."""

    OUTCOME_REPORTED = "outcome-reported"
    """The log has it."""

    BATCH_BEGUN = "batch-begun"
    """Connections of a group commit, two at least, are marked; their intents are not written yet."""

    BATCH_WRITTEN = "batch-written"
    """All writes of a group commit, two at least, are done; before its COMMIT."""

    RECOVERY_WRITTEN = "recovery-written"
    """What a dead process left open is settled in a transaction; before its COMMIT."""

    RECOVERY_COMMITTED = "recovery-committed"


RECOVERY = (Point.RECOVERY_WRITTEN, Point.RECOVERY_COMMITTED)
#: All the others, which every pass that has something to write comes to.
WRITING = tuple(point for point in Point if point not in RECOVERY)
CHANGES = ("create", "update", "delete")

#: The points at which a transaction has done its work but is not committed.
BEFORE_COMMIT = frozenset(
    {Point.INTENT_WRITTEN, Point.OUTCOME_WRITTEN, Point.BATCH_BEGUN, Point.BATCH_WRITTEN, Point.RECOVERY_WRITTEN}
)


@dataclass(frozen=True, kw_only=True)
class Left:
    """What stands in the store, the log and the tenant about the connection at whose point a process died."""

    intent: bool
    """Its intent is open."""

    outcome: bool
    """Its outcome is in the store."""

    reported: bool
    """Its outcome is in the log."""

    worked: bool | None
    """The tenant did what it was asked; None where that is a matter of chance."""


#: Not the ones of recovery and of batches, whose writes are of several kinds.
LEFT: Mapping[Point, Left] = {
    Point.INTENT_WRITTEN: Left(intent=False, outcome=False, reported=False, worked=False),
    Point.INTENT_COMMITTED: Left(intent=True, outcome=False, reported=False, worked=False),
    Point.REQUEST_LEAVING: Left(intent=True, outcome=False, reported=False, worked=False),
    Point.REQUEST_SENT: Left(intent=True, outcome=False, reported=False, worked=None),
    Point.ANSWER_RECEIVED: Left(intent=True, outcome=False, reported=False, worked=True),
    Point.OUTCOME_WRITTEN: Left(intent=True, outcome=False, reported=False, worked=True),
    Point.OUTCOME_COMMITTED: Left(intent=False, outcome=True, reported=False, worked=True),
    Point.OUTCOME_REPORTED: Left(intent=False, outcome=True, reported=True, worked=True),
}


class Fate(StrEnum):
    """What happens to a process that comes to its point."""

    KILL = "kill"
    STOP = "stop"
    """It stands still, and when it goes on, its clock says that an hour has passed."""


@dataclass(frozen=True, kw_only=True)
class Doom:
    """Which arrival at which point is a process's last, or its last for a while."""

    point: Point
    nth: int = 1
    change: str = ""
    """Only writes of this kind count: create, update or delete; empty for all."""

    fate: Fate = Fate.KILL

    def __str__(self) -> str:
        return f"{self.point}:{self.nth}:{self.change}:{self.fate}"

    @classmethod
    def read(cls, text: str) -> Self:
        """Read what `str` wrote."""
        point, nth, change, fate = text.split(":")
        return cls(point=Point(point), nth=int(nth), change=change, fate=Fate(fate))


@dataclass(frozen=True, kw_only=True)
class Write:
    """What a write call, or a write to the store, is about."""

    tenant_id: int
    key: str
    change: str


#: The log event by which a doomed process says that it came to its point, and with which writes.
REACHED = "point.reached"

#: For a process that is only to be told apart from others.
UNREACHED = Doom(point=Point.BATCH_BEGUN, nth=10**9)

"""The kinds of faults that a proxy can bring about for single requests, each with what the design expects of it.

What can help is tried again, what can harm is not (design.md §5.1): the expectations stand here, in one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from erpsyncd.errors import Effect
from fault_cases import FaultCase, OddAnswer
from faulty_proxy import Fault

NETWORK = "The connection"
STATUSES = "Status codes"
EXCEPTIONS = "NetServer's own exceptions"
UNUSABLE = "Answers that cannot be used"
DONE = "Work done, answer lost"


@dataclass(frozen=True, kw_only=True)
class WireCase(FaultCase):
    """A fault that the proxy brings about for single requests."""

    fault: Fault
    until_deadline: bool = False
    """Whether only our own deadline ends it."""

    pauses: bool = False
    """Whether erpsyncd really waits as long as it is asked to."""

    only_replies: bool = False
    """Whether it is about replies that carry one connection, and says nothing about lists."""

    @property
    def is_slow(self) -> bool:
        """Whether each attempt costs real time."""
        return self.until_deadline or self.pauses


@dataclass(frozen=True, kw_only=True)
class OddCase(OddAnswer):
    """An odd answer that the proxy gives."""

    fault: Fault
    operations: tuple[str, ...] = ("SaveConnection", "GetConnection", "GetList", "GetAllConnections")


lost = partial(
    WireCase, error_class="outcome_unknown", effect=Effect.UNCERTAIN, read_attempts=3, save_attempts=1, group=NETWORK
)
too_slow = partial(lost, until_deadline=True)
not_now = partial(
    WireCase, error_class="unavailable", effect=Effect.UNCERTAIN, read_attempts=3, save_attempts=1, group=STATUSES
)
throttled = partial(not_now, effect=Effect.REFUSED, save_attempts=3)
once = partial(WireCase, effect=Effect.UNCERTAIN, read_attempts=1, save_attempts=1)
said_no = partial(once, error_class="fault", group=EXCEPTIONS)
unusable = partial(once, error_class="malformed", group=UNUSABLE)
turned_away = partial(once, effect=Effect.REFUSED, group=STATUSES)
done = partial(WireCase, effect=Effect.UNCERTAIN, save_attempts=1, group=DONE)

LOGIN_AGAIN: dict[str, Any] = {"protocols": ("soap",), "read_attempts": 2, "save_attempts": 2}
NO_OTHER_LOGIN: dict[str, Any] = {"protocols": ("rest",)}

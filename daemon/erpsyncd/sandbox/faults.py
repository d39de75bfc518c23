"""Things that go wrong on purpose: what to do (`Action`) and to which calls (`Rule`)."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast

from erpsyncd.sandbox.journal import Call

LONGEST_HANG = 600.0


class When(StrEnum):
    """On which side of the work something goes wrong."""

    BEFORE = "before"
    """Nothing was done."""

    AFTER = "after"
    """Everything was done; the client is only not told so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Answer this instead of what the operation says."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    when: When = When.BEFORE
    cut_after: int | None = None
    """Send only so many bytes of the body (Content-Length names all of it), then drop the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """Close the connection without an answer."""

    when: When = When.BEFORE
    reset: bool = False
    """With a TCP reset instead of an orderly end."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hang:
    """Wait until `release` is set, then go on as if nothing had been."""

    when: When = When.BEFORE
    seconds: float = LONGEST_HANG
    """Go on after this long at the latest."""
    release: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)
    """Set as soon as a call hangs here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raise:
    """Let the operation fail with a NetServer exception, reported as this tenant reports them."""

    exception_type: str = "SoServerException"
    message: str = "The sandbox was told to fail."
    when: When = When.BEFORE


Action = Answer | Drop | Hang | Raise


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Which calls an action is for. Empty fields match everything; words are compared without case."""

    action: Action
    tenant: str = ""
    protocol: str = ""
    agent: str = ""
    operation: str = ""
    erp_connection_id: int | None = None
    """Needs a look into the request: such a rule acts after its reading, so after authentication."""
    nth: int = 1
    """The first matching call it acts on, counted from 1 since the rule was made."""
    times: int | None = 1
    """How many matching calls from there on; None = all."""

    def matches(self, call: Call) -> bool:
        """Tell whether a call is one of those this rule counts."""
        wanted = (self.tenant, self.protocol, self.agent, self.operation)
        actual = (call.tenant, call.protocol, call.agent, call.operation)
        same = all(not want or want.casefold() == have.casefold() for want, have in zip(wanted, actual, strict=True))
        return same and self.erp_connection_id in (None, call.erp_connection_id)


class Faults:
    """The rules in force, and the calls that hang because of them. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[tuple[Rule, list[int]]] = []
        self._hanging: set[Hang] = set()
        self._closed = False

    def add(self, *rules: Rule) -> None:
        """Put rules into force; where several act on one call, the oldest wins."""
        with self._lock:
            self._rules.extend((rule, [0]) for rule in rules)

    def clear(self) -> None:
        """Drop all rules and let everything go on that hangs."""
        with self._lock:
            self._rules.clear()
            for hang in self._hanging:
                hang.release.set()

    def close(self) -> None:
        """Clear, and let nothing hang any more."""
        with self._lock:
            self._closed = True
        self.clear()

    def action_for(self, call: Call, *, read: bool) -> Action | None:
        """Return what to do to a call, and count it.

        Asked twice per call: when it arrives, and (*read*) when it is known what it is about.
        """
        chosen: Action | None = None
        with self._lock:
            for rule, seen in self._rules:
                if (rule.erp_connection_id is not None) is not read or not rule.matches(call):
                    continue
                seen[0] += 1
                acts = seen[0] >= rule.nth and (rule.times is None or seen[0] < rule.nth + rule.times)
                chosen = chosen or (rule.action if acts else None)
        return chosen

    def hang(self, hang: Hang) -> None:
        """Block the calling thread as *hang* says."""
        with self._lock:
            if self._closed:
                return
            self._hanging.add(hang)
        hang.reached.set()
        hang.release.wait(min(hang.seconds, LONGEST_HANG))
        with self._lock:
            self._hanging.discard(hang)


_NUMBER, _TEXT, _PERHAPS_NUMBER = (int,), (str,), (int, type(None))
_JSON_TYPES: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("tenant", "protocol", "agent", "operation"), _TEXT),
    **dict.fromkeys(("when", "body", "exception_type", "message"), _TEXT),
    **dict.fromkeys(("nth", "status"), _NUMBER),
    **dict.fromkeys(("erp_connection_id", "times", "cut_after"), _PERHAPS_NUMBER),
    "seconds": (int, float),
    "reset": (bool,),
    "headers": (dict,),
}


def rule_from_json(document: Mapping[str, Any]) -> Rule:
    """Read one rule; raises ValueError that says what is wrong.

    `{"operation": "SaveConnection", "nth": 2, "times": 1, "action": {"kind": "answer", "status": 503, "body": ""}}`;
    kinds are `answer`, `drop`, `hang` and `raise`, with the fields of the classes of those names.
    """
    if not isinstance(document, dict) or not isinstance(document.get("action"), dict):
        raise ValueError("a rule is an object that needs an action: an object with a kind")  # noqa: TRY004  # bad input
    fields = {name: value for name, value in document.items() if name != "action"}
    _check_types(fields)
    try:
        return Rule(action=_action_from_json(dict(document["action"])), **fields)
    except TypeError as exc:
        raise ValueError(f"a rule does not take that: {exc}") from exc


def _action_from_json(fields: dict[str, Any]) -> Action:
    kinds = {"answer": Answer, "drop": Drop, "hang": Hang, "raise": Raise}
    kind = fields.pop("kind", None)
    if kind not in kinds:
        raise ValueError(f"an action's kind is one of {', '.join(kinds)}, not {kind!r}")
    _check_types(fields)
    if "when" in fields:
        fields["when"] = When(fields["when"])
    if "body" in fields:
        fields["body"] = fields["body"].encode()
    return cast("Action", kinds[kind](**fields))


def _check_types(fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if type(value) not in _JSON_TYPES.get(name, ()):
            raise ValueError(f"{name} is unknown or of the wrong type")  # bad input, not a bad call

"""What a fault is and what erpsyncd does about it: a row of docs/reference/faults.md and parameters of its tests."""

from __future__ import annotations

from dataclasses import dataclass

from erpsyncd.errors import Effect

BOTH = ("soap", "rest")


@dataclass(frozen=True, kw_only=True)
class FaultCase:
    """One way in which a call can go wrong."""

    group: str
    """The heading under which the reference lists it."""

    name: str
    """A few words; unique, also the test's id."""

    what: str
    """What happens on the wire, in one sentence for operators."""

    error_class: str
    """The class of the connection's outcome, as lists and logs show it."""

    effect: Effect
    """What the call may have done."""

    read_attempts: int
    """How often a reading call is made in all, of three allowed."""

    save_attempts: int
    """How often the same SaveConnection is made in all, of three allowed."""

    read_error_class: str = ""
    """The class where a reading call meets it; empty where it is the same."""

    state: str = "failed"
    """The connection's state after the pass with the fault."""

    ends_pass: bool = False
    """Whether the pass over this tenant ends with it; other tenants always go on."""

    protocols: tuple[str, ...] = BOTH
    note: str = ""
    """What an operator should know beyond that; part of the reference."""


@dataclass(frozen=True, kw_only=True)
class OddAnswer:
    """One way in which an answer can be odd and is understood all the same."""

    name: str
    """A few words; unique, also the test's id."""

    what: str
    """What is odd about it, in one sentence for operators."""

    protocols: tuple[str, ...] = BOTH

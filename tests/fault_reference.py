"""Writes docs/reference/faults.md from the cases that the tests prove: `make reference`, or this file as a script."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from erpsyncd.errors import Effect
from fault_cases import BOTH, FaultCase, OddAnswer
from fault_catalogue import CASES, NETWORK, ODD_CASES, UNREACHABLE, WAY_CASES

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "faults.md"

ALL_CASES: tuple[FaultCase, ...] = (*UNREACHABLE, *WAY_CASES, *CASES)

INTRODUCTION = """\
# Faults

<!-- Written by `make reference` from the cases that the tests prove. Change those. -->

What can go wrong when erpsyncd calls a tenant, and what it does about it. A test brings each row about on a real
connection and checks what stands in it.

A fault is one connection's: its neighbours and all other tenants are done in the same pass, and it is made good by a
later one. Nothing is ever created twice.

- **Class** is what `connections list`, reports and logs call it.
- **Done?** says whether the tenant may have done the work all the same.
- **A read**, **a save**: how often the call is made within one pass. Up to three times means `remote.attempts`, with
  growing pauses. A save is repeated only where it cannot have been carried out.
- **State** is what the connection is in after the pass.
- **Next** is what erpsyncd does then:
  - *tries again*: a later pass sends it again. The pauses between them grow from `backoff.first` to `backoff.longest`;
    `erpsyncd --run-once` does not wait.
  - *looks first*: a create is not sent again before the tenant's list was read. What is found there is adopted and
    pushed once; what is not found is sent again when `remote.settle` has gone by since. An update is read afresh and
    pushed again.
  - *waits for you*: nothing more is sent to this tenant until its credentials change, or you run
    `erpsyncd tenants resume NAME`. The pass over it ends; what it had not come to is done by a later one.

Where a login or the tenant's list meets a fault, nothing is written until that is over. After `breaker.failures`
failures in a row that may pass by themselves, a tenant is left alone for `breaker.park`.
"""
ODD_INTRODUCTION = """\
## Odd, and understood

These are no failures: the answer is read as it was meant.
"""
_COLUMNS = ("Fault", "What happens", "Class", "Done?", "A read", "A save", "State", "Next")
_DONE = {
    Effect.NEVER_SENT: "no, nothing was sent",
    Effect.REFUSED: "no, it was turned away",
    Effect.UNCERTAIN: "perhaps",
}
_ATTEMPTS = {1: "once", 2: "twice: again after a fresh login", 3: "up to 3 times"}


def rendered() -> str:
    """Return the page."""
    tables = [f"## {group}\n\n{_table(cases)}" for group, cases in _groups()]
    odd = _rows(("Answer", "What is odd"), ((_named(odd), odd.what) for odd in ODD_CASES))
    return "\n".join((INTRODUCTION, *tables, ODD_INTRODUCTION, odd))


def _groups() -> Iterator[tuple[str, Iterable[FaultCase]]]:
    """Yield the cases of each heading; the connection's come first, wherever they stand."""
    ordered = sorted(ALL_CASES, key=lambda case: (case.group != NETWORK, _first_of(case.group)))
    return groupby(ordered, key=lambda case: case.group)


def _first_of(group: str) -> int:
    return next(number for number, case in enumerate(ALL_CASES) if case.group == group)


def _table(cases: Iterable[FaultCase]) -> str:
    return _rows(_COLUMNS, (_row(case) for case in cases))


def _row(case: FaultCase) -> tuple[str, ...]:
    what = f"{case.what} {case.note}".strip()
    if case.read_error_class:
        what += f" A read that meets it ends as `{case.read_error_class}`."
    return (
        _named(case),
        what,
        f"`{case.error_class}`",
        _DONE[case.effect],
        _ATTEMPTS[case.read_attempts],
        _ATTEMPTS[case.save_attempts],
        f"`{case.state}`",
        _next(case),
    )


def _named(case: FaultCase | OddAnswer) -> str:
    """Return its name, and its protocol where it has just one."""
    if case.protocols == BOTH or case.name.endswith(")"):
        return case.name
    return f"{case.name} ({', '.join(protocol.upper() for protocol in case.protocols)})"


def _next(case: FaultCase) -> str:
    if case.ends_pass and case.effect is Effect.REFUSED:
        return "waits for you"
    return "looks first" if case.effect is Effect.UNCERTAIN else "tries again"


def _rows(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [columns, ("---",) * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(rendered(), encoding="utf-8")

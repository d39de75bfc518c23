"""Every fault of the matrix: what the proxy does, and what erpsyncd has to make of it (design.md §5.1).

The expectations are the design's, not what happened to come out. The tests read them, and so does
docs/reference/faults.md, through `fault_reference.py`.
"""

from __future__ import annotations

from answer_faults import DONE_CASES, EXCEPTION_CASES, ODD_CASES, UNUSABLE_CASES
from connection_faults import NETWORK_CASES, STATUS_CASES, UNREACHABLE
from fault_kinds import DONE, NETWORK, OddCase, WireCase
from way_faults import WAY_CASES

__all__ = ["CASES", "DONE", "NETWORK", "ODD_CASES", "UNREACHABLE", "WAY_CASES", "OddCase", "WireCase"]

CASES: tuple[WireCase, ...] = (*NETWORK_CASES, *STATUS_CASES, *EXCEPTION_CASES, *UNUSABLE_CASES, *DONE_CASES)

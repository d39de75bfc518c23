"""Run as a process of its own, which makes nothing and only reads: says what reading took and what it left behind.

    python tests/fuzz_memory.py FILE

The file is a pickled `Task`. The last line of the output is JSON, in bytes but for Python's blocks.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import logging
import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from erpsyncd.netserver.limits import RemoteLimits
from fuzz_captures import Capture, HttpReply
from fuzz_reading import Reader


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is to be read."""

    captures: tuple[Capture, ...]
    rows: tuple[tuple[tuple[Capture, HttpReply], ...], ...]
    """Damaged replies in rows of the same kind: after the first two, nothing should grow."""

    rounds: tuple[tuple[tuple[str, Path], ...], ...]
    """Greedy replies, pickled one by one, in rounds of the same kind."""


def _resident(line: str) -> int:
    """Return what the kernel says about this process: VmRSS, or VmHWM since that was last reset."""
    return int(Path("/proc/self/status").read_text().partition(f"{line}:")[2].split()[0]) * 1024


def _settled() -> int:
    """Return what this process holds when everything is given back that nobody uses."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return _resident("VmRSS")


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _unpickled(path: Path) -> Any:
    return pickle.loads(path.read_bytes())


async def _read_rows(reader: Reader, task: Task) -> dict[str, int]:
    blocks, resident = [], []
    for row in task.rows:
        for number, (capture, reply) in enumerate(row):
            await reader.read(f"row {number}", capture, reply)
        resident.append(_settled())
        blocks.append(sys.getallocatedblocks())
    return {"blocks_grown": blocks[-1] - blocks[1], "rows_grown": resident[-1] - resident[1]}


async def _read_rounds(reader: Reader, task: Task) -> dict[str, object]:
    capture = next(each for each in task.captures if each.action == "check")
    peaks: dict[str, int] = {}
    resident = []
    for each_round in task.rounds:
        for label, path in each_round:
            reply = _unpickled(path)
            before = _settled()
            _forget_peak()
            await reader.read(label, capture, reply)
            peaks[label] = max(peaks.get(label, 0), _resident("VmHWM") - before)
            del reply
        resident.append(_settled())
    # What is kept of a round comes on top of the highest of those before; the allocator moves by more than that.
    return {"peaks": peaks, "rounds_grown": resident[-1] - max(resident[:-1])}


async def _read(task: Task) -> dict[str, object]:
    reader = Reader(captures=task.captures, limits=RemoteLimits(attempts=1, retry_after_max_seconds=0))
    grown = await _read_rows(reader, task)
    return {**grown, **await _read_rounds(reader, task), "wrong": reader.wrong}


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    sys.stdout.write(json.dumps(asyncio.run(_read(_unpickled(Path(sys.argv[1]))))))

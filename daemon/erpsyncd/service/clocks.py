"""Time that nobody can set: for leases, and for how long ago a request left."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

from erpsyncd.domain.intents import Uptime

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
#: Linux counts time asleep with this one; where there is none, nobody sleeps unnoticed but we.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_seconds() -> float:
    """Return the seconds since this machine started, those spent asleep included.

    A lease runs out while the machine that holds it sleeps, so its holder must not stop counting either.
    """
    return time.clock_gettime(_CLOCK)


def uptime() -> Uptime | None:
    """Return how long this machine has been running; None where its start has no name."""
    boot_id = _boot_id()
    return Uptime(boot_id=boot_id, seconds=boot_seconds()) if boot_id else None


@cache
def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError):
        return ""

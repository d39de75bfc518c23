"""What the daemon is told by signals, and what it tells of a pass in one line."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from erpsyncd.domain.results import RunReport


@contextmanager
def signals_delivered_to(queue: asyncio.Queue[signal.Signals]) -> Iterator[None]:
    """Put SIGTERM, SIGINT and SIGHUP into a queue; the handlers do nothing else."""
    loop = asyncio.get_running_loop()
    wanted = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    for number in wanted:
        loop.add_signal_handler(number, queue.put_nowait, number)
    try:
        yield
    finally:
        for number in wanted:
            loop.remove_signal_handler(number)


def summary_of(report: RunReport) -> str:
    """Return the counts of a pass, for `systemctl status`."""
    counts = ", ".join(f"{count} {status}" for status, count in report.counts.items() if count) or "nothing to do"
    return f"last pass {report.status}: {counts}"

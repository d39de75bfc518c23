"""Whether the daemon is alive, and whether it does its work. Neither asks a tenant anything."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus

from erpsyncd.domain.watching import FinishedRun, StartedRun
from erpsyncd.errors import StoreError
from erpsyncd.web.census import CensusTaker
from erpsyncd.web.http import JSON, Answer


@dataclass(kw_only=True)
class Health:
    """`/healthz` and `/readyz`; a `RunWatcher`, to know when a pass ended last."""

    census: CensusTaker
    holds_lock: Callable[[], bool]
    """Whether this process is the one that works with the store."""

    stale_after: timedelta
    """How long ago the last pass may have ended."""

    clock: Callable[[], float] = time.monotonic
    _last_pass: float = field(init=False)

    def __post_init__(self) -> None:
        # A daemon that has just begun has all the time that another one has between two passes.
        self._last_pass = self.clock()

    def run_started(self, run: StartedRun) -> None:
        """See the port."""

    def run_finished(self, run: FinishedRun) -> None:
        """Remember when a pass went through, however its tenants did."""
        if run.started.is_pass and run.report is not None:
            self._last_pass = self.clock()

    async def healthz(self) -> Answer:
        """Say that the event loop moves, by answering at all."""
        return Answer(body=b"ok\n")

    async def readyz(self) -> Answer:
        """Say whether the store answers, whether this process has it, and whether passes come through."""
        checks = (
            {"check": "store", "ok": await self._store_answers()},
            {"check": "lock", "ok": self.holds_lock()},
            {
                "check": "last_pass",
                "ok": self._age() <= self.stale_after,
                "seconds_ago": round(self._age().total_seconds()),
            },
        )
        is_ready = all(check["ok"] for check in checks)
        return Answer(
            status=HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE,
            content_type=JSON,
            body=json.dumps({"ready": is_ready, "checks": checks}).encode() + b"\n",
        )

    async def _store_answers(self) -> bool:
        try:
            await self.census.census()
        except StoreError:
            return False
        return True

    def _age(self) -> timedelta:
        return timedelta(seconds=self.clock() - self._last_pass)

"""How everything stands, read from the store no more often than needed, however many ask."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from erpsyncd.domain.watching import Census
from erpsyncd.errors import DaemonError, StoreError

#: So old may a census be that is told again.
_KEEP_SECONDS = 5.0
#: So long may the store take. Who asks is not held up by a store that does not answer.
PATIENCE_SECONDS = 4.0


@dataclass(kw_only=True)
class CensusTaker:
    """Reads the store in a thread: once at a time, and what it read serves all who ask meanwhile."""

    read: Callable[[], Census]
    """Raises `DaemonError` where the store does not answer."""

    patience_seconds: float = PATIENCE_SECONDS
    clock: Callable[[], float] = time.monotonic
    _taken: tuple[float, Census] | None = field(default=None, init=False)
    _reading: asyncio.Task[Census] | None = field(default=None, init=False)

    async def census(self) -> Census:
        """Return how everything stands, or stood a moment ago.

        Raises:
            StoreError: the store does not answer, or not in time.
        """
        if self._taken is not None and self.clock() - self._taken[0] < _KEEP_SECONDS:
            return self._taken[1]
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        try:
            # Shielded: another one may wait for the same answer.
            return await asyncio.wait_for(asyncio.shield(self._reading), self.patience_seconds)
        except TimeoutError:
            raise StoreError(f"the store did not answer in {self.patience_seconds:g} s") from None

    async def _read(self) -> Census:
        self._taken = None
        try:
            census = await asyncio.to_thread(self.read)
        except DaemonError as exc:
            raise StoreError(str(exc)) from exc
        self._taken = (self.clock(), census)
        return census

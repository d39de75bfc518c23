"""The tenant's own limit of calls per second, kept between passes."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable

#: Added to every window, because calls do not arrive as evenly as they leave.
MARGIN_SECONDS = 0.05


def window_of(calls_per_second: float) -> tuple[int, float]:
    """Return how many calls may leave in a window of how many seconds.

    From one call per second on, the number is rounded down; below, one call leaves per `1 / rate` seconds.
    """
    if calls_per_second >= 1:
        return math.floor(calls_per_second), 1.0 + MARGIN_SECONDS
    return 1, 1.0 / calls_per_second + MARGIN_SECONDS


class RateLimiter:
    """A sliding window over the moments at which calls left. Waiters go in the order they came."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._sent: deque[float] = deque()
        self._turn = asyncio.Lock()

    async def wait_turn(self, calls_per_second: float) -> None:
        """Return when one more call may leave, and count it as having left.

        The rate is an argument because operators change it while the history goes on. A waiter that is
        cancelled has not been counted.
        """
        calls, window = window_of(calls_per_second)
        async with self._turn:
            while len(self._sent) >= calls and (pause := self._sent[-calls] + window - self._clock()) > 0:
                await self._sleep(pause)
            self._sent.append(self._clock())
            while len(self._sent) > calls:
                self._sent.popleft()

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
    """A sliding window over the moments at which calls left. Waiters go in the order they came.

    Between its turn and the moment at which it leaves, a call may be held up: by the store, by connecting. Until
    then it counts as leaving now, whenever that is; so no window at the other side's end holds too many, either.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._sent: deque[float] = deque()
        self._about_to_leave = 0
        self._left = asyncio.Event()
        self._queue = asyncio.Lock()

    async def turn(self, calls_per_second: float) -> Callable[[], None]:
        """Wait until one more call may leave; return what has to be called when it does, and at the latest at its end.

        The first time counts. The rate is an argument because operators change it while the history goes on. A waiter
        that is cancelled has not been counted.
        """
        await self._wait(calls_per_second)
        leaving = True

        def leave() -> None:
            nonlocal leaving
            if leaving:
                leaving = False
                self._about_to_leave -= 1
                self._sent.append(self._clock())
                self._left.set()

        return leave

    async def _wait(self, calls_per_second: float) -> None:
        calls, window = window_of(calls_per_second)
        async with self._queue:
            while (room := calls - self._about_to_leave) <= 0 or len(self._sent) >= room:
                if room <= 0:
                    self._left.clear()
                    await self._left.wait()
                elif (pause := self._sent[-room] + window - self._clock()) > 0:
                    await self._sleep(pause)
                else:
                    break
            self._about_to_leave += 1
            while len(self._sent) > calls:
                self._sent.popleft()

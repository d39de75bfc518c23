"""Whoever waits on an event loop for what a thread of the store does."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True, kw_only=True, eq=False)
class Caller:
    """One of them, and what he will be told."""

    future: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None

    def settle(self) -> None:
        """Let him go on, unless he went away."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


def let_go_on(callers: Iterable[Caller]) -> None:
    """Let callers go on, from any thread: those of one event loop by one call to it."""
    by_loop: defaultdict[asyncio.AbstractEventLoop, list[Caller]] = defaultdict(list)
    for caller in callers:
        by_loop[caller.future.get_loop()].append(caller)
    for loop, settled in by_loop.items():
        with suppress(RuntimeError):  # it was closed, and nobody waits there any more
            loop.call_soon_threadsafe(_settle, settled)


def _settle(callers: Iterable[Caller]) -> None:
    for caller in callers:
        caller.settle()

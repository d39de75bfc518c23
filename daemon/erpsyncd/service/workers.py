"""A few at once, and nobody is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


async def each(items: Iterable[T], work: Callable[[T], Awaitable[None]], *, at_once: int) -> None:
    """Work on all items, so many at once. What is under way is never cut off by a neighbour's end.

    Raises the first exception of any, once the others under way are done; nothing else is begun after it.
    """
    pending = iter(items)
    crashes: list[Exception] = []

    async def worker() -> None:
        for item in pending:
            try:
                await work(item)
            except Exception as exc:  # noqa: BLE001 -- raised again below, once the others are done
                crashes.append(exc)
            if crashes:
                return

    await asyncio.gather(*(worker() for _ in range(at_once)))
    if crashes:
        raise crashes[0]

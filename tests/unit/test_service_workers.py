"""A few at once, and nobody is left behind."""

from __future__ import annotations

import asyncio

import pytest

from erpsyncd.errors import StoreError
from erpsyncd.service.workers import each


async def test_so_many_at_once_and_all_of_them() -> None:
    """Whoever is done takes the next."""
    under_way: set[int] = set()
    most, done = 0, []

    async def work(item: int) -> None:
        nonlocal most
        under_way.add(item)
        most = max(most, len(under_way))
        await asyncio.sleep(0)
        under_way.remove(item)
        done.append(item)

    await each(range(7), work, at_once=3)

    assert 3 == most
    assert list(range(7)) == sorted(done)


async def test_what_is_under_way_ends_before_an_error_is_told() -> None:
    """Nothing else is begun meanwhile, and nothing is left running behind the caller's back."""
    ended: list[str] = []
    failed = asyncio.Event()

    async def work(item: str) -> None:
        if item == "fails":
            failed.set()
            raise StoreError("the store is gone")
        await failed.wait()
        for _ in range(10):  # turns of the loop
            await asyncio.sleep(0)
        ended.append(item)

    with pytest.raises(StoreError):
        await each(["slow", "fails", "never begun"], work, at_once=2)

    assert ["slow"] == ended

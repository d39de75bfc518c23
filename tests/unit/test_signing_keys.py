"""Keys that a login service publishes: one fetch for all who wait, also where it fails."""

from __future__ import annotations

import asyncio

import pytest

from erpsyncd.errors import RemoteUnreachable
from erpsyncd.netserver.calls import Endpoint, Reply
from erpsyncd.netserver.signing_keys import PublishedKeys


async def test_who_waited_for_a_fetch_that_failed_does_not_wait_for_another() -> None:
    """A service that hangs costs all waiting tenants one deadline, and not one after the other; the next one asks."""
    fetches, time = 0, 0.0
    started, release = asyncio.Event(), asyncio.Event()

    async def hangs(endpoint: Endpoint) -> Reply:
        nonlocal fetches, time
        fetches += 1
        started.set()
        await release.wait()
        time += 120
        raise RemoteUnreachable(endpoint.operation, "no answer")

    keys = PublishedKeys(clock=lambda: time)
    waiting = [asyncio.create_task(keys.of("https://login.example", "way", hangs).current()) for _ in range(5)]
    await started.wait()
    release.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)

    assert [RemoteUnreachable] * 5 == [type(each) for each in found]
    assert 1 == fetches
    with pytest.raises(RemoteUnreachable):
        await keys.of("https://login.example", "way", hangs).current()
    assert 2 == fetches

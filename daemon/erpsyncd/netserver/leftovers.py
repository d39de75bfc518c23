"""Bytes that came behind an answer, and would be taken for the answer to the next question."""

from __future__ import annotations

from typing import Any

import httpx


async def close_overfull(client: httpx.AsyncClient) -> None:
    """Close idle connections on which more came than the answer that was asked for.

    httpcore drops an idle connection on which something arrives, but not one on which it has read that something
    together with an answer: what h11 holds of it then answers the next request. It has no public word for this
    (httpcore 1.0.9), so its own parts are asked; where they are not found any more, a test of the real thing fails.
    """
    pool: Any = getattr(client._transport, "_pool", None)  # noqa: SLF001 -- see above
    for connection in pool.connections if pool is not None else ():
        inner: Any = connection
        while (nearer := getattr(inner, "_connection", None)) is not None:  # through a proxy's tunnel, too
            inner = nearer
        state = getattr(inner, "_h11_state", None)
        if state is not None and inner.is_idle() and state.trailing_data[0]:
            await inner.aclose()

"""How far a request has got, so that "never sent" is known, not guessed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum, auto
from typing import Any

from erpsyncd.domain.ports import StillAllowed


class Stage(Enum):
    """How far a request has got, as far as we know."""

    BUILDING = auto()
    """Not handed to httpx yet."""

    HANDED_OVER = auto()
    """Handed to httpx, which has not said anything: it may have been sent."""

    CONNECTING = auto()
    SENDING = auto()


class HeldUp(Exception):
    """A request was not allowed to leave any more when it could."""


class Progress:
    """Follows one request through httpcore's trace extension, so that "never sent" is known, not guessed."""

    __slots__ = ("_connecting", "_leave", "_still_allowed", "_stream", "stage")

    def __init__(self, leave: Callable[[], None] = lambda: None, still_allowed: StillAllowed = lambda: True) -> None:
        """`leave` is called when the first byte of the request goes out, if it is `still_allowed` to."""
        self.stage = Stage.BUILDING
        self._leave = leave
        self._still_allowed = still_allowed
        self._stream: Any = None
        self._connecting: asyncio.Timeout | None = None

    @asynccontextmanager
    async def connecting_within(self, seconds: float) -> AsyncIterator[None]:
        """Raise `TimeoutError` where the request has not begun to leave after so many seconds.

        httpcore bounds each step of connecting by itself, and what a proxy takes to answer by nothing but the
        deadline.
        """
        async with asyncio.timeout(seconds) as self._connecting:
            yield

    async def trace(self, event: str, details: dict[str, Any]) -> None:
        """Take note of an event of httpcore, and close what it forgets.

        A TLS handshake that is cut short, by its timeout or by our deadline, leaves its socket open in
        httpcore 1.0: it closes after an `Exception`, which a cancellation is not.
        """
        if event == "http11.send_request_headers.started":
            if details["request"].method == b"CONNECT":  # a proxy's own: ours comes after it, or never
                return
            if not self._still_allowed():
                raise HeldUp
            self.stage = Stage.SENDING
            if self._connecting is not None:
                self._connecting.reschedule(None)
            self._leave()
        elif event.startswith("connection.") and self.stage is Stage.HANDED_OVER:
            self.stage = Stage.CONNECTING
        elif event == "connection.connect_tcp.complete":
            self._stream = details["return_value"]
        elif event.endswith(".start_tls.failed"):
            await self._stream.aclose()

    @property
    def never_sent(self) -> bool:
        """Whether nothing can have arrived."""
        return self.stage in (Stage.BUILDING, Stage.CONNECTING)

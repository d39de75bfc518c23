"""What was called, when, and how much at once. No body, ticket or password gets in here."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, replace

WINDOW_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of an operation, from its arrival on."""

    number: int
    tenant: str
    protocol: str
    """`soap` or `rest`."""
    services: int | None
    """The NN of ServicesNN; None for REST."""
    agent: str
    operation: str
    at: float
    """When the request line was read, in seconds of the server's clock."""
    connection: int
    """The number of the TCP connection that brought the call, counted over the server's life."""
    open_connections: int
    """TCP connections that this tenant had open at that moment, this one included."""
    running: int
    """Calls of this tenant that ran at that moment, this one included."""
    erp_connection_id: int | None = None
    """What the call is about, once that is known; a create has the new id."""
    worked: bool = False
    """The operation was carried out, whatever the client was told."""
    language: str = ""
    """The language that the client asks for (SO-Language, Accept-Language)."""
    time_zone: str = ""
    """The time zone that it asks for: SO-TimeZone, or the id or location of the TimeZone header."""
    http_status: int | None = None
    """None while the call runs, 0 where the connection was dropped instead of an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peaks:
    """The most that a tenant saw."""

    calls_per_second: int = 0
    """Calls that arrived within any one second."""
    running: int = 0
    open_connections: int = 0


class _Tally:
    """The running numbers of one tenant."""

    def __init__(self) -> None:
        self.recent: deque[float] = deque()
        self.running = 0
        self.peaks = Peaks()
        self.operations: Counter[str] = Counter()

    def arrived(self, operation: str, at: float, open_connections: int) -> None:
        self.operations[operation] += 1
        self.running += 1
        self.recent.append(at)
        while at - self.recent[0] >= WINDOW_SECONDS:
            self.recent.popleft()
        self.peaks = Peaks(
            calls_per_second=max(self.peaks.calls_per_second, len(self.recent)),
            running=max(self.peaks.running, self.running),
            open_connections=max(self.peaks.open_connections, open_connections),
        )


class Journal:
    """The calls of all tenants. Thread-safe; keeps the newest *size* calls, counts all of them."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, size: int = 200_000) -> None:
        self._clock = clock
        self._size = size
        self._lock = threading.Lock()
        self._calls: dict[int, Call] = {}
        self._last_number = 0
        self._tallies: dict[str, _Tally] = {}

    def begin(self, call: Call) -> Call:
        """Enter a call that just arrived and return it with its number, time and tallies."""
        with self._lock:
            tally = self._tallies.setdefault(call.tenant, _Tally())
            now = self._clock()
            tally.arrived(call.operation, now, call.open_connections)
            self._last_number += 1
            entered = replace(call, number=self._last_number, at=now, running=tally.running)
            self._calls[entered.number] = entered
            if len(self._calls) > self._size:
                del self._calls[next(iter(self._calls))]
            return entered

    def note(self, number: int, *, erp_connection_id: int | None = None, worked: bool | None = None) -> Call | None:
        """Add what became known about a running call and return it; None where it is no longer kept."""
        with self._lock:
            call = self._calls.get(number)
            if call is None:
                return None
            if erp_connection_id is not None:
                call = replace(call, erp_connection_id=erp_connection_id)
            if worked is not None:
                call = replace(call, worked=worked)
            self._calls[number] = call
            return call

    def end(self, call: Call, http_status: int) -> None:
        """Enter how a call ended. To be called before the answer leaves, or the client is faster than the count."""
        with self._lock:
            self._tallies[call.tenant].running -= 1
            current = self._calls.get(call.number)
            if current is not None:
                self._calls[call.number] = replace(current, http_status=http_status)

    def calls(self, tenant: str | None = None, operation: str | None = None) -> tuple[Call, ...]:
        """Return the calls kept, oldest first, running ones too."""
        with self._lock:
            return tuple(
                call
                for call in self._calls.values()
                if tenant in (None, call.tenant) and operation in (None, call.operation)
            )

    def counts(self, tenant: str) -> dict[str, int]:
        """Return how often each operation was called at a tenant."""
        with self._lock:
            tally = self._tallies.get(tenant)
            return dict(tally.operations) if tally else {}

    def peaks(self, tenant: str) -> Peaks:
        """Return the most that a tenant saw so far."""
        with self._lock:
            tally = self._tallies.get(tenant)
            return tally.peaks if tally else Peaks()

"""The installed program with trap doors: `python -m torture.doomed DOOM ARGUMENT…`.

It runs `erpsyncd ARGUMENT…` as it is; only the functions that lead past a point are wrapped, and at the chosen
arrival the process kills or stops itself. Nothing of this is in the product.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from typing import Any

from torture.points import REACHED, Doom, Fate, Point, Write

#: The write call that the present task is making.
_AT_WORK: ContextVar[Write | None] = ContextVar("_AT_WORK", default=None)


@dataclass
class TrapDoor:
    """Counts the arrivals at one point, and opens at the chosen one."""

    doom: Doom
    jumped: float = 0.0
    """Seconds by which the clock that counts standing still is ahead."""

    _arrivals: int = 0
    _opened: bool = False
    _counting: threading.Lock = field(default_factory=threading.Lock)

    def arrive(self, point: Point, *writes: Write) -> None:
        """Come to a point with these writes; the process may not get any further."""
        mine = [write for write in writes if self.doom.change in ("", write.change)]
        if point is not self.doom.point or not mine:
            return
        with self._counting:
            self._arrivals += len(mine)
            if self._opened or self._arrivals < self.doom.nth:
                return
            self._opened = True
        line = {"event": REACHED, "point": point, "writes": [asdict(write) for write in mine]}
        os.write(sys.stderr.fileno(), json.dumps(line).encode() + b"\n")
        if self.doom.fate is Fate.STOP:
            # Set now and not when it goes on: by then another thread may have looked at the clock already.
            self.jumped = 3600.0
            # To this very thread: a stop sent to the process is taken by any of them, and this one would go on.
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
        else:
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Transaction(threading.local):
    """What the transaction of the present thread has written so far."""

    intents: list[Write] = field(default_factory=list)
    outcomes: list[Write] = field(default_factory=list)
    recovered: list[Write] = field(default_factory=list)

    @property
    def writes(self) -> list[Write]:
        """All of it."""
        return self.intents + self.outcomes + self.recovered

    def clear(self) -> None:
        """Begin anew."""
        for written in (self.intents, self.outcomes, self.recovered):
            written.clear()


def wrap(owner: object, name: str, around: Callable[[Any], Any]) -> None:
    """Put another function in the place of one that must exist."""
    setattr(owner, name, around(getattr(owner, name)))


def trap_clock(trap: TrapDoor) -> None:
    """To be called before anything takes the clock away by its name."""
    from erpsyncd.service import clocks  # noqa: PLC0415 -- as said

    def around(true: Callable[[], float]) -> Callable[[], float]:
        return lambda: true() + trap.jumped

    wrap(clocks, "boot_seconds", around)


def write_of(opening: Any) -> Write:
    """Return what an intent is about to write."""
    return Write(tenant_id=opening.lease.tenant_id, key=opening.stored.key, change=opening.kind)


def note_intents(transaction: Transaction) -> None:
    """Let a transaction know which intents are written in it."""
    from erpsyncd.store import intent_rows  # noqa: PLC0415 -- after the clock

    known: dict[int, Write] = {}

    def around_open(original: Any) -> Any:
        def open_intents(connection: Any, openings: Any) -> Any:
            opened = original(connection, openings)
            for intent_id, one in zip(opened, openings, strict=True):
                known[intent_id] = write_of(one)
                transaction.intents.append(known[intent_id])
            return opened

        return open_intents

    def around_resend(original: Any) -> Any:
        def resend_intent(connection: Any, lease: Any, intent_id: int, **call: Any) -> None:
            original(connection, lease, intent_id, **call)
            if call["step"] is not None and intent_id in known:
                transaction.intents.append(known[intent_id])

        return resend_intent

    wrap(intent_rows, "open_intents", around_open)
    wrap(intent_rows, "resend_intent", around_resend)


def note_outcomes(transaction: Transaction) -> None:
    """Let a transaction know which outcomes are written in it."""
    from erpsyncd.store import settling  # noqa: PLC0415 -- after the clock

    def around_settle(original: Any) -> Any:
        def settle_all(connection: Any, settlements: Any) -> Any:
            settled = original(connection, settlements)
            for one in settlements:
                if one.intent_id is not None:
                    written = transaction.recovered if one.outcome is None else transaction.outcomes
                    change = "" if one.outcome is None else one.outcome.change
                    written.append(Write(tenant_id=one.lease.tenant_id, key=one.stored.key, change=change))
            return settled

        return settle_all

    wrap(settling, "settle_all", around_settle)


def trap_transactions(trap: TrapDoor, transaction: Transaction) -> None:
    """Trap group commits: between two statements of a batch, and on both sides of the COMMIT."""
    from erpsyncd.store import intent_rows, writer  # noqa: PLC0415 -- after the clock
    from erpsyncd.store.database import Database  # noqa: PLC0415 -- as above

    def around_write(original: Any) -> Any:
        @contextmanager
        def write(database: Database) -> Iterator[Any]:
            transaction.clear()
            with original(database) as connection:
                yield connection
                trap.arrive(Point.INTENT_WRITTEN, *transaction.intents)
                trap.arrive(Point.OUTCOME_WRITTEN, *transaction.outcomes)
                trap.arrive(Point.RECOVERY_WRITTEN, *transaction.recovered)
                if len(transaction.writes) > 1:
                    trap.arrive(Point.BATCH_WRITTEN, *transaction.writes)
            trap.arrive(Point.INTENT_COMMITTED, *transaction.intents)
            trap.arrive(Point.OUTCOME_COMMITTED, *transaction.outcomes)
            trap.arrive(Point.RECOVERY_COMMITTED, *transaction.recovered)

        return write

    def around_keep(original: Any) -> Any:
        def keep_listings(connection: Any, openings: Any) -> Any:
            if len(openings) > 1:  # they are marked, and their intents are not there yet
                trap.arrive(Point.BATCH_BEGUN, *(write_of(one) for one in openings))
            return original(connection, openings)

        return keep_listings

    writer.IDLE_SECONDS = 1.0  # nobody waits half a minute in a test
    wrap(Database, "write", around_write)
    wrap(intent_rows, "_keep_listings", around_keep)


def trap_wire(trap: TrapDoor) -> None:
    """Trap write calls on both sides of the wire."""
    from erpsyncd.netserver.http1 import HttpConnection  # noqa: PLC0415 -- after the clock
    from erpsyncd.netserver.progress import Progress  # noqa: PLC0415 -- as above
    from erpsyncd.netserver.transport import Transport  # noqa: PLC0415 -- as above

    def arrive(point: Point) -> None:
        write = _AT_WORK.get()
        if write is not None:
            trap.arrive(point, write)

    def around_send(original: Any) -> Any:
        async def send(transport: Transport, call: Any, before_send: Any = None) -> Any:
            try:
                reply = await original(transport, call, before_send)
                arrive(Point.ANSWER_RECEIVED)
            finally:
                _AT_WORK.set(None)
            return reply

        return send

    def around_leave(original: Any) -> Any:
        def leave(progress: Progress) -> None:
            arrive(Point.REQUEST_LEAVING)
            original(progress)

        return leave

    def around_answer(original: Any) -> Any:
        async def answer(connection: HttpConnection) -> Any:
            arrive(Point.REQUEST_SENT)
            return await original(connection)

        return answer

    wrap(Transport, "send", around_send)
    wrap(Progress, "leave", around_leave)
    wrap(HttpConnection, "answer", around_answer)


def trap_reports(trap: TrapDoor) -> None:
    """Note which write the present task is about to send, and trap the moment at which it was reported."""
    from erpsyncd.service.recording import Recorder  # noqa: PLC0415 -- after the clock

    known: dict[int, Write] = {}

    def around_open(original: Any) -> Any:
        async def open_intent(recorder: Recorder, connection: Any, kind: str, seen: Any, **careful: Any) -> int:
            assert recorder.lease is not None
            write = Write(tenant_id=recorder.lease.tenant_id, key=connection.key, change=kind)
            _AT_WORK.set(write)
            opened: int = await original(recorder, connection, kind, seen, **careful)
            known[opened] = write
            return opened

        return open_intent

    def around_resend(original: Any) -> Any:
        async def resend_intent(recorder: Recorder, intent_id: int, **careful: Any) -> None:
            if careful.get("step") is not None:
                _AT_WORK.set(known.get(intent_id))
            await original(recorder, intent_id, **careful)

        return resend_intent

    def around_settle(original: Any) -> Any:
        async def settle(
            recorder: Recorder, connection: Any, verdict: Any, outcome: Any, *, intent_id: int | None = None
        ) -> None:
            await original(recorder, connection, verdict, outcome, intent_id=intent_id)
            if outcome is not None and intent_id is not None and recorder.lease is not None:
                write = Write(tenant_id=recorder.lease.tenant_id, key=outcome.key, change=outcome.change)
                trap.arrive(Point.OUTCOME_REPORTED, write)

        return settle

    wrap(Recorder, "open_intent", around_open)
    wrap(Recorder, "resend_intent", around_resend)
    wrap(Recorder, "settle", around_settle)


def sign_requests() -> None:
    """Let the User-Agent say which process a request comes from."""
    import erpsyncd  # noqa: PLC0415 -- before anything takes the version away by its name

    erpsyncd.__version__ = f"{erpsyncd.__version__}+{os.getpid()}"


def main() -> None:
    """Run the program."""
    trap = TrapDoor(Doom.read(sys.argv.pop(1)))
    sign_requests()
    trap_clock(trap)
    transaction = Transaction()
    note_intents(transaction)
    note_outcomes(transaction)
    trap_transactions(trap, transaction)
    trap_wire(trap)
    trap_reports(trap)
    from erpsyncd.__main__ import main as erpsyncd_main  # noqa: PLC0415 -- after all of that

    erpsyncd_main()


if __name__ == "__main__":
    main()

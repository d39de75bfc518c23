"""Group commit: what many coroutines want to write at one moment shares one transaction and one fsync.

One thread takes whatever waits, runs each write inside a savepoint of its own, commits once and only then
lets the callers go on. A write that fails (a lost lease, say) is rolled back alone; a commit that fails
fails everybody in it. Whether such a commit can be found on disk later is not known: nobody may go on as if it could,
nor as if it could not.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Connection

from erpsyncd.domain.watching import CommitWatcher
from erpsyncd.errors import ConfigurationError, DaemonError, StoreError
from erpsyncd.store.database import Database

T = TypeVar("T")
Write: TypeAlias = Callable[[Connection], T]

#: So long may a transaction wait for its next statement; after that a PostgreSQL server ends it. It has locked its
#: tenants' rows, and a process that stands still, or a machine that is gone, would keep them longer than any lease.
IDLE_SECONDS = 30.0

#: So many share a transaction at most: enough that fsync costs nothing, few enough that nobody waits long.
MAX_BATCH = 256


@dataclass(slots=True, kw_only=True)
class _Waiting:
    write: Write[Any]
    order: int
    future: Future[Any] = field(default_factory=Future)
    result: Any = None
    error: Exception | None = None

    def settle(self) -> None:
        """Let the caller go on."""
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class GroupCommitWriter:
    """Writes for many, one transaction at a time."""

    def __init__(self, database: Database) -> None:
        #: Told how many seconds each transaction took, in the writer's thread.
        self.on_commit: CommitWatcher = lambda _seconds: None
        self._database = database
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    async def write(self, write: Write[T], *, order: int = 0) -> T:
        """Run a write and return its result once that is on disk.

        Writes of one transaction run by `order` (a tenant's id), then as they came. Two processes that lock
        the rows of several tenants therefore lock them in one order, and cannot wait for each other.

        A caller that is cancelled while it waits does not undo what is being written.

        Raises:
            DaemonError: what the write raised, or that nothing could be committed.
        """
        result: T = await asyncio.wrap_future(self._submit(write, order))
        return result

    def close(self) -> None:
        """Write what waits, then end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _submit(self, write: Write[Any], order: int) -> Future[Any]:
        waiting = _Waiting(write=write, order=order)
        with self._changed:
            if self._closed:
                raise StoreError("the store is closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="erpsyncd-writer", daemon=True)
                self._thread.start()
            self._waiting.append(waiting)
            self._changed.notify()
        return waiting.future

    def _run(self) -> None:
        while batch := self._next_batch():
            self._commit(batch)

    def _next_batch(self) -> list[_Waiting]:
        """Wait for writes; return an empty list when there will be none any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_BATCH))]

    def _commit(self, batch: list[_Waiting]) -> None:
        """Settle a batch. Whoever was cancelled before his turn is left out."""
        turn = [waiting for waiting in batch if waiting.future.set_running_or_notify_cancel()]
        if not turn:
            return
        committing, started = False, time.perf_counter()
        try:
            with self._database.write() as connection:
                _limit_idling(connection)
                for waiting in sorted(turn, key=lambda waiting: waiting.order):
                    self._attempt(connection, waiting)
                committing = True
        except Exception as exc:  # noqa: BLE001 -- whatever it is belongs to the callers, and the thread must live
            for waiting in turn:
                waiting.error = _not_committed(exc, committing=committing)
        self.on_commit(time.perf_counter() - started)
        for waiting in turn:
            waiting.settle()

    def _attempt(self, connection: Connection, waiting: _Waiting) -> None:
        """Run one write in its own savepoint. Only what breaks the whole transaction is raised."""
        savepoint = connection.begin_nested()
        try:
            with self._database.errors_translated():
                waiting.result = waiting.write(connection)
                savepoint.commit()
        except Exception as exc:
            if connection.invalidated:
                raise
            savepoint.rollback()
            waiting.error = exc


def _limit_idling(connection: Connection) -> None:
    if connection.dialect.name != "sqlite":
        milliseconds = round(IDLE_SECONDS * 1000)
        connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = {milliseconds}")


def _not_committed(cause: Exception, *, committing: bool) -> Exception:
    """Return an exception of its own for each caller: they raise it at the same time."""
    if not isinstance(cause, DaemonError):
        return cause
    # A commit whose answer is lost, or that fails while it waits for the disk, may be found there later.
    effect = "it is not known whether this was written" if committing else "nothing was written"
    kind = ConfigurationError if isinstance(cause, ConfigurationError) else StoreError
    error = kind(f"{effect}: {cause}")
    error.__cause__ = cause
    return error

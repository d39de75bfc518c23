"""Group commit: what many coroutines want to write at one moment shares one transaction and one fsync.

One thread takes whatever waits, runs it, commits once and only then lets the callers go on. Writes of one kind share
their statements too. Where one of a batch fails, the whole runs again inside savepoints, and where a kind fails, each
of it by itself. So a write that fails (a lost lease, say) is rolled back alone; a commit that fails fails everybody in
it. Whether such a commit can be found on disk later is not known: nobody may go on as if it could, nor as if it could
not.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from sqlalchemy import Connection

from erpsyncd.errors import ConfigurationError, DaemonError, StoreError
from erpsyncd.store import leases
from erpsyncd.store.callers import Caller, let_go_on

if TYPE_CHECKING:
    from erpsyncd.domain.watching import CommitWatcher
    from erpsyncd.store.database import Database

T = TypeVar("T")
Item = TypeVar("Item")
Write: TypeAlias = Callable[[Connection], T]

Together: TypeAlias = Callable[[Connection, Sequence[Item]], Sequence[T]]
"""Writes several of one kind, whole or not at all, and returns a result for each. What it raises for one item
that it is given alone is that item's error."""

#: So long may a transaction wait for its next statement; after that a PostgreSQL server ends it. It has locked its
#: tenants' rows, and a process that stands still, or a machine that is gone, would keep them longer than any lease.
IDLE_SECONDS = 30.0

#: So many share a transaction at most: enough that fsync costs nothing, few enough that nobody waits long, and that
#: all fit into the parameters of one statement.
MAX_BATCH = 256


@dataclass(slots=True, kw_only=True, eq=False)
class _Waiting(Caller):
    together: Together[Any, Any]
    item: Any
    order: int
    claims: bool


class GroupCommitWriter:
    """Writes for many, one transaction at a time."""

    def __init__(self, database: Database) -> None:
        #: Told how many seconds each transaction took, in the writer's thread.
        self.on_commit: CommitWatcher = lambda _seconds: None
        self._database = database
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._waking = False
        self._ready = False
        self._closed = False
        #: Whether the transaction of the moment has come to its commit.
        self._committing = False
        self._thread: threading.Thread | None = None

    async def write(self, write: Write[T], *, order: int = 0) -> T:
        """Run a write and return its result once that is on disk.

        Writes of one transaction run by `order` (a tenant's id), then as they came. Two processes that lock
        the rows of several tenants therefore lock them in one order, and cannot wait for each other.

        A caller that is cancelled while it waits does not undo what is being written.

        Raises:
            DaemonError: what the write raised, or that nothing could be committed.
        """
        result: T = await self._submit(_alone, write, order, claims=False)
        return result

    async def write_together(self, together: Together[Item, T], item: Item, *, order: int, claims: bool = False) -> T:
        """Write an item together with whatever else of its kind waits, and return its result once that is on disk.

        Otherwise as `write`. What waits at one moment has no order by kind. `claims` says that it changes its tenant
        only where nobody has a lease on it.

        Raises:
            DaemonError: as `write`.
        """
        result: T = await self._submit(together, item, order, claims=claims)
        return result

    def close(self) -> None:
        """Write what waits, then end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _submit(self, together: Together[Any, Any], item: Any, order: int, *, claims: bool) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        waiting = _Waiting(together=together, item=item, order=order, claims=claims, future=future)
        with self._changed:
            if self._closed:
                raise StoreError("the store is closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="erpsyncd-writer", daemon=True)
                self._thread.start()
            self._waiting.append(waiting)
            if not self._waking:
                # Not at once: whoever else has his turn now, as all have who were let go on together, joins in.
                self._waking = True
                loop.call_soon(self._wake)
        return future

    def _wake(self) -> None:
        with self._changed:
            self._waking = False
            self._ready = bool(self._waiting)
            self._changed.notify()

    def _run(self) -> None:
        while batch := self._next_batch():
            self._commit(batch)

    def _next_batch(self) -> list[_Waiting]:
        """Wait for writes; return an empty list when there will be none any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._closed)
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_BATCH))]
            self._ready = bool(self._waiting)
            return batch

    def _commit(self, batch: list[_Waiting]) -> None:
        """Settle a batch. Whoever was cancelled before his turn is left out."""
        turn = sorted((one for one in batch if not one.future.cancelled()), key=lambda one: one.order)
        if not turn:
            return
        started, self._committing = time.perf_counter(), False
        try:
            try:
                self._write(turn, self._at_once)
            except _Spoilt:
                self._write(turn, self._attempt)
        except Exception as exc:  # noqa: BLE001 -- whatever it is belongs to the callers, and the thread must live
            for waiting in turn:
                waiting.error = _not_committed(exc, committing=self._committing)
        self.on_commit(time.perf_counter() - started)
        let_go_on(turn)

    def _write(self, turn: list[_Waiting], run: Callable[[Connection, list[_Waiting]], None]) -> None:
        """Write a batch in one transaction, group by group, with all of its tenants locked.

        Where one of them cannot be had, each write runs by itself: they lock in the same order, and that one fails
        alone.
        """
        with self._database.write() as connection:
            limit_idling(connection)
            groups = list(_groups(turn))
            if len(groups) < len(turn) and not self._locked(connection, turn):
                groups, run = [[waiting] for waiting in turn], self._attempt
            for group in groups:
                run(connection, group)
            self._committing = True

    def _locked(self, connection: Connection, turn: list[_Waiting]) -> bool:
        """Lock the tenants of a batch; say whether that could be done."""
        held = {waiting.order for waiting in turn if not waiting.claims}
        claimed = {waiting.order for waiting in turn if waiting.claims} - held
        try:
            with self._database.errors_translated():
                leases.lock(connection, held, claimed=claimed)
        except DaemonError:
            if connection.invalidated:
                raise
            return False
        return True

    def _at_once(self, connection: Connection, group: list[_Waiting]) -> None:
        """Run writes of one kind as nearly all of them end: well, so that nothing has to be kept apart.

        Raises:
            _Spoilt: one of them failed; the transaction is undone, and begun anew with savepoints.
        """
        try:
            results = group[0].together(connection, [waiting.item for waiting in group])
        except Exception as exc:
            if connection.invalidated:
                raise
            raise _Spoilt from exc
        _keep(group, results)

    def _attempt(self, connection: Connection, group: list[_Waiting]) -> None:
        """Run writes of one kind in a savepoint of their own. Only what breaks the whole transaction is raised."""
        savepoint = connection.begin_nested()
        try:
            with self._database.errors_translated():
                results = group[0].together(connection, [waiting.item for waiting in group])
                savepoint.commit()
        except Exception as exc:
            if connection.invalidated:
                raise
            savepoint.rollback()
            if len(group) == 1:
                group[0].error = exc
            else:  # one of them is the reason, and only that one fails
                for waiting in group:
                    self._attempt(connection, [waiting])
            return
        _keep(group, results)


class _Spoilt(Exception):
    """A batch in which something failed."""


def _keep(group: Iterable[_Waiting], results: Iterable[Any]) -> None:
    for waiting, result in zip(group, results, strict=True):
        waiting.result = result


def _alone(connection: Connection, writes: Sequence[Write[T]]) -> list[T]:
    """Run what shares its statements with nobody."""
    return [write(connection) for write in writes]


def _groups(turn: Iterable[_Waiting]) -> Iterator[list[_Waiting]]:
    """Put together what can be written together, each group at the place of its first."""
    by_kind: defaultdict[object, list[_Waiting]] = defaultdict(list)
    for waiting in turn:
        by_kind[waiting if waiting.together is _alone else waiting.together].append(waiting)
    yield from by_kind.values()


def limit_idling(connection: Connection) -> None:
    """Let PostgreSQL end this transaction when nothing more comes for `IDLE_SECONDS`."""
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

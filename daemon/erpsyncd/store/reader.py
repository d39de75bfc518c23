"""Reads of one turn of the event loop share a transaction: to begin and end one costs more than most reads do.

Each sees the store at one moment, which is the neighbours' moment too. Where one of them fails, each is made again in a
transaction of its own, and only that one's caller is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection

from erpsyncd.errors import DaemonError, StoreError
from erpsyncd.store.callers import Caller, let_go_on

if TYPE_CHECKING:
    from erpsyncd.store.database import Database

T = TypeVar("T")

#: So many share a transaction at most: what else waits has a thread of its own.
MOST = 8


@dataclass(slots=True, kw_only=True, eq=False)
class _Waiting(Caller):
    read: Callable[[Connection], Any]


class SharedReader:
    """Reads for many, off the event loop."""

    def __init__(self, database: Database, threads: Executor) -> None:
        self._database = database
        self._threads = threads
        self._turns: dict[asyncio.AbstractEventLoop, list[_Waiting]] = {}

    async def read(self, read: Callable[[Connection], T]) -> T:
        """Run a read in a transaction that only reads, and return its result.

        Raises:
            DaemonError: what the read raised, or that the store does not answer.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(read=read, future=loop.create_future())
        turn = self._turns.setdefault(loop, [])
        turn.append(waiting)
        if len(turn) == 1:
            # Not at once: whoever else has his turn now joins in.
            loop.call_soon(self._start, loop)
        result: T = await waiting.future
        return result

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        turn = self._turns.pop(loop)
        for first in range(0, len(turn), MOST):
            together = turn[first : first + MOST]
            try:
                self._threads.submit(self._run, together)
            except RuntimeError:  # they have ended
                for waiting in together:
                    waiting.error = StoreError("the store is closed")
                let_go_on(together)

    def _run(self, turn: list[_Waiting]) -> None:
        """Read for a turn. Whoever was cancelled before it came is left out."""
        together = [waiting for waiting in turn if not waiting.future.cancelled()]
        if not together:
            return
        try:
            self._read(together)
        except _Spoilt:
            for waiting in together:
                self._run_alone(waiting)
        except Exception as exc:  # noqa: BLE001 -- whatever it is belongs to the callers, and is raised there
            for waiting in together:
                waiting.error = _own(exc)
        let_go_on(together)

    def _read(self, together: Sequence[_Waiting]) -> None:
        """Read all at one moment.

        Raises:
            _Spoilt: one of several failed, and the others need not.
        """
        with self._database.read() as connection:
            for waiting in together:
                try:
                    waiting.result = waiting.read(connection)
                except Exception as exc:
                    if connection.invalidated or len(together) == 1:
                        raise
                    raise _Spoilt from exc

    def _run_alone(self, waiting: _Waiting) -> None:
        try:
            self._read((waiting,))
        except Exception as exc:  # noqa: BLE001 -- as above
            waiting.error = exc


class _Spoilt(Exception):
    """Reads of which one failed."""


def _own(cause: Exception) -> Exception:
    """Return an exception for one of several callers: they raise it at the same time."""
    if not isinstance(cause, DaemonError):
        return cause
    # Not by `copy`, which calls a constructor that may want more than the message.
    error = type(cause).__new__(type(cause), *cause.args)
    error.__dict__.update(cause.__dict__)
    error.__cause__ = cause
    return error

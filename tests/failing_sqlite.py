"""SQLite connections that fail at a chosen statement, in the way that SQLite does when its disk does."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from erpsyncd.store import sqlite_file
from erpsyncd.store.sqlite_file import FileConnection

_WRITES = ("BEGIN IMMEDIATE", "INSERT", "UPDATE", "DELETE", "COMMIT")


@dataclass(kw_only=True)
class Trap:
    """Counts statements, and fails at one of them."""

    error: str
    """SQLite's name of it, such as `SQLITE_FULL`."""

    at: tuple[str, ...] = _WRITES
    """How the statements begin that count."""

    written: bool = False
    """A COMMIT that fails is on the disk all the same; else it is undone."""

    nth: int = 0
    """Which of them fails; 0 for none."""

    arrivals: int = 0

    @property
    def sprung(self) -> bool:
        return 0 < self.nth <= self.arrivals

    def springs_at(self, statement: str) -> bool:
        """Count a statement, and say whether it is the one."""
        counts = self.nth > 0 and statement.lstrip().startswith(self.at)
        self.arrivals += counts
        return counts and self.arrivals == self.nth

    def make_error(self) -> sqlite3.Error:
        error = sqlite3.OperationalError(f"{self.error} at statement {self.nth}")
        error.sqlite_errorname = self.error
        error.sqlite_errorcode = getattr(sqlite3, self.error)
        return error


@contextmanager
def connections_failing(trap: Trap) -> Iterator[Trap]:
    """Let every connection that is made meanwhile step into this trap."""

    class FailingCursor(sqlite3.Cursor):
        connection: FailingConnection

        def execute(self, sql: str, *parameters: Any) -> Any:
            self.connection.step(sql)
            return super().execute(sql, *parameters)

        def executemany(self, sql: str, *parameters: Any) -> Any:
            self.connection.step(sql)
            return super().executemany(sql, *parameters)

    class FailingConnection(FileConnection):
        def cursor(self, factory: Any = FailingCursor) -> Any:
            return super().cursor(factory)

        def commit(self) -> None:
            if self.in_transaction:
                self.step("COMMIT")
            super().commit()

        def step(self, statement: str) -> None:
            if not trap.springs_at(statement):
                return
            if trap.written and statement == "COMMIT":
                super().commit()
            elif trap.error != "SQLITE_BUSY":
                super().rollback()  # as SQLite does when its disk fails
            raise trap.make_error()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite_file, "FileConnection", FailingConnection)
        yield trap

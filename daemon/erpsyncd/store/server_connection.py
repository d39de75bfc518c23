"""A connection to PostgreSQL that does not wait for ever.

Three things can take too long, and each has a limit of its own. The server ends a statement that waits for somebody
else's lock, and one that runs too long; it says so, and the transaction is undone. A server that says nothing at all,
because it is frozen or the way to it swallows everything, is given up by this side: no option of the driver does
that, because the kernel at the other end still confirms what it receives.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg

T = TypeVar("T")

#: How long a statement may wait for a lock. As long as on SQLite.
LOCK_SECONDS = 30.0

#: How long a statement may run. A pass's take milliseconds; a list of everything, or forgetting a large tenant, takes
#: seconds.
STATEMENT_SECONDS = 60.0

#: How long the server may be silent. Longer than a statement may run, so that a server that lives is the one to speak.
SILENCE_SECONDS = 75.0


class LimitedConnection(psycopg.Connection[Any]):
    """A connection that closes itself when the server has been silent for too long."""

    def wait(self, gen: Generator[Any, Any, T], *arguments: Any, **options: Any) -> T:
        """Wait for an answer, as the driver does for every statement."""
        try:
            return super().wait(_while_heard(gen), *arguments, **options)
        except _Silent as exc:
            # What was asked may still be answered: nobody may take that for the answer to another question.
            self.close()
            raise psycopg.OperationalError(str(exc)) from None


class _Silent(Exception):
    """The server did not say anything for too long."""


def connect(*arguments: Any, **options: Any) -> LimitedConnection:
    """Connect, and tell the server its limits, except those that the URL's own `options` name."""
    connection = LimitedConnection.connect(*arguments, **options)
    try:
        _set_limits(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_limits(connection: LimitedConnection) -> None:
    given = connection.info.get_parameters().get("options", "")
    limits = {"lock_timeout": LOCK_SECONDS, "statement_timeout": STATEMENT_SECONDS}
    statements = [f"SET {name} = {round(seconds * 1000)}" for name, seconds in limits.items() if name not in given]
    if statements:
        connection.autocommit = True
        connection.execute("; ".join(statements))
        connection.autocommit = False


def _while_heard(gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
    """Pass on what the driver waits for, until nothing has come for too long."""
    heard_at = time.monotonic()
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if ready:
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > SILENCE_SECONDS:
                raise _Silent(f"no answer for {SILENCE_SECONDS:g} s")
            wanted = gen.send(ready)
    except StopIteration as end:
        answer: T = end.value
        return answer

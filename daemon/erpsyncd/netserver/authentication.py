"""Sessions: who we are to a tenant, and what happens when it no longer knows us.

A lost session (401, 403, SoSessionException) did no work, so one fresh login and one repeat of that call are
allowed even for a create. However many calls fail at once, there is one login. Credentials that were refused
are not tried again: repeating them can lock the account. What a login is stands in `logins`, `system_user` and
`oauth`; what it gives is kept in a `SessionMemory`, which may hold that of an earlier pass.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol, TypeAlias

from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.sessions import OpenSession, SessionMemory
from erpsyncd.errors import (
    Effect,
    PermanentRemoteError,
    RemoteError,
    TemporaryRemoteError,
    Unauthorized,
)
from erpsyncd.netserver.failures import SessionLost

LogIn: TypeAlias = Callable[[], Awaitable[OpenSession]]
"""One login. Raises `SessionLost` or `Unauthorized` when we are refused, and `RemoteError`."""

#: How long a login that failed for a passing reason is not tried again, with all its attempts, for another call.
FAILURE_SECONDS = 5.0


class Session(Protocol):
    """Where a call's credential comes from."""

    async def credential(self) -> Secret:
        """Return what identifies us, logging in if that has not been done.

        Raises:
            Unauthorized: the tenant refused us, now or before.
            RemoteError: the login failed for another reason; the call itself was never sent.
        """
        ...

    async def renew(self, lost: SessionLost, credential: Secret) -> Secret:
        """Return a credential to repeat the call with, after the given one was not accepted.

        Raises:
            Unauthorized, RemoteForbidden: there is no other one, or it would not help.
            RemoteError: the login failed for another reason.
        """
        ...

    def give_up(self, lost: SessionLost) -> Exception:
        """Return what it means that the call failed with a fresh credential, too, and remember it."""
        ...

    async def aclose(self) -> None:
        """Stop a login that nobody waits for any more."""
        ...


class FixedSession:
    """A credential that was given to us and cannot be renewed: a ticket, a token, Basic."""

    def __init__(self, credential: Secret) -> None:
        self._credential = credential
        self._refused: Unauthorized | None = None

    async def credential(self) -> Secret:
        """Return the credential, unless it was refused before."""
        if self._refused is not None:
            raise self._refused.with_traceback(None)  # it would grow with every call
        return self._credential

    async def renew(self, lost: SessionLost, credential: Secret) -> Secret:
        """Raise what the refusal means."""
        del credential
        raise self.give_up(lost) from lost

    def give_up(self, lost: SessionLost) -> Exception:
        """Return the refusal; a 403 is about one operation, everything else about all of them."""
        verdict = lost.verdict()
        if isinstance(verdict, Unauthorized):
            self._refused = verdict
        return verdict

    async def aclose(self) -> None:
        """Do nothing; there is no login."""


class LoginSession:
    """A credential that is fetched with the first call that needs one, and serves until it is over or refused."""

    def __init__(
        self,
        log_in: LogIn,
        memory: SessionMemory,
        *,
        now: Callable[[], datetime],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log_in = log_in
        self._memory = memory
        self._now = now
        self._clock = clock
        self._running: asyncio.Task[Secret] | None = None
        self._refused: Unauthorized | PermanentRemoteError | None = None
        self._failed: TemporaryRemoteError | None = None
        self._failed_until = 0.0
        self._forbidden: set[str] = set()

    async def credential(self) -> Secret:
        """Return the credential, fetching it if there is none that lasts."""
        if self._refused is not None:
            raise self._refused.with_traceback(None)
        now, session = self._now(), self._memory.session
        if session is not None and session.lasts(now):
            self._memory.session = session.used(now)
            return session.credential
        if self._failed is not None and self._clock() < self._failed_until:
            raise self._failed.with_traceback(None)
        return await self._log_in_once()

    async def renew(self, lost: SessionLost, credential: Secret) -> Secret:
        """Return a newer credential than the given one. Operations known as forbidden are not worth a login."""
        if lost.forbidden and lost.operation in self._forbidden:
            raise lost.verdict() from lost
        session = self._memory.session
        if session is not None and session.credential is credential:
            self._memory.session = None  # nobody else needs to find out by a call of his own
        return await self.credential()

    def give_up(self, lost: SessionLost) -> Exception:
        """Return the refusal and remember it: of one operation (403), or of our credentials."""
        verdict = lost.verdict()
        if isinstance(verdict, Unauthorized):
            self._refused, self._memory.session = verdict, None
        else:
            self._forbidden.add(lost.operation)
        return verdict

    async def aclose(self) -> None:
        """Stop a login that is still going on."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    async def _log_in_once(self) -> Secret:
        """Join the login that is going on, or start one. It outlives whoever started it, for the others' sake."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._fresh_credential())
            self._running.add_done_callback(_mark_retrieved)
        return await asyncio.shield(self._running)

    async def _fresh_credential(self) -> Secret:
        try:
            session = await self._log_in()
        except SessionLost as lost:
            verdict = lost.verdict()
            self._refused = verdict
            raise verdict from lost
        except Unauthorized as refusal:
            self._refused = refusal
            raise
        except RemoteError as error:
            error.effect = Effect.NEVER_SENT  # of the call that needed the login
            if isinstance(error, PermanentRemoteError):
                self._refused = error
            elif isinstance(error, TemporaryRemoteError):
                self._failed, self._failed_until = error, self._clock() + FAILURE_SECONDS
            raise
        self._memory.session = session
        return session.credential


def _mark_retrieved(login: asyncio.Task[Secret]) -> None:
    """Look at the outcome, so that asyncio does not report a failure whose waiters are all gone."""
    if not login.cancelled():
        login.exception()  # noqa: LOG004 -- a task's outcome, not a logger

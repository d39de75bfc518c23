"""The login with a user name and a password, which is a SOAP call of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.sessions import TICKET_LIFETIME, OpenSession
from erpsyncd.errors import MalformedResponse, Unauthorized
from erpsyncd.netserver.calls import Exchange
from erpsyncd.netserver.operations import Login


class PasswordLogin:
    """Exchanges a user name and a password for a ticket."""

    def __init__(
        self,
        exchange: Exchange[Login],
        perform: Callable[[Exchange[Login], Secret], Awaitable[Login]],
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._exchange = exchange
        self._perform = perform
        self._now = now

    async def __call__(self) -> OpenSession:
        """Log in.

        Raises:
            SessionLost, Unauthorized: the tenant refused us.
            MalformedResponse: it did not, and gave no ticket either.
            RemoteError: the call failed.
        """
        endpoint = self._exchange.endpoint
        login = await self._perform(self._exchange, Secret(""))
        if not login.succeeded:
            raise Unauthorized(f"{endpoint.operation}: {endpoint.where} refused the username or the password")
        if not login.ticket:
            raise MalformedResponse(endpoint.operation, f"{endpoint.where} accepted the login and gave no ticket")
        return ticket_session(Secret(login.ticket), self._now())


def ticket_session(ticket: Secret, now: datetime) -> OpenSession:
    """Return the session that a new ticket opens."""
    return OpenSession(credential=ticket, until=now + TICKET_LIFETIME, slides_by=TICKET_LIFETIME)

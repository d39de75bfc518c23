"""Who may call a tenant: users, tickets and tokens. A ticket lives on with each use."""

from __future__ import annotations

import base64
import hmac
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from erpsyncd.sandbox.options import SandboxTenant
from erpsyncd.sandbox.problems import SessionProblem


@dataclass(slots=True)
class _Session:
    user: str
    valid_until: float
    uses: int = 0


@dataclass(slots=True)
class Logins:
    """How often somebody asked for a ticket or tried a password."""

    granted: int = 0
    refused: int = 0
    wrong_in_a_row: dict[str, int] = field(default_factory=dict)


class Sessions:
    """The tickets of one tenant."""

    def __init__(self, secrets: random.Random, clock: Callable[[], float]) -> None:
        self.logins = Logins()
        self._secrets = secrets
        self._clock = clock
        self._open: dict[str, _Session] = {}
        self._access_tokens: dict[str, float] = {}

    def login(self, options: SandboxTenant, user: str, password: str) -> str | None:
        """Return a new ticket, or None when the password is wrong or the account is locked."""
        if not self.is_password(options, user, password):
            self.logins.refused += 1
            return None
        self.logins.granted += 1
        return self.issue(options, user)

    def is_password(self, options: SandboxTenant, user: str, password: str) -> bool:
        """Tell whether a password opens an account. Too many wrong ones in a row lock it, if so configured."""
        name = user.casefold()
        wrong = self.logins.wrong_in_a_row.get(name, 0)
        if options.lock_after is not None and wrong >= options.lock_after:
            return False
        known = {known.casefold(): secret for known, secret in options.users.items()}.get(name)
        right = known is not None and hmac.compare_digest(known.encode(), password.encode())
        self.logins.wrong_in_a_row[name] = 0 if right else wrong + 1
        return right

    def check_ticket(self, options: SandboxTenant, ticket: str) -> str:
        """Return whose ticket this is and renew it; raise `SessionProblem` for one that does not count."""
        session = self._open.get(ticket)
        if session is None:
            raise SessionProblem
        worn_out = options.ticket_uses is not None and session.uses >= options.ticket_uses
        if worn_out or self._clock() >= session.valid_until:
            del self._open[ticket]
            raise SessionProblem("Authentication failed! The session has expired.")
        session.uses += 1
        session.valid_until = self._clock() + options.ticket_seconds
        return session.user

    def issue(self, options: SandboxTenant, user: str) -> str:
        """Return a ticket without a login, as a system user's token would bring one."""
        ticket = "7T:" + base64.b64encode(self._secrets.randbytes(36)).decode("ascii")
        self._open[ticket] = _Session(user=user, valid_until=self._clock() + options.ticket_seconds)
        return ticket

    def issue_access_token(self, tenant: str, seconds: float) -> str:
        """Return an access token, which lives so long however often it is used."""
        token = f"8A:{tenant}." + base64.b64encode(self._secrets.randbytes(36)).decode("ascii")
        self._access_tokens[token] = self._clock() + seconds
        return token

    def is_access_token(self, options: SandboxTenant, token: str) -> bool:
        """Tell whether an access token counts: one that was issued, or one that the options name."""
        until = self._access_tokens.get(token)
        return token in options.bearer_tokens or (until is not None and self._clock() < until)

    def revoke_all(self) -> int:
        """Make every ticket and access token invalid at once and return how many there were."""
        revoked = len(self._open) + len(self._access_tokens)
        self._open.clear()
        self._access_tokens.clear()
        return revoked

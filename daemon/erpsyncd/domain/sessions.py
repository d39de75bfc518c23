"""An open session: what a login gave us, and until when it can be used again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from erpsyncd.domain.secrets import Secret

#: How long a ticket lives after its last use (domain.md §3.1).
TICKET_LIFETIME = timedelta(hours=6)
#: A ticket's later end is worth a write to the store only from here on: runs every quarter of an hour would write
#: each time. A ticket that nobody used for five hours may be given up one hour too early by this; that is one login.
SLIDE_WORTH_KEEPING = timedelta(hours=1)
#: The vendor's names of the calls that make a session or are a part of it; a tenant is asked for nothing by them.
LOGIN_OPERATIONS = frozenset({"AuthenticateUsernamePassword", "Authenticate", "tokens", "jwks"})


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession:
    """A ticket or an access token that was given to us."""

    credential: Secret
    until: datetime
    """When it is not used any more."""

    slides_by: timedelta | None = None
    """How long it lives after each use; None where its end is fixed."""

    def lasts(self, now: datetime) -> bool:
        """Whether it can be used now."""
        return now < self.until

    def used(self, now: datetime) -> OpenSession:
        """Return it as it is after having been used."""
        return self if self.slides_by is None else replace(self, until=now + self.slides_by)


@dataclass(slots=True)
class SessionMemory:
    """The session of one tenant, between two passes: a client changes it, and whoever gave it may write it down."""

    session: OpenSession | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSession:
    """A session as the store keeps it from pass to pass."""

    session: OpenSession
    auth: str
    """Fingerprint of the credentials it was given for, and of where they are used: it serves no others."""


def is_worth_keeping(before: KeptSession | None, after: KeptSession | None) -> bool:
    """Whether what became of a session has to be written down."""
    if before is None or after is None:
        return before is not after
    if (before.auth, before.session.credential) != (after.auth, after.session.credential):
        return True
    return after.session.until - before.session.until >= SLIDE_WORTH_KEEPING

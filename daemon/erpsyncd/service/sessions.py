"""A tenant's session in one pass: taken from the store if it belongs to these credentials, and kept there again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from erpsyncd.domain.sessions import KeptSession, SessionMemory, is_worth_keeping

if TYPE_CHECKING:
    from erpsyncd.domain.fingerprints import Fingerprinter
    from erpsyncd.domain.intents import Lease
    from erpsyncd.domain.ports import PassStore
    from erpsyncd.domain.tenants import Credentials, Tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class PassSession:
    """The session that a pass begins with and ends with."""

    before: KeptSession | None
    auth: str
    memory: SessionMemory = field(default_factory=SessionMemory)
    """What the client uses and changes."""

    async def keep(self, store: PassStore, lease: Lease) -> None:
        """Write down what became of it, where that matters to the next pass."""
        session = self.memory.session
        after = None if session is None else KeptSession(session=session, auth=self.auth)
        if is_worth_keeping(self.before, after):
            await store.remember_session(lease, after)


def recalled(tenant: Tenant, credentials: Credentials, fingerprinter: Fingerprinter) -> PassSession:
    """Return what a pass begins with; a session that was given for other credentials serves nobody."""
    before, auth = tenant.session, fingerprinter.of_session(tenant.spec, credentials)
    usable = before.session if before is not None and before.auth == auth else None
    return PassSession(before=before, auth=auth, memory=SessionMemory(usable))

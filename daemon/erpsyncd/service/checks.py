"""What a pass asks of a tenant as a whole, once its connections are done: SyncAll where wanted, HasConnections."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from erpsyncd.domain.explanations import combined, in_language
from erpsyncd.domain.results import HAS_CONNECTIONS, STARTUP_ERRORS, SYNC_ALL, Check, PluginResponse, Status
from erpsyncd.errors import (
    NOT_HERE_FAULT,
    ConnectionFailed,
    Effect,
    NotTried,
    RemoteError,
    RemoteFault,
    RemoteNotFound,
    TenantNotRunning,
    Unauthorized,
)

if TYPE_CHECKING:
    from erpsyncd.domain.ports import PassStore, TenantApi
    from erpsyncd.domain.secrets import Secret
    from erpsyncd.domain.tenants import Tenant
    from erpsyncd.service.recording import Recorder
    from erpsyncd.service.remote import Remote

log = structlog.stdlib.get_logger(__name__)


@dataclass(kw_only=True)
class Checks:
    """Asks one tenant in one pass that may write, and records what it answers."""

    tenant: Tenant
    store: PassStore
    remote: Remote
    recorder: Recorder
    now: Callable[[], datetime]
    hidden: tuple[Secret, ...] = ()
    """What the tenant may quote of its connections' secrets, and we may not keep."""

    async def sync_all_is_due(self, *, touched: bool, whole: bool) -> bool:
        """Say whether something was saved since the last SyncAll: by this pass, or by one that did not get so far.

        What an earlier pass owes is left to a `whole` one: who selects some connections asks for these only.
        """
        if not (touched or whole) or self.remote.is_stopped:
            return False
        return await self.store.sync_all_is_due(self.tenant.id)

    async def sync_all(self) -> None:
        """Let the tenant's sync engine work. A failure makes the run partial; only what cannot have begun is owed."""
        try:
            response = await self.remote.sync_all(self._sync_all_leaves, self.hidden)
        except NotTried:
            return
        except (ConnectionFailed, Unauthorized) as exc:
            if _is_not_here(exc):
                await self._record_absence(SYNC_ALL, exc)
                return
            if not isinstance(exc, RemoteError) or exc.effect is not Effect.UNCERTAIN:
                await self._owe_sync_all(due=True)
            if not isinstance(exc, TenantNotRunning):
                self.recorder.report_tenant("sync_all.failed", Status.FAILED, exc)
            return
        await self.recorder.check(self._check(SYNC_ALL, response))

    async def has_connections(self) -> bool:
        """Ask HasConnections, and after a "no" what went wrong. Return whether an answer came; "no" is one."""
        try:
            response = await self.remote.has_connections(self.hidden)
            await self.recorder.check(self._check(HAS_CONNECTIONS, response))
            if not response.is_ok:
                await self._explain()
        except (NotTried, TenantNotRunning):
            return True
        except (ConnectionFailed, Unauthorized) as exc:
            self.recorder.report_tenant("check.failed", Status.FAILED, exc)
            return False
        return True

    async def _explain(self) -> None:
        """Ask what the Quote connections failed of. The "no" is on record already: without its reason it still counts.

        Raises:
            Unauthorized: the credentials are refused from now on.
        """
        try:
            response = combined(await self.remote.connection_startup_errors(self.hidden))
        except (NotTried, TenantNotRunning):
            return
        except ConnectionFailed as exc:
            if _is_not_here(exc):
                await self._record_absence(STARTUP_ERRORS, exc)
            else:
                log.warning("check.unexplained", tenant=self.tenant.name, error_class=exc.error_class, error=str(exc))
            return
        await self.recorder.check(self._check(STARTUP_ERRORS, response))

    async def _record_absence(self, operation: str, error: Exception) -> None:
        """Keep in the place of an answer that this tenant does not know the question; it is a warning once."""
        response = PluginResponse(is_ok=False, tech_explanation=str(error), error_code=RemoteNotFound.error_class)
        await self.recorder.absence(self._check(operation, response))

    async def _sync_all_leaves(self) -> None:
        """Commit that it is no longer owed: once it may have begun, nobody repeats it."""
        await self._owe_sync_all(due=False)

    async def _owe_sync_all(self, *, due: bool) -> None:
        assert self.recorder.lease is not None, "a dry run sends nothing"
        await self.store.owe_sync_all(self.recorder.lease, due=due)

    def _check(self, operation: str, response: PluginResponse) -> Check:
        return Check(
            tenant=self.tenant.name,
            operation=operation,
            checked_at=self.now(),
            response=response,
            language=self.tenant.spec.language,
        )


async def ask(api: TenantApi, language: str | None) -> tuple[bool, str]:
    """Ask HasConnections outside of a pass. Return its answer, and why it is a "no", as far as the tenant tells.

    Raises:
        RemoteError: it could not be asked. That nothing more could be asked after a "no" is no error.
        Unauthorized: the credentials are refused.
    """
    response = await api.has_connections()
    if response.is_ok:
        return True, ""
    answers = [response]
    with suppress(RemoteError):
        answers.append(combined(await api.connection_startup_errors()))
    reasons = (each.user_explanation or each.tech_explanation or each.error_code for each in answers)
    why = "; ".join(dict.fromkeys(in_language(reason, language) for reason in reasons if reason))
    return False, " ".join(why.split())


def _is_not_here(error: Exception) -> bool:
    """Whether a tenant has no such operation, which no other try will change."""
    if isinstance(error, RemoteFault):
        return error.exception_type == NOT_HERE_FAULT
    return isinstance(error, RemoteNotFound)

"""One look at what a tenant has: each connection that stands there is read and compared. Nothing is written there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import structlog

from erpsyncd.domain.connections import DesiredConnection, ErpConnection, ListedConnection, State, StoredConnection
from erpsyncd.domain.drift_comparison import Comparison, compare, identity_drift
from erpsyncd.domain.results import Outcome, Status, TenantReport
from erpsyncd.errors import (
    ConfigurationError,
    ConnectionFailed,
    DaemonError,
    NotTried,
    PermanentRemoteError,
    TemporaryRemoteError,
    TenantNotRunning,
    Unauthorized,
)
from erpsyncd.service.drift_adopting import DriftAdoption
from erpsyncd.service.recording import Recorder, not_visited
from erpsyncd.service.workers import each

if TYPE_CHECKING:
    from erpsyncd.domain.drift import KnownDrift
    from erpsyncd.domain.fingerprints import Fingerprinter
    from erpsyncd.domain.ports import PassStore
    from erpsyncd.domain.secrets import Template
    from erpsyncd.domain.tenants import Tenant
    from erpsyncd.service.access import Resolved
    from erpsyncd.service.policy import Policy, RunOptions
    from erpsyncd.service.remote import Remote

log = structlog.stdlib.get_logger(__name__)

#: So many connections are held in memory at once.
_BATCH = 200


@dataclass(kw_only=True)
class DriftLook:
    """Looks at one tenant, under its lease: what a pass is just changing is no drift."""

    tenant: Tenant
    store: PassStore
    remote: Remote
    recorder: Recorder
    resolved: Resolved
    policy: Policy
    options: RunOptions
    now: Callable[[], datetime]
    _clean: int = field(default=0, init=False)
    _hidden: int = field(default=0, init=False)

    async def run(self) -> TenantReport:
        """List once, then read what has to be read, and record what was found.

        Raises:
            TenantNotRunning: it stopped before anything was read.
        """
        started_at = self.now()
        try:
            listed = await self._listed()
        except TenantNotRunning:
            raise
        except NotTried:
            return not_visited(self.tenant)
        except (ConnectionFailed, Unauthorized) as exc:
            self.recorder.report_tenant("tenant.failed", Status.FAILED, exc)
            return self._report(exc.error_class)
        async for batch in self._batches():
            await each(batch, partial(self._look_or_say, listed), at_once=self.policy.connections_at_once)
        whole = self.options.selection.is_whole(self.tenant.name)
        if whole and not self.remote.is_stopped and self.recorder.lease is not None:
            await self.store.finish_look(self.recorder.lease, at=started_at)
        if isinstance(self.remote.stopped_by, TenantNotRunning):
            self.recorder.report_skipped_tenant(self.remote.stopped_by)
        log.info("tenant.looked_at", tenant=self.tenant.name, as_pushed=self._clean, hidden_fields=self._hidden)
        return self._report(self._whole_error())

    async def _listed(self) -> Mapping[int, ListedConnection] | None:
        """Return what the tenant lists, by number; None where it lists nothing to us, and each has to be read."""
        try:
            return {item.erp_connection_id: item for item in await self.remote.listed()}
        except PermanentRemoteError:
            return None

    async def _batches(self) -> AsyncIterator[tuple[StoredConnection, ...]]:
        last = 0
        while not self.remote.is_stopped:
            batch = await self.store.compared_connections(self.tenant.id, after=last, limit=_BATCH)
            if not batch:
                return
            last = batch[-1].id
            selected = (row for row in batch if self.options.selection.matches(self.tenant.name, row.key))
            # Of what nobody knows what was pushed, nobody can tell what differs; a pass pushes all of it anyway.
            yield tuple(row for row in selected if row.applied)

    async def _look_or_say(self, listed: Mapping[int, ListedConnection] | None, stored: StoredConnection) -> None:
        try:
            await self._look(stored, listed)
        except (ConnectionFailed, ConfigurationError, Unauthorized) as exc:
            self._failed(stored, exc)

    async def _look(self, stored: StoredConnection, listed: Mapping[int, ListedConnection] | None) -> None:
        desired = partly_desired(stored, self.resolved, self.store.fingerprinter)
        observed, found = await self._compared(desired, listed)
        assert self.recorder.lease is not None, "a look has a lease"
        known = await self.store.record_look(
            self.recorder.lease,
            connection=stored,
            found=found.drifts,
            hidden=frozenset(f"config_fields.{name}" for name in found.hidden),
            pushed=False,
            at=self.now(),
        )
        self._hidden += len(found.hidden)
        self._tell(stored, known)
        if self.options.adopting is not None:
            adoption = DriftAdoption(tenant=self.tenant.name, store=self.store, lease=self.recorder.lease, now=self.now)
            fields = await adoption.adopt(desired, observed, known, self.options.adopting)
            # No change of the tenant: an outcome that says which fields the description has from it now.
            self.recorder.report(
                Outcome(tenant=self.tenant.name, key=stored.key, status=Status.UNCHANGED, fields=fields)
            )

    async def _compared(
        self, desired: DesiredConnection, listed: Mapping[int, ListedConnection] | None
    ) -> tuple[ErpConnection | None, Comparison]:
        number = desired.stored.erp_connection_id
        assert number is not None, "what is compared stands in the tenant"
        item = listed.get(number) if listed is not None else None
        # The list says for nothing that another one stands there; what it lacks is asked for, as it may be deleted.
        if item is not None and (other := identity_drift(desired.stored, item, self.store.fingerprinter)) is not None:
            return None, Comparison(drifts=(other,))
        observed = await self.remote.observe(number, desired.secrets)
        return observed, compare(desired, observed, self.store.fingerprinter)

    def _tell(self, stored: StoredConnection, known: tuple[KnownDrift, ...]) -> None:
        told = [one for one in known if not one.is_ignored(self.now())]
        if told:
            log.warning(
                "connection.drifted",
                tenant=self.tenant.name,
                key=stored.key,
                fields=[one.drift.field for one in told if one.drift.field],  # none where it is gone as a whole
                kinds=[str(one.drift.kind) for one in told],
                stubborn=[one.drift.field for one in told if one.is_stubborn],
            )
            return
        self._clean += 1
        if stored.state is State.DRIFTED:
            log.info("connection.undrifted", tenant=self.tenant.name, key=stored.key)

    def _failed(self, stored: StoredConnection, error: DaemonError) -> None:
        self.recorder.report(
            Outcome(
                tenant=self.tenant.name,
                key=stored.key,
                status=Status.SKIPPED if isinstance(error, NotTried | TenantNotRunning) else Status.FAILED,
                error_class=error.error_class,
                error=str(error),
            )
        )

    def _report(self, error: str | None) -> TenantReport:
        return TenantReport(
            tenant=self.tenant.name, outcomes=tuple(self.recorder.outcomes), unchanged=self._clean, error=error
        )

    def _whole_error(self) -> str | None:
        """Return why nothing of this look succeeded; None when something did, or had not to."""
        if isinstance(self.remote.stopped_by, Unauthorized):
            return Unauthorized.error_class
        last = self.remote.last_error
        return last.error_class if self.remote.answered == 0 and isinstance(last, TemporaryRemoteError) else None


def partly_desired(stored: StoredConnection, resolved: Resolved, fingerprinter: Fingerprinter) -> DesiredConnection:
    """Return a connection as it should be, as far as its secrets are known here: a look can do without one of them."""
    known: dict[str, Template] = {}
    for name, template in stored.template.config_fields.items():
        try:
            template.resolve(resolved.values)
        except KeyError:
            continue
        known[name] = template
    spec = replace(stored.template, config_fields=known).resolve(resolved.values)
    return DesiredConnection(stored=stored, spec=spec, fingerprints=fingerprinter.of_spec(spec))

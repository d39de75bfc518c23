"""One run: a pass over each tenant, some at once, and one report."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from random import Random
from typing import TYPE_CHECKING

import structlog

from erpsyncd.domain.results import RunReport, TenantReport
from erpsyncd.errors import (
    ConfigurationError,
    Crashed,
    DaemonError,
    ProxyUnauthorized,
    StoreError,
    StoreOutdated,
    TenantLeased,
    TenantNotRunning,
    TenantParked,
    Unauthorized,
)
from erpsyncd.service.access import Resolved, refused_before, resolve_credentials, resolve_proxy
from erpsyncd.service.clocks import boot_seconds
from erpsyncd.service.policy import Policy, RunOptions, concerns
from erpsyncd.service.recording import Recorder, Unwatched, not_visited
from erpsyncd.service.remote import LeaseHolder, Remote
from erpsyncd.service.sessions import recalled
from erpsyncd.service.tenant_pass import TenantPass
from erpsyncd.service.watching import watched
from erpsyncd.service.whereabouts import find_whereabouts, raise_if_parked

if TYPE_CHECKING:
    from erpsyncd.domain.intents import Lease, Uptime
    from erpsyncd.domain.ports import PassStore, Progress, TenantApi, TenantApis
    from erpsyncd.domain.tenants import Tenant
    from erpsyncd.domain.watching import RunWatcher
    from erpsyncd.service.drift_look import DriftLook
    from erpsyncd.service.secrets import SecretResolver

log = structlog.stdlib.get_logger(__name__)


@dataclass(kw_only=True)
class Reconciler:
    """Makes runs. It owns nothing: the store, the clients and the clock are given to it."""

    store: PassStore
    apis: TenantApis
    resolver: SecretResolver
    policy: Policy
    owner: str
    """Who holds the leases: host, process id and something random."""

    now: Callable[[], datetime]
    uptime: Callable[[], Uptime | None] = lambda: None
    """Beside the wall clock, which can be set; None where only that one is known."""

    elapsed: Callable[[], float] = boot_seconds
    """Seconds of a clock that goes on while this process is stopped or this machine sleeps; for leases."""

    rng: Random = field(default_factory=Random)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set to let calls in flight end and start nothing new."""

    progress: Progress = field(default_factory=Unwatched)
    """Who watches one run as it goes on."""

    watchers: Sequence[RunWatcher] = ()
    """Who is told of every run."""

    async def run(self, options: RunOptions) -> RunReport:
        """Make one pass over every tenant.

        Raises:
            StoreError: the store failed; what was reported until then is in it.
        """
        return await watched(self._run, options, watchers=self.watchers, now=self.now)

    async def _run(self, options: RunOptions) -> RunReport:
        started_at, started = self.now(), time.monotonic()
        run_id = await self.store.start_run(trigger=options.trigger, dry_run=options.dry_run, started_at=started_at)
        with structlog.contextvars.bound_contextvars(run_id=run_id):
            log.info("run.started", trigger=options.trigger, dry_run=options.dry_run)
            report = RunReport(
                run_id=run_id, started_at=started_at, dry_run=options.dry_run, scheduled=options.scheduled
            )
            try:
                report = replace(report, tenants=await self._all_tenants(run_id, options))
            except StoreError as exc:
                # Perhaps the store takes at least this; where not, the run stays visible as one without an end.
                with contextlib.suppress(StoreError):
                    await self.store.finish_run(
                        replace(report, problems=(str(exc),)), finished_at=self._end(started_at)
                    )
                raise
            await self.store.finish_run(report, finished_at=self._end(started_at))
            log.info(
                "run.finished",
                trigger=options.trigger,
                status=report.status,
                tenants=len(report.tenants),
                **{status: count for status, count in report.counts.items() if count},
                changed_records=sum(tenant.changed_records for tenant in report.tenants),
                duration_ms=round((time.monotonic() - started) * 1000),
            )
        return report

    def _end(self, started_at: datetime) -> datetime:
        """Return the present; a clock that was set back must not let a run end before it began."""
        return max(self.now(), started_at)

    async def _all_tenants(self, run_id: int, options: RunOptions) -> tuple[TenantReport, ...]:
        tenants = [
            tenant for tenant in await self.store.tenants() if concerns(tenant, options, self.policy, self.now())
        ]
        reports: dict[str, TenantReport] = {}
        pending = iter(tenants)
        store_errors: list[StoreError] = []
        self.progress.run_started(len(tenants))

        async def worker() -> None:
            for tenant in pending:
                if self.stopping.is_set() or store_errors:
                    return
                self.progress.tenant_started(tenant.name)
                try:
                    reports[tenant.name] = await self._isolated_pass(tenant, run_id, options)
                except StoreError as exc:
                    store_errors.append(exc)
                self.progress.tenant_finished(tenant.name)

        await asyncio.gather(*(worker() for _ in range(min(self.policy.tenants_at_once, len(tenants)))))
        if store_errors:
            raise store_errors[0]
        for tenant in tenants:
            if tenant.name not in reports:
                reports[tenant.name] = not_visited(tenant)
        return tuple(reports[tenant.name] for tenant in tenants)

    async def _isolated_pass(self, tenant: Tenant, run_id: int, options: RunOptions) -> TenantReport:
        """Make one tenant's pass; whatever goes wrong in it is this tenant's report, not the run's end."""
        started = time.monotonic()
        recorder = Recorder(
            tenant=tenant.name,
            store=self.store,
            lease=None,
            run_id=run_id,
            now=self.now,
            uptime=self.uptime,
            progress=self.progress,
        )
        with structlog.contextvars.bound_contextvars(tenant=tenant.name):
            try:
                report = await self._pass(tenant, recorder, options)
            except StoreError:
                raise
            except (TenantLeased, TenantParked, TenantNotRunning) as exc:
                recorder.report_skipped_tenant(exc)
                report = TenantReport(tenant=tenant.name, outcomes=tuple(recorder.outcomes), error=exc.error_class)
            except DaemonError as exc:
                report = recorder.cut_short(exc)
            except Exception:
                log.exception("tenant.crashed")
                report = recorder.cut_short(Crashed("a defect in erpsyncd ended this pass; see its log"))
            counts = RunReport(run_id=run_id, started_at=self.now(), tenants=(report,)).counts
            log.info(
                "tenant.finished",
                error_class=report.error,
                **{status: count for status, count in counts.items() if count},
                checks=len(report.checks),
                changed_records=report.changed_records,
                duration_ms=round((time.monotonic() - started) * 1000),
            )
        return report

    async def _pass(self, tenant: Tenant, recorder: Recorder, options: RunOptions) -> TenantReport:
        if tenant.paused:
            return TenantReport(tenant=tenant.name, visited=False)
        if options.scheduled and tenant.parked_until is not None and self._is_ahead(tenant.parked_until):
            until = f"{tenant.parked_until:%Y-%m-%dT%H:%M:%SZ}"
            raise TenantParked(f"parked until {until} after {tenant.transient_failures} failures in a row")
        if options.scheduled:
            raise_if_parked(tenant, self.now())
        if options.dry_run:
            return await self._open_pass(tenant, recorder, None, options)
        asked_at = self.elapsed()
        recorder.lease = await self._claim(tenant)
        holder = LeaseHolder(
            store=self.store,
            lease=recorder.lease,
            policy=self.policy,
            now=self.now,
            clock=self.elapsed,
            taken_at=asked_at,
        )
        try:
            return await self._open_pass(tenant, recorder, holder, options)
        finally:
            await self.store.release(recorder.lease)

    def _is_ahead(self, parked_until: datetime) -> bool:
        """Whether a tenant is still parked; no longer than parking lasts, if a clock was wrong when it was parked."""
        now = self.now()
        return now < parked_until <= now + self.policy.breaker_park

    async def _claim(self, tenant: Tenant) -> Lease:
        try:
            lease = await self.store.claim(
                tenant.id, owner=self.owner, now=self.now(), seconds=self.policy.lease.total_seconds()
            )
        except ConfigurationError as exc:
            # Another process upgraded the store: nothing more may be written to it by this version.
            raise StoreOutdated(str(exc)) from exc
        if lease is None:
            raise TenantLeased("another erpsyncd process is working on this tenant")
        return lease

    async def _open_pass(
        self, tenant: Tenant, recorder: Recorder, holder: LeaseHolder | None, options: RunOptions
    ) -> TenantReport:
        resolved = await self._secrets(tenant, recorder.lease)
        credentials = resolve_credentials(tenant.spec, resolved)
        fingerprint = self.store.fingerprinter.of_credentials(credentials)
        if tenant.refused_auth == fingerprint:
            raise refused_before(tenant.spec)
        proxy = resolve_proxy(tenant.spec, resolved)
        whereabouts = await find_whereabouts(
            tenant, self.apis, proxy, store=self.store, lease=recorder.lease, now=self.now
        )
        session = recalled(tenant, credentials, self.store.fingerprinter)
        async with self.apis.open(
            tenant.spec,
            credentials,
            proxy=proxy,
            read_only=options.reads_only,
            whereabouts=whereabouts,
            memory=session.memory,
        ) as api:
            remote = self._remote(tenant, api, holder, options)
            one = self._work(tenant, remote, recorder, resolved, options)
            try:
                return await one.run()
            finally:
                # Also after a pass that broke off: refused credentials must not be tried by the next one.
                if recorder.lease is not None:
                    await self._remember(tenant, recorder.lease, remote, fingerprint, options)
                    await session.keep(self.store, recorder.lease)

    def _work(
        self, tenant: Tenant, remote: Remote, recorder: Recorder, resolved: Resolved, options: RunOptions
    ) -> TenantPass | DriftLook:
        if options.only_drift:
            from erpsyncd.service.drift_look import DriftLook  # noqa: PLC0415 -- few passes are looks

            return DriftLook(
                tenant=tenant,
                store=self.store,
                remote=remote,
                recorder=recorder,
                resolved=resolved,
                policy=self.policy,
                options=options,
                now=self.now,
            )
        return TenantPass(
            tenant=tenant,
            store=self.store,
            remote=remote,
            recorder=recorder,
            resolved=resolved,
            policy=self.policy,
            options=options,
            now=self.now,
            rng=self.rng,
        )

    def _remote(self, tenant: Tenant, api: TenantApi, holder: LeaseHolder | None, options: RunOptions) -> Remote:
        return Remote(
            api=api,
            store=self.store,
            tenant_id=tenant.id,
            holder=holder,
            breaker_failures=self.policy.breaker_failures,
            # After parking, one more failure parks again; a run by hand gives it all its tries.
            transient_failures=tenant.transient_failures if options.scheduled else 0,
            stopping=self.stopping,
        )

    async def _secrets(self, tenant: Tenant, lease: Lease | None) -> Resolved:
        """Resolve each distinct reference once; make due what uses a changed one."""
        known = await self.store.references(tenant.id)
        wanted = frozenset(known).union(*(value.references for value in tenant.spec.templates.values()))
        values, reasons = await asyncio.to_thread(self.resolver.resolve, wanted) if wanted else ({}, {})
        fingerprints = {
            reference: self.store.fingerprinter.of_text("reference", values[reference].reveal())
            for reference in known
            if reference in values
        }
        missing = frozenset(reference for reference in known if reference in reasons)
        changed = missing | {reference for reference, taken in fingerprints.items() if taken != known[reference]}
        if lease is not None and changed:
            became_due = await self.store.record_references(lease, resolved=fingerprints, missing=missing)
            if became_due:
                log.info("secret.changed", references=sorted(map(str, changed)), connections=became_due)
        return Resolved(values=values, reasons=reasons, changed=frozenset(changed))

    async def _remember(
        self, tenant: Tenant, lease: Lease, remote: Remote, fingerprint: str, options: RunOptions
    ) -> None:
        """Keep what the pass learned about the tenant as a whole, if it made any call."""
        if not remote.answered and remote.last_error is None:
            return
        refused = fingerprint if isinstance(remote.stopped_by, Unauthorized) else None
        failures = remote.transient_failures
        if failures and not remote.answered and not options.scheduled:
            failures += tenant.transient_failures
        # A proxy may lock out who tries a wrong password again and again.
        parks = failures >= self.policy.breaker_failures or isinstance(remote.stopped_by, ProxyUnauthorized)
        parked = self.now() + self.policy.breaker_park if parks else None
        if (refused, parked, failures) != (tenant.refused_auth, tenant.parked_until, tenant.transient_failures):
            await self.store.remember_tenant(
                lease, refused_auth=refused, parked_until=parked, transient_failures=failures
            )
        if parked is not None:
            log.warning("tenant.parked", until=parked.isoformat(), failures=failures)

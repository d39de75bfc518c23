"""One run: a pass over each tenant, some at once, and one report."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from random import Random

import structlog

from erpsyncd.domain.intents import Lease
from erpsyncd.domain.ports import PassStore, TenantApi, TenantApis
from erpsyncd.domain.results import Outcome, RunReport, Status, TenantReport
from erpsyncd.domain.secrets import Reference
from erpsyncd.domain.tenants import Auth, Credentials, Tenant
from erpsyncd.errors import DaemonError, LeaseLost, SecretMissing, StoreError, Unauthorized
from erpsyncd.service.policy import Policy, RunOptions
from erpsyncd.service.recording import Recorder
from erpsyncd.service.remote import LeaseHolder, Remote
from erpsyncd.service.secrets import SecretResolver
from erpsyncd.service.tenant_pass import Resolved, TenantPass

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
    rng: Random = field(default_factory=Random)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set to let calls in flight end and start nothing new."""

    async def run(self, options: RunOptions) -> RunReport:
        """Make one pass over every tenant.

        Raises:
            StoreError: the store failed; what was reported until then is in it.
        """
        started_at, started = self.now(), time.monotonic()
        run_id = await self.store.start_run(trigger=options.trigger, dry_run=options.dry_run, started_at=started_at)
        with structlog.contextvars.bound_contextvars(run_id=run_id):
            log.info("run.started", trigger=options.trigger, dry_run=options.dry_run)
            reports = await self._all_tenants(run_id, options)
            report = RunReport(run_id=run_id, started_at=started_at, dry_run=options.dry_run, tenants=reports)
            await self.store.finish_run(report, finished_at=self.now())
            log.info(
                "run.finished",
                trigger=options.trigger,
                status=report.status,
                tenants=len(reports),
                **{status: count for status, count in report.counts.items() if count},
                changed_records=sum(tenant.changed_records for tenant in reports),
                duration_ms=round((time.monotonic() - started) * 1000),
            )
        return report

    async def _all_tenants(self, run_id: int, options: RunOptions) -> tuple[TenantReport, ...]:
        tenants = [tenant for tenant in await self.store.tenants() if self._concerns(tenant, options)]
        reports: dict[str, TenantReport] = {}
        pending = iter(tenants)
        store_errors: list[StoreError] = []

        async def worker() -> None:
            for tenant in pending:
                if self.stopping.is_set() or store_errors:
                    return
                try:
                    reports[tenant.name] = await self._isolated_pass(tenant, run_id, options)
                except StoreError as exc:
                    store_errors.append(exc)

        await asyncio.gather(*(worker() for _ in range(min(self.policy.tenants_at_once, len(tenants)))))
        if store_errors:
            raise store_errors[0]
        return tuple(reports[tenant.name] for tenant in tenants if tenant.name in reports)

    def _concerns(self, tenant: Tenant, options: RunOptions) -> bool:
        if not options.only_checks:
            return True
        last = tenant.last_checked_at
        return last is None or not (self.now() - self.policy.check_interval < last <= self.now())

    async def _isolated_pass(self, tenant: Tenant, run_id: int, options: RunOptions) -> TenantReport:
        """Make one tenant's pass; whatever goes wrong in it is this tenant's report, not the run's end."""
        started = time.monotonic()
        with structlog.contextvars.bound_contextvars(tenant=tenant.name):
            try:
                report = await self._pass(tenant, run_id, options)
            except StoreError:
                raise
            except DaemonError as exc:
                report = self._left_out(tenant, exc.error_class, str(exc))
            except Exception:
                log.exception("tenant.crashed")
                report = self._left_out(tenant, "internal", "a defect in erpsyncd ended this pass; see its log")
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

    async def _pass(self, tenant: Tenant, run_id: int, options: RunOptions) -> TenantReport:
        if tenant.paused:
            return await self._paused(tenant)
        if options.scheduled and tenant.parked_until is not None and self.now() < tenant.parked_until:
            until = f"{tenant.parked_until:%Y-%m-%dT%H:%M:%SZ}"
            return self._left_out(tenant, "parked", f"parked until {until} after {tenant.transient_failures} failures")
        if options.dry_run:
            return await self._leased_pass(tenant, run_id, options, None)
        asked_at = time.monotonic()
        lease = await self.store.claim(
            tenant.id, owner=self.owner, now=self.now(), seconds=self.policy.lease.total_seconds()
        )
        if lease is None:
            return self._left_out(tenant, "leased", "another erpsyncd process is working on this tenant")
        holder = LeaseHolder(store=self.store, lease=lease, policy=self.policy, now=self.now, taken_at=asked_at)
        try:
            return await self._leased_pass(tenant, run_id, options, holder)
        finally:
            await self._release(lease)

    async def _leased_pass(
        self, tenant: Tenant, run_id: int, options: RunOptions, holder: LeaseHolder | None
    ) -> TenantReport:
        resolved = await self._secrets(tenant, holder.lease if holder else None)
        credentials = self._credentials(tenant.spec.auth, resolved)
        fingerprint = self.store.fingerprinter.of_credentials(credentials)
        if tenant.refused_auth == fingerprint:
            raise Unauthorized(
                f"the tenant refused these credentials before; they are not tried again until they change or: "
                f"erpsyncd tenants resume {tenant.name}"
            )
        async with self.apis.open(tenant.spec, credentials, read_only=options.dry_run) as api:
            remote = self._remote(tenant, api, holder)
            one = TenantPass(
                tenant=tenant,
                store=self.store,
                remote=remote,
                recorder=Recorder(
                    store=self.store, lease=holder.lease if holder else None, run_id=run_id, now=self.now
                ),
                resolved=resolved,
                policy=self.policy,
                options=options,
                now=self.now,
                rng=self.rng,
                stopping=self.stopping,
                lease=holder.lease if holder else None,
            )
            report = await one.run()
        if holder is not None:
            await self._remember(tenant, holder.lease, remote, fingerprint)
        return report

    def _remote(self, tenant: Tenant, api: TenantApi, holder: LeaseHolder | None) -> Remote:
        return Remote(
            api=api,
            store=self.store,
            tenant_id=tenant.id,
            holder=holder,
            breaker_failures=self.policy.breaker_failures,
            transient_failures=0,
        )

    async def _secrets(self, tenant: Tenant, lease: Lease | None) -> Resolved:
        """Resolve each distinct reference once; make due what uses a changed one."""
        known = await self.store.references(tenant.id)
        wanted = frozenset(known).union(*(value.references for value in tenant.spec.auth.fields.values()))
        values, reasons = await asyncio.to_thread(self.resolver.resolve, wanted)
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

    def _credentials(self, auth: Auth, resolved: Resolved) -> Credentials:
        try:
            fields = {name: template.resolve(resolved.values) for name, template in auth.fields.items()}
        except KeyError as exc:
            reference: Reference = exc.args[0]
            raise SecretMissing(f"cannot log in: {resolved.reasons.get(reference, reference)}") from None
        return Credentials(kind=auth.kind, **fields)

    async def _remember(self, tenant: Tenant, lease: Lease, remote: Remote, fingerprint: str) -> None:
        """Keep what the pass learned about the tenant as a whole, if it differs from what is known."""
        refused = fingerprint if isinstance(remote.stopped_by, Unauthorized) else None
        failures = remote.transient_failures
        if failures and not remote.answered:
            failures += tenant.transient_failures
        parked = self.now() + self.policy.breaker_park if failures >= self.policy.breaker_failures else None
        if (refused, parked, failures) != (tenant.refused_auth, tenant.parked_until, tenant.transient_failures):
            await self.store.remember_tenant(
                lease, refused_auth=refused, parked_until=parked, transient_failures=failures
            )
        if parked is not None:
            log.warning("tenant.parked", until=parked.isoformat(), failures=failures)

    async def _release(self, lease: Lease) -> None:
        try:
            await self.store.release(lease)
        except LeaseLost:
            log.warning("lease.lost", fence=lease.fence)

    async def _paused(self, tenant: Tenant) -> TenantReport:
        return TenantReport(tenant=tenant.name, unchanged=await self.store.in_sync_count(tenant.id))

    def _left_out(self, tenant: Tenant, error_class: str, error: str) -> TenantReport:
        log.warning("tenant.failed", error_class=error_class, error=error)
        outcome = Outcome(tenant=tenant.name, key=None, status=Status.FAILED, error_class=error_class, error=error)
        return TenantReport(tenant=tenant.name, outcomes=(outcome,), error=error_class)

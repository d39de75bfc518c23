"""One pass over one tenant, step by step as in design.md §3.

Most passes find nothing to do. What the steps are made of is imported by the first one that has something.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING, TypeVar

from erpsyncd.domain.connections import MAX_CONFIG_VALUE, ConnectionRowId, DesiredConnection, State, StoredConnection
from erpsyncd.domain.plan import Change, raise_if_unsafe
from erpsyncd.domain.results import APPLIED, ChangeKind, Outcome, Status, TenantReport
from erpsyncd.domain.secrets import not_known, withheld_names
from erpsyncd.errors import (
    ConnectionFailed,
    SecretMissing,
    SecretUnknown,
    SecretUnusable,
    TemporaryRemoteError,
    TenantNotRunning,
    Unauthorized,
    UnsafePlan,
)
from erpsyncd.service.enforcement import Enforcement
from erpsyncd.service.workers import each

if TYPE_CHECKING:
    from erpsyncd.domain.intents import Intent
    from erpsyncd.domain.lists import TenantList
    from erpsyncd.domain.ports import PassStore
    from erpsyncd.domain.tenants import Tenant
    from erpsyncd.service.access import Resolved
    from erpsyncd.service.careful_saves import CarefulSaves
    from erpsyncd.service.checks import Checks
    from erpsyncd.service.names import Names
    from erpsyncd.service.policy import Policy, RunOptions
    from erpsyncd.service.recording import Recorder
    from erpsyncd.service.remote import Remote

T = TypeVar("T")


@dataclass(kw_only=True)
class TenantPass:
    """Everything one pass over one tenant needs; `run` walks through its steps."""

    tenant: Tenant
    store: PassStore
    remote: Remote
    recorder: Recorder
    resolved: Resolved
    policy: Policy
    options: RunOptions
    now: Callable[[], datetime]
    rng: Random
    _enforcement: Enforcement = field(init=False)
    _unsafe: UnsafePlan | None = field(default=None, init=False)
    _check_failed: bool = field(default=False, init=False)
    _due_in_sync: int = field(default=0, init=False)
    _lists: tuple[TenantList, ...] = field(default=(), init=False)
    """The tenant's lists as they were kept."""

    _begun: dict[ConnectionRowId, Intent] = field(default_factory=dict, init=False)
    """Careful saves that an earlier pass has begun."""

    _repeated: frozenset[ConnectionRowId] = field(default=frozenset(), init=False)
    """In a dry run, whose open updates and deletes a pass that may write would count as unknown, and make again."""

    async def run(self) -> TenantReport:
        """Recover, plan, gate, apply, sync, check."""
        if not self.options.only_checks:
            waiting = await self._recover()
            self._lists = await self.store.tenant_lists(self.tenant.id)
            due = await self._due(waiting, await self._names.refresh() if self._lists else frozenset())
            try:
                await self._reconcile(due)
            except UnsafePlan as exc:
                self._unsafe = exc
                self.recorder.report_tenant("plan.refused", Status.SKIPPED, exc)
            await self._sync_all()
        if self._check_is_due():
            self._check_failed = not await self._checks.has_connections()
        if isinstance(self.remote.stopped_by, TenantNotRunning):
            self.recorder.report_skipped_tenant(self.remote.stopped_by)
        return await self._report()

    async def _recover(self) -> frozenset[int]:
        intents = await self.store.open_intents(self.tenant.id)
        if not intents:
            return frozenset()
        rows = frozenset(intent.connection_row_id for intent in intents)
        owners = {row.id: row for row in await self.store.connections_by_row_id(self.tenant.id, rows)}
        if self.options.dry_run:
            # An open update or delete is simply made again; only a create leaves a doubt.
            unsettled = {intent.connection_row_id for intent in intents if intent.kind is ChangeKind.CREATE}
            self._repeated = rows - unsettled
            for row_id in unsettled & owners.keys():
                if self._selects(owners[row_id]):
                    self.recorder.report(self._unsettled(owners[row_id]))
            return frozenset(unsettled)
        from erpsyncd.service.recovery import Recovery  # noqa: PLC0415 -- see the module's docstring

        recovery = Recovery(
            tenant=self.tenant.name,
            remote=self.remote,
            recorder=self.recorder,
            settle=self.policy.settle,
            careful=self.tenant.spec.careful,
            begun=self._begun,
        )
        return await recovery.settle_intents(intents, owners)

    async def _due(self, waiting: frozenset[int], outdated: frozenset[int]) -> tuple[StoredConnection, ...]:
        due = await self.store.due_connections(
            self.tenant.id,
            now=self.now(),
            longest_backoff=self.policy.backoff_longest if self.options.scheduled else None,
            using=self.resolved.changed if self.options.dry_run else frozenset(),
        )
        if self.options.dry_run:  # which makes nothing due
            known = {row.id for row in due}
            due += await self.store.connections_by_row_id(self.tenant.id, outdated - known)
            due = tuple(replace(row, applied={}) if row.id in self._repeated else row for row in due)
        self._enforcement = await Enforcement.read(self.tenant, self.store, self.now())
        due = self._enforcement.added_to(due)
        self._due_in_sync = sum(connection.state in (State.IN_SYNC, State.DRIFTED) for connection in due)
        selected = tuple(row for row in due if row.id not in waiting and self._selects(row))
        self.recorder.progress.connections_due(self.tenant.name, len(selected))
        return selected

    @cached_property
    def _names(self) -> Names:
        from erpsyncd.service.names import Names  # noqa: PLC0415 -- see the module's docstring

        return Names(
            tenant=self.tenant,
            kept=self._lists,
            store=self.store,
            remote=self.remote,
            recorder=self.recorder,
            policy=self.policy,
            now=self.now,
        )

    def _selects(self, connection: StoredConnection) -> bool:
        return self.options.selection.matches(self.tenant.name, connection.key)

    async def _reconcile(self, due: tuple[StoredConnection, ...]) -> None:
        """Deletes first: they are gated before any write, and a name must be free before it is used again."""
        if not due:
            return
        from erpsyncd.service.connection_pass import ConnectionPass  # noqa: PLC0415 -- see the module's docstring

        one = ConnectionPass(
            tenant=self.tenant.name,
            remote=self.remote,
            recorder=self.recorder,
            policy=self.policy,
            now=self.now,
            rng=self.rng,
            careful=self._careful_saves() if self.tenant.spec.careful else None,
        )
        deletes: list[Change] = []

        async def plan_delete(stored: StoredConnection) -> None:
            change = await one.plan(DesiredConnection(stored=stored, spec=None))
            if change is not None:
                deletes.append(change)

        async def converge(stored: StoredConnection) -> None:
            try:
                desired = self._desired(await self._names.resolved(stored))
            except (ConnectionFailed, Unauthorized) as exc:
                await one.unknowable(stored, exc)
                return
            if not self.options.dry_run:
                await one.converge(desired)
                await self._read_back(desired)
            elif (change := await one.plan(desired)) is not None:
                await one.planned(change)

        absent = [row for row in due if not row.present]
        await self._each(absent, plan_delete)
        await self._gate(absent)
        if not self.remote.is_stopped and self.tenant.name not in self.options.force:
            await self._enforcement.gate(due, self.policy.limits)
        await self._each(deletes, one.planned if self.options.dry_run else one.apply)
        await self._each((row for row in due if row.present), converge)

    def _careful_saves(self) -> CarefulSaves:
        from erpsyncd.service.careful_saves import CarefulSaves  # noqa: PLC0415 -- see the module's docstring

        return CarefulSaves(
            tenant=self.tenant.name,
            remote=self.remote,
            recorder=self.recorder,
            fingerprinter=self.store.fingerprinter,
            begun=self._begun,
        )

    async def _gate(self, absent: list[StoredConnection]) -> None:
        """Stop before any write when too much would go. What could not be read counts: it may stand there."""
        gone = {outcome.key for outcome in self.recorder.outcomes if outcome.status in (Status.DELETED, Status.PLANNED)}
        deletes = sum(row.erp_connection_id is not None and row.key not in gone for row in absent)
        if deletes and not self.remote.is_stopped and self.tenant.name not in self.options.force:
            raise_if_unsafe(
                deletes,
                tenant=self.tenant.name,
                connections=len(await self.store.owned_ids(self.tenant.id)),
                limits=self.policy.limits,
            )

    async def _read_back(self, desired: DesiredConnection) -> None:
        """After ours was pushed over a drift: see whether it holds."""
        if desired.stored.id not in self._enforcement.pushes:
            return
        if any(outcome.key == desired.key and outcome.status is Status.UPDATED for outcome in self.recorder.outcomes):
            await self._enforcement.read_back(desired, self.remote, self.recorder, self.now())

    def _desired(self, stored: StoredConnection) -> DesiredConnection:
        try:
            spec = stored.template.resolve(self.resolved.values)
        except KeyError as exc:
            withheld = withheld_names(stored.template.templates)
            if withheld:
                raise SecretUnknown(not_known(withheld)) from None
            raise SecretMissing(self.resolved.reason(exc)) from None
        for name, value in spec.config_fields.items():
            if len(value.reveal()) > MAX_CONFIG_VALUE:
                raise SecretUnusable(
                    f"config field {name!r} resolves to more than {MAX_CONFIG_VALUE} characters, which is what a "
                    "tenant can hold"
                )
        return DesiredConnection(stored=stored, spec=spec, fingerprints=self.store.fingerprinter.of_spec(spec))

    async def _each(self, items: Iterable[T], work: Callable[[T], Awaitable[None]]) -> None:
        await each(items, work, at_once=self.policy.connections_at_once)

    def _check_is_due(self) -> bool:
        if self.options.dry_run or not self.policy.checks_enabled or self.remote.is_stopped:
            return False
        last = self.tenant.last_checked_at
        old = last is None or not (self.now() - self.policy.check_interval < last <= self.now())
        # The answer is about the tenant. Who selects some of its connections asks for it with what they change.
        return self._touched or (self._whole and (self.options.check_always or old))

    async def _sync_all(self) -> None:
        """Let the sync engine work where that is wanted, before the check. A plan that was refused starts nothing."""
        wanted = self.tenant.spec.sync_all_after_save
        if self.options.dry_run or self._unsafe is not None or not wanted:
            return
        if await self._checks.sync_all_is_due(touched=self._touched, whole=self._whole):
            await self._checks.sync_all()

    @property
    def _checks(self) -> Checks:
        from erpsyncd.service.checks import Checks  # noqa: PLC0415 -- see the module's docstring

        return Checks(
            tenant=self.tenant,
            store=self.store,
            remote=self.remote,
            recorder=self.recorder,
            now=self.now,
            hidden=tuple(self.resolved.values.values()),
        )

    @property
    def _touched(self) -> bool:
        """Whether this pass changed something in the tenant."""
        return any(outcome.status in APPLIED for outcome in self.recorder.outcomes)

    @property
    def _whole(self) -> bool:
        return self.options.selection.is_whole(self.tenant.name)

    async def _report(self) -> TenantReport:
        unchanged = await self._unchanged()
        return TenantReport(
            tenant=self.tenant.name,
            outcomes=tuple(self.recorder.outcomes),
            checks=tuple(self.recorder.checks),
            unchanged=unchanged,
            error=self._whole_error(unchanged),
            check_failed=self._check_failed,
        )

    def _whole_error(self, unchanged: int) -> str | None:
        """Return why nothing of this pass succeeded; None when something did, or had not to."""
        if self._unsafe is not None:
            return self._unsafe.error_class
        last = self.remote.last_error
        if isinstance(self.remote.stopped_by, Unauthorized):
            return Unauthorized.error_class
        if self.remote.answered == 0 and isinstance(last, TemporaryRemoteError):
            return last.error_class
        parked = isinstance(self.remote.stopped_by, TenantNotRunning)
        if self.remote.answered == 0 and parked:
            return TenantNotRunning.error_class
        worked_on = [outcome for outcome in self.recorder.outcomes if outcome.key is not None]
        bad = (Status.FAILED, Status.IN_DOUBT, Status.SKIPPED)
        if worked_on and not unchanged and all(outcome.status in bad for outcome in worked_on):
            return "stopping" if self.remote.stopping.is_set() else "parked" if parked else "failed"
        return None

    async def _unchanged(self) -> int:
        """Count what is in sync and was not touched by this pass, nor would be by a dry one's real twin."""
        touched = self._due_in_sync if self.options.dry_run else 0
        touched += sum(outcome.status in (Status.CREATED, Status.UPDATED) for outcome in self.recorder.outcomes)
        return max(0, await self.store.in_sync_count(self.tenant.id) - touched)

    def _unsettled(self, connection: StoredConnection) -> Outcome:
        return Outcome(
            tenant=self.tenant.name,
            key=connection.key,
            status=Status.IN_DOUBT,
            error_class="unsettled",
            error="an earlier call was not answered; the next pass that may write settles it",
        )

"""One connection in a pass: observe, plan, apply, and say what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import TYPE_CHECKING, assert_never

from erpsyncd.domain.connections import (
    HELD_BACK,
    DesiredConnection,
    ErpConnection,
    State,
    StoredConnection,
    same_guid,
)
from erpsyncd.domain.field_changes import field_changes
from erpsyncd.domain.items import command
from erpsyncd.domain.plan import Change, Create, Delete, Update, needs_observation, plan_connection
from erpsyncd.domain.results import ChangeKind, Outcome, Status, Verdict
from erpsyncd.errors import (
    CarefulSaveFailed,
    ConnectionFailed,
    Effect,
    NotTried,
    RemoteError,
    SecretUnknown,
    TenantNotRunning,
    Unauthorized,
    Undecided,
)
from erpsyncd.service.pending_write import PendingWrite

if TYPE_CHECKING:
    from erpsyncd.service.careful_save import Ended
    from erpsyncd.service.careful_saves import CarefulSaves
    from erpsyncd.service.policy import Policy
    from erpsyncd.service.recording import Recorder
    from erpsyncd.service.remote import Remote


@dataclass(frozen=True, kw_only=True)
class ConnectionPass:
    """Works on the connections of one tenant, one at a time or several at once."""

    tenant: str
    remote: Remote
    recorder: Recorder
    policy: Policy
    now: Callable[[], datetime]
    rng: Random
    careful: CarefulSaves | None = None
    """Makes the saves of a tenant that wants them careful."""

    async def plan(self, desired: DesiredConnection) -> Change | None:
        """Return what has to be done, or None after recording that nothing has, or why it cannot be known."""
        try:
            change = await self._decide(desired)
        except (ConnectionFailed, Unauthorized) as exc:
            await self.fail(desired, exc, _kind_wanted(desired))
            return None
        if change is None:
            await self._nothing_to_do(desired)
        return change

    async def apply(self, change: Change) -> None:
        """Do it. A failure is this connection's outcome, not the pass's."""
        match change:
            case Create() if self.careful is not None:
                await self._ended(await self.careful.create(change.desired), change)
            case Update() if self.careful is not None:
                await self._ended(await self.careful.update(change), change)
            case Create():
                await self._create(change.desired)
            case Update():
                await self._update(change)
            case Delete():
                await self._delete(change)
            case _ as never:
                assert_never(never)

    async def converge(self, desired: DesiredConnection) -> None:
        """Plan and apply at once, so that an update sends back a cursor that was just read."""
        change = await self.plan(desired)
        if change is not None:
            await self.apply(change)

    async def planned(self, change: Change) -> None:
        """Report what would be done, in a dry run."""
        self.recorder.report(
            Outcome(
                tenant=self.tenant,
                key=change.desired.key,
                status=Status.PLANNED,
                change=_kind_of(change),
                fields=change.fields if isinstance(change, Update) else (),
                field_changes=field_changes(change),
                erp_connection_id=change.desired.stored.erp_connection_id,
                careful=self.careful is not None and not isinstance(change, Delete),
            )
        )

    async def fail(
        self,
        desired: DesiredConnection,
        error: ConnectionFailed | Unauthorized,
        kind: ChangeKind | None,
        *,
        intent_id: int | None = None,
        is_unknown: bool = False,
    ) -> None:
        """Record a failure: its state, when it is tried again, and whether its intent is settled by it.

        `is_unknown` says that what stands in the tenant is not known any more.
        """
        stored = desired.stored
        if isinstance(error, NotTried):
            self.recorder.report(self._skipped(stored.key, error, kind))
            return
        uncertain = intent_id is not None and isinstance(error, RemoteError) and error.effect is Effect.UNCERTAIN
        if isinstance(error, TenantNotRunning):
            # What may have been done stays open until it runs again; all of it costs no attempt.
            await self.recorder.park(stored, self._skipped(stored.key, error, kind), None if uncertain else intent_id)
            return
        attempts = stored.attempts + 1
        await self.recorder.settle(
            stored,
            Verdict(
                state=_state_after(error),
                # An update that may have happened leaves us not knowing what stands there: push again.
                applied={} if is_unknown or (uncertain and kind is ChangeKind.UPDATE) else None,
                attempts=attempts,
                next_attempt_at=None
                if error.error_class in HELD_BACK
                else self.policy.next_attempt(now=self.now(), attempts=attempts, rng=self.rng),
            ),
            Outcome(
                tenant=self.tenant,
                key=stored.key,
                status=Status.FAILED,
                change=kind,
                error_class=error.reason if isinstance(error, Undecided | CarefulSaveFailed) else error.error_class,
                error=str(error),
            ),
            # A create that may have happened stays open until a look-up settles it (design.md §5.1).
            intent_id=None if uncertain and kind is ChangeKind.CREATE else intent_id,
        )

    async def unknowable(self, stored: StoredConnection, error: ConnectionFailed | Unauthorized) -> None:
        """Record that it cannot be known what is wanted; a careful save that was begun is taken back.

        Not where only the tenant did not say which ids its names stand for: the next pass asks it again.
        """
        kind = ChangeKind.UPDATE if stored.erp_connection_id else ChangeKind.CREATE
        ended = None
        if self.careful is not None and not isinstance(error, RemoteError | Unauthorized | NotTried):
            ended = await self.careful.take_back(stored, error)
        if ended is None or ended.error is None:
            await self.fail(DesiredConnection(stored=stored, spec=None), error, kind)
        else:
            await self.fail(ended.desired, ended.error, kind, intent_id=ended.intent_id, is_unknown=ended.is_unknown)

    async def _ended(self, ended: Ended, change: Create | Update) -> None:
        """Record what a careful save came to."""
        kind = _kind_of(change)
        if ended.saved is not None:
            fields = change.fields if isinstance(change, Update) else ()
            await self._saved(ended.desired, ended.saved, kind, fields, ended.intent_id)
            return
        assert ended.error is not None, "what was not saved has failed"
        await self.fail(ended.desired, ended.error, kind, intent_id=ended.intent_id, is_unknown=ended.is_unknown)

    async def _decide(self, desired: DesiredConnection) -> Change | None:
        erp_connection_id = desired.stored.erp_connection_id
        observed = None
        if erp_connection_id is not None and needs_observation(desired):
            observed = await self.remote.observe(erp_connection_id, desired.secrets)
        change = plan_connection(desired, observed, tenant=self.tenant)
        if isinstance(change, Create):
            await self._refuse_twin(desired)
        return change

    async def _refuse_twin(self, desired: DesiredConnection) -> None:
        """Stop before a second connection is made beside one that somebody typed in by hand."""
        spec = desired.spec
        assert spec is not None, "a create has a spec"
        twins = await self.remote.find_unowned(erp_connector_id=spec.erp_connector_id, display_name=spec.display_name)
        if twins:
            ids = ", ".join(str(twin.erp_connection_id) for twin in twins)
            first = twins[0].erp_connection_id
            raise Undecided(
                "exists",
                f"the tenant already has a connection {spec.display_name!r} of connector {spec.erp_connector_id} "
                f"(id {ids}) that erpsyncd did not make; take it over with: "
                + command("connections", "adopt", self.tenant, "--id", str(first), "--key", desired.key),
            )

    async def _create(self, desired: DesiredConnection) -> None:
        assert desired.spec is not None, "a create has a spec"
        draft = ErpConnection(
            erp_connection_id=0, connection_id="", most_recent_timestamp="", deleted=False, spec=desired.spec
        )
        intent = PendingWrite(self.recorder, desired.stored, ChangeKind.CREATE, await self.remote.seen_ids())
        try:
            saved = await self.remote.save_connection(draft, intent.on_send)
        except (ConnectionFailed, Unauthorized) as exc:
            await self.fail(desired, exc, ChangeKind.CREATE, intent_id=intent.id)
            return
        await self._saved(desired, saved, ChangeKind.CREATE, (), intent.id)

    async def _update(self, update: Update) -> None:
        desired, observed = update.desired, update.observed
        assert desired.spec is not None, "an update has a spec"
        entity = ErpConnection(
            erp_connection_id=observed.erp_connection_id,
            connection_id=observed.connection_id or desired.stored.connection_id or "",
            most_recent_timestamp=observed.most_recent_timestamp,
            deleted=False,
            spec=desired.spec,
        )
        intent = PendingWrite(self.recorder, desired.stored, ChangeKind.UPDATE)
        try:
            saved = await self.remote.save_connection(entity, intent.on_send)
        except (ConnectionFailed, Unauthorized) as exc:
            await self.fail(desired, exc, ChangeKind.UPDATE, intent_id=intent.id)
            return
        await self._saved(desired, saved, ChangeKind.UPDATE, update.fields, intent.id)

    async def _delete(self, delete: Delete) -> None:
        intent = PendingWrite(self.recorder, delete.desired.stored, ChangeKind.DELETE)
        try:
            await self.remote.delete_connection(delete.observed.erp_connection_id, intent.on_send)
        except (ConnectionFailed, Unauthorized) as exc:
            await self.fail(delete.desired, exc, ChangeKind.DELETE, intent_id=intent.id)
            return
        await self._done(delete.desired, ChangeKind.DELETE, Verdict(state=State.DELETED), intent_id=intent.id)

    async def _saved(
        self,
        desired: DesiredConnection,
        saved: ErpConnection,
        kind: ChangeKind,
        fields: tuple[str, ...],
        intent_id: int | None,
    ) -> None:
        stored = desired.stored
        ours = stored.connection_id
        verdict = Verdict(
            state=State.IN_SYNC,
            erp_connection_id=saved.erp_connection_id,
            # The GUID is kept as it first came: the tenant spells it in either case.
            connection_id=ours if ours and same_guid(ours, saved.connection_id) else saved.connection_id or ours,
            applied=desired.fingerprints,
        )
        await self._done(desired, kind, verdict, fields=fields, intent_id=intent_id)

    async def _done(
        self,
        desired: DesiredConnection,
        kind: ChangeKind,
        verdict: Verdict,
        *,
        fields: tuple[str, ...] = (),
        intent_id: int | None = None,
    ) -> None:
        outcome = Outcome(tenant=self.tenant, key=desired.key, status=_STATUS_OF[kind], change=kind, fields=fields)
        await self.recorder.settle(desired.stored, verdict, outcome, intent_id=intent_id)

    async def _nothing_to_do(self, desired: DesiredConnection) -> None:
        if desired.spec is not None:
            await self.recorder.settle(desired.stored, Verdict(state=State.IN_SYNC), None)
        elif desired.stored.erp_connection_id is None:
            await self.recorder.settle(desired.stored, Verdict(state=State.DELETED), None)
        elif self.recorder.lease is None:
            self.recorder.report(
                Outcome(
                    tenant=self.tenant,
                    key=desired.key,
                    status=Status.PLANNED,
                    change=ChangeKind.DELETE,
                    erp_connection_id=desired.stored.erp_connection_id,
                )
            )
        else:
            await self._done(desired, ChangeKind.DELETE, Verdict(state=State.DELETED))

    def _skipped(self, key: str, error: NotTried | TenantNotRunning, kind: ChangeKind | None) -> Outcome:
        """Return the outcome of what was not begun; its row keeps what is known about it."""
        return Outcome(
            tenant=self.tenant,
            key=key,
            status=Status.SKIPPED,
            change=kind,
            error_class=error.error_class,
            error=str(error),
        )


_STATUS_OF = {
    ChangeKind.CREATE: Status.CREATED,
    ChangeKind.UPDATE: Status.UPDATED,
    ChangeKind.DELETE: Status.DELETED,
}


def _kind_of(change: Change) -> ChangeKind:
    match change:
        case Create():
            return ChangeKind.CREATE
        case Update():
            return ChangeKind.UPDATE
        case Delete():
            return ChangeKind.DELETE
        case _ as never:
            assert_never(never)


def _kind_wanted(desired: DesiredConnection) -> ChangeKind:
    if desired.spec is None:
        return ChangeKind.DELETE
    return ChangeKind.CREATE if desired.stored.erp_connection_id is None else ChangeKind.UPDATE


def _state_after(error: ConnectionFailed | Unauthorized) -> State:
    if isinstance(error, SecretUnknown):
        return State.INCOMPLETE
    if isinstance(error, Undecided):
        return {"missing": State.MISSING, "replaced": State.REPLACED}.get(error.reason, State.FAILED)
    return State.FAILED

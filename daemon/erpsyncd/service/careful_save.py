"""A careful save at work: tested, changed while inactive, activated, read back; and taken back where a step fails.

Each step that writes is on disk before it leaves, with what stood there before the first one. That intent ends when
what is wanted, or the old state, is known to stand there; until then each further attempt begins with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from erpsyncd.domain.careful import (
    CarefulStep,
    Snapshot,
    Step,
    differences,
    is_to_be_tested,
    shows_all,
    steps_back,
    steps_towards,
    take_snapshot,
)
from erpsyncd.domain.connections import (
    CONFIG_PREFIX,
    ConnectionSpec,
    DesiredConnection,
    ErpConnection,
)
from erpsyncd.domain.plan import plan_connection
from erpsyncd.errors import (
    CarefulSaveFailed,
    ConnectionFailed,
    Effect,
    NotTried,
    RemoteError,
    RemoteFault,
    TemporaryRemoteError,
    TenantNotRunning,
    Unauthorized,
    Undecided,
)

if TYPE_CHECKING:
    from erpsyncd.domain.fingerprints import Fingerprinter
    from erpsyncd.domain.secrets import Secret
    from erpsyncd.service.pending_write import PendingWrite
    from erpsyncd.service.remote import Remote


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What a careful save came to; the caller records it."""

    desired: DesiredConnection
    """With the ids that a create has made known."""

    saved: ErpConnection | None = None
    """As it was read back; None for a failure."""

    error: ConnectionFailed | Unauthorized | None = None
    intent_id: int | None = None
    """The intent that ends with it; None where there is none, or where it has to stay open."""

    is_unknown: bool = False
    """Whether nobody can tell what stands in the tenant now."""


@dataclass(kw_only=True)
class CarefulSave:
    """One careful save of a connection that exists."""

    tenant: str
    remote: Remote
    fingerprinter: Fingerprinter
    desired: DesiredConnection
    intent: PendingWrite
    snapshot: Snapshot | None
    """What a failure brings back."""

    wrote: bool
    """Whether the tenant may hold something else than the snapshot, from this attempt or an earlier one."""

    made: bool = False
    """Whether this very pass created it."""

    at: Step | None = None
    stands: ConnectionSpec | None = None
    """What was last saved and answered."""

    late: bool = False
    """Whether a save that nobody answered may still arrive."""

    found: ErpConnection | None = None
    """What stood there when this attempt began."""

    fresh: ErpConnection | None = None
    """What was just read, with a cursor that the next save may send back."""

    _is_altered: bool = False
    """Whether the old state was saved again and all the same reads otherwise, in nothing but config fields."""

    async def update(self, observed: ErpConnection) -> Ended:
        """Test what is wanted, look again, and walk."""
        self.at, self.found, spec = Step.TEST_CONFIG, observed, self._wanted
        try:
            if is_to_be_tested(spec, self._snapshot_of(observed)) and not await self.remote.test_config(
                spec, self._hidden, begun=self._is_begun
            ):
                raise refused(self.at)
            self.fresh = await self._look()
        except (ConnectionFailed, Unauthorized) as exc:
            return await self.failed(exc)
        now = self._snapshot_of(self.fresh)
        if self.snapshot is None:
            self.snapshot = now
        return await self.walk(now)

    async def walk(self, now: Snapshot) -> Ended:
        """Take each step from what stands there to what is wanted; take it all back where one fails."""
        seen: ErpConnection | None = None
        try:
            for step in steps_towards(self._wanted, now):
                self.at = step.step
                seen = await self._take(step)
        except (ConnectionFailed, Unauthorized) as exc:
            return await self.failed(exc)
        return Ended(desired=self.desired, saved=seen, intent_id=self.intent.id)

    async def failed(self, error: ConnectionFailed | Unauthorized) -> Ended:
        """Put the old state back, if it is not there, and say what became of it."""
        if isinstance(error, Undecided):
            # It is not ours, or not ours any more, so that nothing is put back.
            return self._end(error, closed=True, is_unknown=self.wrote)
        if isinstance(error, TenantNotRunning):
            # Nothing can be put back there now. What was begun goes on when it runs again.
            return self._end(self._interrupted(error) if self.wrote else error, closed=not self.wrote)
        if not self.wrote:
            unsent = isinstance(error, NotTried) and not self.made
            return self._end(error if unsent else told(error, self._untouched, self.at), closed=True)
        why = await self._put_back()
        if why is None:
            return self._end(told(error, self._back, self.at), closed=not self.late, is_unknown=self.late)
        if self._is_altered and isinstance(error, CarefulSaveFailed) and error.reason == "not_as_saved":
            # It alters whatever it is given: what was there before cannot be had back either, and nothing is broken.
            what = f"the old state was saved again, and {why}"
            return self._end(told(error, what, self.at), closed=False, is_unknown=True)
        what = f"the old state is NOT back and the connection may be inactive: {why}"
        loud = told(error, what, self.at, reason="not_restored")
        return self._end(loud, closed=False, is_unknown=True)

    async def _take(self, step: CarefulStep) -> ErpConnection | None:
        match step.step:
            case Step.TEST:
                self.fresh = None  # a test may take its time, and the cursor moves by itself
                if not await self.remote.test_connection(self._id, self._hidden, begun=self._is_begun):
                    raise refused(step.step)
            case Step.READ_BACK:
                seen = await self._look()
                if wrong := differences(seen.spec, step.spec):
                    raise CarefulSaveFailed(
                        "not_as_saved",
                        f"the tenant shows another {', '.join(wrong)} than was saved, as it would again: no scheduled "
                        "pass tries it before it is described otherwise, --run-once does",
                    )
                return seen
            case _:
                await self._write(step)
        return None

    async def _write(self, step: CarefulStep) -> None:
        """Save one step's spec, with the cursor as it was just read."""
        now, self.fresh = self.fresh or await self._look(), None
        entity = replace(
            now, connection_id=now.connection_id or self.desired.stored.connection_id or "", spec=step.spec
        )
        on_send = self.intent.of_step(step.step, self.snapshot)
        try:
            await self.remote.save_connection(entity, on_send, self._hidden, begun=self._is_begun)
        except RemoteError as exc:
            if exc.effect is not Effect.UNCERTAIN:
                raise
            self.wrote, self.stands = True, None
            if isinstance(exc, RemoteFault) or not await self._has_arrived(step.spec):
                self.late = self.late or isinstance(exc, TemporaryRemoteError)
                raise
        self.wrote, self.stands = True, step.spec

    async def _has_arrived(self, spec: ConnectionSpec) -> bool:
        """Look whether a save that was not answered has been done."""
        try:
            seen = await self._look()
        except (ConnectionFailed, Unauthorized):
            return False
        self.fresh = seen if shows_all(seen.spec, spec) else None
        return self.fresh is not None

    async def _put_back(self) -> str | None:
        """Bring the snapshot back and read it; return why that cannot be, or None."""
        before = self.snapshot
        assert before is not None, "what wrote has a snapshot"
        if before.unknown:
            return f"the tenant does not show what {', '.join(before.unknown)} held"
        try:
            self.fresh = await self._look()
            for step in steps_back(before, self.fresh.spec, self.stands):
                await self._write(step)
            seen = await self._look()
        except (ConnectionFailed, Unauthorized) as exc:
            return str(exc)
        wrong = differences(seen.spec, before.spec)
        self._is_altered = all(field.startswith(CONFIG_PREFIX) for field in wrong)
        return f"the tenant shows another {', '.join(wrong)}" if wrong else None

    async def _look(self) -> ErpConnection:
        """Read the connection and make sure that it is still ours."""
        seen = await self.remote.observe(self._id, self._hidden, begun=self._is_begun)
        plan_connection(self.desired, seen, tenant=self.tenant)
        if seen is None or seen.deleted:  # which the plan does not mind where nothing is wanted of it
            raise Undecided("missing", f"the tenant no longer has connection {self._id}")
        return seen

    def _snapshot_of(self, observed: ErpConnection) -> Snapshot:
        return take_snapshot(observed.spec, self.desired, self.fingerprinter)

    def _end(self, error: ConnectionFailed | Unauthorized, *, closed: bool, is_unknown: bool = False) -> Ended:
        intent_id = self.intent.id if closed else None
        return Ended(desired=self.desired, error=error, intent_id=intent_id, is_unknown=is_unknown)

    def _interrupted(self, error: TenantNotRunning) -> TenantNotRunning:
        why = str(error).removeprefix(f"{error.operation}: ")
        message = f"{why}; the careful save goes on when it runs again, and until then the connection may be inactive"
        return TenantNotRunning(error.operation, message, effect=error.effect, needs_operator=error.needs_operator)

    @property
    def _wanted(self) -> ConnectionSpec:
        assert self.desired.spec is not None, "an update has a spec"
        return self.desired.spec

    @property
    def _id(self) -> int:
        assert self.desired.stored.erp_connection_id is not None, "it exists"
        return self.desired.stored.erp_connection_id

    @property
    def _hidden(self) -> tuple[Secret, ...]:
        """What a tenant may quote and nobody may read: new values and old ones."""
        found = () if self.found is None else self.found.spec.config_fields.values()
        old = () if self.snapshot is None else self.snapshot.spec.config_fields.values()
        return (*self.desired.secrets, *found, *old)

    @property
    def _is_begun(self) -> bool:
        """Whether it must not be left as it is only because erpsyncd is told to stop."""
        return self.made or self.wrote or self.intent.id is not None

    @property
    def _untouched(self) -> str:
        if self.made:
            return f"connection {self._id} was made and is inactive"
        inactive = self.found is not None and not self.found.spec.active and self._wanted.active
        return "nothing was written" + (f", and connection {self._id} is inactive, as it was" if inactive else "")

    @property
    def _back(self) -> str:
        if self.made:
            what = f"connection {self._id} was made and is inactive"
        else:
            was_active = self.snapshot is None or self.snapshot.spec.active
            what = "the old state is back" + ("" if was_active else f": connection {self._id} is inactive, as it was")
        late = "; a save that was not answered may still arrive, and the next attempt looks for it"
        return what + (late if self.late else "")


def refused(step: Step) -> CarefulSaveFailed:
    """Return the failure of a test that answered no."""
    operation = "TestConnectionByConfig" if step is Step.TEST_CONFIG else "TestConnectionById"
    why = f"{operation} answered no; the reason is in the connector's own log"
    return CarefulSaveFailed("test_refused", f"the connector's test failed ({why})")


def told(
    error: ConnectionFailed | Unauthorized, what: str, step: Step | None = None, *, reason: str = ""
) -> CarefulSaveFailed:
    """Return a failure that also says at which step, and what stands in the tenant."""
    own = error.reason if isinstance(error, CarefulSaveFailed | Undecided) else error.error_class
    where = f" at the step {step}" if step is not None else ""
    return CarefulSaveFailed(reason or own, f"{error}; the careful save ended{where}: {what}")

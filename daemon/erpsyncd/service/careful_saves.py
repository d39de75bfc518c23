"""The careful saves of one pass over one tenant: new ones, and those that an earlier pass has begun."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from erpsyncd.domain.careful import Snapshot, Step
from erpsyncd.domain.connections import (
    ConnectionRowId,
    ConnectionSpec,
    DesiredConnection,
    ErpConnection,
    State,
    StoredConnection,
)
from erpsyncd.domain.results import ChangeKind, Verdict
from erpsyncd.errors import CarefulSaveFailed, ConnectionFailed, Unauthorized
from erpsyncd.service.careful_save import CarefulSave, Ended, refused, told
from erpsyncd.service.pending_write import PendingWrite

if TYPE_CHECKING:
    from erpsyncd.domain.fingerprints import Fingerprinter
    from erpsyncd.domain.intents import Intent
    from erpsyncd.domain.plan import Update
    from erpsyncd.service.recording import Recorder
    from erpsyncd.service.remote import Remote


@dataclass(frozen=True, kw_only=True)
class CarefulSaves:
    """Makes the careful saves of one pass over one tenant."""

    tenant: str
    remote: Remote
    recorder: Recorder
    fingerprinter: Fingerprinter
    begun: Mapping[ConnectionRowId, Intent] = field(default_factory=dict)
    """The intents of careful saves that an earlier pass began and nobody ended."""

    async def create(self, desired: DesiredConnection) -> Ended:
        """Create it inactive, remember its id at once, and go on as with an update.

        Whatever fails from there on, it is ours and inactive, and the next attempt is an update.
        """
        assert desired.spec is not None, "a create has a spec"
        inactive = replace(desired.spec, active=False)
        draft = ErpConnection(
            erp_connection_id=0, connection_id="", most_recent_timestamp="", deleted=False, spec=inactive
        )
        intent = PendingWrite(
            recorder=self.recorder,
            connection=desired.stored,
            kind=ChangeKind.CREATE,
            seen=await self.remote.seen_ids(),
        )

        try:
            if not await self.remote.test_config(desired.spec):
                raise refused(Step.TEST_CONFIG)
            saved = await self.remote.save_connection(draft, intent.of_step(Step.CREATE))
        except (ConnectionFailed, Unauthorized) as exc:
            error = told(exc, "nothing was created") if isinstance(exc, CarefulSaveFailed) else exc
            return Ended(desired=desired, error=error, intent_id=intent.id)
        return await self._walk(await self._made(desired, saved, intent.id), inactive)

    async def update(self, update: Update) -> Ended:
        """Bring what stands there to what is wanted, or back."""
        return await self._save(update.desired).update(update.observed)

    async def take_back(self, stored: StoredConnection, error: ConnectionFailed) -> Ended | None:
        """End a save that was begun and cannot go on, because what is wanted cannot be known; None where none was."""
        if stored.id not in self.begun:
            return None
        return await self._save(DesiredConnection(stored=stored, spec=None)).failed(error)

    def _save(self, desired: DesiredConnection) -> CarefulSave:
        begun = self.begun.get(desired.stored.id)
        return CarefulSave(
            tenant=self.tenant,
            remote=self.remote,
            fingerprinter=self.fingerprinter,
            desired=desired,
            intent=PendingWrite(
                recorder=self.recorder,
                connection=desired.stored,
                kind=ChangeKind.UPDATE,
                id=None if begun is None else begun.id,
            ),
            snapshot=None if begun is None else begun.snapshot,
            wrote=begun is not None,
        )

    async def _made(self, desired: DesiredConnection, saved: ErpConnection, intent_id: int | None) -> DesiredConnection:
        """Record that a connection is ours; return it with its ids."""
        verdict = Verdict(
            state=State.PENDING,
            erp_connection_id=saved.erp_connection_id,
            connection_id=saved.connection_id or None,
            applied={},
            attempts=desired.stored.attempts,
        )
        await self.recorder.settle(desired.stored, verdict, None, intent_id=intent_id)
        stored = replace(
            desired.stored,
            erp_connection_id=saved.erp_connection_id,
            connection_id=saved.connection_id or None,
            applied={},
        )
        return replace(desired, stored=stored)

    async def _walk(self, desired: DesiredConnection, inactive: ConnectionSpec) -> Ended:
        save = self._save(desired)
        save.made, save.snapshot = True, Snapshot(spec=inactive)
        return await save.walk(save.snapshot)

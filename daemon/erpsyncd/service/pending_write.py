"""A write that is about to leave, and what is on disk about it by then."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from erpsyncd.domain.careful import Snapshot, Step
    from erpsyncd.domain.connections import StoredConnection
    from erpsyncd.domain.results import ChangeKind
    from erpsyncd.service.recording import Recorder
    from erpsyncd.service.remote import OnSend


@dataclass
class PendingWrite:
    """A write that is about to leave. Its intent is committed when it does, and not before its turn has come."""

    recorder: Recorder
    connection: StoredConnection
    kind: ChangeKind
    seen: frozenset[int] = frozenset()
    id: int | None = None
    """The open intent; None as long as nothing was sent."""

    async def on_send(self, step: Step | None = None, snapshot: Snapshot | None = None) -> None:
        """Open the intent, or give it the time of another attempt, or of a careful save's next step."""
        if self.id is None:
            self.id = await self.recorder.open_intent(
                self.connection, self.kind, self.seen, step=step, snapshot=snapshot
            )
        else:
            await self.recorder.resend_intent(self.id, step=step)

    def of_step(self, step: Step, snapshot: Snapshot | None = None) -> OnSend:
        """Return what commits that a step of a careful save is about to leave."""
        return partial(self.on_send, step, snapshot)

"""Settle what a crash or a lost answer left open, before anything new is done (design.md §5.1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from erpsyncd.domain.connections import ConnectionRowId, ErpConnection, State, StoredConnection
from erpsyncd.domain.items import command
from erpsyncd.domain.results import ChangeKind, Outcome, Status, Verdict
from erpsyncd.errors import ConnectionFailed, NotTried, TenantNotRunning, Unauthorized

if TYPE_CHECKING:
    from erpsyncd.domain.intents import Intent
    from erpsyncd.service.recording import Recorder
    from erpsyncd.service.remote import Remote

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """Settles the open intents of one tenant."""

    tenant: str
    remote: Remote
    recorder: Recorder
    settle: timedelta
    careful: bool = False
    """Whether the tenant wants its saves careful, so that one that was begun goes on."""

    begun: dict[ConnectionRowId, Intent] = field(default_factory=dict)
    """The careful saves that go on, once `settle_intents` has found them: their intents stay open."""

    async def settle_intents(self, intents: tuple[Intent, ...], owners: dict[int, StoredConnection]) -> frozenset[int]:
        """Settle what can be settled; return the row ids of the connections that have to wait.

        Updates and deletes are simply due again. Creates are looked up under the connector and name that the
        intent sent, among ids that nobody owns and that were not there before.
        """
        waiting: set[int] = set()
        for intent in intents:
            connection = owners.get(intent.connection_row_id)
            if connection is None:
                continue
            if self.careful and connection.present and intent.snapshot is not None:
                await self._go_on(intent, connection)
                continue
            if intent.kind is not ChangeKind.CREATE:
                await self._again(intent, connection)
                continue
            if not await self._look_up(intent, connection):
                waiting.add(connection.id)
        return frozenset(waiting)

    async def _go_on(self, intent: Intent, connection: StoredConnection) -> None:
        """Let a careful save begin anew from what stands there, with what stood there before its first step.

        Only one that was cut off is made due by that. One that failed and could not be taken back waits its turn.
        What was pushed before says nothing any more, also where an import has changed the state since: if it wants
        again what was pushed, there is something to do all the same.
        """
        self.begun[connection.id] = intent
        if connection.state is State.IN_FLIGHT or connection.applied:
            verdict = Verdict(state=State.PENDING, applied={}, attempts=connection.attempts)
            await self.recorder.settle(connection, verdict, None)
            log.info("connection.recovered", tenant=self.tenant, key=connection.key, change=intent.kind)

    async def _look_up(self, intent: Intent, connection: StoredConnection) -> bool:
        """Settle one create, if that is possible now."""
        connector, name, seen = intent.erp_connector_id, intent.display_name, intent.seen
        try:
            found = await self.remote.find_unowned(erp_connector_id=connector, display_name=name, unless_seen=seen)
        except (NotTried, TenantNotRunning):
            return False
        except (ConnectionFailed, Unauthorized) as exc:
            await self._wait(intent, connection, State.FAILED, exc.error_class, f"cannot look up an open create: {exc}")
            return False
        if len(found) == 1:
            await self._adopt(intent, connection, found[0])
            return True
        # What nobody owns; else what another connection of the store owns by its number only.
        perhaps = [item.erp_connection_id for item in found] or await self.remote.find_doubtful(
            erp_connector_id=connector, display_name=name, unless_seen=seen
        )
        if perhaps:
            await self._doubt(intent, connection, perhaps)
            return False
        return await self._again_once_settled(intent, connection)

    async def _again_once_settled(self, intent: Intent, connection: StoredConnection) -> bool:
        """Make a create due again that the tenant does not show, once it is late enough to say that it failed."""
        now = self.recorder.moment()
        waited = now.since(intent.sent)
        if waited < timedelta(0):
            # The clock was set back: how long ago it was is not known, so the wait begins again.
            await self.recorder.resend_intent(intent.id)
            waited = timedelta(0)
        if waited >= self.settle:
            await self._again(intent, connection)
            return True
        # Both as the clock tells now, which may have been set since.
        sent_at, certain_at = now.at - waited, now.at - waited + self.settle
        await self._wait(
            intent,
            connection,
            State.FAILED,
            "unsettled",
            f"a create sent at {sent_at:%Y-%m-%dT%H:%M:%SZ} was not answered and the tenant does not show "
            f"it yet; it is sent again from {certain_at:%Y-%m-%dT%H:%M:%SZ} (remote.settle)",
        )
        return False

    async def _doubt(self, intent: Intent, connection: StoredConnection, ids: Iterable[int]) -> None:
        """Leave it to an operator which of these the create has made."""
        await self._wait(
            intent,
            connection,
            State.IN_DOUBT,
            "in_doubt",
            f"an unanswered create may have made any of the connections {', '.join(map(str, ids))}; say which with: "
            f"{command('connections', 'resolve', self.tenant, connection.key, '--id', 'N')}",
        )

    async def _adopt(self, intent: Intent, connection: StoredConnection, found: ErpConnection) -> None:
        """Take the one match as ours. What it holds is not known, so it is pushed once."""
        self.remote.own(found.erp_connection_id)
        verdict = Verdict(
            state=State.PENDING,
            erp_connection_id=found.erp_connection_id,
            connection_id=found.connection_id,
            applied={},
            attempts=connection.attempts,
        )
        await self.recorder.settle(connection, verdict, None, intent_id=intent.id)
        log.info(
            "connection.recovered",
            tenant=self.tenant,
            key=connection.key,
            change=intent.kind,
            erp_connection_id=found.erp_connection_id,
        )

    async def _again(self, intent: Intent, connection: StoredConnection) -> None:
        """Close the intent and make its connection due, with what stands in the tenant counted as unknown."""
        verdict = Verdict(state=State.PENDING, applied={}, attempts=connection.attempts)
        await self.recorder.settle(connection, verdict, None, intent_id=intent.id)
        log.info("connection.recovered", tenant=self.tenant, key=connection.key, change=intent.kind)

    async def _wait(
        self, intent: Intent, connection: StoredConnection, state: State, error_class: str, error: str
    ) -> None:
        """Leave the intent open and report that."""
        outcome = Outcome(
            tenant=self.tenant,
            key=connection.key,
            status=Status.IN_DOUBT,
            change=intent.kind,
            error_class=error_class,
            error=error,
        )
        verdict = Verdict(state=state, attempts=connection.attempts)
        await self.recorder.settle(connection, verdict, outcome)

"""Which drift a pass pushes ours over, and whether that held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from erpsyncd.domain.connections import DesiredConnection, State, StoredConnection
from erpsyncd.domain.drift import Drift, rebased
from erpsyncd.domain.plan import Limits, raise_if_too_much_drift
from erpsyncd.domain.tenants import DriftPolicy, Tenant
from erpsyncd.errors import ConnectionFailed, Unauthorized

if TYPE_CHECKING:
    from erpsyncd.domain.ports import PassStore
    from erpsyncd.service.recording import Recorder
    from erpsyncd.service.remote import Remote

log = structlog.stdlib.get_logger(__name__)


@dataclass(kw_only=True)
class Enforcement:
    """The drift of one tenant that its policy, or an operator, wants pushed over.

    There is no plan of its own for that: what was found there counts as what was pushed, and the rest is an ordinary
    update. Nothing of this is written before the update is settled, so a dry run sees the same.
    """

    tenant: Tenant
    store: PassStore
    drifting: tuple[StoredConnection, ...] = ()
    pushes: Mapping[int, tuple[Drift, ...]] = field(default_factory=dict)
    """By the connection's number here."""

    @classmethod
    async def read(cls, tenant: Tenant, store: PassStore, now: datetime) -> Enforcement:
        """Find out what is to be pushed over."""
        enforced = tenant.spec.drift is DriftPolicy.ENFORCE
        rows = await store.drifting_connections(tenant.id, enforced=enforced)
        pushes = {
            stored.id: tuple(one.drift for one in known if one.is_to_be_pushed(now, enforced=enforced))
            for stored, known in rows
        }
        return cls(
            tenant=tenant,
            store=store,
            drifting=tuple(stored for stored, _ in rows if pushes[stored.id]),
            pushes={row_id: drifts for row_id, drifts in pushes.items() if drifts},
        )

    def added_to(self, due: tuple[StoredConnection, ...]) -> tuple[StoredConnection, ...]:
        """Return what is due, and what is so because it drifted, by key."""
        known = {stored.id for stored in due}
        drifted = (row for row in self.drifting if row.state is State.DRIFTED and row.id not in known)
        return tuple(sorted((self._rebased(row) for row in (*due, *drifted)), key=lambda row: row.key))

    def _rebased(self, stored: StoredConnection) -> StoredConnection:
        drifts = self.pushes.get(stored.id, ())
        return replace(stored, applied=rebased(stored.applied, drifts)) if drifts else stored

    async def gate(self, due: tuple[StoredConnection, ...], limits: Limits) -> None:
        """Stop before any write when too much would be pushed over.

        Raises:
            UnsafePlan: with the numbers and the way out.
        """
        pushes = sum(row.id in self.pushes for row in due if row.present)
        if pushes:
            raise_if_too_much_drift(
                pushes,
                tenant=self.tenant.name,
                connections=len(await self.store.owned_ids(self.tenant.id)),
                limits=limits,
            )

    async def read_back(self, desired: DesiredConnection, remote: Remote, recorder: Recorder, at: datetime) -> None:
        """See whether ours stands there now. A tenant that alters it is not pushed to again and again.

        What cannot be read is looked at by the next look; a value that comes back is known then.
        """
        from erpsyncd.domain.drift_comparison import compare  # noqa: PLC0415 -- few passes push over a drift

        number = desired.stored.erp_connection_id
        assert number is not None, "it was updated"
        try:
            observed = await remote.observe(number, desired.secrets)
        except (ConnectionFailed, Unauthorized):
            return
        pushed = replace(desired, stored=replace(desired.stored, applied=desired.fingerprints))
        found = compare(pushed, observed, self.store.fingerprinter)
        if not found.drifts:
            return
        assert recorder.lease is not None, "it was written to"
        await self.store.record_look(
            recorder.lease,
            connection=desired.stored,
            found=found.drifts,
            hidden=frozenset(f"config_fields.{name}" for name in found.hidden),
            pushed=True,
            at=at,
        )
        log.warning(
            "drift.stubborn",
            tenant=self.tenant.name,
            key=desired.key,
            fields=[drift.field for drift in found.drifts],
            kinds=[str(drift.kind) for drift in found.drifts],
        )

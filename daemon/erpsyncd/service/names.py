"""What connections have by name, looked up in their tenant's lists: each is read once in a pass, and kept for a while.

Ids are what is saved, compared and remembered; a name only says which. So whoever goes over from ids to names that
stand for the same saves nothing, and what is in sync is looked at again only when a list shows other ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import InitVar, dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from erpsyncd.domain.lists import ListName, TenantList, find_id, is_outdated, names_in, with_ids
from erpsyncd.domain.results import Status
from erpsyncd.errors import (
    ConnectionFailed,
    ConnectorMoved,
    NameAmbiguous,
    NameTaken,
    NameUnknown,
    NotTried,
    TenantNotRunning,
    Unauthorized,
)

if TYPE_CHECKING:
    from erpsyncd.domain.connections import ConnectionRowId, ConnectionTemplate, StoredConnection
    from erpsyncd.domain.ports import PassStore
    from erpsyncd.domain.tenants import Tenant
    from erpsyncd.service.policy import Policy
    from erpsyncd.service.recording import Recorder
    from erpsyncd.service.remote import Remote

log = structlog.stdlib.get_logger(__name__)


@dataclass(kw_only=True)
class Names:
    """The names of one tenant in one pass."""

    tenant: Tenant
    store: PassStore
    remote: Remote
    recorder: Recorder
    policy: Policy
    now: Callable[[], datetime]
    kept: InitVar[tuple[TenantList, ...]]
    _lists: dict[ListName, TenantList] = field(init=False)
    """As they were kept, then as this pass has read them."""

    _read: set[ListName] = field(default_factory=set, init=False)
    _errors: dict[ListName, ConnectionFailed | Unauthorized] = field(default_factory=dict, init=False)
    """Why a list could not be read; to ask again for each connection would not make it better."""

    _reading: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _recording: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    def __post_init__(self, kept: tuple[TenantList, ...]) -> None:
        self._lists = {listed.name: listed for listed in kept}

    async def refresh(self) -> frozenset[ConnectionRowId]:
        """Read again what was kept for too long; make due, and return, whose names stand for something else now.

        A tenant without names has no lists, and costs no call. A list that cannot be read is this pass's failure, and
        nobody else's: what is kept is kept.
        """
        outdated: set[ConnectionRowId] = set()
        kept = self._lists
        old = [name for name, listed in kept.items() if not self._is_fresh(listed)]
        if old and not await self.store.has_names(self.tenant.id):
            if self.recorder.lease is not None:
                await self.store.forget_lists(self.recorder.lease)
            kept.clear()
            return frozenset()
        for name in old:
            try:
                outdated |= await self._read_again(name)
            except (NotTried, TenantNotRunning):  # the pass itself says why
                break
            except (ConnectionFailed, Unauthorized) as exc:
                self.recorder.report_tenant("list.failed", Status.FAILED, exc)
        return frozenset(outdated)

    async def resolved(self, stored: StoredConnection) -> StoredConnection:
        """Return the connection with the ids that its names stand for, which are on record then.

        Raises:
            NameUnknown, NameAmbiguous: of this tenant's lists.
            ConnectorMoved: the connector's name stands for another one than was pushed.
            NameTaken: another connection has that connector and the same display name.
            RemoteError, Unauthorized: a list cannot be read.
        """
        before = stored.template
        if not before.has_names:
            return stored
        ids = {
            listed: tuple(dict.fromkeys([await self._find(listed, name) for name in names]))
            for listed, names in names_in(before).items()
        }
        now = with_ids(before, ids)
        if stored.erp_connection_id is not None and before.erp_connector_id not in (0, now.erp_connector_id):
            raise _moved(stored, now)
        found = replace(stored, template=now)
        if now != before:
            await self._record(found)
        return found

    async def _record(self, found: StoredConnection) -> None:
        async with self._recording:  # of two that turn out to be one connector's, the second one sees the first
            lease = self.recorder.lease
            taken = await (self.store.find_namesake(found) if lease is None else self.store.record_ids(lease, found))
        if taken is not None:
            template = found.template
            raise NameTaken(
                f"connector {template.erp_connector!r} is {template.erp_connector_id}, and so is that of {taken!r}, "
                f"which has the same display name {template.display_name!r}; a tenant's connections of one connector "
                "need names of their own"
            )

    async def _find(self, name: ListName, wanted: str) -> int:
        """Look a name up; where what was kept does not have it, or has it twice, in what is read now."""
        listed = self._lists.get(name)
        if listed is not None and (name in self._read or self._is_fresh(listed)):
            try:
                return find_id(wanted, listed)
            except (NameUnknown, NameAmbiguous):
                if name in self._read:
                    raise
        await self._read_again(name)
        return find_id(wanted, self._lists[name])

    def _is_fresh(self, listed: TenantList) -> bool:
        """Whether a list was read not long ago; one that was read in the future was read by a wrong clock."""
        now = self.now()
        return now - self.policy.list_lifetime < listed.read_at <= now

    async def _read_again(self, name: ListName) -> frozenset[ConnectionRowId]:
        """Read a list, once in a pass, and keep it; return whom it makes due."""
        async with self._reading:
            if name in self._errors:
                raise self._errors[name].with_traceback(None)
            if name in self._read:
                return frozenset()
            try:
                items = await self.remote.list_of(name)
            except (ConnectionFailed, Unauthorized) as exc:
                self._errors[name] = exc
                raise
            lists = self._lists
            before, lists[name] = lists.get(name), TenantList(name=name, items=items, read_at=self.now())
            self._read.add(name)
            changed = before is not None and frozenset(before.items) != frozenset(items)
            outdated = await self._outdated(lists[name]) if changed else frozenset()
            if self.recorder.lease is not None:
                await self.store.keep_list(self.recorder.lease, lists[name], outdated)
            if outdated:
                log.info("list.changed", tenant=self.tenant.name, list=name.value, connections=len(outdated))
            return outdated

    async def _outdated(self, listed: TenantList) -> frozenset[ConnectionRowId]:
        named = await self.store.named_connections(self.tenant.id)
        return frozenset(one.id for one in named if is_outdated(one, listed))


def _moved(stored: StoredConnection, now: ConnectionTemplate) -> ConnectorMoved:
    before = stored.template.erp_connector_id
    return ConnectorMoved(
        f"connector {now.erp_connector!r} is {now.erp_connector_id}, but connection {stored.erp_connection_id} was "
        f"made with {before}, and that cannot change; describe the new connection under a key of its own and mark this "
        f"one absent, or give erp_connector_id = {before}"
    )

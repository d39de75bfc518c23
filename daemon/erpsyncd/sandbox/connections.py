"""The ERP connections of one tenant: rows, what saving does to them, and the sync engine's cursor."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any
from uuid import UUID

from erpsyncd.sandbox.changes import ChangeKind, ChangeLog
from erpsyncd.sandbox.config_values import readable
from erpsyncd.sandbox.options import ConfigReading
from erpsyncd.sandbox.problems import NotFoundProblem, ValidationProblem

NO_GUID = UUID(int=0)
TEXT_LIMIT = 254
VALUE_LIMIT = 1023
_SAVES_KEPT = 10_000
_EPOCH = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConnection:
    """One row of the table `erpconnection` with its child rows."""

    erp_connection_id: int = 0
    erp_connector_id: int = 1
    display_name: str = ""
    display_description: str = ""
    active: bool = False
    guid: UUID = NO_GUID
    most_recent_timestamp: str = ""
    config_fields: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    deleted: bool = False
    all_access: bool = False
    user_group_access_ids: tuple[int, ...] = ()
    associate_access_ids: tuple[int, ...] = ()

    @classmethod
    def from_carrier(cls, carrier: Mapping[str, Any]) -> SandboxConnection:
        """Read what a client sent. Its GUID is left out: NetServer alone decides on that one."""
        return cls(
            erp_connection_id=carrier["ErpConnectionId"],
            erp_connector_id=carrier["ErpConnectorId"],
            display_name=carrier["DisplayName"] or "",
            display_description=carrier["DisplayDescription"] or "",
            active=carrier["Active"],
            most_recent_timestamp=carrier["MostRecentTimestamp"] or "",
            config_fields=MappingProxyType(dict(carrier["ConfigFields"] or {})),
            deleted=carrier["Deleted"],
            all_access=carrier["AllAccess"],
            user_group_access_ids=tuple(dict.fromkeys(carrier["UserGroupAccessIds"] or ())),
            associate_access_ids=tuple(dict.fromkeys(carrier["AssociateAccessIds"] or ())),
        )

    def to_carrier(self, *, upper_guid: bool = False, reading: ConfigReading = ConfigReading.CLEAR) -> dict[str, Any]:
        """Return the row as the API tells it."""
        return {
            "TableRight": None,
            "FieldProperties": None,
            "ErpConnectionId": self.erp_connection_id,
            "ErpConnectorId": self.erp_connector_id,
            "DisplayName": self.display_name,
            "DisplayDescription": self.display_description,
            "Active": self.active,
            "ConnectionId": guid_text(self.guid, upper=upper_guid),
            "MostRecentTimestamp": self.most_recent_timestamp,
            "ConfigFields": readable(self.config_fields, reading),
            "Deleted": self.deleted,
            "AllAccess": self.all_access,
            "UserGroupAccessIds": list(self.user_group_access_ids),
            "AssociateAccessIds": list(self.associate_access_ids),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CursorRewind:
    """A save that sent another cursor than the one the sync engine had: synchronisation starts over."""

    erp_connection_id: int
    sent: str
    current: str


class ConnectionTable:
    """All rows of one tenant. Rows are never removed, only flagged (`forget` is for tests)."""

    def __init__(self, guids: random.Random, changes: ChangeLog) -> None:
        self.rows: dict[int, SandboxConnection] = {}
        self.rewinds: list[CursorRewind] = []
        self.saves: deque[SandboxConnection] = deque(maxlen=_SAVES_KEPT)
        self._guids = guids
        self._changes = changes
        self._reads: dict[int, int] = {}
        self._last_id = 0
        self._ticks = 0

    def row(self, erp_connection_id: int) -> SandboxConnection:
        """Return a row, deleted or not; raise `NotFoundProblem` for an id that was never there."""
        try:
            return self.rows[erp_connection_id]
        except KeyError:
            raise NotFoundProblem("ErpConnection", erp_connection_id) from None

    def read(self, erp_connection_id: int, *, cursor_every: int) -> SandboxConnection:
        """Return a row for GetConnection; the sync engine may have moved its cursor meanwhile."""
        row = self.row(erp_connection_id)
        reads = self._reads[erp_connection_id] = self._reads.get(erp_connection_id, 0) + 1
        if reads % cursor_every == 0:
            self._move_cursor(erp_connection_id)
            row = self.rows[erp_connection_id]
        return row

    def save(self, sent: SandboxConnection) -> SandboxConnection:
        """Create (id 0) or replace a row and return it as saved; the cursor moves on right afterwards."""
        check_lengths(sent)
        if sent.erp_connection_id == 0:
            saved = self._insert(sent)
        else:
            saved = self._update(self.row(sent.erp_connection_id), sent)
        self.saves.append(saved)
        self._move_cursor(saved.erp_connection_id)
        return saved

    def delete(self, erp_connection_id: int) -> None:
        """Flag a row as deleted; doing that twice changes nothing."""
        row = self.row(erp_connection_id)
        if not row.deleted:
            self.rows[erp_connection_id] = replace(row, deleted=True)
            self._changes.record(ChangeKind.DELETED, "erpconnection", erp_connection_id)

    def put(self, row: SandboxConnection) -> None:
        """Write a row as it is, as somebody at the server would: no checks, no rewinds, but changes are recorded."""
        before = self.rows.get(row.erp_connection_id)
        self.rows[row.erp_connection_id] = row
        self._last_id = max(self._last_id, row.erp_connection_id)
        self._record(before or SandboxConnection(), row, ChangeKind.UPDATED if before else ChangeKind.ADDED)

    def synchronize(self) -> list[tuple[int, int]]:
        """Move the cursor of each active connection, as a round of the sync engine does; return ids and ticks."""
        moved = []
        for row in [row for row in self.rows.values() if row.active and not row.deleted]:
            self._move_cursor(row.erp_connection_id)
            moved.append((row.erp_connection_id, self._ticks))
        return moved

    def forget(self, erp_connection_id: int) -> None:
        """Remove a row for good, as a restored backup would."""
        del self.rows[self.row(erp_connection_id).erp_connection_id]

    def _insert(self, sent: SandboxConnection) -> SandboxConnection:
        self._last_id += 1
        row = replace(
            sent,
            erp_connection_id=self._last_id,
            guid=self.new_guid(),
            most_recent_timestamp="",
        )
        self.rows[row.erp_connection_id] = row
        self._record(SandboxConnection(), row, ChangeKind.ADDED)
        return row

    def _update(self, current: SandboxConnection, sent: SandboxConnection) -> SandboxConnection:
        if sent.most_recent_timestamp != current.most_recent_timestamp:
            self.rewinds.append(
                CursorRewind(
                    erp_connection_id=current.erp_connection_id,
                    sent=sent.most_recent_timestamp,
                    current=current.most_recent_timestamp,
                )
            )
        row = replace(sent, guid=current.guid)
        self.rows[row.erp_connection_id] = row
        if replace(row, most_recent_timestamp="") != replace(current, most_recent_timestamp=""):
            self._record(current, row, ChangeKind.UPDATED)
        return row

    def _record(self, before: SandboxConnection, after: SandboxConnection, kind: ChangeKind) -> None:
        row_id = after.erp_connection_id
        self._changes.record(kind, "erpconnection", row_id)
        self._changes.record_children("connectionconfigfield", row_id, before.config_fields, after.config_fields)
        self._changes.record_children("erpconnectionaccess", row_id, _access_rows(before), _access_rows(after))

    def new_guid(self) -> UUID:
        """Return the next GUID of this tenant; runs with the same seed repeat them."""
        return UUID(int=self._guids.getrandbits(128), version=4)

    def _move_cursor(self, erp_connection_id: int) -> None:
        self._ticks += 1
        moved = f"{_EPOCH + timedelta(seconds=self._ticks):%Y-%m-%dT%H:%M:%S}.{self._ticks:07d}Z"
        self.rows[erp_connection_id] = replace(self.rows[erp_connection_id], most_recent_timestamp=moved)


def _access_rows(row: SandboxConnection) -> dict[tuple[str, int], bool]:
    groups = {("group", identity): True for identity in row.user_group_access_ids}
    return groups | {("associate", identity): True for identity in row.associate_access_ids}


def guid_text(guid: UUID, *, upper: bool) -> str:
    """Return a GUID in the case this answer happens to use."""
    return str(guid).upper() if upper else str(guid)


def check_lengths(sent: SandboxConnection) -> None:
    """Raise `ValidationProblem` where a column is too short for what was sent."""
    problems: dict[str, str] = {}
    for member, text in (("DisplayName", sent.display_name), ("DisplayDescription", sent.display_description)):
        if len(text) > TEXT_LIMIT:
            problems[member] = f"{member} is longer than {TEXT_LIMIT} characters"
    for number, (key, value) in enumerate(sent.config_fields.items()):
        if len(key) > TEXT_LIMIT:
            problems[f"ConfigFields[{number}].Key"] = f"a config field key is longer than {TEXT_LIMIT} characters"
        if len(value) > VALUE_LIMIT:
            problems[f"ConfigFields[{number}].Value"] = f"a config value is longer than {VALUE_LIMIT} characters"
    if problems:
        raise ValidationProblem(problems)


def plain(row: SandboxConnection) -> dict[str, Any]:
    """Return a row as JSON-ready values under the vendor's names, config values included: this is a sandbox."""
    return {name: value for name, value in row.to_carrier().items() if name not in {"TableRight", "FieldProperties"}}

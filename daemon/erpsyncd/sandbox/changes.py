"""What changed in a tenant since its last HasConnections answer, as ChangedData tells it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from enum import StrEnum
from itertools import count
from typing import Any


class ChangeKind(StrEnum):
    """The list of ChangedData that a record belongs into."""

    ADDED = "AddedRecords"
    UPDATED = "UpdatedRecords"
    DELETED = "DeletedRecords"


_MERGED: dict[tuple[ChangeKind, ChangeKind], ChangeKind | None] = {
    (ChangeKind.ADDED, ChangeKind.UPDATED): ChangeKind.ADDED,
    (ChangeKind.ADDED, ChangeKind.DELETED): None,
    (ChangeKind.DELETED, ChangeKind.ADDED): ChangeKind.UPDATED,
}
"""What two changes of one record are together, where it is not simply the later one."""


class ChangeLog:
    """Collects changed records and hands out the ids of child rows, which the API never shows otherwise."""

    def __init__(self) -> None:
        self._pending: dict[tuple[str, int], ChangeKind] = {}
        self._child_ids: dict[tuple[str, int, Hashable], int] = {}
        self._next_child_id = count(1)
        self._answers = 0

    def record(self, kind: ChangeKind, table: str, record_id: int) -> None:
        """Note one changed record."""
        before = self._pending.pop((table, record_id), None)
        merged = kind if before is None else _MERGED.get((before, kind), kind)
        if merged is not None:
            self._pending[table, record_id] = merged

    def record_children(self, table: str, parent_id: int, before: Mapping[Any, Any], after: Mapping[Any, Any]) -> None:
        """Note what became of the child rows of one connection, each known by a key inside its parent."""
        for key in sorted(before.keys() | after.keys()):
            if key not in after:
                self.record(ChangeKind.DELETED, table, self._child_ids.pop((table, parent_id, key)))
            elif key not in before:
                self._child_ids[table, parent_id, key] = next(self._next_child_id)
                self.record(ChangeKind.ADDED, table, self._child_ids[table, parent_id, key])
            elif before[key] != after[key]:
                self.record(ChangeKind.UPDATED, table, self._child_ids[table, parent_id, key])

    def take(self) -> dict[str, Any]:
        """Return the `Changes` member of a PluginResponse and begin anew.

        Without changes the answers take turns: nil, no member at all, three empty lists, three nil lists.
        With changes every second answer holds a nil item, which a client has to step over.
        """
        self._answers += 1
        if not self._pending:
            return _nothing(self._answers)
        lists: dict[str, list[dict[str, Any] | None]] = {str(kind): [] for kind in ChangeKind}
        for (table, record_id), kind in sorted(self._pending.items()):
            lists[kind].append({**_BASE, "Tablename": table, "RecordId": record_id})
        if self._answers % 2 == 0:
            lists[ChangeKind.DELETED].append(None)
        self._pending.clear()
        return {"Changes": {**_BASE, **lists}}


_BASE = {"TableRight": None, "FieldProperties": None}


def _nothing(turn: int) -> dict[str, Any]:
    """Return one of the ways in which a server says that nothing changed."""
    ways: tuple[dict[str, Any], ...] = (
        {"Changes": None},
        {},
        {"Changes": {**_BASE, **{str(kind): [] for kind in ChangeKind}}},
        {"Changes": {**_BASE, **{str(kind): None for kind in ChangeKind}}},
    )
    return ways[(turn - 1) % len(ways)]

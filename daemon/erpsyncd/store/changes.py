"""Reading changed records in their order, a page at a time, and the new ones as they come."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, func, select, tuple_

from erpsyncd.store.database import Database
from erpsyncd.store.tables import changes
from erpsyncd.store.views import ChangeView

_PAGE = 1_000

#: On PostgreSQL a row may become visible after one with a higher number; so far back a look goes again.
_OVERLAP = 1_000


def iterate(
    database: Database, *, since: datetime | None, tenant: str | None, page: int = _PAGE
) -> Iterator[ChangeView]:
    """Yield changed records, oldest first. Each page is a transaction of its own, so none is open for long."""
    after: tuple[datetime, int] | None = None
    while True:
        with database.read() as connection:
            rows = connection.execute(select_page(after, since=since, tenant=tenant, page=page)).all()
        for row in rows:
            yield read_change(row)
        if len(rows) < page:
            return
        after = (rows[-1].recorded_at, rows[-1].id)


def select_page(
    after: tuple[datetime, int] | None, *, since: datetime | None, tenant: str | None, page: int
) -> Select[Any]:
    """Return the query for the next records in the order of their moments, which an index has."""
    query = select(changes).order_by(changes.c.recorded_at, changes.c.id).limit(page)
    if tenant is not None:
        query = query.where(changes.c.tenant == tenant)
    if after is not None:
        at = tuple_(changes.c.recorded_at, changes.c.id)
        query = query.where(changes.c.recorded_at >= after[0], at > tuple_(*after, types=at.type.types))
    elif since is not None:
        query = query.where(changes.c.recorded_at >= since)
    return query


class ChangeFollower:
    """Returns what is new since the last look; what was there before it began is not."""

    def __init__(self, database: Database, *, tenant: str | None) -> None:
        self._database = database
        self._tenant = tenant
        with database.read() as connection:
            self._newest: int = connection.execute(select(func.coalesce(func.max(changes.c.id), 0))).scalar_one()
        self._seen = {row.id for row in self._look()}

    def news(self) -> tuple[ChangeView, ...]:
        """Return the changed records that came since the last call, each once."""
        rows = [row for row in self._look() if row.id not in self._seen]
        self._newest = max((self._newest, *(row.id for row in rows)))
        self._seen = {number for number in self._seen if number > self._newest - _OVERLAP}
        self._seen.update(row.id for row in rows)
        return tuple(read_change(row) for row in rows if self._tenant in (None, row.tenant))

    def _look(self) -> list[Row[Any]]:
        query = select(changes).where(changes.c.id > self._newest - _OVERLAP).order_by(changes.c.id)
        with self._database.read() as connection:
            return list(connection.execute(query).all())


def read_change(row: Row[Any]) -> ChangeView:
    """Return the changed record that a row holds."""
    return ChangeView(**{name: getattr(row, name) for name in ChangeView.__slots__})

"""What tenants answered, as the command line looks at it: checks, and the records that they say were changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from erpsyncd.store import changes, queries
from erpsyncd.store.database import Database
from erpsyncd.store.views import ChangeView, CheckDetail, CheckView


class AnswerOperations:
    """Lists of answers, and one of them whole."""

    _database: Database

    def list_checks(
        self, *, tenant: str | None = None, run_id: int | None = None, limit: int | None = None
    ) -> tuple[CheckView, ...]:
        """Return checks, the one that came last first."""
        with self._database.read() as connection:
            return queries.list_checks(connection, tenant=tenant, run_id=run_id, limit=limit)

    def get_check(self, check_id: int) -> CheckDetail | None:
        """Return a check with all that was answered; None where there is none of that number."""
        with self._database.read() as connection:
            return queries.get_check(connection, check_id)

    def languages(self) -> Mapping[str, str]:
        """Return the language of each tenant that has one."""
        with self._database.read() as connection:
            return queries.languages(connection)

    def list_changes(
        self,
        *,
        tenant: str | None = None,
        run_id: int | None = None,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> tuple[ChangeView, ...]:
        """Return changed records, newest first."""
        with self._database.read() as connection:
            return queries.list_changes(connection, tenant=tenant, run_id=run_id, since=since, limit=limit)

    def iterate_changes(self, *, since: datetime | None = None, tenant: str | None = None) -> Iterator[ChangeView]:
        """Yield changed records, oldest first, with a page of them in memory at a time."""
        return changes.iterate(self._database, since=since, tenant=tenant)

    def follow_changes(self, *, tenant: str | None = None) -> changes.ChangeFollower:
        """Return what tells the changed records that come from now on."""
        return changes.ChangeFollower(self._database, tenant=tenant)

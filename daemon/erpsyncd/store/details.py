"""Everything that is known about one connection or one tenant. None of it needs the key: no secret is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from erpsyncd.domain.connections import State
from erpsyncd.domain.results import HAS_CONNECTIONS
from erpsyncd.domain.secrets import Secret
from erpsyncd.store import queries
from erpsyncd.store.administration import find_tenant, no_connection, no_tenant
from erpsyncd.store.decisions import list_drifts
from erpsyncd.store.rows import read_names
from erpsyncd.store.tables import connections, intents, outcomes, tenants
from erpsyncd.store.views import CheckView, ConnectionView, DriftView, TenantView

#: States in which each further attempt is written down anew, so that their row does not tell since when.
_REPEATING = (State.FAILED, State.MISSING, State.REPLACED)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenIntent:
    """A write call that may be on its way."""

    kind: str
    run_id: int
    sent_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PastOutcome:
    """What became of it in one run."""

    run_id: int
    recorded_at: datetime
    status: str
    change: str | None
    error_class: str | None
    error: str | None
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionDetail:
    """A connection with all that is described, remembered and past."""

    view: ConnectionView
    since: datetime
    """Since when it is in its state, as far as the history tells."""

    display_description: str
    all_access: bool
    user_group_access_ids: tuple[int, ...]
    user_groups: tuple[str, ...]
    associate_access_ids: tuple[int, ...]
    associates: tuple[str, ...]
    config_fields: Mapping[str, str]
    """`***`, or the reference where a value is one."""

    revision: int
    created_at: datetime
    open_intent: OpenIntent | None
    drift: tuple[DriftView, ...]
    """What the last look at the tenant found to differ."""

    history: tuple[PastOutcome, ...]
    """Newest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantDetail:
    """A tenant with all that is described and remembered of it as a whole."""

    view: TenantView
    soap_url: str | None
    rest_url: str | None
    erpsync_services: int
    quote_services: int
    calls_per_second: float
    auth_kind: str
    auth_fields: Mapping[str, str]
    """`***`, or the reference where a value is one."""

    environment: str | None
    context: str | None
    api: str | None
    """Where its REST is, as the vendor said last."""

    language: str | None
    time_zone: str | None
    careful: bool
    drift: str
    sync_all_after_save: bool
    ca_file: str | None
    client_certificate: str | None
    client_key: str | None
    proxy: str | None
    """`***`, or the reference where it is one."""

    lease_owner: str | None
    lease_until: datetime | None
    counts: Mapping[State, int]
    last_check: CheckView | None
    created_at: datetime
    updated_at: datetime


def get_connection(connection: Connection, tenant: str, key: str, *, history: int) -> ConnectionDetail:
    """Return one connection with its newest outcomes.

    Raises:
        UsageError: there is no such connection.
    """
    found = queries.list_connections(connection, tenant=tenant, key=key)
    if not found:
        raise no_connection(connection, find_tenant(connection, tenant), tenant, key)
    (view,) = found
    row = connection.execute(
        select(connections)
        .join(tenants, tenants.c.id == connections.c.tenant_id)
        .where(tenants.c.name == tenant, connections.c.key == key)
    ).one()
    names = read_names(row.names)
    return ConnectionDetail(
        view=view,
        since=_since(connection, view),
        display_description=row.display_description,
        all_access=row.all_access,
        user_group_access_ids=tuple(row.user_group_access_ids),
        user_groups=names["user_groups"],
        associate_access_ids=tuple(row.associate_access_ids),
        associates=names["associates"],
        config_fields=_shown(row.config_fields),
        revision=row.revision,
        created_at=row.created_at,
        open_intent=_open_intent(connection, row.id),
        drift=list_drifts(connection, now=datetime.now(UTC), tenant=tenant, key=key),
        history=_history(connection, tenant, key, history),
    )


def get_tenant(connection: Connection, name: str, *, now: datetime) -> TenantDetail:
    """Return one tenant.

    Raises:
        UsageError: there is no such tenant.
    """
    found = queries.list_tenants(connection, now=now, name=name)
    if not found:
        raise no_tenant(connection, name)
    row = connection.execute(select(tenants).where(tenants.c.name == name)).one()
    checks = queries.list_checks(connection, tenant=name, operation=HAS_CONNECTIONS, limit=1)
    return TenantDetail(
        view=found[0],
        soap_url=row.soap_url,
        rest_url=row.rest_url,
        erpsync_services=row.erpsync_services,
        quote_services=row.quote_services,
        calls_per_second=row.calls_per_second,
        auth_kind=row.auth_kind,
        auth_fields=_shown(row.auth_fields),
        environment=row.environment,
        context=row.context,
        api=row.api,
        language=row.language,
        time_zone=row.time_zone,
        careful=row.careful,
        drift=row.drift,
        sync_all_after_save=row.sync_all_after_save,
        ca_file=row.ca_file,
        client_certificate=row.client_certificate,
        client_key=row.client_key,
        proxy=None if row.proxy is None else _shown({"proxy": row.proxy})["proxy"],
        lease_owner=row.lease_owner,
        lease_until=row.lease_until,
        counts=queries.count_states(connection, tenant=name),
        last_check=checks[0] if checks else None,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _shown(stored: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return stored values as people may see them: what is sealed stays so."""
    return {name: str(Secret("")) if "sealed" in value else value["reference"] for name, value in stored.items()}


def _since(connection: Connection, view: ConnectionView) -> datetime:
    """Return since when it is in its state; of one that failed again and again, since the first failure in a row."""
    if view.state not in _REPEATING or view.attempts <= 1:
        return view.updated_at
    first = (
        select(outcomes.c.recorded_at)
        .where(outcomes.c.tenant == view.tenant, outcomes.c.key == view.key, outcomes.c.status == "failed")
        .order_by(outcomes.c.id.desc())
        .offset(view.attempts - 1)
        .limit(1)
    )
    found: datetime | None = connection.execute(first).scalar_one_or_none()
    return found or view.updated_at


def _open_intent(connection: Connection, row_id: int) -> OpenIntent | None:
    row = connection.execute(
        select(intents).where(intents.c.connection_id == row_id).order_by(intents.c.id.desc()).limit(1)
    ).one_or_none()
    return None if row is None else OpenIntent(kind=row.kind, run_id=row.run_id, sent_at=row.sent_at)


def _history(connection: Connection, tenant: str, key: str, limit: int) -> tuple[PastOutcome, ...]:
    rows = connection.execute(
        select(outcomes)
        .where(outcomes.c.tenant == tenant, outcomes.c.key == key)
        .order_by(outcomes.c.id.desc())
        .limit(limit)
    )
    return tuple(_past(row) for row in rows)


def _past(row: Row[Any]) -> PastOutcome:
    return PastOutcome(
        run_id=row.run_id,
        recorded_at=row.recorded_at,
        status=row.status,
        change=row.change,
        error_class=row.error_class,
        error=row.error,
        fields=tuple(row.fields),
    )

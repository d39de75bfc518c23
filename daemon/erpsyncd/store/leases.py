"""Leases: who works on a tenant, until when, and with which fence.

A claim raises the tenant's fence. Every write of a pass checks owner and fence in its own transaction and
locks the tenant's row, so that nobody can claim the tenant between the check and the commit.

On PostgreSQL several machines share the store, and only the server's clock counts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    Update,
    bindparam,
    func,
    literal,
    or_,
    select,
    update,
)

from erpsyncd.domain.connections import State
from erpsyncd.domain.intents import Lease
from erpsyncd.errors import LeaseLost, TenantLeased
from erpsyncd.store.columns import UtcDateTime
from erpsyncd.store.tables import NOT_IN_SYNC, connections, tenants

if TYPE_CHECKING:
    from erpsyncd.domain.tenant_states import ReportedState
    from erpsyncd.domain.tenants import TenantId


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Somebody's wish for a lease on a tenant."""

    tenant_id: TenantId
    owner: str
    now: datetime
    seconds: float


def _free(now: ColumnElement[Any]) -> ColumnElement[bool]:
    return or_(tenants.c.lease_owner.is_(None), tenants.c.lease_until <= now)


def _on_server(seconds: float | BindParameter[float]) -> ColumnElement[Any]:
    """Return the moment so many seconds from now, by the server's clock."""
    return func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)


def _claiming(now: ColumnElement[Any], until: ColumnElement[Any]) -> Update:
    claimant: BindParameter[str] = bindparam("claimant")
    return (
        update(tenants)
        .where(tenants.c.id == bindparam("of_tenant"), or_(_free(now), tenants.c.lease_owner == claimant))
        .values(lease_owner=claimant, lease_until=until, lease_fence=tenants.c.lease_fence + 1)
    )


#: By the clock of whoever claims, and by the server's.
_CLAIM_ON_SQLITE = _claiming(bindparam("now", type_=UtcDateTime()), bindparam("until", type_=UtcDateTime()))
_CLAIM_ON_SERVER = _claiming(func.now(), _on_server(bindparam("seconds")))

_HELD = (
    select(tenants.c.id, tenants.c.lease_owner, tenants.c.lease_fence)
    .where(tenants.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(tenants.c.id)
)
#: In the order in which every transaction locks tenants.
_LOCKED = _HELD.with_for_update(key_share=True)


def claim_all(connection: Connection, claims: Sequence[Claim]) -> list[Lease | None]:
    """Lease tenants; None for each on which another owner's lease has not run out, or that was removed."""
    assert len({claim.tenant_id for claim in claims}) == len(claims), "each of several leases on a tenant has its fence"
    if connection.dialect.name == "sqlite":
        connection.execute(_CLAIM_ON_SQLITE, [_wish(one) | _span(one) for one in claims])
    else:
        connection.execute(_CLAIM_ON_SERVER, [_wish(one) | {"seconds": one.seconds} for one in claims])
    fences = _fences(connection, _HELD, claims)
    # Who had one already may claim again: a tenant that is his now was free for him.
    return [_leased(claim, fences.get((claim.tenant_id, claim.owner))) for claim in claims]


def _leased(claim: Claim, fence: int | None) -> Lease | None:
    return None if fence is None else Lease(tenant_id=claim.tenant_id, owner=claim.owner, fence=fence)


def _wish(claim: Claim) -> dict[str, Any]:
    return {"of_tenant": claim.tenant_id, "claimant": claim.owner}


def _span(claim: Claim) -> dict[str, Any]:
    return {"now": claim.now, "until": claim.now + timedelta(seconds=claim.seconds)}


def renew(connection: Connection, lease: Lease, *, now: datetime, seconds: float) -> None:
    """Extend a lease.

    Raises:
        LeaseLost: it is not current.
    """
    extended = connection.execute(
        update(tenants).where(*_current(lease)).values(lease_until=_after(connection, now, seconds))
    )
    if extended.rowcount == 0:
        raise lost(lease)


_RELEASE = (
    update(tenants).where(tenants.c.id.in_(bindparam("ids", expanding=True))).values(lease_owner=None, lease_until=None)
)


def release_all(connection: Connection, held: Collection[Lease]) -> set[TenantId]:
    """Give leases back; return the tenants of those that were still current."""
    fences = _fences(connection, _LOCKED, held)
    given = {lease.tenant_id for lease in held if fences.get((lease.tenant_id, lease.owner)) == lease.fence}
    if given:
        connection.execute(_RELEASE, {"ids": sorted(given)})
    return given


def check(connection: Connection, lease: Lease) -> None:
    """Make sure that this lease is current, and keep it so until this transaction ends.

    Raises:
        LeaseLost: it is not.
    """
    held = select(tenants.c.id).where(*_current(lease)).with_for_update(key_share=True)
    if connection.execute(held).one_or_none() is None:
        raise lost(lease)


def check_all(connection: Connection, held: Collection[Lease]) -> None:
    """Make sure that all of these leases are current, and keep them so until this transaction ends.

    Raises:
        LeaseLost: one is not.
    """
    fences = _fences(connection, _LOCKED, held)
    for lease in held:
        if fences.get((lease.tenant_id, lease.owner)) != lease.fence:
            raise lost(lease)


def _fences(
    connection: Connection, query: Select[TenantId, str | None, int], wanted: Collection[Claim] | Collection[Lease]
) -> dict[tuple[TenantId, str | None], int]:
    """Return which fence these tenants have, and who has it."""
    rows = connection.execute(query, {"ids": sorted({one.tenant_id for one in wanted})})
    return {(row_id, owner): fence for row_id, owner, fence in rows}


#: Nobody who only claims waits for whoever has a lease already, and may be in the middle of a write.
_LOCKED_FOR_ALL = (
    select(tenants.c.id)
    .where(
        or_(
            tenants.c.id.in_(bindparam("ids", expanding=True)),
            tenants.c.id.in_(bindparam("claimed", expanding=True)) & _free(func.now()),
        )
    )
    .order_by(tenants.c.id)
    .with_for_update(key_share=True)
)


def lock(connection: Connection, tenant_ids: Collection[TenantId], *, claimed: Collection[TenantId]) -> None:
    """Lock what a transaction is going to check the leases of, before it does that in an order of its own.

    What it is going to claim is locked where it is free. Where that fails, nothing is locked and the transaction can
    go on.
    """
    if connection.dialect.name != "sqlite" and len(tenant_ids) + len(claimed) > 1:
        with connection.begin_nested():
            connection.execute(_LOCKED_FOR_ALL, {"ids": sorted(tenant_ids), "claimed": sorted(claimed)})


def holder(connection: Connection, tenant_id: TenantId, *, now: datetime) -> str | None:
    """Return who has a lease on a tenant that has not run out. On PostgreSQL the server's clock counts, not `now`."""
    owner: str | None = connection.execute(
        select(tenants.c.lease_owner).where(tenants.c.id == tenant_id, tenants.c.lease_until > _clock(connection, now))
    ).scalar_one_or_none()
    return owner


def refuse_if_at_work(
    connection: Connection, tenant_id: TenantId, tenant: str, *, now: datetime, leases_count: bool
) -> None:
    """Make sure that no pass works on a tenant. `leases_count` is False where whoever has one is known to be dead.

    Raises:
        TenantLeased: one does.
    """
    owner = holder(connection, tenant_id, now=now) if leases_count else None
    if owner is not None:
        raise TenantLeased(f"{owner} is working on tenant {tenant!r}; try again when its pass is done")


def remember_tenant(
    connection: Connection,
    lease: Lease,
    *,
    refused_auth: str | None,
    parked_until: datetime | None,
    transient_failures: int,
) -> None:
    """Record what a pass learned about the tenant as a whole.

    Raises:
        LeaseLost: the lease is not current.
    """
    values = {"refused_auth": refused_auth, "parked_until": parked_until, "transient_failures": transient_failures}
    write_under(connection, lease, values)


def write_under(connection: Connection, lease: Lease, values: Mapping[str, Any]) -> None:
    """Write columns of the tenant that a lease is on.

    Raises:
        LeaseLost: the lease is not current.
    """
    written = connection.execute(update(tenants).where(*_current(lease)).values(**values))
    if written.rowcount == 0:
        raise lost(lease)


def remember_state(connection: Connection, lease: Lease, state: ReportedState, *, at: datetime) -> None:
    """Record how the vendor says that a tenant is. What waits in it is `parked` as long as it does not run.

    Raises:
        LeaseLost: the lease is not current.
    """
    remembered = connection.execute(
        update(tenants)
        .where(*_current(lease))
        .values(
            tenant_state=state.word,
            tenant_running=state.is_running,
            tenant_state_until=state.valid_until,
            endpoint=state.endpoint or None,
            api=state.api or None,
        )
    )
    if remembered.rowcount == 0:
        raise lost(lease)
    before, after = (State.PARKED, State.PENDING) if state.is_running else (State.PENDING, State.PARKED)
    connection.execute(
        update(connections)
        .where(connections.c.tenant_id == lease.tenant_id, connections.c.state == before.value, NOT_IN_SYNC)
        .values(state=after.value, updated_at=at)
    )


def free_all(connection: Connection) -> None:
    """Free every lease: their owners are dead, because this process holds the only lock."""
    connection.execute(
        update(tenants).where(tenants.c.lease_owner.is_not(None)).values(lease_owner=None, lease_until=None)
    )


def lost(lease: Lease) -> LeaseLost:
    """Return the error for a lease that is not current."""
    return LeaseLost(
        f"lease {lease.fence} on tenant {lease.tenant_id} is no longer held by {lease.owner}: another process works "
        "on it, or it was removed"
    )


def _current(lease: Lease) -> tuple[ColumnElement[bool], ...]:
    return (
        tenants.c.id == lease.tenant_id,
        tenants.c.lease_owner == lease.owner,
        tenants.c.lease_fence == lease.fence,
    )


def _clock(connection: Connection, now: datetime) -> ColumnElement[Any]:
    return literal(now, UtcDateTime()) if connection.dialect.name == "sqlite" else func.now()


def _after(connection: Connection, now: datetime, seconds: float) -> ColumnElement[Any]:
    if connection.dialect.name == "sqlite":
        return literal(now + timedelta(seconds=seconds), UtcDateTime())
    return _on_server(seconds)

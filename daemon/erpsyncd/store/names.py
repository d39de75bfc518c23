"""What tenants' lists held when they were read, and what the names of connections stood for by them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, bindparam, delete, exists, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from erpsyncd.domain.connections import ConnectionRowId, ConnectionTemplate, State, StoredConnection, name_variants
from erpsyncd.store import leases
from erpsyncd.store.due import RIPENS_ON_CHANGE, chunks
from erpsyncd.store.rows import Values, read_names
from erpsyncd.store.tables import connections, tenant_lists

if TYPE_CHECKING:
    from erpsyncd.domain.intents import Lease
    from erpsyncd.domain.lists import NamedConnection, TenantList
    from erpsyncd.domain.tenants import TenantId

#: Written as in the index that has to be used: a tenant without names must not cost the reading of its connections.
_NAMED = connections.c.names.is_not(None)


_KEPT = select(tenant_lists).where(tenant_lists.c.tenant_id == bindparam("of_tenant"))


def read_lists(connection: Connection, tenant_id: TenantId) -> tuple[TenantList, ...]:
    """Return the lists of a tenant that were kept."""
    rows = connection.execute(_KEPT, {"of_tenant": tenant_id}).all()
    if not rows:
        return ()
    from erpsyncd.domain.lists import ListItem, ListName, TenantList  # noqa: PLC0415 -- few tenants have any

    return tuple(
        TenantList(
            name=ListName(row.name),
            items=tuple(ListItem(id=item["id"], name=item["name"], url=item.get("url", "")) for item in row.items),
            read_at=row.read_at,
        )
        for row in rows
    )


def keep_list(connection: Connection, lease: Lease, listed: TenantList, outdated: frozenset[ConnectionRowId]) -> None:
    """Keep a list in the place of what was kept before, and make due these connections: both or neither.

    Raises:
        LeaseLost: the lease is not current.
    """
    leases.check(connection, lease)
    values: Values = {
        "items": [
            {"id": item.id, "name": item.name} | ({"url": item.url} if item.url else {}) for item in listed.items
        ],
        "read_at": listed.read_at,
    }
    own = (tenant_lists.c.tenant_id == lease.tenant_id, tenant_lists.c.name == listed.name.value)
    if not connection.execute(update(tenant_lists).where(*own).values(values)).rowcount:
        connection.execute(insert(tenant_lists).values(tenant_id=lease.tenant_id, name=listed.name.value, **values))
    for chunk in chunks(sorted(outdated)):
        connection.execute(
            update(connections)
            .where(
                connections.c.tenant_id == lease.tenant_id,
                connections.c.id.in_(chunk),
                connections.c.state.in_(RIPENS_ON_CHANGE),
            )
            .values(state=State.PENDING.value, attempts=0, next_attempt_at=None)
        )


def forget_lists(connection: Connection, lease: Lease) -> None:
    """Forget the lists of a tenant.

    Raises:
        LeaseLost: the lease is not current.
    """
    leases.check(connection, lease)
    connection.execute(delete(tenant_lists).where(tenant_lists.c.tenant_id == lease.tenant_id))


def has_names(connection: Connection, tenant_id: TenantId) -> bool:
    """Say whether any connection of a tenant has something by name and is not deleted there."""
    named = exists().where(connections.c.tenant_id == tenant_id, _NAMED, connections.c.state != State.DELETED)
    return bool(connection.execute(select(named)).scalar_one())


def named_connections(connection: Connection, tenant_id: TenantId) -> tuple[NamedConnection, ...]:
    """Return the connections with names that a changed list may make due."""
    from erpsyncd.domain.lists import NamedConnection  # noqa: PLC0415 -- as above

    query = select(connections).where(
        connections.c.tenant_id == tenant_id,
        _NAMED,
        connections.c.present,
        connections.c.state.in_(RIPENS_ON_CHANGE),
    )
    return tuple(
        NamedConnection(id=row.id, state=State(row.state), template=_template(row)) for row in connection.execute(query)
    )


def _template(row: Row[Any]) -> ConnectionTemplate:
    return ConnectionTemplate(
        erp_connector_id=row.erp_connector_id,
        display_name=row.display_name,
        user_group_access_ids=tuple(row.user_group_access_ids),
        associate_access_ids=tuple(row.associate_access_ids),
        **read_names(row.names),
    )


def find_namesake(connection: Connection, stored: StoredConnection) -> str | None:
    """Return the key of another present connection with this connector's id and, in any language, this name."""
    names = name_variants(stored.template.display_name)
    columns = connections.c
    rows = connection.execute(
        select(columns.key, columns.display_name).where(
            columns.tenant_id == stored.tenant_id,
            columns.erp_connector_id == stored.template.erp_connector_id,
            columns.present,
            columns.id != stored.id,
            or_(columns.display_name.in_(names), columns.display_name.contains(':"')),
        )
    )
    return next((row.key for row in rows if not names.isdisjoint(name_variants(row.display_name))), None)


def record_ids(connection: Connection, lease: Lease, stored: StoredConnection) -> str | None:
    """Record what the names of a connection stand for, unless it has a namesake by that, whose key is returned.

    Raises:
        LeaseLost: the lease is not current.
    """
    leases.check(connection, lease)
    namesake = find_namesake(connection, stored)
    if namesake is not None:
        return namesake
    template = stored.template
    try:
        with connection.begin_nested():
            connection.execute(
                update(connections)
                .where(
                    connections.c.id == stored.id,
                    connections.c.tenant_id == lease.tenant_id,
                    # An import may have said meanwhile that it is to be another connector.
                    connections.c.revision == stored.revision,
                )
                .values(
                    erp_connector_id=template.erp_connector_id,
                    user_group_access_ids=list(template.user_group_access_ids),
                    associate_access_ids=list(template.associate_access_ids),
                )
            )
    except IntegrityError:
        # An import of another process was quicker by a moment.
        return find_namesake(connection, stored) or "another connection"
    return None

"""The session of each tenant at rest: sealed, bound to its tenant's number, and to the credentials it was given for."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row

from erpsyncd.domain.secrets import Secret, Template
from erpsyncd.domain.sessions import KeptSession, OpenSession
from erpsyncd.store import leases
from erpsyncd.store.sealing import Place, Sealer, TemplateReader

if TYPE_CHECKING:
    from erpsyncd.domain.intents import Lease
    from erpsyncd.domain.tenants import TenantId

#: What a tenant without one has.
NO_SESSION: dict[str, Any] = {"session": None, "session_auth": None, "session_until": None}


def read_session(row: Row[Any], reader: TemplateReader) -> KeptSession | None:
    """Return a tenant's session; None where there is none, or none that opens: a login makes another."""
    if row.session is None or row.session_auth is None or row.session_until is None:
        return None
    try:
        content = json.loads(reader.read_template(row.session, _place_of(row.id)).resolve({}).reveal())
        slides = content["slides"]
        session = OpenSession(
            credential=Secret(content["credential"]),
            until=row.session_until,
            slides_by=None if slides is None else timedelta(seconds=slides),
        )
    except (KeyError, TypeError, ValueError):
        return None
    return KeptSession(session=session, auth=row.session_auth)


def remember_session(connection: Connection, lease: Lease, sealer: Sealer, kept: KeptSession | None) -> None:
    """Keep a session for the next pass, or forget it.

    Raises:
        LeaseLost: the lease is not current.
    """
    values = NO_SESSION if kept is None else _values(kept, sealer, lease.tenant_id)
    leases.write_under(connection, lease, values)


def _values(kept: KeptSession, sealer: Sealer, tenant_id: TenantId) -> dict[str, Any]:
    session = kept.session
    slides = None if session.slides_by is None else session.slides_by.total_seconds()
    content = json.dumps({"credential": session.credential.reveal(), "slides": slides})
    return {
        "session": sealer.store_template(Template((content,)), _place_of(tenant_id)),
        "session_auth": kept.auth,
        "session_until": session.until,
    }


def _place_of(tenant_id: TenantId) -> Place:
    """Return the place of a tenant's session; its number stays when it gets another name."""
    return Place(("session", str(tenant_id)))

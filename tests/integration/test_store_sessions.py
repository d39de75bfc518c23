"""Sessions in the store: sealed, bound to their tenant, and gone with what they were given for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from store_support import NOW, Pass, begin_pass, execute, query

from erpsyncd.domain.secrets import Secret, parse_template
from erpsyncd.domain.sessions import KeptSession, OpenSession
from erpsyncd.domain.tenants import Auth, AuthKind
from erpsyncd.errors import LeaseLost
from erpsyncd.store import SqlStore, open_store
from factories import make_connection, make_document, make_tenant

TICKET = "7T:canary@{env:NOT_A_REFERENCE}"
SLIDING = OpenSession(credential=Secret(TICKET), until=NOW + timedelta(hours=6), slides_by=timedelta(hours=6))
FIXED = OpenSession(credential=Secret("8A:canary"), until=NOW + timedelta(hours=1))


@pytest.fixture
def loaded(store: SqlStore) -> SqlStore:
    store.apply_document(make_document(make_tenant(), make_connection(), make_tenant("other")))
    return store


async def kept_by(store: SqlStore, name: str = "acme") -> KeptSession | None:
    return next(tenant.session for tenant in await store.tenants() if tenant.name == name)


async def with_session(store: SqlStore, session: OpenSession = SLIDING) -> Pass:
    one = await begin_pass(store)
    await store.remember_session(one.lease, KeptSession(session=session, auth="x"))
    return one


@pytest.mark.parametrize("session", [SLIDING, FIXED], ids=["sliding", "fixed"])
async def test_what_is_kept_comes_back(loaded: SqlStore, session: OpenSession) -> None:
    """A session is read as it was kept, by the tenant that it belongs to, and is not readable in the row."""
    await with_session(loaded, session)

    assert KeptSession(session=session, auth="x") == await kept_by(loaded)
    assert await kept_by(loaded, "other") is None
    assert "canary" not in str(query(loaded, "SELECT * FROM tenants"))


async def test_it_can_be_forgotten(loaded: SqlStore) -> None:
    """Nothing of it stays."""
    one = await with_session(loaded)
    await loaded.remember_session(one.lease, None)

    (row,) = query(loaded, "SELECT session, session_auth, session_until FROM tenants WHERE name = 'acme'")
    assert [None] * 3 == list(row.values())


async def test_a_lost_lease_keeps_nothing(loaded: SqlStore) -> None:
    """Only who works on the tenant may write its session."""
    one = await with_session(loaded)
    await loaded.release(one.lease)

    with pytest.raises(LeaseLost):
        await loaded.remember_session(one.lease, KeptSession(session=FIXED, auth="y"))
    assert KeptSession(session=SLIDING, auth="x") == await kept_by(loaded)


async def test_it_does_not_open_for_another_tenant(loaded: SqlStore) -> None:
    """A session that somebody moves to another row, or alters, is none."""
    await with_session(loaded)
    execute(
        loaded,
        "UPDATE tenants SET session = (SELECT session FROM tenants WHERE name = 'acme'), session_auth = 'x', "
        "session_until = (SELECT session_until FROM tenants WHERE name = 'acme') WHERE name = 'other'",
    )

    assert await kept_by(loaded, "other") is None
    assert await kept_by(loaded) is not None


async def test_it_stays_with_a_tenant_that_gets_another_name(loaded: SqlStore) -> None:
    """Its number is what it is bound to."""
    one = await with_session(loaded)
    await loaded.release(one.lease)
    loaded.rename_tenant("acme", "acme2")

    assert KeptSession(session=SLIDING, auth="x") == await kept_by(loaded, "acme2")


@pytest.mark.parametrize("change", ["url", "auth"])
async def test_it_goes_with_what_it_was_given_for(loaded: SqlStore, change: str) -> None:
    """Another address, or other credentials, and it is deleted with the import that says so."""
    one = await with_session(loaded)
    await loaded.release(one.lease)
    entry = make_tenant()
    auth = Auth(kind=AuthKind.TICKET, fields={"ticket": parse_template("7T:other")})
    spec = replace(entry.spec, **({"url": "https://moved.example"} if change == "url" else {"auth": auth}))
    loaded.apply_document(make_document(entry))
    unchanged = await kept_by(loaded)
    loaded.apply_document(make_document(replace(entry, spec=spec)))

    assert unchanged is not None
    assert await kept_by(loaded) is None


async def test_another_process_reads_it(upgraded_url: str, tmp_path: Path) -> None:
    """What one process keeps, the next one opens with the same key."""
    with open_store(upgraded_url, key_path=None, state_directory=tmp_path) as store:
        store.apply_document(make_document(make_tenant()))
        await with_session(store)
    with open_store(upgraded_url, key_path=None, state_directory=tmp_path) as store:
        assert KeptSession(session=SLIDING, auth="x") == await kept_by(store)

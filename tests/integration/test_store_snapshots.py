"""What stood in a tenant before a careful save: kept with its intent, sealed, and bound to its connection."""

from __future__ import annotations

import pytest
from store_support import NOW, begin_pass, execute, query

from erpsyncd.domain.careful import Snapshot, Step
from erpsyncd.domain.connections import ConnectionSpec
from erpsyncd.domain.intents import Moment
from erpsyncd.domain.results import ChangeKind
from erpsyncd.domain.secrets import Secret
from erpsyncd.store import SqlStore
from factories import make_connection, make_document, make_tenant

SNAPSHOT = Snapshot(
    spec=ConnectionSpec(
        erp_connector_id=2,
        display_name='NO:"Blåbær"',
        display_description="first",
        active=True,
        all_access=False,
        user_group_access_ids=(1, 3),
        associate_access_ids=(7,),
        config_fields={"Z": Secret("a canary \U0001f600"), "A": Secret(""), "Masked": Secret("***")},
    ),
    unknown=("Masked",),
)


async def opened(store: SqlStore, *keys: str) -> int:
    """Open an intent with the snapshot for each of these connections; return the tenant's number."""
    store.apply_document(make_document(make_tenant(), *(make_connection(key) for key in keys)))
    one = await begin_pass(store)
    for key in keys:
        await store.open_intent(
            one.lease,
            run_id=one.run_id,
            connection=await one.one(key),
            kind=ChangeKind.UPDATE,
            seen=frozenset(),
            sent=Moment(at=NOW),
            step=Step.DEACTIVATE,
            snapshot=SNAPSHOT,
        )
    return one.tenant_id


async def test_a_snapshot_comes_back_and_is_sealed(store: SqlStore) -> None:
    """Every field of it, the values in their order; the row holds none of them in clear."""
    tenant_id = await opened(store, "visma")

    (intent,) = await store.open_intents(tenant_id)

    assert (Step.DEACTIVATE, SNAPSHOT) == (intent.step, intent.snapshot)
    assert intent.snapshot is not None
    assert ["Z", "A", "Masked"] == list(intent.snapshot.spec.config_fields)
    (row,) = query(store, "SELECT * FROM intents")
    assert "sealed" in str(row["snapshot"])
    assert not [word for word in ("canary", "Blåbær", "Masked") if word in str(dict(row))]


async def test_the_next_step_keeps_the_snapshot(store: SqlStore) -> None:
    """A step that is about to be made gives the intent its name and its time."""
    store.apply_document(make_document(make_tenant(), make_connection()))
    one = await begin_pass(store)
    intent_id = await store.open_intent(
        one.lease,
        run_id=one.run_id,
        connection=await one.one(),
        kind=ChangeKind.UPDATE,
        seen=frozenset(),
        sent=Moment(at=NOW),
        step=Step.DEACTIVATE,
        snapshot=SNAPSHOT,
    )
    later = Moment(at=NOW.replace(minute=59))

    await store.resend_intent(one.lease, intent_id, sent=later, step=Step.CONFIGURE)
    (intent,) = await store.open_intents(one.tenant_id)
    assert (Step.CONFIGURE, SNAPSHOT, later) == (intent.step, intent.snapshot, intent.sent)

    await store.resend_intent(one.lease, intent_id, sent=later)
    assert Step.CONFIGURE is (await store.open_intents(one.tenant_id))[0].step


@pytest.mark.parametrize("how", ["moved", "altered"])
async def test_a_snapshot_opens_at_its_own_place_only(store: SqlStore, how: str) -> None:
    """One that was moved to another connection, or altered, is none; the other intents are read all the same."""
    tenant_id = await opened(store, "a", "b")
    if how == "moved":
        moved = "(SELECT snapshot FROM intents AS i ORDER BY i.id LIMIT 1)"
        execute(store, f"UPDATE intents SET snapshot = {moved} WHERE id = (SELECT max(id) FROM intents AS i)")
    else:
        execute(
            store,
            'UPDATE intents SET snapshot = \'{"sealed": "v1:no such key:AAAA"}\' '
            "WHERE id = (SELECT max(id) FROM intents AS i)",
        )

    first, second = await store.open_intents(tenant_id)

    assert (SNAPSHOT, None) == (first.snapshot, second.snapshot)
    assert Step.DEACTIVATE is second.step

"""Deciding by hand which connection one is: never under a pass that is finding out for itself."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from store_support import begin_pass, row

from erpsyncd.errors import TenantLeased, UsageError
from erpsyncd.store import SqlStore
from factories import make_connection, make_document, make_erp_connection, make_tenant
from pass_bench import Bench, only

#: Leases of this moment have not run out, whatever this machine's clock says.
FAR = datetime(2200, 1, 1, tzinfo=UTC)


async def test_a_create_in_flight_is_not_decided_upon(bench: Bench) -> None:
    """Else the pass would write its own id over the operator's; when it is done, there is nothing to decide."""
    bench.store.lock_process()
    bench.time = FAR
    bench.load(make_tenant(), make_connection("visma", display_name="Visma"))
    tenant = bench.tenants["acme"]
    tenant.type_in(make_erp_connection(5, display_name="Visma by hand"))
    refused: list[str] = []

    async def decide(operation: str) -> None:
        if operation == "SaveConnection":
            with pytest.raises(TenantLeased) as caught:
                bench.store.resolve_connection("acme", "visma", erp_connection_id=5)
            refused.append(str(caught.value))

    tenant.before = decide
    first = only(await bench.run())
    tenant.before = None

    for number in (5, None):
        with pytest.raises(UsageError, match=r"visma is connection 6 there \(in_sync\); there is nothing to decide"):
            bench.store.resolve_connection("acme", "visma", erp_connection_id=number)
    assert ["test is working on tenant 'acme'; try again when its pass is done"] == refused
    assert (("visma", "created", None), 6) == (first, bench.row().erp_connection_id)


async def test_a_dead_process_does_not_keep_one_from_deciding(store: SqlStore) -> None:
    """On SQLite, where nobody holds the lock; on a server nobody can tell before its lease runs out."""
    store.apply_document(make_document(make_tenant(), make_connection()))
    one = await begin_pass(store)
    await store.renew(one.lease, now=FAR, seconds=600)
    await one.open((await one.due())[0])

    if "@" in store.place:
        with pytest.raises(TenantLeased):
            store.resolve_connection("acme", "visma", erp_connection_id=7)
        await store.release(one.lease)
    store.resolve_connection("acme", "visma", erp_connection_id=7)

    assert (7, "pending") == (row(store).erp_connection_id, row(store).state)
    assert () == await store.open_intents(one.tenant_id)

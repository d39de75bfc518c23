"""Taking over, against a tenant with a memory: what changes between the list and the look at each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from erpsyncd.by_hand import _known
from erpsyncd.domain.adoption import Found
from erpsyncd.domain.secrets import Secret
from erpsyncd.errors import RemoteFault, RemoteUnavailable, Unauthorized
from erpsyncd.service.adoption import Adoption
from erpsyncd.service.secrets import SecretResolver
from factories import make_erp_connection, make_tenant
from pass_bench import Bench


async def adopt(bench: Bench, **options: Any) -> dict[int, Found]:
    (tenant,) = await bench.store.tenants()
    adoption = Adoption(
        tenant=tenant,
        store=bench.store,
        described=lambda: map(_known, bench.store.list_connections(tenant="acme")),
        apis=bench.tenants,
        resolver=SecretResolver(environ=bench.environ),
        policy=bench.policy,
        owner="adopter",
        now=lambda: bench.time,
    )
    return {found.erp_connection_id: found for found in await adoption.run(**options)}


def type_in(bench: Bench, *numbers: int) -> None:
    bench.load(make_tenant())
    for number in numbers:
        bench.tenants["acme"].type_in(make_erp_connection(number, display_name=f"Name {number}"))


async def test_one_failure_does_not_stop_the_others(bench: Bench) -> None:
    """Nor one that was deleted meanwhile; and the tenant is free for the next pass."""
    type_in(bench, 1, 2, 3)
    tenant = bench.tenants["acme"]

    async def delete_the_second(operation: str) -> None:
        tenant.connections[2] = replace(tenant.connections[2], deleted=operation == "GetConnection")

    tenant.before = delete_the_second
    tenant.fail["GetConnection"].append(RemoteFault("GetConnection", "no"))

    found = await adopt(bench)

    assert {1: "fault", 2: "missing", 3: None} == {number: one.error_class for number, one in found.items()}
    assert ("name-3", True) == (found[3].key, tenant.read_only)
    assert "ok" == str((await bench.run()).status)
    assert 0 == tenant.saves


async def test_a_tenant_that_stops_answering(bench: Bench) -> None:
    """After as many failures as park it in a pass, no more questions are asked."""
    type_in(bench, *range(1, 21))
    tenant = bench.tenants["acme"]
    tenant.fail["GetConnection"] += [RemoteUnavailable("GetConnection", "not now")] * 20

    found = await adopt(bench)

    assert 8 == tenant.calls.count("GetConnection")
    assert {"unavailable", "not_tried"} == {one.error_class for one in found.values()}


@pytest.mark.parametrize("operation", ["GetList", "GetConnection"])
async def test_refused_credentials_are_not_tried_again(bench: Bench, operation: str) -> None:
    """Whichever call they were refused by: not by another try, and not by a pass. What else is known is kept."""
    type_in(bench, 1)
    tenant = bench.tenants["acme"]
    tenant.fail["HasConnections"].append(RemoteUnavailable("HasConnections", "not now"))
    await bench.run()
    tenant.fail[operation].append(Unauthorized("no"))

    for _ in range(3):
        with pytest.raises(Unauthorized):
            await adopt(bench)
    report = await bench.run()

    (kept,) = await bench.store.tenants()
    assert (1, 77, 1) == (tenant.calls.count(operation), report.exit_code, kept.transient_failures)


async def test_what_is_taken_is_what_was_read(bench: Bench) -> None:
    """A later change of one field is sent with all that was read, and with the cursor of the moment."""
    type_in(bench, 7)
    before = bench.tenants["acme"].connections[7]
    found = await adopt(bench)

    row = bench.row("name-7")
    assert ("in_sync", 7, before.connection_id) == (row.state, row.erp_connection_id, row.connection_id)
    document = bench.store.read_document()
    entry = replace(
        document.connections[0], template=replace(document.connections[0].template, display_description="new")
    )
    bench.store.apply_document(replace(document, connections=(entry,)))
    report = await bench.run()

    after = bench.tenants["acme"].connections[7]
    assert [("updated", ("display_description",))] == [
        (str(outcome.status), outcome.fields) for tenant in report.tenants for outcome in tenant.outcomes
    ]
    assert replace(before.spec, display_description="new") == after.spec
    assert {"Client": Secret("F0001")} == after.spec.config_fields
    assert found[7].is_taken

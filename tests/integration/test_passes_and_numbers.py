"""Numbers that a tenant gives twice, as one that was restored from a backup does: the GUID says whose they are."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from erpsyncd.domain.connections import ListedConnection
from erpsyncd.errors import OutcomeUnknown
from factories import make_connection, make_erp_connection, make_tenant
from pass_bench import Bench, only, statuses

LATER = timedelta(seconds=200)


def names(bench: Bench) -> list[str]:
    """Return the names of what really stands in the tenant."""
    return sorted(item.spec.display_name for item in bench.tenants["acme"].connections.values() if not item.deleted)


async def restore_without(bench: Bench) -> None:
    """Let a connection be made, and the tenant be restored from a backup that does not have it."""
    bench.load(make_tenant(), make_connection("visma"))
    await bench.run()
    bench.tenants["acme"].connections.clear()
    bench.load(make_connection("other"))


async def test_a_number_that_is_given_again_is_the_new_ones(bench: Bench) -> None:
    """The reply to a create is believed though the store has that number for something that is gone."""
    await restore_without(bench)

    assert [("other", "created", None)] == statuses(await bench.run())
    bench.time += LATER
    assert [] == statuses(await bench.run())
    assert (["Name of other"], 1) == (names(bench), bench.row("other").erp_connection_id)


async def test_what_is_gone_does_not_own_the_number_that_came_again(bench: Bench) -> None:
    """Once it is looked at, it is another one's: it is not written to."""
    await restore_without(bench)
    await bench.run()

    bench.load(make_connection("visma", active=False))

    assert ("visma", "failed", "replaced") == only(await bench.run())
    assert ["Name of other"] == names(bench)


async def test_a_lost_answer_under_a_number_that_came_again(bench: Bench) -> None:
    """The look-up finds it by its name and takes it over; it is not made a second time."""
    await restore_without(bench)
    bench.tenants["acme"].lose["SaveConnection"].append(OutcomeUnknown("SaveConnection", "lost"))
    await bench.run()
    bench.time += LATER

    assert [("other", "updated", None)] == statuses(await bench.run())
    assert ["Name of other"] == names(bench)


async def test_a_twin_under_a_number_that_came_again(bench: Bench) -> None:
    """Somebody has typed it in meanwhile, and it got the number: it is a twin all the same."""
    await restore_without(bench)
    twin = make_erp_connection(1, display_name="Name of other")
    bench.tenants["acme"].type_in(replace(twin, connection_id="a1b2"))

    assert ("other", "failed", "exists") == only(await bench.run())
    assert ["Name of other"] == names(bench)


async def test_without_any_guid_an_operator_decides(bench: Bench) -> None:
    """Neither the list nor the store can tell whose it is: nothing is sent again, however late it is."""
    await restore_without(bench)
    tenant = bench.tenants["acme"]
    listed = tenant.list_connections

    async def without_guids() -> tuple[ListedConnection, ...]:
        return tuple(replace(item, connection_id="") for item in await listed())

    tenant.list_connections = without_guids  # type: ignore[method-assign]  # an older tenant
    tenant.lose["SaveConnection"].append(OutcomeUnknown("SaveConnection", "lost"))
    await bench.run()
    bench.time += LATER

    assert [("other", "in_doubt", "in_doubt")] == statuses(await bench.run())
    assert ["Name of other"] == names(bench)


async def test_a_wrong_number_takes_nobody_over(bench: Bench) -> None:
    """An operator has named a number that did not exist; what is made under it later is not overwritten."""
    bench.load(make_tenant(), make_connection("visma"))
    bench.tenants["acme"].type_in(make_erp_connection(1, display_name="Old"))
    bench.store.resolve_connection("acme", "visma", erp_connection_id=2)
    assert ("visma", "failed", "missing") == only(await bench.run())
    bench.load(make_connection("other"))

    reports = [statuses(await bench.run()) for _ in range(3)]

    assert ("other", "created", None) in reports[0]
    assert [("visma", "failed", "replaced")] == reports[2]
    assert ["Name of other", "Old"] == names(bench)

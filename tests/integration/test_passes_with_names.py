"""Passes over connections whose connector, groups and associates are given by name."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from erpsyncd.domain.connections import State
from erpsyncd.domain.lists import ListItem, ListName
from erpsyncd.domain.results import RunReport
from erpsyncd.errors import (
    ConfigurationError,
    OutcomeUnknown,
    RemoteFault,
    RemoteUnavailable,
    RemoteUnreachable,
    Unauthorized,
)
from factories import make_connection, make_erp_connection, make_tenant
from fakes import FakeTenant
from pass_bench import Bench, only, statuses

LISTS = [f"GetList {name}" for name in ListName]
HOUR = timedelta(hours=1)


def items(*names: str, first: int = 1, url: str = "") -> tuple[ListItem, ...]:
    return tuple(ListItem(id=number, name=name, url=url) for number, name in enumerate(names, first))


def named(key: str = "visma", **fields: Any) -> Any:
    """A connection that has everything by name."""
    names = {"erp_connector": "Visma", "user_groups": ("Sales", "Support"), "associates": ("SAL0",)}
    return make_connection(key, **{"erp_connector_id": 0, **names, **fields})


def by_ids(key: str = "visma", **fields: Any) -> Any:
    """The same by ids."""
    return make_connection(key, **{"user_group_access_ids": (6, 5), "associate_access_ids": (8,), **fields})


@pytest.fixture
def acme(bench: Bench) -> FakeTenant:
    """A tenant that has all of them."""
    tenant = bench.tenants["acme"]
    tenant.lists[ListName.CONNECTORS] = items("Visma", "File")
    tenant.lists[ListName.USER_GROUPS] = items("Support", "Sales", first=5)
    tenant.lists[ListName.ASSOCIATES] = items("SAL0", first=8)
    return tenant


def read(tenant: FakeTenant) -> list[str]:
    """Return the lists that were read since the last time."""
    found = [call for call in tenant.calls if call.startswith("GetList ")]
    tenant.calls.clear()
    return found


def error_of(report: RunReport, key: str = "visma") -> str:
    (found,) = (one.error for tenant in report.tenants for one in tenant.outcomes if one.key == key)
    assert found is not None
    return found


async def test_ids_are_sent_and_remembered(bench: Bench, acme: FakeTenant) -> None:
    """What is saved and kept are the ids of this tenant, each list is read once for all connections."""
    bench.load(make_tenant(), named(), named("other"), named("third", erp_connector="File"))

    report = await bench.run()

    assert 0 == report.exit_code
    assert [(1, (6, 5), (8,)), (1, (6, 5), (8,)), (2, (6, 5), (8,))] == [
        (one.spec.erp_connector_id, one.spec.user_group_access_ids, one.spec.associate_access_ids)
        for one in sorted(acme.connections.values(), key=lambda one: one.spec.erp_connector_id)
    ]
    assert sorted(LISTS) == sorted(read(acme))
    document = bench.store.read_document()
    assert (1, "Visma", (6, 5), ("Sales", "Support")) == (
        document.connections[0].template.erp_connector_id,
        document.connections[0].template.erp_connector,
        document.connections[0].template.user_group_access_ids,
        document.connections[0].template.user_groups,
    )


async def test_a_converged_tenant_costs_a_list_an_hour(bench: Bench, acme: FakeTenant) -> None:
    """Within their lifetime nothing is read, not even for what is new; after it each list once, and nothing saved."""
    bench.load(make_tenant(), named())
    await bench.run()
    read(acme)
    bench.time += HOUR - timedelta(seconds=1)
    bench.load(named("later"))

    assert [("later", "created", None)] == statuses(await bench.run())
    assert [] == read(acme)
    bench.time += timedelta(seconds=1)
    assert [] == statuses(await bench.run())
    assert sorted(LISTS) == sorted(read(acme))
    assert [] == statuses(await bench.run())
    assert ["HasConnections"] == acme.calls


async def test_a_list_of_the_future_is_read_again(bench: Bench, acme: FakeTenant) -> None:
    """A clock that was wrong must not make a list good for years."""
    bench.load(make_tenant(), named())
    await bench.run()
    read(acme)
    bench.time -= timedelta(days=1)

    await bench.run()

    assert sorted(LISTS) == sorted(read(acme))


async def test_from_ids_to_names_and_back_without_a_save(bench: Bench, acme: FakeTenant) -> None:
    """Names that stand for what was pushed change nothing in the tenant."""
    bench.load(make_tenant(), by_ids())
    await bench.run()
    acme.calls.clear()

    bench.load(named())
    assert [] == statuses(await bench.run())
    assert State.IN_SYNC == bench.row().state
    bench.load(by_ids())
    assert [] == statuses(await bench.run())
    assert 0 == acme.saves


async def test_unknown_and_ambiguous_names(bench: Bench, acme: FakeTenant) -> None:
    """Each is its connection's own failure, with candidates; what has neither goes on."""
    acme.lists[ListName.ASSOCIATES] = (*items("SAL0", "SAL1"), *items("SAL1", first=9))
    bench.load(
        make_tenant(),
        named("a", erp_connector="Vismo"),
        named("b", associates=("SAL1",)),
        named("c", user_groups=("Finance",)),
        named("d"),
    )

    report = await bench.run()

    assert [
        ("a", "failed", "name_unknown"),
        ("b", "failed", "name_ambiguous"),
        ("c", "failed", "name_unknown"),
        ("d", "created", None),
    ] == sorted(statuses(report))
    assert "no connector 'Vismo' (perhaps 'Visma'); write it as the CRM shows it" in error_of(report, "a")
    assert "2 associates 'SAL1': 2 'SAL1', 9 'SAL1'; rename one in the CRM" in error_of(report, "b")
    assert "no user group 'Finance' (it has 'Support', 'Sales')" in error_of(report, "c")
    assert sorted(LISTS) == sorted(read(acme))
    assert 3 == report.exit_code


async def test_a_name_that_is_missing_from_what_was_kept(bench: Bench, acme: FakeTenant) -> None:
    """The list is read again at once, and once, however many connections miss a name."""
    bench.load(make_tenant(), named())
    await bench.run()
    read(acme)
    acme.lists[ListName.USER_GROUPS] = items("Support", "Sales", "Finance", first=5)
    bench.load(named("new", user_groups=("Finance",)), *(named(f"x{n}", user_groups=("Nobody",)) for n in range(5)))

    report = await bench.run()

    assert ("new", "created", None) in statuses(report)
    assert 5 == sum(error == "name_unknown" for _, _, error in statuses(report))
    assert ["GetList usergroup"] == read(acme)


async def test_a_group_that_got_another_id(bench: Bench, acme: FakeTenant) -> None:
    """Once the list is old, a name that stands for another id makes its connections due; the others rest."""
    bench.load(make_tenant(), named(), named("other", user_groups=("Support",)), by_ids("plain"))
    await bench.run()
    acme.lists[ListName.USER_GROUPS] = (*items("Support", "Old sales", first=5), *items("Sales", first=12))
    acme.calls.clear()
    assert [] == statuses(await bench.run())
    bench.time += HOUR

    assert ("visma", "updated", None) == only(await bench.run())
    assert 1 == [one.spec.user_group_access_ids for one in acme.connections.values()].count((12, 5))
    assert 1 == acme.saves
    assert [] == statuses(await bench.run())


async def test_a_group_that_lost_its_name(bench: Bench, acme: FakeTenant) -> None:
    """What is in sync is told that its name stands for nothing any more; when it does again, it is at rest."""
    bench.load(make_tenant(), named())
    await bench.run()
    before = acme.lists[ListName.USER_GROUPS]
    acme.lists[ListName.USER_GROUPS] = items("Support", "Salg", first=5)
    bench.time += HOUR

    report = await bench.run()

    assert ("visma", "failed", "name_unknown") == only(report)
    assert "no user group 'Sales' (perhaps 'Salg')" in error_of(report)
    acme.lists[ListName.USER_GROUPS] = before
    assert [] == statuses(await bench.run(scheduled=True))  # its backoff
    bench.time += HOUR
    assert [] == statuses(await bench.run(scheduled=True))
    assert State.IN_SYNC == bench.row().state
    assert 1 == acme.saves


async def test_a_dry_run_reads_lists_and_keeps_none(bench: Bench, acme: FakeTenant) -> None:
    """It plans what its real twin would do, also because of a list that changed, and leaves no trace."""
    bench.load(make_tenant(), named())
    planned = await bench.run(dry_run=True)
    assert ("visma", "planned", None) == only(planned)
    assert [] == bench.dump()["tenant_lists"]
    assert 0 == bench.row().erp_connector_id
    await bench.run()
    acme.lists[ListName.USER_GROUPS] = (*items("Support", first=5), *items("Sales", first=12))
    bench.time += HOUR
    before = {name: rows for name, rows in bench.dump().items() if name != "runs"}

    report = await bench.run(dry_run=True)

    assert ("visma", "planned", None) == only(report)
    assert ("user_group_access_ids",) == report.tenants[0].outcomes[0].fields
    assert before == {name: rows for name, rows in bench.dump().items() if name != "runs"}
    assert 1 == acme.saves
    assert ("visma", "updated", None) == only(await bench.run())


async def test_another_connector_than_was_pushed(bench: Bench, acme: FakeTenant) -> None:
    """A connector's name that stands for another one is refused like a changed id; its neighbours go on."""
    bench.load(make_tenant(), named(), named("other", erp_connector="File"))
    await bench.run()
    bench.load(
        named(erp_connector="File", display_name="Own"), named("other", erp_connector="file", display_name="New")
    )

    report = await bench.run()

    assert [("other", "updated", None), ("visma", "failed", "connector_moved")] == sorted(statuses(report))
    assert "connector 'File' is 2, but connection" in error_of(report)
    assert "was made with 1, and that cannot change" in error_of(report)
    with pytest.raises(ConfigurationError, match="erp_connector_id of acme/visma is 1 and cannot become 2"):
        bench.load(by_ids(erp_connector_id=2, display_name="Own"))
    bench.load(named(erp_connector="Visma", display_name="Own"))
    assert ("visma", "updated", None) == only(await bench.run())


async def test_another_name_before_anything_was_made(bench: Bench, acme: FakeTenant) -> None:
    """Nothing is fixed before the tenant has it."""
    acme.fail["SaveConnection"] = [RemoteUnreachable("SaveConnection", "no way")]
    bench.load(make_tenant(), named())
    await bench.run()
    assert 1 == bench.row().erp_connector_id

    bench.load(named(erp_connector="File"))
    assert 0 == bench.row().erp_connector_id
    assert ("visma", "created", None) == only(await bench.run())
    assert 2 == acme.connections[1].spec.erp_connector_id


async def test_two_that_turn_out_to_be_one_connectors(bench: Bench, acme: FakeTenant) -> None:
    """By its name and by its URL: the second one is refused, so that a look-up can tell them apart."""
    acme.lists[ListName.CONNECTORS] = items("Visma", url="app://visma")
    bench.load(
        make_tenant(),
        named("a", display_name='US:"Norway";NO:"Norge"'),
        named("b", erp_connector="APP://visma/", display_name="Norge"),
    )

    report = await bench.run()

    assert ["created", "failed"] == sorted(status for _, status, _ in statuses(report))
    (failed,) = (one for one in report.tenants[0].outcomes if one.error is not None)
    assert "name_taken" == failed.error_class
    assert "has the same display name" in (failed.error or "")
    assert 1 == len(acme.connections)
    assert ["name_taken"] == [error for _, _, error in statuses(await bench.run())]


async def test_a_name_like_an_id_of_the_store(bench: Bench, acme: FakeTenant) -> None:
    """The same holds where the other one is given by id, in a dry run too."""
    bench.load(make_tenant(), by_ids("a", display_name="Norway"), named("b", display_name="Norway"))

    for dry_run in (True, False):
        report = await bench.run(dry_run=dry_run)
        assert ("b", "failed", "name_taken") in statuses(report)
    assert 1 == len(acme.connections)


async def test_a_twin_is_looked_for_by_the_resolved_connector(bench: Bench, acme: FakeTenant) -> None:
    """What somebody typed in by hand with the same connector and name stops the create."""
    acme.type_in(make_erp_connection(7, erp_connector_id=1, display_name="Name of visma"))
    acme.type_in(make_erp_connection(8, erp_connector_id=2, display_name="Name of visma"))
    bench.load(make_tenant(), named())

    report = await bench.run()

    assert ("visma", "failed", "exists") == only(report)
    assert "(id 7)" in error_of(report)


async def test_an_unanswered_create_is_found_again(bench: Bench, acme: FakeTenant) -> None:
    """The intent holds the connector that the name stood for when it was sent."""
    acme.lose["SaveConnection"] = [OutcomeUnknown("SaveConnection", "no answer")]
    bench.load(make_tenant(), named())
    await bench.run()

    await bench.run()

    assert (State.IN_SYNC, 1) == (bench.row().state, bench.row().erp_connection_id)
    assert 1 == len(acme.connections)


@pytest.mark.parametrize("error", [RemoteFault("GetList", "no"), RemoteUnavailable("GetList", "busy")])
async def test_a_list_that_cannot_be_read(bench: Bench, acme: FakeTenant, error: Exception) -> None:
    """It is asked for once, fails those that need it, and nobody else."""
    acme.fail["GetList usergroup"] = [error]
    bench.load(make_tenant(), named("a"), named("b"), named("c", user_groups=()))

    report = await bench.run()

    kind = type(error).error_class  # type: ignore[attr-defined]
    assert [("a", "failed", kind), ("b", "failed", kind), ("c", "created", None)] == sorted(statuses(report))
    assert 1 == read(acme).count("GetList usergroup")


async def test_a_kept_list_that_cannot_be_read_again(bench: Bench, acme: FakeTenant) -> None:
    """That is the pass's failure; what is in sync stays so, and the next pass asks again."""
    bench.load(make_tenant(), named())
    await bench.run()
    bench.time += HOUR
    acme.fail["GetList usergroup"] = [RemoteUnavailable("GetList", "busy")]

    report = await bench.run()

    assert [(None, "failed", "unavailable")] == statuses(report)
    assert (3, State.IN_SYNC) == (report.exit_code, bench.row().state)
    read(acme)
    assert [] == statuses(await bench.run())
    assert ["GetList usergroup"] == read(acme)


async def test_refused_credentials_end_the_pass(bench: Bench, acme: FakeTenant) -> None:
    """Nothing more is called, and nothing more tried."""
    acme.fail["GetList erpconnectors"] = [Unauthorized("refused")]
    bench.load(make_tenant(), named("a"), named("b"))
    bench.policy = replace(bench.policy, connections_at_once=1)

    report = await bench.run()

    assert [("a", "failed", "unauthorized"), ("b", "failed", "unauthorized")] == sorted(statuses(report))
    assert 77 == report.exit_code
    assert ["GetList erpconnectors"] == acme.calls


async def test_a_tenant_without_names_has_no_lists(bench: Bench, acme: FakeTenant) -> None:
    """None are read, and those of names that are gone are forgotten once they are old."""
    bench.load(make_tenant(), named())
    await bench.run()
    bench.load(by_ids())
    await bench.run()
    read(acme)
    bench.time += HOUR

    assert [] == statuses(await bench.run())
    assert [] == read(acme)
    assert [] == bench.dump()["tenant_lists"]


async def test_an_absent_one_needs_no_names(bench: Bench, acme: FakeTenant) -> None:
    """To delete, nothing has to be looked up."""
    bench.load(make_tenant(), named(), named("other"))
    await bench.run()
    acme.lists[ListName.CONNECTORS] = ()
    read(acme)
    bench.load(named(present=False))

    assert ("visma", "deleted", None) == only(await bench.run())
    assert [] == read(acme)


async def test_unresolved_ones_may_share_a_display_name(bench: Bench, acme: FakeTenant) -> None:
    """Two connectors by name and one display name: as with ids, the tenant can tell them apart."""
    bench.load(make_tenant(), named("a", display_name="X"), named("b", erp_connector="File", display_name="X"))

    assert [("a", "created", None), ("b", "created", None)] == sorted(statuses(await bench.run()))
    assert 2 == len(acme.connections)

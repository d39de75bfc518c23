"""The store's side of names: lists, the ids that names stood for, imports and exports, on both databases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select
from store_support import NOW, Pass, begin_pass, execute, plan_of, query

from erpsyncd.domain.connections import State, StoredConnection
from erpsyncd.domain.documents import FieldEdit, ItemChange
from erpsyncd.domain.lists import ListItem, ListName, TenantList
from erpsyncd.errors import ConfigurationError, LeaseLost
from erpsyncd.service.document import read_documents
from erpsyncd.service.export import write_document
from erpsyncd.service.layouts import Layout
from erpsyncd.store import SqlStore, tables
from factories import make_connection, make_document, make_tenant

CONNECTORS = TenantList(
    name=ListName.CONNECTORS,
    items=(ListItem(id=1, name="Visma", url="app://visma"), ListItem(id=2, name='US:"File";NO:"Fil"')),
    read_at=NOW,
)
GROUPS = TenantList(name=ListName.USER_GROUPS, items=(), read_at=NOW)


def named(key: str = "visma", **fields: Any) -> Any:
    names = {"erp_connector": "Visma", "user_groups": ("Sales",), "associates": ("SAL0", "SAL1")}
    return make_connection(key, **{"erp_connector_id": 0, **names, **fields})


def resolved(stored: StoredConnection, connector: int = 1) -> StoredConnection:
    ids: dict[str, Any] = {"erp_connector_id": connector, "user_group_access_ids": (5,), "associate_access_ids": (8, 9)}
    return replace(stored, template=replace(stored.template, **ids))


def load(store: SqlStore, *entries: Any) -> Any:
    return store.apply_document(make_document(*entries))


async def in_sync(store: SqlStore, *keys: str) -> Pass:
    """Resolve connections and settle them as pushed."""
    one = await begin_pass(store)
    for key in keys:
        stored = resolved(await one.one(key))
        assert await store.record_ids(one.lease, stored) is None
        await one.settle(stored, State.IN_SYNC, erp_connection_id=stored.id, connection_id=f"guid {key}")
    return one


async def test_lists_are_kept_in_each_others_place(store: SqlStore) -> None:
    """Whole, by tenant and name; the newer one in the place of the older; gone with what they were for."""
    load(store, make_tenant(), make_tenant("other"))
    one = await begin_pass(store)
    assert () == await store.tenant_lists(one.tenant_id)

    for listed in (replace(CONNECTORS, items=()), GROUPS, CONNECTORS):
        await store.keep_list(one.lease, listed, frozenset())

    assert {CONNECTORS, GROUPS} == set(await store.tenant_lists(one.tenant_id))
    await store.forget_lists(one.lease)
    assert [] == query(store, "SELECT * FROM tenant_lists")
    with pytest.raises(LeaseLost):
        await store.keep_list(replace(one.lease, fence=99), GROUPS, frozenset())
    with pytest.raises(LeaseLost):
        await store.forget_lists(replace(one.lease, fence=99))


async def test_names_come_back_as_described(store: SqlStore) -> None:
    """Beside the ids that they stood for, which are none at first."""
    load(store, make_tenant(), named(), make_connection("plain", display_name="Other"))
    one = await begin_pass(store)

    assert named().template == (await one.one()).template
    assert await store.has_names(one.tenant_id)
    assert () == await store.named_connections(one.tenant_id)  # what is pending is due by itself
    await in_sync(store, "visma")
    (found,) = await store.named_connections(one.tenant_id)
    assert ("Visma", 1, (5,), (8, 9), State.IN_SYNC) == (
        found.template.erp_connector,
        found.template.erp_connector_id,
        found.template.user_group_access_ids,
        found.template.associate_access_ids,
        found.state,
    )


async def test_a_changed_list_makes_due(store: SqlStore) -> None:
    """Only those that it is said of, and only what rests or failed."""
    load(store, make_tenant(), named("a"), named("b", display_name="B"), named("c", display_name="C"))
    one = await in_sync(store, "a", "b", "c")
    execute(store, "UPDATE connections SET state = 'in_doubt' WHERE key = 'c'")
    ids = {row["key"]: row["id"] for row in query(store, "SELECT id, key FROM connections")}

    await store.keep_list(one.lease, CONNECTORS, frozenset({ids["a"], ids["c"]}))

    assert {"a": "pending", "b": "in_sync", "c": "in_doubt"} == {
        row["key"]: row["state"] for row in query(store, "SELECT key, state FROM connections")
    }


async def test_a_namesake_is_found(store: SqlStore) -> None:
    """By the connector's id and, in any language, the display name; nothing is recorded then."""
    load(
        store,
        make_tenant(),
        make_connection("a", display_name='US:"Norway";NO:"Norge"'),
        named("b", display_name="Norge"),
        named("c", display_name='US:"Norway";NO:"Norge"', erp_connector="other"),
    )
    one = await begin_pass(store)
    for key in ("b", "c"):
        stored = resolved(await one.one(key))
        assert "a" == await store.record_ids(one.lease, stored)
        assert "a" == await store.find_namesake(stored)
        assert await store.find_namesake(resolved(stored, 2)) is None

    assert [0, 0, 1] == sorted(row["erp_connector_id"] for row in query(store, "SELECT * FROM connections"))


async def test_what_was_described_otherwise_meanwhile_stays(store: SqlStore) -> None:
    """A pass does not write the ids of old names over a new description."""
    load(store, make_tenant(), named())
    one = await begin_pass(store)
    read = await one.one()
    load(store, named(erp_connector="File"))

    assert await store.record_ids(one.lease, resolved(read)) is None
    assert 0 == (await one.one()).template.erp_connector_id


async def test_an_import_of_the_same_changes_nothing(store: SqlStore) -> None:
    """The ids that names stand for are no part of what is described."""
    load(store, make_tenant(), named())
    await in_sync(store, "visma")

    report = load(store, make_tenant(), named())

    assert (0, 2, State.IN_SYNC) == (report.changed, report.unchanged, store.list_connections()[0].state)


async def test_from_ids_to_names_and_back(store: SqlStore) -> None:
    """The ids stay; what changed is told by the keys of the document."""
    ids: dict[str, Any] = {"user_group_access_ids": (5,), "associate_access_ids": (8, 9)}
    load(store, make_tenant(), make_connection(**ids))
    one = await begin_pass(store)
    await one.settle(await one.one(), State.IN_SYNC, erp_connection_id=7)

    (item,) = load(store, named()).items
    assert item.fields == (
        FieldEdit(name="erp_connector", change=ItemChange.ADDED, new="Visma"),
        FieldEdit(name="user_groups", old=(), new=("Sales",)),
        FieldEdit(name="associates", old=(), new=("SAL0", "SAL1")),
    )
    assert 1 == (await one.one()).template.erp_connector_id
    (item,) = load(store, make_connection(**ids)).items
    assert ["erp_connector", "user_groups", "associates"] == [edit.name for edit in item.fields]
    with pytest.raises(ConfigurationError, match="is 1 and cannot become 2"):
        load(store, make_connection(erp_connector_id=2, **ids))


def test_names_that_a_look_up_could_not_tell_apart(store: SqlStore) -> None:
    """One connector by the same name is one; by id and by name nobody knows yet."""
    load(store, make_tenant(), named(), make_connection("by-id", display_name="Name of visma"))

    with pytest.raises(ConfigurationError, match=r"of connector 'VISMA' is taken in tenant 'acme' by 'visma' \(in the"):
        load(store, named("b", erp_connector="VISMA", display_name="Name of visma"))
    load(store, named("c", erp_connector="File", display_name="Name of visma"))
    with pytest.raises(ConfigurationError, match="of connector 1 is taken in tenant 'acme' by 'by-id'"):
        load(store, make_connection("d", display_name="Name of visma"))


async def test_a_resolved_name_counts_as_its_id(store: SqlStore) -> None:
    """Once a pass knew which connector that is, an import is told of a clash at once."""
    load(store, make_tenant(), named())
    await in_sync(store, "visma")

    with pytest.raises(ConfigurationError, match="of connector 1 is taken in tenant 'acme' by 'visma'"):
        load(store, make_connection("b", display_name="Name of visma"))


@pytest.mark.parametrize("layout", Layout)
async def test_an_export_has_the_names(store: SqlStore, layout: Layout) -> None:
    """Names in the place of ids, one form of each; importing it changes nothing."""
    load(store, make_tenant(), named(), make_connection("b", display_name="B"))
    await in_sync(store, "visma")

    text = write_document(store.read_document(), layout, reveals=True)

    for name, number in (("user_groups", "user_group_access_ids"), ("associates", "associate_access_ids")):
        assert (1, 1) == (text.count(name), text.count(number))
    assert (1, 2) == (text.count("erp_connector_id"), text.count("erp_connector"))
    document = read_documents([(f"x.{layout}", text.encode())])
    assert 3 == store.apply_document(document).unchanged


async def test_renaming_keeps_names(store: SqlStore) -> None:
    """A tenant's other name and a connection's other key leave them as they are."""
    load(store, make_tenant(), named())
    store.rename_tenant("acme", "acne")
    store.rename_connection("acne", "visma", "other")

    (entry,) = store.read_document().connections
    assert ("acne", "other", named().template) == (entry.tenant, entry.key, entry.template)


async def test_shown(store: SqlStore) -> None:
    """A list and a detail have names beside ids."""
    load(store, make_tenant(), named())

    assert "Visma" == store.list_connections()[0].erp_connector
    detail = store.get_connection("acme", "visma")
    assert (("Sales",), ("SAL0", "SAL1")) == (detail.user_groups, detail.associates)


async def test_no_names_cost_no_reading(store: SqlStore) -> None:
    """What has no names has null, and an index says that there are none, however many connections there are."""
    load(store, make_tenant(), *(make_connection(f"c{number}") for number in range(300)))
    one = await begin_pass(store)
    if "sqlite" not in store.place and store.place.startswith("postgresql"):
        execute(store, "SET enable_seqscan = off")

    assert not await store.has_names(one.tenant_id)
    assert [] == query(store, "SELECT id FROM connections WHERE names IS NOT NULL")
    condition = (tables.connections.c.tenant_id == one.tenant_id, tables.connections.c.names.is_not(None))
    assert "ix_connections_named" in plan_of(store, select(tables.connections.c.id).where(*condition))

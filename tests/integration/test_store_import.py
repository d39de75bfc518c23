"""The import: a document becomes the desired side, whole or not at all."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from store_support import MINUTE, NOW, begin_pass, execute, query, row, states

from erpsyncd.domain.connections import State
from erpsyncd.domain.documents import DocumentTenant, ImportReport
from erpsyncd.domain.results import ChangeKind
from erpsyncd.domain.secrets import parse_template
from erpsyncd.domain.tenants import Auth, AuthKind, Protocol
from erpsyncd.errors import ConfigurationError, LeaseLost, UsageError
from erpsyncd.store import SqlStore, commands, open_store
from erpsyncd.store.rows import read_tenant
from factories import make_connection, make_document, make_tenant


def load(store: SqlStore, *entries: Any, prune: bool = False, dry_run: bool = False) -> ImportReport:
    """Import, and return the numbers."""
    return replace(store.apply_document(make_document(*entries), prune=prune, dry_run=dry_run), items=())


def everything(store: SqlStore) -> list[Any]:
    tables = ("tenants", "connections", "secret_references", "connection_references")
    return [query(store, f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables]


def test_an_import_counts_what_it_changes(store: SqlStore) -> None:
    """Tenants and connections together."""
    assert ImportReport(added=3) == load(store, make_tenant(), make_connection("a"), make_connection("b"))
    assert ImportReport(unchanged=3) == load(store, make_tenant(), make_connection("a"), make_connection("b"))
    again = load(store, make_tenant(erpsync_services=87), make_connection("a", active=False), make_connection("c"))
    assert ImportReport(added=1, changed=2) == again
    assert ImportReport(changed=1) == load(store, make_connection("a", present=False))
    assert ImportReport(unchanged=2) == load(
        store, make_connection("a", present=False), make_connection("never heard of", present=False)
    )
    assert ImportReport(added=1) == load(store, make_connection("a"))
    assert ["a", "b", "c"] == [view.key for view in store.list_connections()]


def test_what_did_not_change_is_not_touched(store: SqlStore) -> None:
    """Not even sealed anew, although every sealing differs."""
    entries = (make_tenant(), make_connection(config_fields={"A": "secret", "B": "@{env:P}"}))
    load(store, *entries)
    before = everything(store)

    load(store, *entries)
    load(store, make_tenant(), make_connection(config_fields={"B": "@{env:P}", "A": "secret"}))

    assert before == everything(store)


@pytest.mark.parametrize(
    "change",
    [
        {"display_name": "Other"},
        {"display_description": "Other"},
        {"active": False},
        {"all_access": True},
        {"user_group_access_ids": (1,)},
        {"associate_access_ids": (1,)},
        {"config_fields": {"Client": "F0001", "Password": "another"}},
        {"config_fields": {"Client": "F0001"}},
        {"config_fields": {"Client": "F0001", "Password": "@{env:P}"}},
    ],
)
async def test_a_changed_connection_is_due_afresh(store: SqlStore, change: dict[str, Any]) -> None:
    """Whatever changed: it keeps what it is in the tenant, and its failures are forgotten."""
    load(store, make_tenant(), make_connection())
    one = await begin_pass(store)
    (visma,) = await one.due()
    await one.create(visma)
    for state in (State.MISSING, State.REPLACED, State.FAILED, State.IN_DOUBT):
        await one.settle(visma, state, attempts=4, next_attempt_at=NOW + MINUTE)
    execute(store, "UPDATE connections SET error = 'x', error_class = 'x'")

    assert ImportReport(changed=1) == load(store, make_connection(**change))

    (found,) = await one.due()
    assert (State.PENDING, 7, "guid 7", {"display_name": "fingerprint"}, 0, None, 2) == (
        found.state,
        found.erp_connection_id,
        found.connection_id,
        found.applied,
        found.attempts,
        found.next_attempt_at,
        found.revision,
    )
    assert make_connection(**change).template == found.template
    assert (None, None) == (row(store).error, row(store).error_class)


@pytest.mark.parametrize(
    ("change", "parked", "refused"),
    [
        ({"erpsync_services": 88}, True, True),
        ({"quote_services": 88}, True, True),
        ({"calls_per_second": 3.0}, True, True),
        ({"url": "https://moved.example"}, False, False),
        ({"soap_url": "https://moved.example"}, False, False),
        ({"rest_url": "https://moved.example"}, False, False),
        ({"protocol": Protocol.REST}, False, False),
        ({"ca_file": "/ca.pem"}, False, False),
        ({"client_certificate": "/client.pem"}, False, False),
        ({"client_certificate": "/client.pem", "client_key": "/client.key"}, False, False),
        ({"proxy": parse_template("http://u:@{env:P}@proxy.example:3128")}, False, False),
        ({"auth": {"username": "sync", "password": "another"}}, False, False),
        ({"auth": {"username": "sync"}}, False, False),
    ],
)
async def test_a_changed_tenant_keeps_what_still_holds(
    store: SqlStore, change: dict[str, Any], *, parked: bool, refused: bool
) -> None:
    """New credentials or a new address are tried at once; connections are left alone."""
    load(store, make_tenant(), make_connection())
    one = await begin_pass(store)
    await one.create_all()
    await store.remember_tenant(one.lease, refused_auth="f", parked_until=NOW, transient_failures=8)
    store.pause_tenant("acme")

    assert ImportReport(changed=1) == load(store, make_tenant(**change))

    (tenant,) = await store.tenants()
    assert make_tenant(**change).spec == tenant.spec
    assert (parked, 8 if parked else 0) == (tenant.parked_until is not None, tenant.transient_failures)
    assert refused == (tenant.refused_auth is not None)
    assert tenant.paused
    assert {"visma": State.IN_SYNC} == states(store)
    await store.renew(one.lease, now=NOW, seconds=60)


def test_another_kind_of_credentials_counts_as_a_change(store: SqlStore) -> None:
    """Fields and kind belong together."""
    load(store, make_tenant())
    entry = make_tenant()
    other = replace(entry.spec, auth=Auth(kind=AuthKind.BEARER, fields={"token": parse_template("@{env:TOKEN}")}))

    report = load(store, DocumentTenant(spec=other, place="test"))

    assert ImportReport(changed=1) == report
    assert other == store.read_document().tenants[0].spec


async def test_what_was_never_created_needs_no_deleting(store: SqlStore) -> None:
    """An open intent says that it may have been, and then the tenant has to be asked."""
    load(store, make_tenant(), *(make_connection(key) for key in ("created", "never", "on its way")))
    one = await begin_pass(store)
    created, _, on_its_way = await one.due()
    await one.create(created)
    await one.open(on_its_way, ChangeKind.CREATE)

    load(store, *(make_connection(key, present=False) for key in ("created", "never", "on its way")))

    assert {"created": State.PENDING, "never": State.DELETED, "on its way": State.PENDING} == states(store)
    assert [("created", False), ("on its way", False)] == [(found.key, found.present) for found in await one.due()]
    assert all(found.revision == 2 for found in await one.due())


async def test_what_was_deleted_is_created_anew(store: SqlStore) -> None:
    """With another connector if need be: nothing of the old one is left."""
    load(store, make_tenant(), make_connection())
    one = await begin_pass(store)
    await one.create_all()
    load(store, make_connection(present=False))
    (absent,) = await one.due()
    await one.settle(absent, State.DELETED)

    assert ImportReport(added=1) == load(store, make_connection(erp_connector_id=2))

    (found,) = await one.due()
    assert (None, None, {}, True, 2) == (
        found.erp_connection_id,
        found.connection_id,
        found.applied,
        found.present,
        found.template.erp_connector_id,
    )


async def test_what_is_wanted_again_before_it_was_deleted_keeps_its_ids(store: SqlStore) -> None:
    """Nothing happened in the tenant yet, so nothing has to be made there."""
    load(store, make_tenant(), make_connection())
    one = await begin_pass(store)
    await one.create_all()
    load(store, make_connection(present=False))

    assert ImportReport(changed=1) == load(store, make_connection())

    (found,) = await one.due()
    assert (True, 1) == (found.present, found.erp_connection_id)


async def test_prune_marks_absent_what_is_not_named(store: SqlStore) -> None:
    """In the tenants that the document names, by a tenant's entry or by a connection's."""
    for tenant in ("acme", "other", "third"):
        load(store, make_tenant(tenant), *(make_connection(key, tenant=tenant) for key in ("kept", "pruned")))
    one = await begin_pass(store)
    await one.create_all()

    report = load(store, make_tenant(), make_connection("kept"), make_connection("kept", tenant="other"), prune=True)

    assert ImportReport(unchanged=3, removed=2) == report
    views = {(view.tenant, view.key): (view.state, view.present) for view in store.list_connections()}
    assert {
        ("acme", "kept"): ("in_sync", True),
        ("acme", "pruned"): ("pending", False),
        ("other", "kept"): ("pending", True),
        ("other", "pruned"): ("deleted", False),
        ("third", "kept"): ("pending", True),
        ("third", "pruned"): ("pending", True),
    } == views
    assert ImportReport(unchanged=1) == load(store, make_connection("kept"), prune=True)
    assert ImportReport(unchanged=1, removed=1) == load(store, make_tenant(), prune=True)


def test_a_dry_run_counts_and_writes_nothing(store: SqlStore) -> None:
    """Problems are found all the same."""
    load(store, make_tenant(), make_connection("a"), make_connection("b"))
    before = everything(store)

    report = load(
        store, make_tenant("new"), make_tenant(url="https://x.example"), make_connection("a", active=False),
        make_connection("c"), prune=True, dry_run=True,
    )  # fmt: skip

    assert ImportReport(added=2, changed=2, removed=1) == report
    with pytest.raises(ConfigurationError, match="no tenant 'unknown'"):
        load(store, make_connection(tenant="unknown"), dry_run=True)
    assert before == everything(store)


def test_every_problem_is_listed_and_nothing_is_written(store: SqlStore) -> None:
    """Each with the place of its entry."""
    load(store, make_tenant(), make_connection("moved"), make_connection("stored"))
    before = everything(store)
    entries = [
        make_tenant("new"),
        make_tenant("new", url="https://again.example"),
        make_connection("fine"),
        make_connection("twice", display_name="One"),
        make_connection("twice", display_name="Two"),
        make_connection("lost", tenant="unknown"),
        make_connection("moved", erp_connector_id=2),
        make_connection("same", display_name="Name of stored"),
        make_connection("x", display_name="X"),
        make_connection("y", display_name="X"),
        make_connection("z", display_name="X", erp_connector_id=2),
        make_connection("z", display_name="X", tenant="new"),
    ]
    document = make_document(
        *(replace(entry, place=f"acme.toml: entry {number}") for number, entry in enumerate(entries))
    )

    with pytest.raises(ConfigurationError, match="nothing was imported") as caught:
        store.apply_document(document)

    assert before == everything(store)
    found = {problem.split(": ")[1]: problem for problem in caught.value.problems}
    expected = {
        "entry 1": "tenant 'new' is described twice; first at acme.toml: entry 0",
        "entry 4": "acme/twice is described twice; first at acme.toml: entry 3",
        "entry 5": "no tenant 'unknown'",
        "entry 6": "erp_connector_id of acme/moved is 1 and cannot become 2",
        "entry 7": "'Name of stored' of connector 1 is taken in tenant 'acme' by 'stored' (in the store)",
        "entry 9": "'X' of connector 1 is taken in tenant 'acme' by 'x' (acme.toml: entry 8)",
    }
    assert expected.keys() == found.keys()
    assert all(words in found[entry] for entry, words in expected.items())


NORWAY = 'US:"Norway";NO:"Norge"'


@pytest.mark.parametrize(("one", "other"), [("Norge", NORWAY), (NORWAY, "Norge"), (NORWAY, 'DE:"Norwegen";NO:"Norge"')])
@pytest.mark.parametrize("together", [True, False])
def test_names_that_read_alike_in_one_language_are_refused(
    store: SqlStore, one: str, other: str, *, together: bool
) -> None:
    """In one document and against the store; another connector, another tenant and what is absent do not count."""
    first, second = make_connection("a", display_name=one), make_connection("b", display_name=other)
    load(store, make_tenant(), make_tenant("other"), *(() if together else (first,)))
    before = everything(store)

    with pytest.raises(ConfigurationError, match="nothing was imported") as caught:
        load(store, *((first, second) if together else (second,)))

    place = "test: connections acme/a" if together else "in the store"
    (problem,) = caught.value.problems
    assert f"taken in tenant 'acme' by 'a' ({place}), whose name is {one!r}; a tenant may list either" in problem
    assert before == everything(store)
    elsewhere = make_connection("b", display_name=other, erp_connector_id=2)
    far_away = make_connection("b", display_name=other, tenant="other")
    assert (3 if together else 2) == load(store, first, elsewhere, far_away).added
    assert 1 == load(store, make_connection("a", present=False), make_connection("c", display_name=other)).added


def test_names_may_be_swapped_and_handed_on(store: SqlStore) -> None:
    """What counts is how it stands in the end."""
    load(store, make_tenant(), *(make_connection(key, display_name=key) for key in "abc"))

    report = load(
        store,
        make_connection("a", display_name="b"),
        make_connection("b", display_name="a"),
        make_connection("c", present=False),
        make_connection("d", display_name="c"),
    )

    assert ImportReport(added=1, changed=3) == report
    assert {"a": "b", "b": "a", "c": "c", "d": "c"} == {
        view.key: view.display_name for view in store.list_connections()
    }
    assert ImportReport(added=1, removed=1, unchanged=2) == load(
        store,
        make_connection("a", display_name="b"),
        make_connection("b", display_name="a"),
        make_connection("e", display_name="c"),
        prune=True,
    )


def test_a_failure_half_way_undoes_everything(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report comes after the commit, or not at all."""
    load(store, make_tenant(), make_connection())
    before = everything(store)

    def fail(*_: object) -> None:
        raise RuntimeError("pulled the plug")

    monkeypatch.setattr("erpsyncd.store.import_write._forget_references", fail)
    with pytest.raises(RuntimeError, match="plug"):
        load(store, make_tenant("new"), make_connection(active=False), make_connection("b"))

    assert before == everything(store)


async def test_many_connections_in_a_few_statements(store: SqlStore) -> None:
    """More than one statement can name: added, found again, changed, pruned."""
    keys = [f"k{number:04d}" for number in range(1_200)]
    fields = {"P": "@{env:P}"}
    assert 1_201 == load(store, make_tenant(), *(make_connection(key, config_fields=fields) for key in keys)).added
    assert 1_200 == load(store, *(make_connection(key, config_fields=fields) for key in keys)).unchanged
    assert 1_200 == load(store, *(make_connection(key, config_fields=fields, active=False) for key in keys)).changed
    one = await begin_pass(store)
    due = await one.due()
    ids = frozenset(found.id for found in due)

    assert keys == [found.key for found in due]
    assert 1_200 == len(await store.connections_by_row_id(one.tenant_id, ids))
    assert 1_200 == len(query(store, "SELECT * FROM connection_references"))
    assert [1_200] == [found["connection_count"] for found in query(store, "SELECT connection_count FROM tenants")]
    assert 1_199 == load(store, make_connection(keys[0], config_fields=fields, active=False), prune=True).removed


async def test_many_tenants_in_one_document(store: SqlStore) -> None:
    """A partner has thousands."""
    names = [f"t{number:04d}" for number in range(600)]
    entries = [*map(make_tenant, names), *(make_connection(tenant=name) for name in names)]
    assert ImportReport(added=1_200) == load(store, *entries)
    assert ImportReport(unchanged=1_200) == load(store, *entries, prune=True)
    assert names == [tenant.name for tenant in await store.tenants()]


async def test_an_import_beside_a_running_pass(upgraded_url: str, tmp_path: Path) -> None:
    """Another process may import at any moment; whatever the order, the newest description is due."""
    first, second = (open_store(upgraded_url, key_path=None, state_directory=tmp_path) for _ in range(2))
    load(first, make_tenant(), *(make_connection(f"k{number}") for number in range(20)))
    one = await begin_pass(first)
    due = await one.due()

    async def edit(number: int) -> None:
        await asyncio.to_thread(load, second, make_connection(f"k{number}", active=False))

    await asyncio.gather(*(one.create(found, found.id) for found in due), *(edit(number) for number in range(10)))

    expected = {f"k{number}": State.PENDING if number < 10 else State.IN_SYNC for number in range(20)}
    assert expected == states(first)
    second.remove_tenant("acme")
    with pytest.raises(LeaseLost):
        await one.create(due[0])
    first.close()
    second.close()


def test_imports_at_one_moment_wait_for_each_other(upgraded_url: str, tmp_path: Path) -> None:
    """Of two that bring the same tenant, one adds it and the other finds it."""

    async def both() -> list[ImportReport]:
        entries = (make_tenant(), *(make_connection(f"k{number}") for number in range(50)))
        return list(await asyncio.gather(*(asyncio.to_thread(load, store, *entries) for store in stores)))

    stores = [open_store(upgraded_url, key_path=None, state_directory=tmp_path) for _ in range(3)]
    reports = asyncio.run(both())
    for store in stores:
        store.close()

    assert {ImportReport(added=51), ImportReport(unchanged=51)} == set(reports)
    assert 1 == sum(report.added > 0 for report in reports)


def test_the_desired_side_can_be_read_as_a_document(store: SqlStore) -> None:
    """Imported into an empty store it makes the same; deleted connections are history."""
    entries = (
        make_tenant("b"),
        make_tenant(
            "a",
            auth={"username": "u", "password": "@{env:P}"},
            ca_file="/ca.pem",
            client_certificate="/client.pem",
            client_key="/client.key",
            proxy=parse_template("http://u:x@{env:P}@proxy.example:3128"),
        ),
        make_connection("y", tenant="b", config_fields={"P": "a@{env:P}", "Q": "@@{x"}),
        make_connection("x", tenant="b"),
        make_connection("gone", tenant="a"),
    )
    load(store, *entries)
    load(store, make_connection("gone", tenant="a", present=False))

    document, one = store.read_document(), store.read_document(tenants=frozenset("b"))

    assert ["a", "b"] == [tenant.spec.name for tenant in document.tenants]
    assert [("b", "x"), ("b", "y")] == [(entry.tenant, entry.key) for entry in document.connections]
    assert entries[1].spec == document.tenants[0].spec
    assert entries[2].template == document.connections[1].template
    assert (["b"], document.connections) == ([tenant.spec.name for tenant in one.tenants], one.connections)
    assert ImportReport(unchanged=4) == store.apply_document(document)
    with pytest.raises(UsageError, match="no tenant 'c'"):
        store.read_document(tenants=frozenset("c"))


def test_the_desired_side_is_read_as_of_one_moment(
    upgraded_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another process imports between two of the reader's queries is there as a whole or not at all."""
    first, second = (open_store(upgraded_url, key_path=None, state_directory=tmp_path) for _ in range(2))
    load(first, make_tenant(), make_connection())

    def read_while_another_imports(row: Any, sealer: Any) -> Any:
        load(second, make_tenant("late"), make_connection(tenant="late"))
        return read_tenant(row, sealer)

    monkeypatch.setattr(commands, "read_tenant", read_while_another_imports)
    document = first.read_document()
    monkeypatch.undo()

    assert [("acme", "visma")] == [(entry.tenant, entry.key) for entry in document.connections]
    assert ["acme", "late"] == [tenant.spec.name for tenant in first.read_document().tenants]
    first.close()
    second.close()

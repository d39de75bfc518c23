"""`@{stored}` in a document: the value that the store has is kept; where it has none, nothing is pushed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from store_support import begin_pass, execute, query, row, states

from erpsyncd.domain.connections import State
from erpsyncd.domain.documents import DocumentTenant, ImportReport
from erpsyncd.domain.results import ChangeKind
from erpsyncd.domain.secrets import Reference, Scheme, parse_template
from erpsyncd.domain.tenants import Auth, AuthKind, Protocol
from erpsyncd.errors import ConfigurationError, OutcomeUnknown
from erpsyncd.store import SqlStore, tables
from factories import make_connection, make_document, make_tenant
from pass_bench import Bench, statuses

STORED = "@{stored}"
KEPT = {"Client": STORED, "Password": STORED}
WITHHELD_AUTH = {"username": STORED, "password": STORED}


def load(store: SqlStore, *entries: Any, **options: Any) -> ImportReport:
    return store.apply_document(make_document(*entries), **options)


def everything(store: SqlStore) -> list[Any]:
    tables = ("tenants", "connections", "secret_references", "connection_references")
    return [query(store, f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables]


def values(store: SqlStore) -> dict[str, str]:
    """Return what the store has for the config fields of its only connection, in clear."""
    (entry,) = store.read_document().connections
    return {name: template.source() for name, template in entry.template.config_fields.items()}


def test_kept_values_are_no_change(store: SqlStore) -> None:
    """Not even sealed anew: literal text, mixed text and lone references alike."""
    fields = {"Client": "F0001", "Mixed": "a@{env:P}", "Reference": "@{env:P}", "Empty": ""}
    load(store, make_tenant(), make_connection(config_fields=fields))
    before = everything(store)

    report = load(
        store, make_tenant(auth=WITHHELD_AUTH), make_connection(config_fields=dict.fromkeys(fields, STORED)), prune=True
    )

    assert ImportReport(unchanged=2) == report
    assert before == everything(store)


async def test_what_changes_beside_them_keeps_them(store: SqlStore) -> None:
    """A connection and a tenant are changed in one field; what they hold in secret stays what it was."""
    load(store, make_tenant(), make_connection())
    one = await begin_pass(store)
    await one.create_all()

    report = load(
        store,
        make_tenant(url="https://acme.example/Cust2", auth=WITHHELD_AUTH),
        make_connection(active=False, config_fields=KEPT | {"Token": "new"}),
    )

    assert [("acme", None, ["url"]), ("acme", "visma", ["active", "config_fields.Token"])] == [
        (item.tenant, item.key, [edit.name for edit in item.fields]) for item in report.items
    ]
    assert [(), ()] == [item.incomplete for item in report.items]
    assert {"Client": "F0001", "Password": "erp password", "Token": "new"} == values(store)
    (tenant,) = await store.tenants()
    assert make_tenant(url="https://acme.example/Cust2").spec == tenant.spec
    assert [("visma", State.PENDING)] == [(found.key, found.state) for found in await one.due()]


async def test_an_empty_store_takes_it_in_but_not_to_a_tenant(store: SqlStore) -> None:
    """It is listed as incomplete with what it lacks, is not due, and no reference makes it so."""
    withheld = make_connection(config_fields={"Client": "F0001", "Password": STORED, "Token": "@{env:P}"})

    report = load(store, make_tenant(auth={"username": "sync", "password": STORED}), withheld, make_connection("whole"))

    assert [
        (None, ("auth.password",)),
        ("visma", ("config_fields.Password",)),
        ("whole", ()),
    ] == [(item.key, item.incomplete) for item in report.items]
    found = row(store)
    assert (State.INCOMPLETE, "secret_missing") == (found.state, found.error_class)
    assert "config_fields.Password is @{stored}, but was never given" in (found.error or "")
    assert ["incomplete"] == [tenant.state for tenant in store.list_tenants()]
    one = await begin_pass(store)
    assert 0 == await one.record({Reference(Scheme.ENV, "P"): "p"})
    assert ["whole"] == [found.key for found in await one.due(longest_backoff=None)]
    assert ["whole"] == [found.key for found in await one.due(using=frozenset({Reference(Scheme.ENV, "P")}))]

    assert ImportReport(unchanged=1) == load(store, withheld)
    assert State.INCOMPLETE == row(store).state
    assert 1 == load(store, replace(withheld, template=replace(withheld.template, active=False))).changed
    assert State.INCOMPLETE == row(store).state


async def test_an_import_that_gives_the_value_completes_it(store: SqlStore) -> None:
    """Then it is due like any other; so it is without the field."""
    load(store, make_tenant(auth=WITHHELD_AUTH), make_connection(config_fields=KEPT))
    one = await begin_pass(store)

    assert 1 == load(store, make_connection(config_fields={"Client": "F0001", "Password": STORED})).changed
    assert State.INCOMPLETE == row(store).state
    assert 1 == load(store, make_connection(config_fields={"Client": STORED, "Password": "given"})).changed

    assert {"Client": "F0001", "Password": "given"} == values(store)
    assert ["visma"] == [found.key for found in await one.due()]
    assert (State.PENDING, None, None) == (row(store).state, row(store).error_class, row(store).error)
    assert 1 == load(store, make_tenant()).changed
    assert ["active"] == [tenant.state for tenant in store.list_tenants()]


async def test_a_field_that_nobody_gave_stops_a_connection_that_ran(store: SqlStore) -> None:
    """It keeps what it is in the tenant, and goes on once the field is gone."""
    load(store, make_tenant(), make_connection())
    one = await begin_pass(store)
    await one.create_all()

    load(store, make_connection(config_fields=KEPT | {"Token": STORED}))

    assert (State.INCOMPLETE, 1) == (row(store).state, row(store).erp_connection_id)
    assert [] == await one.due()
    load(store, make_connection(config_fields=KEPT))
    assert [("visma", State.PENDING, 1)] == [
        (found.key, found.state, found.erp_connection_id) for found in await one.due()
    ]


async def test_what_lacks_a_value_can_be_deleted_and_wanted_again(store: SqlStore) -> None:
    """To delete takes no secrets; what the store still has is kept for its return."""
    load(store, make_tenant(), make_connection())
    one = await begin_pass(store)
    await one.create_all()
    load(store, make_connection(config_fields=KEPT | {"Token": STORED}))

    load(store, make_connection(present=False))

    (absent,) = await one.due()
    assert (False, State.PENDING) == (absent.present, absent.state)
    await one.settle(absent, State.DELETED)
    assert 1 == load(store, make_connection(config_fields=KEPT)).added
    assert {"Client": "F0001", "Password": "erp password"} == values(store)
    assert State.PENDING == row(store).state


async def test_a_pass_that_worked_on_it_meanwhile_does_not_make_it_due(store: SqlStore) -> None:
    """Whatever is settled: what was imported since then lacks a value."""
    load(store, make_tenant(), make_connection())
    one = await begin_pass(store)
    (before,) = await one.due()
    intent = await one.open(before, ChangeKind.CREATE)
    load(store, make_connection(config_fields=KEPT | {"Token": STORED}))

    await one.create(before)

    assert (State.INCOMPLETE, 7) == (row(store).state, row(store).erp_connection_id)
    await one.settle(await one.one(), State.PENDING, intent_id=intent)
    assert State.INCOMPLETE == row(store).state
    await store.release(one.lease)
    execute(store, "UPDATE connections SET connection_id = NULL")  # as a number that somebody has named by hand
    store.resolve_connection("acme", "visma", erp_connection_id=9)
    assert (State.INCOMPLETE, 9) == (row(store).state, row(store).erp_connection_id)
    assert "config_fields.Token" in (row(store).error or "")


def test_another_kind_of_credentials_keeps_the_field_of_that_name(store: SqlStore) -> None:
    """What the old kind did not have is not known."""
    load(store, make_tenant(auth={"username": "sync", "password": "p", "application_token": "app"}))
    fields = {name: parse_template(STORED) for name in ("token", "application_token")}
    spec = replace(make_tenant().spec, auth=Auth(kind=AuthKind.BEARER, fields=fields))

    (item,) = load(store, DocumentTenant(spec=spec, place="test")).items

    assert ("auth.token",) == item.incomplete
    (tenant,) = store.read_document().tenants
    assert {"token": STORED, "application_token": "app"} == {
        name: template.source() for name, template in tenant.spec.auth.fields.items()
    }


def test_damaged_values_are_kept_or_refused_but_never_lost(store: SqlStore) -> None:
    """As long as nothing else changes they may stay; a change would have to seal them anew."""
    load(store, make_tenant(), make_tenant("other"), make_connection())
    execute(store, "UPDATE tenants SET auth_fields = (SELECT t.auth_fields FROM tenants t WHERE t.name = 'other')")
    with store._database.write() as connection:
        fields = connection.execute(tables.connections.select()).one().config_fields
        swapped = {"Client": fields["Password"], "Password": fields["Client"]}
        connection.execute(tables.connections.update().values(config_fields=swapped))
    before = everything(store)
    tenant, visma = make_tenant(auth=WITHHELD_AUTH), make_connection(config_fields=KEPT)

    assert ImportReport(unchanged=2) == load(store, tenant, visma)
    with pytest.raises(ConfigurationError, match="nothing was imported") as caught:
        load(
            store, make_tenant(quote_services=84, auth=WITHHELD_AUTH), make_connection(active=False, config_fields=KEPT)
        )

    reason = "is @{stored}, but what is stored cannot be kept: "
    assert [
        f"test: tenants acme.auth.username: {reason}auth/acme/username does not open",
        f"test: tenants acme.auth.password: {reason}auth/acme/password does not open",
        f"test: connections acme/visma.config_fields.Client: {reason}config_fields/acme/visma/Client does not open",
        f"test: connections acme/visma.config_fields.Password: {reason}config_fields/acme/visma/Password does not open",
    ] == [problem.partition(": it was altered")[0] for problem in caught.value.problems]
    assert before == everything(store)
    assert 1 == load(store, make_connection(active=False, config_fields={"Client": "a", "Password": "b"})).changed


MOVED = "is @{stored}, but the tenant's address, ca_file or proxy changes"


def template_of(text: str | None) -> Any:
    return None if text is None else parse_template(text)


def refused(store: SqlStore, *entries: Any) -> list[str]:
    """Return what is said of a document that cannot be imported, or even looked at; nothing is written."""
    before = everything(store)
    said = []
    for dry_run in (True, False):
        with pytest.raises(ConfigurationError, match="nothing was imported") as caught:
            load(store, *entries, dry_run=dry_run)
        said.append([problem.partition("; ")[0] for problem in caught.value.problems])

    assert before == everything(store)
    assert said[0] == said[1]
    return said[0]


PROXY = "http://us:p4ssw0rd@proxy.example:3128"


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({}, {"url": "https://evil.example"}),
        ({}, {"url": "https://acme.example:8443"}),
        ({"url": "https://127.0.0.1:80"}, {"url": "http://127.0.0.1"}),
        ({}, {"soap_url": "https://evil.example"}),
        ({}, {"rest_url": "https://evil.example"}),
        ({"soap_url": "https://one.example"}, {"soap_url": None}),
        ({}, {"ca_file": "/etc/evil.pem"}),
        ({"ca_file": "/etc/own.pem"}, {"ca_file": None}),
        ({}, {"proxy": "http://evil.example:3128"}),
        ({"proxy": PROXY}, {"proxy": None}),
        ({"proxy": PROXY}, {"proxy": "http://us:p4ssw0rd@evil.example:3128"}),
        ({"proxy": PROXY}, {"proxy": "https://us:p4ssw0rd@proxy.example:3128"}),
    ],
)
def test_no_document_sends_a_stored_secret_elsewhere(store: SqlStore, before: Any, now: Any) -> None:
    """Who writes one does not know it. With every value given again, the tenant may move."""
    before, now = ({**each, "proxy": template_of(each.get("proxy"))} for each in (before, before | now))
    load(store, make_tenant(**before), make_connection())

    said = refused(store, make_tenant(**now, auth=WITHHELD_AUTH), make_connection(active=False, config_fields=KEPT))

    assert [
        "test: tenants acme.auth.username: " + MOVED,
        "test: tenants acme.auth.password: " + MOVED,
        "test: connections acme/visma.config_fields.Client: " + MOVED,
        "test: connections acme/visma.config_fields.Password: " + MOVED,
    ] == said
    assert 1 == load(store, make_tenant(**now)).changed


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({}, {"url": "https://ACME.example:443/Cust2"}),
        ({}, {"soap_url": "https://acme.example/Remote/Services86"}),
        ({}, {"client_certificate": "/etc/us.pem", "protocol": Protocol.REST}),
        ({"proxy": PROXY}, {"proxy": "http://me:new@proxy.example:3128"}),
        ({"proxy": PROXY}, {"proxy": STORED}),
        ({"proxy": STORED}, {"proxy": PROXY}),
        ({}, {"proxy": STORED}),
    ],
)
def test_what_stays_with_whom_it_was_sent_to_is_kept(store: SqlStore, before: Any, now: Any) -> None:
    """Another path, another user name: the same machines get it."""
    before, now = ({**each, "proxy": template_of(each.get("proxy"))} for each in (before, before | now))
    load(store, make_tenant(**before, auth={"username": "sync", "password": "p"}))

    assert 0 == load(store, make_tenant(**now, calls_per_second=9.0, auth=WITHHELD_AUTH)).added

    (tenant,) = store.read_document().tenants
    assert {"username": "sync", "password": "p"} == {
        name: template.source() for name, template in tenant.spec.auth.fields.items()
    }


def test_what_was_never_given_can_be_left_out_again(store: SqlStore) -> None:
    """There is nothing that could be sent; a proxy's login goes by the same rule; what is damaged is lost anyway."""
    load(store, make_tenant(auth=WITHHELD_AUTH, proxy=parse_template(PROXY)), make_tenant("other"))

    moved = make_tenant(url="https://other.example", auth=WITHHELD_AUTH, proxy=parse_template(STORED))

    assert ["test: tenants acme.proxy: " + MOVED] == refused(store, moved)
    load(store, make_tenant(url="https://other.example", auth=WITHHELD_AUTH))
    execute(store, "UPDATE tenants SET auth_fields = (SELECT t.auth_fields FROM tenants t WHERE t.name = 'other')")
    said = refused(store, make_tenant(auth=WITHHELD_AUTH))
    assert [("username", True), ("password", True)] == [
        (problem.partition(": is ")[0].rpartition(".")[2], "cannot be kept" in problem) for problem in said
    ]


def test_an_absent_connection_is_not_moved_with_its_tenant(store: SqlStore) -> None:
    """To delete takes no secrets."""
    load(store, make_tenant(), make_connection())

    report = load(
        store, make_tenant(url="https://new.example"), make_connection(present=False, config_fields={"Client": STORED})
    )

    assert 2 == report.changed
    assert not row(store).present


def test_a_damaged_proxy_may_have_been_another(store: SqlStore) -> None:
    """Nobody knows where it was."""
    load(store, make_tenant(proxy=parse_template(PROXY)), make_tenant("other", proxy=parse_template(PROXY)))
    execute(store, "UPDATE tenants SET proxy = (SELECT t.proxy FROM tenants t WHERE t.name = 'other')")

    said = refused(store, make_tenant(proxy=parse_template(PROXY), auth=WITHHELD_AUTH))

    assert 2 == len([problem for problem in said if problem.endswith(MOVED)])


def test_a_stored_proxy_elsewhere_is_refused_for_http(store: SqlStore) -> None:
    """Reading the document cannot know where it is."""
    load(store, make_tenant(proxy=parse_template(PROXY)))

    said = refused(store, make_tenant(url="http://127.0.0.1:9", proxy=parse_template(STORED)))

    assert "test: tenants acme.proxy: must be on this machine too where an address of the tenant is http" in said


# In passes ------------------------------------------------------------------------------------------------------


async def test_a_run_leaves_alone_what_is_incomplete(bench: Bench) -> None:
    """It is no failure of the run: nothing is sent for it, its neighbours are done."""
    bench.load(make_tenant(), make_connection(config_fields=KEPT), make_connection("other"))

    every: tuple[dict[str, Any], ...] = ({}, {"scheduled": True}, {"dry_run": True})
    for options in every:
        report = await bench.run(**options)

        assert 0 == report.exit_code
        assert "visma" not in [key for key, _, _ in statuses(report)]
    assert ["Name of other"] == [made.spec.display_name for made in bench.tenants["acme"].connections.values()]
    bench.load(make_connection())
    assert [("visma", "created", None)] == statuses(await bench.run())


async def test_a_tenant_without_its_credentials_fails_alone(bench: Bench) -> None:
    """The field is named, nobody is called, and the value is all that it takes."""
    bench.load(make_tenant(auth={"username": "sync", "password": STORED}), make_connection())
    bench.load(make_tenant("other"), make_connection(tenant="other"))

    report = await bench.run()

    assert [(None, "failed", "secret_missing"), ("visma", "created", None)] == statuses(report)
    error = report.tenants[0].outcomes[0].error
    assert error is not None
    assert error.startswith("cannot log in: auth.password is @{stored}")
    assert 3 == report.exit_code
    assert [] == bench.tenants["acme"].calls
    bench.load(make_tenant(auth={"username": STORED, "password": "given"}))
    assert [("visma", "created", None)] == statuses(await bench.run())


async def test_an_open_create_is_looked_up_and_then_waits(bench: Bench) -> None:
    """An answer that was lost is settled; what lacks a value is adopted and not pushed."""
    bench.load(make_tenant(), make_connection())
    bench.tenants["acme"].lose["SaveConnection"] = [OutcomeUnknown("SaveConnection", "no answer")]
    await bench.run()
    bench.load(make_connection(config_fields=KEPT | {"Token": STORED}))

    report = await bench.run()

    assert [] == statuses(report)
    assert (State.INCOMPLETE, 1) == (bench.row().state, bench.row().erp_connection_id)
    assert 1 == bench.tenants["acme"].saves


async def test_nothing_is_sent_without_a_value_however_it_became_due(bench: Bench) -> None:
    """Were it ever due by mistake, the pass puts it back."""
    bench.load(make_tenant(), make_connection(config_fields=KEPT))
    execute(bench.store, "UPDATE connections SET state = 'pending', error = NULL, error_class = NULL")

    report = await bench.run()

    assert [("visma", "failed", "secret_missing")] == statuses(report)
    assert (State.INCOMPLETE, 0) == (bench.row().state, bench.tenants["acme"].saves)
    assert [] == statuses(await bench.run())


async def test_an_import_in_the_middle_of_a_save(bench: Bench) -> None:
    """The save that is under way ends; what was imported meanwhile waits."""
    bench.load(make_tenant(), make_connection())

    async def import_beside(operation: str) -> None:
        if operation == "SaveConnection":
            await asyncio.to_thread(bench.load, make_connection(config_fields=KEPT | {"Token": STORED}))

    bench.tenants["acme"].before = import_beside

    assert [("visma", "created", None)] == statuses(await bench.run())
    assert State.INCOMPLETE == bench.row().state
    assert {"visma": "incomplete"} == states(bench.store)

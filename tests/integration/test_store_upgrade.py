"""The way from the first release's schema to this one and back, with data in every table, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import inspect
from store_support import begin_pass

import first_schema as first
from erpsyncd.domain.intents import Moment
from erpsyncd.domain.results import ChangeKind
from erpsyncd.domain.secrets import parse_template
from erpsyncd.domain.tenants import AuthKind, Protocol
from erpsyncd.store import SqlStore, open_store, tables, upgrade_store


@pytest.fixture
def rows(store_url: str, tmp_path: Path) -> first.Rows:
    """The rows of a store that the first release left at `store_url`."""
    return first.make_first_store(store_url, tmp_path)


def upgraded(url: str, directory: Path) -> SqlStore:
    assert upgrade_store(url)
    return open_store(url, key_path=None, state_directory=directory)


def test_every_table_of_the_first_schema_has_data(rows: first.Rows, store_url: str) -> None:
    """Every column of it too: what is NULL in all rows would prove nothing."""
    with first.at_work(store_url) as connection:
        found = inspect(connection)
        columns = {
            name: {column["name"] for column in found.get_columns(name)}
            for name in found.get_table_names()
            if name != "alembic_version"
        }

    assert columns == {name: set(held[0]) for name, held in rows.items()}
    empty = [
        (table, column)
        for table, held in rows.items()
        for column in held[0]
        if all(row[column] is None for row in held) and column not in {"lease_owner", "lease_until"}
    ]
    assert [] == empty


def test_up_and_down_every_row_is_as_it_was(rows: first.Rows, store_url: str) -> None:
    """Each value that the first release wrote is there after each single step, and after the way back to it."""
    for revision in tables.REVISIONS[1:]:
        first.migrate(store_url, "upgrade", revision)
        assert rows == first.read_rows(store_url)
    for revision in reversed(tables.REVISIONS[:-1]):
        first.migrate(store_url, "downgrade", revision)
        assert rows == first.read_rows(store_url)

    assert upgrade_store(store_url)
    assert rows == first.read_rows(store_url)


def test_what_was_described_means_the_same(rows: first.Rows, store_url: str, tmp_path: Path) -> None:
    """Tenants and connections with their secrets, as they were imported; nothing of what is new is asked of them."""
    with upgraded(store_url, tmp_path) as store:
        document = store.read_document()

    acme, shy = (tenant.spec for tenant in document.tenants)
    assert (AuthKind.PASSWORD, "Pa\u00dfwort \u2603") == (acme.auth.kind, acme.auth.fields["password"].source())
    assert ("https://acme.example/crm", Protocol.SOAP, 86, 83) == (
        acme.url,
        acme.protocol,
        acme.erpsync_services,
        acme.quote_services,
    )
    assert (AuthKind.BEARER, {"token": parse_template("@{systemd:shy-token}")}) == (shy.auth.kind, shy.auth.fields)
    assert ("https://rest.example/v", Protocol.REST, 0.5) == (shy.rest_url, shy.protocol, shy.calls_per_second)
    assert {(None, None, False, "report", False)} == {
        (spec.environment, spec.proxy, spec.careful, str(spec.drift), spec.sync_all_after_save) for spec in (acme, shy)
    }
    described = {one.key: one for one in document.connections}
    assert {"broken", "flying", "kept", "lost", "new"} == {key for key, one in described.items() if one.present}
    fields = described["new"].template.config_fields
    assert [("Zebra", "erp secret"), ("Alpha", "x@{env:ERP_ALPHA}")] == [(n, t.source()) for n, t in fields.items()]
    assert ((), (7,)) == tuple(tuple(described[key].template.associate_access_ids) for key in ("new", "kept"))


def test_what_was_known_means_the_same(rows: first.Rows, store_url: str, tmp_path: Path) -> None:
    """States, failures, history and answers, as the commands list them."""
    with upgraded(store_url, tmp_path) as store:
        views = {view.key: view for view in store.list_connections()}
        tenants = {view.name: view for view in store.list_tenants()}
        runs = {view.run_id: view.status for view in store.list_runs()}
        found = store.get_run(40)
        (check,), (change,) = store.list_checks(), store.list_changes()
        examined = store.examine()

    assert {"new": "pending", "kept": "in_sync", "broken": "failed", "gone": "deleted"} == {
        key: views[key].state for key in ("new", "kept", "broken", "gone")
    }
    assert ("in_doubt", "in_flight") == (views["lost"].state, views["flying"].state)
    assert (2**40, first.GUID) == (views["kept"].erp_connection_id, views["kept"].connection_id)
    assert (4, first.LATER, "fault", "the ERP said no: \u2603") == (
        views["broken"].attempts,
        views["broken"].next_attempt_at,
        views["broken"].error_class,
        views["broken"].error,
    )
    assert (False, 2, first.NOW, 6) == (
        tenants["acme"].paused,
        tenants["acme"].transient_failures,
        tenants["acme"].last_checked_at,
        tenants["acme"].connections,
    )
    assert (True, True, None) == (tenants["shy"].paused, tenants["shy"].refused, tenants["shy"].tenant_state)
    assert {40: "partial", 42: "ok"} == {number: runs[number] for number in (40, 42)}
    assert found is not None
    assert [("kept", "created"), ("broken", "failed")] == [(one.key, one.status) for one in found[1]]
    assert ("E1", 9, first.LATER) == (check.error_code, check.times, check.last_at)
    assert ("updated", 2**40, first.NOW) == (change.change, change.record_id, change.recorded_at)
    assert [] == [one for one in examined if not one.is_ok]


async def test_what_was_under_way_is_still_known(rows: first.Rows, store_url: str, tmp_path: Path) -> None:
    """Intents that were open when the old version died, with what the tenant listed before: no create is repeated."""
    with upgraded(store_url, tmp_path) as store:
        one = await begin_pass(store)
        intents = {intent.kind: intent for intent in await store.open_intents(one.tenant_id)}
        references = await store.references(one.tenant_id)
        due = {connection.key for connection in await one.due(at=datetime(2026, 4, 1, tzinfo=UTC))}
        fence = one.lease.fence

    create, update = intents[ChangeKind.CREATE], intents[ChangeKind.UPDATE]
    assert (frozenset({4, 9}), "as it was sent", Moment(at=first.NOW)) == (
        create.seen,
        create.display_name,
        create.sent,
    )
    assert (None, None, frozenset()) == (update.step, update.snapshot, update.seen)
    assert {"@{env:ERP_ALPHA}": "of its value"} == {str(name): value for name, value in references.items()}
    assert {"new", "broken"} <= due
    assert "kept" not in due
    assert fence > 17


def test_a_new_row_takes_a_number_of_its_own(rows: first.Rows, store_url: str, tmp_path: Path) -> None:
    """The numbers go on where the first release stopped, and none comes twice."""
    with upgraded(store_url, tmp_path) as store:
        document = store.read_document()
        store.remove_connection("acme", "new")
        report = store.apply_document(document)
        with store._database.read() as connection:
            found = connection.exec_driver_sql("SELECT id FROM connections WHERE key = 'new'").scalar_one()

    assert 1 == report.added
    assert found > 16

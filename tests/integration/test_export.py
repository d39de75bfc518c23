"""`erpsyncd export`: a document that imports to no change, and nothing secret in it unless asked for."""

from __future__ import annotations

import io
import json
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commands import Invoke, connection, document
from erpsyncd.cli.main import run
from erpsyncd.domain.tenants import Protocol
from erpsyncd.service.document import read_documents
from erpsyncd.service.export import export_warnings, write_document
from erpsyncd.service.layouts import Layout
from erpsyncd.store import SqlStore, open_store
from factories import make_connection, make_document, make_tenant

CANARY = "canary-7d1f"

ODD = (
    "",
    " ",
    "\"'\\",
    "two\nlines\r\n",
    "\t\x7f\x85\x9b",
    "\u2028\U0001f600\ue000",
    "@@{x}",
    "@@{stored}",
    "@{env:X}",
    "a@{env:X}b",
)
ODD_KEYS = ("Client", "a b", 'quo"te', "ключ", "<<", "=", "yes", "1", "a.b", "\xa0", "@@{stored}")

ODD_NAME = 'Älpha "x" [y]'

FULL = [
    make_tenant(
        "zeta",
        soap_url="https://soap.example/x",
        rest_url="https://rest.example/api",
        protocol=Protocol.REST,
        erpsync_services=88,
        quote_services=84,
        calls_per_second=0.1,
        auth={"username": "@@{stored}", "password": "@{env:P}", "application_token": "a@{file:/x y}"},
    ),
    make_tenant(ODD_NAME, url="https://alpha.example"),
    make_connection("b", tenant="zeta", config_fields=dict(zip(ODD_KEYS, ODD, strict=False))),
    make_connection(
        "a.b c'",
        tenant="zeta",
        erp_connector_id=2**31 - 1,
        display_description="x\n\ty",
        active=False,
        all_access=True,
        user_group_access_ids=(3, 1, 2**31 - 1),
        associate_access_ids=(2,),
        config_fields=dict(zip(reversed(ODD_KEYS), ODD, strict=False)),
    ),
    make_connection("c", tenant=ODD_NAME, config_fields={}),
]


def exported(store: SqlStore, layout: Layout = Layout.TOML, *, reveal: bool = False) -> str:
    return write_document(store.read_document(reveal=reveal), layout, reveals=reveal)


def load(store: SqlStore, text: str, layout: Layout = Layout.TOML, *, prune: bool = True) -> Any:
    return store.apply_document(read_documents([(f"x.{layout}", text.encode())]), prune=prune)


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("reveal", [False, True])
def test_it_imports_to_no_change(store: SqlStore, layout: Layout, *, reveal: bool) -> None:
    """Every field, every odd text, in every format; also where what it does not name is to go."""
    store.apply_document(make_document(*FULL))

    report = load(store, exported(store, layout, reveal=reveal), layout)

    assert ((), 5) == (report.items, report.unchanged)


@pytest.fixture
def other_store(tmp_path: Path) -> Iterator[SqlStore]:
    """An empty store with a key of its own."""
    (tmp_path / "other").mkdir()
    with open_store(f"sqlite:///{tmp_path}/other/x.db", key_path=None, state_directory=tmp_path / "other") as opened:
        yield opened


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("reveal", [False, True])
def test_it_makes_the_same_of_an_empty_store(
    store: SqlStore, other_store: SqlStore, layout: Layout, *, reveal: bool
) -> None:
    """Export, import into an empty store, export: byte for byte."""
    store.apply_document(make_document(*FULL))
    text = exported(store, layout, reveal=reveal)

    assert 5 == load(other_store, text, layout).added

    assert text == exported(other_store, layout, reveal=reveal)
    if reveal:
        assert store.read_document() == other_store.read_document()


def test_an_empty_store_is_a_document_too(store: SqlStore) -> None:
    """With nothing in it."""
    for layout in Layout:
        report = load(store, exported(store, layout), layout)

        assert (0, ()) == (report.unchanged, report.items)


def test_the_order_is_by_name_whatever_the_database(store: SqlStore) -> None:
    """Tenants by name, connections by tenant and key, config fields as they were given."""
    keys = ("z", "é", "a", "B")
    store.apply_document(
        make_document(
            *map(make_tenant, ("b", "Ä", "a", "B")),
            *(
                make_connection(key, tenant=tenant, config_fields={"z": "1", "a": "2"})
                for tenant in "aB"
                for key in keys
            ),
        )
    )

    found = json.loads(exported(store, Layout.JSON))

    assert ["B", "a", "b", "Ä"] == [tenant["name"] for tenant in found["tenants"]]
    assert [(tenant, key) for tenant in "Ba" for key in ("B", "a", "z", "é")] == [
        (entry["tenant"], entry["key"]) for entry in found["connections"]
    ]
    assert {("z", "a")} == {tuple(entry["config_fields"]) for entry in found["connections"]}


def test_what_is_absent_is_left_out(store: SqlStore) -> None:
    """To be deleted, or deleted: importing the rest changes nothing about that."""
    store.apply_document(make_document(make_tenant(), make_connection("a"), make_connection("b"), make_connection("c")))
    with store._database.write() as connection_:
        connection_.exec_driver_sql("UPDATE connections SET erp_connection_id = 7 WHERE key = 'a'")
    store.apply_document(make_document(make_connection("a", present=False), make_connection("b", present=False)))

    text = exported(store)

    assert ["c"] == [entry.key for entry in read_documents([("x.toml", text.encode())]).connections]
    assert () == load(store, text).items
    assert [("a", "pending"), ("b", "deleted"), ("c", "pending")] == [
        (view.key, view.state) for view in store.list_connections()
    ]


# The command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def loaded(invoke: Invoke, tmp_path: Path) -> Invoke:
    """A store with two tenants that hold secrets."""
    path = tmp_path / "acme.toml"
    fields = {"Password": f"{CANARY} 1", "User": "@{env:ERP_USER}", "Mixed": f"{CANARY}@{{env:ERP_USER}}"}
    path.write_text(
        document("https://crm.example", "soap", connection("a", config_fields=fields), password=f"{CANARY} 2")
        + document("https://crm.example", "rest", connection("b", tenant="other"), name="other")
    )
    assert 0 == invoke("import", str(path))[0]
    return invoke


def test_no_secret_is_written_unless_asked_for(loaded: Invoke) -> None:
    """A value with any literal text is left to the store as a whole; references stay."""
    for arguments in ((), ("--format", "yaml"), ("--format", "json"), ("--output", "json")):
        code, out, err = loaded("export", *arguments)

        assert (0, "") == (code, err)
        assert CANARY not in out
        assert 8 == out.count('"@{stored}"') - out.count('# "@{stored}"')
        assert "@{env:ERP_USER}" in out

    code, out, err = loaded("export", "--reveal")
    assert (0, "", 3) == (code, err, out.count(CANARY))
    assert f'Mixed = "{CANARY}@{{env:ERP_USER}}"' in out
    assert "@{stored}" not in out


def test_no_key_is_needed_where_nothing_is_revealed(loaded: Invoke, tmp_path: Path) -> None:
    """Who may read the store may export it."""
    (tmp_path / "state" / "erpsyncd.key").unlink()

    assert 0 == loaded("export")[0]
    assert 78 == loaded("export", "--reveal")[0]


def test_some_tenants_only(loaded: Invoke) -> None:
    """With their connections; an unknown one is a usage error."""
    one = json.loads(loaded("export", "--tenant", "other", "--output", "json")[1])
    both = loaded("export", "--tenant", "other", "--tenant", "acme")

    assert (1, "document") == (one["version"], one["kind"])
    assert (["other"], ["b"]) == ([t["name"] for t in one["tenants"]], [c["key"] for c in one["connections"]])
    assert loaded("export") == both
    code, out, err = loaded("export", "--tenant", "nobody")
    assert (2, "", True) == (code, out, "no tenant 'nobody'; see: erpsyncd tenants list" in err)


def test_json_output_is_a_document_that_imports(loaded: Invoke, tmp_path: Path) -> None:
    """Both ways to ask for it give the same; another format contradicts it."""
    text = loaded("export", "--output", "json")[1]
    path = tmp_path / "again.json"
    path.write_text(text)

    assert text == loaded("export", "--format", "json")[1]
    assert "0 added, 0 changed, 4 unchanged, 0 marked absent" in loaded("import", "--prune", str(path))[1]
    assert (2, "") == loaded("export", "--output", "json", "--format", "yaml")[:2]


def test_a_document_is_utf_8_whatever_the_terminal_is(
    loaded: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another encoding of stdout does not get into it."""
    path = tmp_path / "x.toml"
    path.write_text(connection("a", display_name="Žižkov", config_fields={}), encoding="utf-8")
    loaded("import", str(path))
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))

    assert 0 == run(["export"])

    assert 'display_name = "Žižkov"'.encode() in written.getvalue()


def test_what_does_not_open_is_left_to_the_store(loaded: Invoke, tmp_path: Path) -> None:
    """A damaged value cannot be revealed; that is said, and the rest is written."""
    database = sqlite3.connect(tmp_path / "state" / "erpsyncd.db")
    for table, column in (("connections", "config_fields"), ("tenants", "auth_fields")):
        database.execute(f"UPDATE {table} SET {column} = replace({column}, 'v1:', 'v9:')")
    database.commit()
    database.close()

    code, out, err = loaded("export", "--reveal", "--tenant", "acme")

    assert (0, 4, 0) == (code, out.count('"@{stored}"'), out.count(CANARY))
    assert "erpsyncd: warning: acme: auth.username: @{stored} stands for it, because a sealed value" in err
    assert "erpsyncd: warning: acme/a: config_fields.Mixed: @{stored} stands for it" in err
    assert () == export_warnings(make_document(make_tenant(), make_connection(config_fields={"P": "@{stored}"})))

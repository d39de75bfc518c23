"""What an import says that it changes: every entry, every field, no secret."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from store_support import begin_pass

from commands import Invoke, connection, document
from erpsyncd.store import SqlStore
from factories import make_connection, make_document, make_tenant

CANARY = "canary-7d1f"

Load = Callable[..., list[str]]


@pytest.fixture
def load(invoke: Invoke, tmp_path: Path) -> Load:
    """Import a text; return the lines that were shown."""

    def loaded(text: str, *arguments: str) -> list[str]:
        path = tmp_path / "acme.toml"
        path.write_text(text)
        code, out, err = invoke("import", str(path), *arguments)
        assert (0, "") == (code, err)
        assert CANARY not in out
        lines: list[str] = out.splitlines()
        return lines

    return loaded


def test_one_line_for_each_entry(load: Load) -> None:
    """What goes comes first, then what changes with its fields, then what is new; secrets are named only."""
    fields = {"Client": CANARY, "Password": CANARY, "Token": "t"}
    tenant = document("https://crm.example", "soap", "", password=CANARY)
    kept, gone = connection("kept", config_fields=fields), connection("gone")

    assert ["+ acme", "+ acme/gone", "+ acme/kept", "Imported: 3 added, 0 changed, 0 unchanged, 0 marked absent"] == [
        *load(tenant + kept + gone)
    ]

    changed = connection(
        "kept",
        display_name="Kept ☃",
        active=False,
        user_group_access_ids=[1, 3],
        config_fields={"Client": CANARY, "Password": f"{CANARY}2", "User": "@{env:USER}"},
    )
    tenant = tenant.replace('protocol = "soap"', 'soap_url = "https://soap.example"\nquote_services = 84')
    tenant = tenant.replace(CANARY, f"{CANARY}3")
    expected = [
        "- acme/gone  marked absent",
        '~ acme  auth.password changed; soap_url: nothing -> "https://soap.example"; quote_services: 83 -> 84',
        (
            '~ acme/kept  display_name: "Name of kept" -> "Kept ☃"; active: true -> false; '
            "user_group_access_ids: [] -> [1, 3]; config_fields.Password changed; config_fields.User added; "
            "config_fields.Token removed"
        ),
        "+ acme/new",
    ]

    planned = load(tenant + changed + connection("new"), "--prune", "--dry-run")
    done = load(tenant + changed + connection("new"), "--prune")

    assert [*expected, "Would import: 1 added, 2 changed, 0 unchanged, 1 marked absent"] == planned
    assert [*expected, "Imported: 1 added, 2 changed, 0 unchanged, 1 marked absent"] == done
    assert ["Imported: 0 added, 0 changed, 3 unchanged, 0 marked absent"] == load(
        tenant + changed + connection("new"), "--prune"
    )


def test_other_credentials_are_told_by_their_kind(load: Load) -> None:
    """The fields of the old kind go, those of the new one come."""
    load(document("https://crm.example", "soap", ""))

    tenant = '[[tenants]]\nname = "acme"\nurl = "https://crm.example/acme"\n'
    lines = load(f'{tenant}[tenants.auth]\nkind = "ticket"\nticket = "{CANARY}"')

    assert (
        '~ acme  auth.kind: "password" -> "ticket"; auth.ticket added; auth.username removed; auth.password removed'
        == lines[0]
    )


def test_absent_and_wanted_again(load: Load) -> None:
    """What the document calls absent is shown as such, and so is what it wants again."""
    load(document("https://crm.example", "soap", connection("a")))

    assert ["- acme/a  marked absent", "Imported: 0 added, 1 changed, 0 unchanged, 0 marked absent"] == load(
        connection("a", state="absent")
    )
    assert ["+ acme/a", "Imported: 1 added, 0 changed, 0 unchanged, 0 marked absent"] == load(connection("a"))


def test_many_lines_are_cut(load: Load, invoke: Invoke, tmp_path: Path) -> None:
    """Of each sign as many as a person reads; JSON has them all."""
    tenant = document("https://crm.example", "soap", "")
    many = "".join(connection(f"c{number:03d}") for number in range(120))

    added = load(tenant + many)
    changes = load(
        tenant + many.replace("Name of", "Title of").partition('key = "c100"')[0].rpartition("[[")[0], "--prune"
    )

    assert (52, "+ acme/c048", "+ ... and 71 more; all of them: --output json") == (len(added), *added[-3:-1])
    assert ["- acme/c100  marked absent", "~ acme/c000  "] == [changes[0], changes[20][: len("~ acme/c000  ")]]
    assert (72, "~ ... and 50 more; all of them: --output json") == (len(changes), changes[-2])
    report = json.loads(invoke("import", str(tmp_path / "acme.toml"), "--output", "json")[1])
    assert (101, []) == (report["unchanged"], report["items"])


def test_items_are_the_numbers(store: SqlStore) -> None:
    """Each entry that is counted is there once, by tenant and key."""
    store.apply_document(
        make_document(make_tenant("b"), make_tenant("a"), *(make_connection(key, tenant="b") for key in "xyz"))
    )

    report = store.apply_document(
        make_document(
            make_tenant("b", url="https://moved.example"),
            make_tenant("c"),
            make_connection("x", tenant="b", present=False),
            make_connection("z", tenant="b", all_access=True),
            make_connection("new", tenant="c"),
        ),
        prune=True,
    )

    assert (2, 3, 0, 1) == (report.added, report.changed, report.unchanged, report.removed)
    assert [
        ("b", None, "changed", ["url"]),
        ("b", "x", "changed", ["state"]),
        ("b", "y", "removed", ["state"]),
        ("b", "z", "changed", ["all_access"]),
        ("c", None, "added", []),
        ("c", "new", "added", []),
    ] == [(item.tenant, item.key, item.change, [edit.name for edit in item.fields]) for item in report.items]


async def test_what_is_wanted_again_before_it_was_deleted_is_changed(store: SqlStore) -> None:
    """Its state is one of the fields."""
    store.apply_document(make_document(make_tenant(), make_connection()))
    one = await begin_pass(store)
    await one.create_all()
    store.apply_document(make_document(make_connection(present=False)))

    (item,) = store.apply_document(make_document(make_connection(active=False))).items

    assert [("active", True, False), ("state", "absent", "present")] == [
        (edit.name, edit.old, edit.new) for edit in item.fields
    ]

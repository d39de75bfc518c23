"""`validate`: everything that an import would check, and nothing that it would write."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from commands import Erpsyncd, connection, document
from in_process import InProcess

URL = "https://crm.acme.example"
GOOD = document(URL, "soap", connection("a"))

pytestmark = pytest.mark.usefixtures("logging_restored")


def files_of(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


def test_a_good_document_makes_nothing(tmp_path: Path) -> None:
    """Exit 0, no items, and neither a store nor a key nor a directory for them."""
    erpsyncd = Erpsyncd(tmp_path)
    file = erpsyncd.write("acme.toml", GOOD)

    validated = erpsyncd("validate", str(file), "--output", "json")

    assert (0, {"version": 1, "kind": "validate", "items": []}) == (validated.code, validated.json)
    assert "No problems.\n" == erpsyncd("validate", str(file)).stdout
    assert [file] == list(tmp_path.iterdir())


def test_every_problem_has_its_place_and_its_reason(tmp_path: Path) -> None:
    """Exit 78 and one item for each, from all files; as text one line each and the sum."""
    erpsyncd = InProcess(tmp_path)
    one = erpsyncd.write("one.toml", GOOD.replace('protocol = "soap"', 'protocol = "smtp"\ncalls_per_second = 11'))
    two = erpsyncd.write("two.toml", connection("b", display_name="", tenant="acm"))
    three = erpsyncd.write("three.toml", "[[tenants]\n")

    validated = erpsyncd("validate", str(one), str(two), str(three), "--output", "json")

    items = {(item["place"], item["result"]): item["reason"] for item in validated.json["items"]}
    assert 78 == validated.code
    assert {
        (f"{one}: tenants[1].protocol", "problem"),
        (f"{two}: connections[1].display_name", "problem"),
        (f"{two}: connections[1]", "problem"),
        (str(three), "problem"),
    } == items.keys()
    assert 'did you mean "acme"?' in items[f"{two}: connections[1]", "problem"]

    text = erpsyncd("validate", str(one), str(two), str(three))

    assert (78, "") == (text.code, text.stderr)
    assert "4 problems; nothing would be imported" == text.stdout.splitlines()[-1]
    assert f"{one}: tenants[1].protocol: must be" in text.stdout


def test_what_only_the_whole_shows_is_found_without_a_store(tmp_path: Path) -> None:
    """A connection of a tenant that nobody describes is refused, as an import would."""
    erpsyncd = InProcess(tmp_path)

    validated = erpsyncd("validate", "-", "--output", "json", stdin=connection("a", tenant="nobody"))

    assert 78 == validated.code
    assert ["there is no tenant 'nobody', neither here nor in the store"] == [
        item["reason"] for item in validated.json["items"]
    ]


def test_it_is_compared_with_the_store(quick: Erpsyncd, tmp_path: Path) -> None:
    """Tenants that the store has need not be described; a connector cannot be changed. The store stays as it is."""
    quick.load(GOOD)
    before = {name: quick.listed(name) for name in ("tenants", "connections")}

    fine = quick("validate", "-", stdin=connection("b"))
    moved = quick("validate", "-", "--output", "json", stdin=connection("a", erp_connector_id=2))
    strange = quick("validate", "-", "--output", "json", stdin=connection("a", tenant="acmee") + "x = [\n")
    known = quick("validate", "-", "--output", "json", stdin=connection("a", active="yes"))

    assert (0, 78, 78, 78) == (fine.code, moved.code, strange.code, known.code)
    assert "is 1 and cannot become 2" in moved.json["items"][0]["reason"]
    assert ["-: connections[1].active"] == [item["place"] for item in known.json["items"]]
    assert before == {name: quick.listed(name) for name in ("tenants", "connections")}


def test_references_are_looked_up_as_an_import_would(tmp_path: Path) -> None:
    """Files always; the environment with --resolve only, because it is seldom the daemon's."""
    erpsyncd = InProcess(tmp_path)
    file = erpsyncd.write("a.toml", GOOD.replace("erp password", "@{file:/does/not/exist}"))
    variable = erpsyncd.write("b.toml", GOOD.replace("erp password", "@{env:NOT_HERE}"))

    assert 78 == erpsyncd("validate", str(file)).code
    assert 0 == erpsyncd("validate", str(variable)).code
    assert "@{env:NOT_HERE} is not set" in erpsyncd("validate", "--resolve", str(variable)).stdout


def test_warnings_are_shown_and_change_nothing(tmp_path: Path) -> None:
    """What is allowed but hardly meant is exit 0."""
    erpsyncd = InProcess(tmp_path)
    fast = GOOD.replace("[tenants.auth]", "calls_per_second = 11\n[tenants.auth]")

    validated = erpsyncd("validate", "-", "--output", "json", stdin=fast)
    text = erpsyncd("validate", "-", stdin=fast)

    assert (0, ["warning"]) == (validated.code, [item["result"] for item in validated.json["items"]])
    assert "-: tenants[1].calls_per_second" == validated.json["items"][0]["place"]
    assert (2, True) == (len(text.stdout.splitlines()), text.stdout.startswith("warning: -: tenants[1]"))


def test_an_older_store_is_left_as_it_is(tmp_path: Path) -> None:
    """It is not upgraded for a look; that the document was not compared with it is said."""
    erpsyncd = InProcess(tmp_path)
    erpsyncd.load(GOOD)
    with sqlite3.connect(tmp_path / "state" / "erpsyncd.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '0001'")
    database.close()
    before = files_of(tmp_path / "state")

    moved = document(URL, "soap", connection("a", erp_connector_id=2))
    validated = erpsyncd("validate", "-", "--output", "json", stdin=moved)

    assert (0, ["the store"]) == (validated.code, [item["place"] for item in validated.json["items"]])
    assert before == files_of(tmp_path / "state")


@pytest.mark.parametrize("content", [None, b""], ids=["no key yet", "empty file"])
def test_a_store_that_nobody_used_gets_no_key(tmp_path: Path, upgraded_sqlite: Path, content: bytes | None) -> None:
    """To look is not to begin."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    if content is None:
        shutil.copy(upgraded_sqlite, state / "erpsyncd.db")
    else:
        (state / "erpsyncd.db").write_bytes(content)
    before = files_of(state)

    assert 0 == InProcess(tmp_path)("validate", "-", stdin=GOOD).code
    assert before == files_of(state)


def test_a_lost_key_is_told(tmp_path: Path) -> None:
    """Without it the store cannot be compared with, which is no problem of the document."""
    erpsyncd = InProcess(tmp_path)
    erpsyncd.load(GOOD)
    (tmp_path / "state" / "erpsyncd.key").unlink()

    refused = erpsyncd("validate", "-", stdin=GOOD)

    assert (78, "") == (refused.code, refused.stdout)
    assert "erpsyncd.key" in refused.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who must not touch another user's directory")
def test_root_leaves_another_users_directory_alone(tmp_path: Path) -> None:
    """As every command does, it names the one to run."""
    (tmp_path / "state").mkdir()
    os.chown(tmp_path / "state", 65534, 65534)

    refused = Erpsyncd(tmp_path)("validate", "-", stdin=GOOD)

    assert 78 == refused.code
    assert f"sudo -u nobody env STATE_DIRECTORY={tmp_path / 'state'} erpsyncd validate" in refused.stderr

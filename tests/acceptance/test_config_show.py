"""`config show`: every setting, its value in force, and the layer that it comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from commands import Erpsyncd, Result
from erpsyncd.setting_sections import setting_types
from in_process import InProcess

pytestmark = pytest.mark.usefixtures("logging_restored")


def items_of(shown: Result) -> dict[str, dict[str, Any]]:
    assert 0 == shown.code, shown.stderr
    return {item["name"]: item for item in shown.json["items"]}


def test_every_setting_has_a_value_and_a_source(tmp_path: Path) -> None:
    """Later layers win: default, file, environment, command line. Nothing is made for the asking."""
    erpsyncd = Erpsyncd(tmp_path, environ={"ERPSYNCD__REMOTE__DEADLINE": "60", "ERPSYNCD__LOG__LEVEL": "error"})
    file = erpsyncd.write("own.toml", '[remote]\ndeadline = "30s"\nattempts = 2\n[schedule]\nreconcile = "5 4 * * *"\n')

    shown = erpsyncd("config", "show", "--config", str(file), "--log-level", "warning", "--output", "json")

    assert (1, "config", str(file)) == (shown.json["version"], shown.json["kind"], shown.json["file"])
    items = items_of(shown)
    assert list(setting_types()) == list(items)
    expected = {
        "remote.deadline": ("1m", "ERPSYNCD__REMOTE__DEADLINE"),
        "remote.settle": ("1m", "default"),
        "remote.attempts": (2, str(file)),
        "schedule.reconcile": ("5 4 * * *", str(file)),
        "checks.enabled": (True, "default"),
        "log.level": ("warning", "command line"),
        "state.directory": (str(tmp_path / "state"), "ERPSYNCD__STATE__DIRECTORY"),
        "state.key_file": (str(tmp_path / "state" / "erpsyncd.key"), "default"),
        "store.url": (f"sqlite:///{tmp_path}/state/erpsyncd.db", "default"),
    }
    assert expected == {name: (items[name]["value"], items[name]["source"]) for name in expected}
    assert "How often one call is tried" in items["remote.attempts"]["description"]
    assert not (tmp_path / "state").exists()


def test_what_systemd_decides_is_named(tmp_path: Path) -> None:
    """$STATE_DIRECTORY goes before the setting; a credential named like the key is the key."""
    (tmp_path / "erpsyncd.key").write_text("")
    systemd = {"STATE_DIRECTORY": str(tmp_path / "given"), "CREDENTIALS_DIRECTORY": str(tmp_path)}
    erpsyncd = InProcess(tmp_path, environ=systemd)

    items = items_of(erpsyncd("config", "show", "--output", "json"))

    sources = {name: (items[name]["value"], items[name]["source"]) for name in ("state.directory", "state.key_file")}
    assert {
        "state.directory": (str(tmp_path / "given"), "STATE_DIRECTORY"),
        "state.key_file": (str(tmp_path / "erpsyncd.key"), "CREDENTIALS_DIRECTORY"),
    } == sources


@pytest.mark.parametrize("output", ["text", "json"])
@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:canary@db/e", "postgresql://u:***@db/e"),
        ("postgresql://u@db/e?password=canary", "postgresql://u@db/e?***"),
        ("postgresql://u@db:canary/e", "***"),
        ("postgresql://u:p@canary@127.0.0.1:1/e", "***"),
    ],
)
def test_passwords_are_left_out(tmp_path: Path, output: str, url: str, expected: str) -> None:
    """Wherever in the address they stand."""
    shown = InProcess(tmp_path, store_url=url)("config", "show", "--output", output)

    assert 0 == shown.code
    assert expected in shown.stdout
    assert "canary" not in shown.stdout + shown.stderr


@pytest.mark.parametrize(
    "command", [("doctor",), ("tenants", "list"), ("--run-once",), ("db", "check"), ("db", "copy", "{url}")]
)
def test_a_password_with_an_at_sign_is_refused_and_not_shown(tmp_path: Path, command: tuple[str, ...]) -> None:
    """What follows the sign would be taken for the host, which every message about the store names."""
    url = "postgresql://u:p@canary@127.0.0.1:1/e"
    is_copy = "copy" in command

    refused = InProcess(tmp_path, store_url="" if is_copy else url)(*(word.format(url=url) for word in command))

    assert 78 == refused.code
    assert "written as %40" in refused.stdout + refused.stderr
    assert "canary" not in refused.stdout + refused.stderr


def test_as_text_it_is_a_table(tmp_path: Path) -> None:
    """One line for each setting, under headings."""
    shown = InProcess(tmp_path)("config", "show")

    first, *rest = shown.stdout.splitlines()
    assert ["SETTING", "VALUE", "FROM"] == first.split()
    assert list(setting_types()) == [line.split()[0] for line in rest]
    assert "checks.enabled" in shown.stdout
    assert next(line for line in rest if line.startswith("checks.enabled")).split()[1:] == ["yes", "default"]


def test_settings_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    """There is no value in force then."""
    refused = InProcess(tmp_path, environ={"ERPSYNCD__REMOTE__SETTLE": "soon"})("config", "show")

    assert (78, "") == (refused.code, refused.stdout)
    assert "ERPSYNCD__REMOTE__SETTLE" in refused.stderr


def test_settings_are_checked_without_being_used(tmp_path: Path) -> None:
    """Good ones end with 0 and their file; bad ones with 78 and every problem. Nothing is made in either case."""
    erpsyncd = InProcess(tmp_path)
    good = erpsyncd.write("good.toml", "[retention]\ndays = 7\n")
    bad = erpsyncd.write("bad.toml", 'nonsense = 1\n[schedule]\nreconcile = "often"\n')

    taken = erpsyncd("config", "check", "--config", str(good), "--output", "json")
    refused = erpsyncd("config", "check", "--config", str(bad))

    assert (0, str(good)) == (taken.code, taken.json["file"])
    assert "retention.days" in taken.json["warnings"][0]
    assert f"The settings can be used: {good}." in erpsyncd("config", "check", "--config", str(good)).stdout
    assert (78, "") == (refused.code, refused.stdout)
    assert all(word in refused.stderr for word in ("nonsense", "schedule.reconcile"))
    assert not (tmp_path / "state").exists()

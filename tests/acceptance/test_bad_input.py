"""Bad input is refused with the place and the reason, and nothing is written."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from commands import COMMAND, Erpsyncd, connection, document
from in_process import InProcess

URL = "https://crm.acme.example"
GOOD = document(URL, "soap", connection("a"))


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("[[tenants]\nname=", "line 1", ""),
        (GOOD + "colour = 1\n", "connections[1]", "colour"),
        (GOOD.replace("all_acces", "") + connection("b", tenant="acne"), "connections[2]", "acne"),
        (GOOD + connection("a"), "connections[2]", "a"),
        (GOOD + connection("b", display_name="x" * 255), "connections[2]", "254"),
        (GOOD.replace(URL, "http://crm.acme.example"), "tenants[1]", "https"),
        (GOOD.replace("erp password", "@{file:/does/not/exist}"), "connections[1]", "/does/not/exist"),
        (GOOD.replace("erp password", "@{vault:x}"), "connections[1]", "@{env:NAME}"),
        (GOOD.replace('"acme"\nurl', '"acme"\ncareful = 1\nurl'), "tenants[1]", "careful"),
        (GOOD.replace("active", "activ") + connection("b", activ=True), "connections[2]", "active"),
    ],
    ids=["toml", "unknown key", "tenant", "duplicate", "length", "http", "file", "scheme", "no truth", "near miss"],
)
def test_a_bad_document_changes_nothing(quick: Erpsyncd, text: str, place: str, reason: str) -> None:
    """The import ends with 78, names place and reason, and leaves the store as it was."""
    refused = quick.load(text)

    assert (78, "error", 78) == (refused.code, refused.error["kind"], refused.error["exit_code"])
    told = "\n".join([refused.error["error"], *refused.error["problems"]])
    assert place in told
    assert reason in told
    assert "erp password" not in refused.stderr
    assert [] == quick.listed("tenants")


def test_every_problem_is_listed(quick: Erpsyncd) -> None:
    """One import shows all that is wrong, from all files."""
    one = quick.write("one.toml", GOOD.replace('protocol = "soap"', 'protocol = "smtp"'))
    two = quick.write("two.toml", connection("b", display_name="", tenant="nobody"))

    refused = quick("import", str(one), str(two), "--output", "json")

    problems = refused.error["problems"]
    assert 3 <= len(problems)
    assert any("one.toml" in line and "protocol" in line for line in problems)
    assert any("two.toml" in line and "display_name" in line for line in problems)
    assert any("nobody" in line for line in problems)


@pytest.mark.parametrize(
    ("arguments", "environ", "code", "reason"),
    [
        (("--config", "missing.toml", "--run-once"), {}, 78, "missing.toml"),
        (("--run-once",), {"ERPSYNCD__STORE__URL": "mysql://u:canary@h/d"}, 78, "STORE__URL"),
        (("--run-once",), {"ERPSYNCD__STORE__URL": "sqlite:////proc/none/x.db"}, 78, "/proc/none"),
        (("--run-once",), {"ERPSYNCD__REMOTE__SETLE": "1"}, 78, "ERPSYNCD__REMOTE__SETTLE"),
        (("--run-once",), {"ERPSYNCD__REMOTE__SETTLE": "soon"}, 78, "SETTLE"),
        (("--dry-run",), {}, 2, "--run-once"),
        (("--run-once", "version"), {}, 2, "--run-once"),
        (("improt", "x.toml"), {}, 2, "import"),
        (("import",), {}, 2, "FILE"),
        (("import", "absent.toml"), {}, 2, "absent.toml"),
        (("--output", "xml", "--run-once"), {}, 2, "xml"),
    ],
)
def test_bad_settings_and_usage(
    quick: Erpsyncd, arguments: tuple[str, ...], environ: dict[str, str], code: int, reason: str
) -> None:
    """Exit 78 for configuration, 2 for usage, a message that names the cause, and never a password."""
    quick.environ |= environ

    refused = quick(*arguments)

    assert code == refused.code, refused.stderr
    assert reason in refused.stderr
    assert "canary" not in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_lost_key_is_not_replaced(tmp_path: Path, logging_restored: None) -> None:
    """Without the key the store is refused, before anything is sent or written."""
    erpsyncd = InProcess(tmp_path)
    erpsyncd.load(GOOD)
    key = tmp_path / "state" / "erpsyncd.key"
    kept = key.read_bytes()
    key.unlink()

    refused = erpsyncd.run_once()

    assert (78, False) == (refused.code, key.exists())
    assert "erpsyncd.key" in refused.error["error"]

    key.write_bytes(b"A" * 43 + b"=\n")
    key.chmod(0o600)

    assert 78 == erpsyncd.run_once().code

    key.write_bytes(kept)

    assert [] == erpsyncd.listed("runs"), "none of these was a run that died"
    assert 78 != erpsyncd.run_once("--dry-run").code


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to act as a user who may not write there")
def test_a_read_only_state_directory_is_refused(tmp_path: Path) -> None:
    """A directory that cannot be written to is named, with exit 78."""
    tmp_path.chmod(0o755)
    state = tmp_path / "state"
    state.mkdir(mode=0o555)
    environ = {"PATH": os.environ["PATH"], "ERPSYNCD__STATE__DIRECTORY": str(state)}

    done = subprocess.run(
        ["setpriv", "--bounding-set=-all", "--inh-caps=-all", COMMAND, "--run-once"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )

    assert 78 == done.returncode, done.stderr
    assert str(state) in done.stderr
    assert [] == list(state.iterdir())

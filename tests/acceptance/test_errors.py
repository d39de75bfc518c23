"""Errors: one line that says what to do, the name that was meant, and with --debug what led to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from commands import Erpsyncd, Invoke, connection, document
from in_process import InProcess

URL = "https://crm.acme.example"

pytestmark = pytest.mark.usefixtures("logging_restored")


@pytest.fixture
def stocked(tmp_path: Path) -> Erpsyncd:
    """The command line in this process, with a tenant `acme` and its connection `visma-no`."""
    erpsyncd = InProcess(tmp_path)
    assert 0 == erpsyncd.load(document(URL, "soap", connection("visma-no"))).code
    return erpsyncd


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("tenant", "list"), "there is no command 'tenant'; did you mean 'tenants'? (see: erpsyncd --help)"),
        (("zzz",), "there is no command 'zzz' (see: erpsyncd --help)"),
        (("tenants", "pause", "acm"), "there is no tenant 'acm'; did you mean 'acme'?"),
        (("tenants", "pause", "zzz"), "there is no tenant 'zzz'; see: erpsyncd tenants list"),
        (("connections", "remove", "acmee", "visma-no"), "there is no tenant 'acmee'; did you mean 'acme'?"),
        (
            ("connections", "remove", "acme", "visma-dk"),
            "tenant 'acme' has no connection 'visma-dk'; did you mean 'visma-no'?",
        ),
        (
            ("connections", "resolve", "acme", "zzz", "--create"),
            "tenant 'acme' has no connection 'zzz'; see: erpsyncd connections list",
        ),
        (("--run-once", "--force", "acne"), "--force: there is no tenant 'acne'; did you mean 'acme'?"),
        (("tenants", "lst"), "there is no command 'lst'; did you mean 'list'? (see: erpsyncd tenants --help)"),
        (("runs", "zzz"), "there is no command 'zzz' (see: erpsyncd runs --help)"),
        (("connections", "list", "--tenant", "acne"), "there is no tenant 'acne'; did you mean 'acme'?"),
        (("checks", "list", "--tenant", "zzz"), "there is no tenant 'zzz'; see: erpsyncd tenants list"),
        (("changes", "list", "--tenant", "acm"), "there is no tenant 'acm'; did you mean 'acme'?"),
        (("changes", "export", "--tenant", "acm"), "there is no tenant 'acm'; did you mean 'acme'?"),
        (("changes", "follow", "--tenant", "acm"), "there is no tenant 'acm'; did you mean 'acme'?"),
        (("runs",), "runs needs a command: list, show (see: erpsyncd runs --help)"),
        (("config", "--output", "text"), "config needs a command: check, show (see: erpsyncd config --help)"),
        (
            ("tenants", "list", "--debgu"),
            "No such option '--debgu'. Did you mean '--debug'? (see: erpsyncd tenants list --help)",
        ),
    ],
)
def test_what_was_meant_is_suggested(stocked: Erpsyncd, arguments: tuple[str, ...], sentence: str) -> None:
    """Commands, options, tenants and keys: the name that is most like it, else where to look; one line, exit 2."""
    refused = stocked(*arguments)

    assert (2, "", f"erpsyncd: {sentence}\n") == (refused.code, refused.stdout, refused.stderr)


@pytest.mark.parametrize("place", [1, 2, 3])
def test_common_options_stand_anywhere(stocked: Erpsyncd, place: int) -> None:
    """Before the group, between it and its command, or after that; what stands last wins."""
    line = ["tenants", "list"]
    line[place - 1 : place - 1] = ["--output", "json"]

    listed, overridden = stocked(*line), stocked("--output", "text", *line)

    assert (0, "acme") == (listed.code, listed.json["items"][0]["name"])
    assert listed.stdout == overridden.stdout


@pytest.mark.parametrize("form", [(), ("--output", "json")], ids=["text", "json"])
def test_a_group_without_a_command_names_its_commands(tmp_path: Path, form: tuple[str, ...]) -> None:
    """One line with all of them, in either form; nothing of the help."""
    refused = InProcess(tmp_path)("tenants", *form)

    sentence = (
        "tenants needs a command: add, edit, list, pause, remove, rename, resume, show, test "
        "(see: erpsyncd tenants --help)"
    )
    assert (2, "", 1) == (refused.code, refused.stdout, len(refused.stderr.splitlines()))
    assert sentence == (refused.error["error"] if form else refused.stderr.strip().removeprefix("erpsyncd: "))


@pytest.mark.parametrize("broken", [False, True], ids=["read by the store", "read by the document"])
def test_a_document_suggests_tenants_of_the_store(stocked: Erpsyncd, *, broken: bool) -> None:
    """A connection of a tenant with a misspelt name is told the right one, from the store."""
    text = connection("b", tenant="acm") + ("colour = 1\n[[connections]]\n" if broken else "")

    refused = stocked.load(text)

    expected = "there is no tenant 'acm', neither here nor in the store; did you mean \"acme\"?"
    assert any(expected in problem for problem in refused.error["problems"]), refused.error


def test_a_document_suggests_tenants_of_its_own(tmp_path: Path) -> None:
    """So does a document that describes the tenant itself, for a store that has none."""
    refused = InProcess(tmp_path).load(document(URL, "soap", connection("b", tenant="acm")))

    assert 'did you mean "acme"?' in refused.error["problems"][0]


@pytest.mark.parametrize("where", ["before", "after"])
def test_debug_shows_what_led_to_an_error(tmp_path: Path, where: str) -> None:
    """Root cause first, with types and tracebacks; the line for people comes last. Without it there is just that."""
    erpsyncd = InProcess(tmp_path)
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / "erpsyncd.db").mkdir()
    arguments = ("--debug", "tenants", "list") if where == "before" else ("tenants", "list", "--debug")

    plain = erpsyncd("tenants", "list")
    debug = erpsyncd(*arguments)

    assert plain.code == debug.code != 0
    assert 1 == len(plain.stderr.splitlines())
    assert debug.stderr.endswith(plain.stderr)
    told = debug.stderr
    assert told.index("sqlite3.OperationalError: ") < told.index("erpsyncd.errors.ConfigurationError: ")
    assert "/click/" not in told
    assert "store/database.py" in told


def test_debug_leaves_json_errors_on_the_last_line(tmp_path: Path) -> None:
    """Programs read the last line of stderr, with and without it."""
    refused = Erpsyncd(tmp_path)("tenants", "pause", "x", "--debug", "--output", "json")

    assert refused.stderr.startswith("Traceback")
    assert ("error", "usage") == (refused.error["kind"], refused.error["error_class"])


def test_debug_keeps_secrets(tmp_path: Path) -> None:
    """Neither values of variables nor passwords inside addresses are shown."""
    erpsyncd = InProcess(tmp_path, environ={"ERPSYNCD__STORE__URL": "postgresql://u:canary@127.0.0.1:9/db"})

    refused = erpsyncd("--debug", "tenants", "list")

    assert "psycopg" in refused.stderr
    assert "canary" not in refused.stderr


def test_a_defect_is_shown_whole_and_ends_as_an_error(tmp_path: Path) -> None:
    """What no sentence was written for has its traceback without being asked for, and yet the form of errors."""
    program = (
        "import sys\n"
        "from erpsyncd import bootstrap\n"
        "from erpsyncd.cli.main import run\n"
        "def start(*_, **__): raise ZeroDivisionError('https://u:canary@h/')\n"
        "bootstrap.start = start\n"
        "sys.exit(run(sys.argv[1:]))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, "tenants", "list", "--output", "json"],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
        cwd=tmp_path,
    )

    error = json.loads(done.stderr.splitlines()[-1])
    assert (1, "", "internal") == (done.returncode, done.stdout, error["error_class"])
    assert "ZeroDivisionError" in error["error"]
    assert "ZeroDivisionError: https://***@h/" in done.stderr
    assert "canary" not in done.stderr


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_interrupted_command_ends_as_an_error(invoke: Invoke, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """Ctrl-C has its own exit code, and the form that every other end has."""

    class Waiting:
        @property
        def buffer(self) -> Waiting:
            raise KeyboardInterrupt

    monkeypatch.setattr("sys.stdin", Waiting())
    code, out, err = invoke("import", "-", "--output", form)

    last = err.splitlines()[-1]
    assert (130, "") == (code, out)
    assert ("erpsyncd: interrupted" if form == "text" else "interrupted") == (
        last if form == "text" else json.loads(last)["error_class"]
    )

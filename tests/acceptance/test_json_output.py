"""Every command with --output json: stdout is one object of a published shape, and never a line of a log."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from command_pages import walk
from commands import COMMAND, Erpsyncd, connection, document
from erpsyncd.cli.schemas import KINDS, schema_of
from erpsyncd.sandbox import SandboxServer

#: Stands for the address of a new store.
COPY = "COPY"
#: Command lines in the order of their life, with kind and exit code. Each command that there is must be among them.
LINES: list[tuple[tuple[str, ...], str, int]] = [
    (("version",), "version", 0),
    (("schema",), "schemas", 0),
    (("completion", "bash"), "completion", 0),
    (("config", "show"), "config", 0),
    (("db", "upgrade"), "db_upgrade", 0),
    (("status",), "status", 0),
    (("validate", "acme.toml"), "validate", 0),
    (("validate", "bad.toml"), "validate", 78),
    (("import", "acme.toml", "--dry-run"), "import_report", 0),
    (("import", "acme.toml"), "import_report", 0),
    (("plan",), "run_report", 3),
    (("--run-once", "--dry-run"), "run_report", 3),
    (("--run-once",), "run_report", 3),
    (("import", "changed.toml"), "import_report", 0),
    (("plan", "--only", "acme"), "run_report", 3),
    (("--run-once",), "run_report", 3),
    (("status",), "status", 0),
    (("tenants", "list"), "tenants", 0),
    (("tenants", "show", "acme"), "tenants", 0),
    (("tenants", "show", "away"), "tenants", 0),
    (("tenants", "test", "acme"), "tenants", 0),
    (("tenants", "test", "away"), "tenants", 75),
    (
        ("tenants", "add", "new", "--url", "https://n.example", "--username", "u", "--secret-ref", "@{env:N}"),
        "tenants",
        0,
    ),
    (("tenants", "edit", "new", "--protocol", "rest"), "tenants", 0),
    (("tenants", "rename", "new", "newer"), "tenants", 0),
    (("tenants", "pause", "acme"), "tenants", 0),
    (("tenants", "list"), "tenants", 0),
    (("tenants", "resume", "acme"), "tenants", 0),
    (("connections", "list"), "connections", 0),
    (("connections", "show", "acme", "a"), "connections", 0),
    (("connections", "show", "acme", "b"), "connections", 0),
    (("connections", "adopt", "acme", "--dry-run"), "connections", 0),
    (("connections", "adopt", "acme"), "connections", 0),
    (("connections", "adopt", "acme", "--id", "77", "--key", "b"), "connections", 0),
    (("connections", "resolve", "acme", "b", "--create"), "connections", 0),
    (("connections", "rename", "acme", "b", "c"), "connections", 0),
    (("connections", "remove", "acme", "c"), "connections", 0),
    (("runs", "list"), "runs", 0),
    (("runs", "show", "2"), "runs", 0),
    (("checks", "list"), "checks", 0),
    (("changes", "list"), "changes", 0),
    (("db", "check"), "db_check", 0),
    (("doctor",), "doctor", 1),
    (("doctor", "--local"), "doctor", 0),
    (("db", "copy", COPY), "db_copy", 0),
    (("tenants", "remove", "acme"), "tenants", 0),
]
#: What is no object of ours: a demonstration for people, a document to import, and lines with one record each.
OTHERS = {("demo",), ("export",), ("changes", "export")}
#: These run until they are stopped: the one has a test of its own, the other writes the same lines as its neighbour.
LONG = {("sandbox",), ("changes", "follow")}
SILENT = ("changes", "checks", "connections", "runs", "tenants")


def check(kind: str, document: Any) -> None:
    """Raise unless an object is of this kind."""
    Draft202012Validator(schema_of(kind), format_checker=Draft202012Validator.FORMAT_CHECKER).validate(document)
    assert kind == document["kind"]


@pytest.fixture
def populated(tmp_path: Path, sandbox: SandboxServer) -> Erpsyncd:
    """A directory with documents: one tenant that answers, one with a connection that fails, one that is away."""
    erpsyncd = Erpsyncd(tmp_path, environ={"ERPSYNCD__LOG__LEVEL": "debug", "ERPSYNCD__REMOTE__ATTEMPTS": "1"})
    unknown = connection("b", config_fields={"Password": "@{env:NOT_HERE}"})
    text = document(sandbox.url, "soap", connection("a") + unknown)
    text += document("http://127.0.0.1:9", "rest", connection("a", tenant="away"), name="away")
    erpsyncd.write("acme.toml", text)
    erpsyncd.write("changed.toml", connection("a", display_name="Another", config_fields={"Password": "another"}))
    sandbox.tenant("acme").add(display_name="Theirs", erp_connector_id=2, config_fields={"Client": "F0001"})
    erpsyncd.write("bad.toml", connection("a", tenant="nobody"))
    return erpsyncd


def test_every_command_writes_its_kind(populated: Erpsyncd) -> None:
    """On a store in all stages of its life, at log level debug: one object on stdout, whatever the exit code."""
    kinds, copy = set(), f"sqlite:///{populated.directory}/copy.db"
    for arguments, kind, code in LINES:
        line = [copy if word == COPY else word for word in arguments]
        done = populated(*line, "--output", "json", "--log-format", "json")

        assert (arguments, code, 1) == (arguments, done.code, len(done.stdout.splitlines())), done.stderr
        check(kind, json.loads(done.stdout))
        assert all("event" in json.loads(line) for line in done.stderr.splitlines())
        kinds.add(kind)

    assert set(KINDS) - kinds == {"error", "sandbox"}


def test_no_command_is_left_out() -> None:
    """A new command needs a line above and a schema."""
    leaves = {words for words in walk() if not _is_group(words)}

    written = {words for words in leaves if any(words == line[: len(words)] for line, _, _ in LINES)}
    assert leaves - OTHERS - LONG == written


def _is_group(words: tuple[str, ...]) -> bool:
    return any(other[: len(words)] == words and other != words for other in walk())


def test_empty_lists_are_lists(tmp_path: Path) -> None:
    """A store without anything has the same shapes."""
    erpsyncd = Erpsyncd(tmp_path)

    for noun in SILENT:
        listed = erpsyncd(noun, "list", "--output", "json")
        check(noun, listed.json)
        assert [] == listed.json["items"]
    check("doctor", erpsyncd("doctor", "--output", "json").json)
    check("run_report", erpsyncd.run_once().json)


def test_the_sandbox_says_where_it_is(tmp_path: Path) -> None:
    """Before it begins to wait."""
    erpsyncd = Erpsyncd(tmp_path)
    with subprocess.Popen(
        [COMMAND, "sandbox", "--port", "0", "--output", "json"], env=erpsyncd.environment, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGTERM)

    check("sandbox", json.loads(line))


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("tenants", "pause", "nobody"), 2),
        (("improt",), 2),
        (("--run-once", "--force", "nobody"), 2),
        (("tenants", "list", "--limit", "0"), 2),
        (("schema", "run"), 2),
        (("import", "bad.toml"), 78),
        (("config", "show", "--config", "missing.toml"), 78),
        (("db", "check", "--debug", "--config", "missing.toml"), 78),
    ],
)
def test_errors_are_objects_on_stderr(populated: Erpsyncd, arguments: tuple[str, ...], code: int) -> None:
    """The last line there; nothing on stdout."""
    failed = populated(*arguments, "--output", "json")

    assert (code, "") == (failed.code, failed.stdout)
    check("error", failed.error)
    assert code == failed.error["exit_code"]


def test_schemas_are_schemas() -> None:
    """Of the dialect that they name; each names its kind and says what it is."""
    for kind in KINDS:
        schema = schema_of(kind)

        Draft202012Validator.check_schema(schema)
        assert (kind, True) == (schema["title"], schema["description"].endswith("."))


def test_schemas_are_printed(tmp_path: Path) -> None:
    """One of them as it is, in either form of output; without a name, all their names; a misspelt one is told."""
    erpsyncd = Erpsyncd(tmp_path)
    schema = erpsyncd("schema", "run_report")
    as_json = erpsyncd("schema", "run_report", "--output", "json")
    listed = erpsyncd("schema")
    unknown = erpsyncd("schema", "run_reports")

    assert schema_of("run_report") == schema.json == as_json.json
    assert sorted(KINDS) == [line.split()[0] for line in listed.stdout.splitlines()[1:]]
    assert (2, "erpsyncd: there is no kind 'run_reports'; did you mean 'run_report'?\n") == (
        unknown.code,
        unknown.stderr,
    )


def test_the_kinds_that_others_script_against_are_there() -> None:
    """Those of design.md §7."""
    fixed = {"run_report", "import_report", "tenants", "connections", "runs", "checks", "changes", "error"}

    assert fixed | {"config", "validate", "doctor", "version"} <= set(KINDS)

"""Every command with --output json: stdout is one object of a published shape, and never a line of a log."""

from __future__ import annotations

import copy
import json
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from command_pages import walk
from commands import COMMAND, PATIENCE, Erpsyncd, connection, document
from erpsyncd.cli.schemas import KINDS, schema_of
from erpsyncd.sandbox import ConfigReading, SandboxServer
from in_process import InProcess
from json_shapes import Shapes, objects

#: Command lines in the order of their life, with kind and exit code: from nothing to a first pass,
BEGINNING: list[tuple[str, str, int]] = [
    ("version", "version", 0),
    ("schema", "schemas", 0),
    ("completion bash", "completion", 0),
    ("config show", "config", 0),
    ("config check", "config_check", 0),
    ("doctor --local", "doctor", 0),
    ("db upgrade", "db_upgrade", 0),
    ("db check", "db_check", 0),
    ("status", "status", 0),
    ("validate acme.toml", "validate", 0),
    ("validate bad.toml", "validate", 78),
    ("import --dry-run acme.toml", "import_report", 0),
    ("import acme.toml", "import_report", 0),
    ("status", "status", 0),
    ("plan", "run_report", 3),
    ("plan --only acme/a --detailed-exitcode", "run_report", 4),
    ("--run-once --dry-run", "run_report", 3),
    ("--run-once", "run_report", 3),
]
#: and from then on, after the tenants changed behind our back. Each command that there is must be among them.
LATER: list[tuple[str, str, int]] = [
    ("import changed.toml", "import_report", 0),
    ("plan", "run_report", 3),
    ("--run-once", "run_report", 3),
    ("import --prune pruned.toml", "import_report", 0),
    ("plan --only acme", "run_report", 3),
    ("status", "status", 0),
    ("tenants list", "tenants", 0),
    ("tenants show acme", "tenants", 0),
    ("tenants show away", "tenants", 0),
    ("tenants test acme", "tenants", 0),
    ("tenants test away", "tenants", 75),
    ("tenants pause acme", "tenants", 0),
    ("tenants list", "tenants", 0),
    ("tenants resume acme", "tenants", 0),
    ("tenants add new --url https://new.example --username me --secret-ref @{env:NEW}", "tenants", 0),
    ("tenants edit new --url https://newer.example", "tenants", 0),
    ("tenants edit new --url https://newer.example", "tenants", 0),
    ("tenants rename new newer", "tenants", 0),
    ("connections adopt acme --dry-run", "connections", 0),
    ("connections adopt acme", "connections", 0),
    ("connections adopt shy", "connections", 0),
    ("connections adopt acme --id 77 --key b", "connections", 0),
    ("connections resolve acme b --create", "connections", 0),
    ("connections rename acme b renamed", "connections", 0),
    ("connections list", "connections", 0),
    ("connections show acme a", "connections", 0),
    ("connections show acme renamed", "connections", 0),
    ("connections show away a", "connections", 0),
    ("connections remove acme renamed", "connections", 0),
    ("runs list", "runs", 0),
    ("runs show 1", "runs", 0),
    ("runs show 4", "runs", 0),
    ("checks list", "checks", 0),
    ("checks show 1", "checks", 0),
    ("changes list", "changes", 0),
    ("changes export", "changed_record", 0),
    ("export", "document", 0),
    ("export --reveal --tenant acme", "document", 0),
    ("doctor acme away", "doctor", 1),
    ("db backup backup.db", "db_backup", 0),
    ("db copy sqlite:///copy.db", "db_copy", 0),
]
#: and after somebody changed there what is ours.
DRIFTED: list[tuple[str, str, int]] = [
    ("drift acme", "drift", 5),
    ("drift look --only away", "drift", 75),
    ("drift ignore acme theirs display_name --reason agreed --until 30d", "drift_decision", 0),
    ("drift", "drift", 3),
    ("connections show acme theirs", "connections", 0),
    ("drift enforce acme theirs config_fields.Client --reason ours", "drift_decision", 0),
    ("plan --only acme", "run_report", 0),
    ("drift adopt acme theirs-too --reason gone", "drift_decision", 0),
    ("tenants remove acme", "tenants", 0),
    ("demo", "demo", 0),
]
#: They run until they are stopped, so each has a test of its own; `follow` in test_looking.py.
LONG = {("sandbox",), ("changes", "follow")}
#: Kinds of which a command writes many, a line each.
LINES = {"changed_record"}

#: One way for each command to fail, with the exit code; groups fail for want of the command inside.
FAILURES: list[tuple[str, int]] = [
    ("--run-once --force nobody", 2),
    ("changes export --format csv", 2),
    ("changes follow --config missing.toml", 78),
    ("changes list --since yesterday", 2),
    ("checks list --only nobody", 2),
    ("checks show 7", 2),
    ("completion powershell", 2),
    ("config show --config missing.toml", 78),
    ("config check --config missing.toml", 78),
    ("connections adopt nobody", 2),
    ("connections list --state lost", 2),
    ("connections remove acme nothing", 2),
    ("connections rename acme nothing something", 2),
    ("connections resolve acme nothing --create", 2),
    ("connections show acme nothing", 2),
    ("db check --debug --config missing.toml", 78),
    ("db copy oracle:///x", 78),
    ("db backup erpsyncd.db", 2),
    ("db upgrade --config missing.toml", 78),
    ("demo --port 1", 2),
    ("doctor nobody", 2),
    ("drift nobody", 2),
    ("drift adopt acme nothing --reason why", 2),
    ("drift enforce acme nothing --reason why", 2),
    ("drift ignore acme a --reason why", 2),
    ("drift look --only nobody", 2),
    ("export --tenant nobody", 2),
    ("import bad.toml", 78),
    ("plan --only nobody", 2),
    ("runs list --limit 0", 2),
    ("runs show 7", 2),
    ("sandbox --port 65536", 2),
    ("schema run", 2),
    ("status --config missing.toml", 78),
    ("tenants add acme --url ftp://acme --username me --secret-ref @{env:NEW}", 78),
    ("tenants edit nobody --url https://new.example", 2),
    ("tenants list --only nobody", 2),
    ("tenants pause nobody", 2),
    ("tenants remove nobody", 2),
    ("tenants rename nobody somebody", 2),
    ("tenants resume nobody", 2),
    ("tenants show nobody", 2),
    ("tenants test nobody", 2),
    ("validate nothing.toml", 2),
    ("version --nothing", 2),
    ("improt", 2),
]


def _is_group(words: tuple[str, ...]) -> bool:
    return any(other[: len(words)] == words and other != words for other in walk())


#: `drift` without a command looks; `drift look` has lines above.
GROUPS = {words for words in walk() if words and _is_group(words)} - {("drift",)}


@pytest.fixture
def populated(
    tmp_path: Path,
    sandbox: SandboxServer,
    upgraded_sqlite: Path,
    monkeypatch: pytest.MonkeyPatch,
    logging_restored: None,
) -> Erpsyncd:
    """A directory with documents: a tenant where one connection fails, one that is away, and one that hides values."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(upgraded_sqlite, tmp_path / "erpsyncd.db")
    shutil.copy(upgraded_sqlite, tmp_path / "copy.db")
    erpsyncd = InProcess(
        tmp_path,
        f"sqlite:///{tmp_path}/erpsyncd.db",
        {"ERPSYNCD__LOG__LEVEL": "debug", "ERPSYNCD__REMOTE__ATTEMPTS": "1", "NEW": "x"},
    )
    unknown = connection("b", config_fields={"Password": "@{env:NOT_HERE}"})
    gone = connection("away", config_fields={})
    first = document(sandbox.url, "soap", connection("a") + unknown + connection("c") + connection("d") + gone)
    away = document("http://127.0.0.1:9", "rest", connection("a", tenant="away"), name="away")
    erpsyncd.write("acme.toml", first + away + document(sandbox.url, "rest", "", name="shy"))
    erpsyncd.write("bad.toml", connection("a", tenant="nobody"))
    changed = connection(
        "a", display_name="Other", user_group_access_ids=[1], config_fields={"Client": "F1", "New": "n"}
    )
    erpsyncd.write("changed.toml", document(sandbox.url, "soap", changed, extra="calls_per_second = 9.5"))
    kept = document("http://127.0.0.1:9", "rest", "", name="away", extra='proxy = "http://me:pw@127.0.0.1:9"')
    erpsyncd.write("pruned.toml", kept + document(sandbox.url, "soap", connection("a") + unknown))
    return erpsyncd


def test_every_command_writes_its_kind(populated: Erpsyncd, sandbox: SandboxServer) -> None:
    """On a store in all stages of its life, at log level debug: one object on stdout, whatever the exit code.

    Every kind that there is, and every shape that an item of it can have, is written by some command.
    """
    shapes = Shapes(populated)
    for line in BEGINNING:
        _check(populated, shapes, *line)
    tenant, shy = sandbox.tenant("acme"), sandbox.tenant("shy")
    shy.configure(config_reading=ConfigReading.MASKED)
    for name in ("Theirs", "Theirs, too"):
        tenant.add(display_name=name, config_fields={"Client": "F2"})
        shy.add(display_name=name, config_fields={"Client": "F2"})
    for line in LATER:
        _check(populated, shapes, *line)
    theirs = {row.display_name: number for number, row in tenant.connections.items()}
    tenant.edit(theirs["Theirs"], display_name="Again", config_fields={"Client": "F3"})
    tenant.forget(theirs["Theirs, too"])
    for line in DRIFTED:
        _check(populated, shapes, *line)

    assert {"error", "sandbox"} == set(KINDS) - {kind for kind, _ in shapes.seen}
    assert set() == shapes.unseen_items()
    assert [] == [kind for kind, written in shapes.seen if _takes_more(shapes, kind, written)]


def _check(erpsyncd: Erpsyncd, shapes: Shapes, words: str, kind: str, code: int) -> None:
    done = erpsyncd(*words.split(), "--output", "json", "--log-format", "json")

    assert (words, code) == (words, done.code), done.stderr
    written = [json.loads(line) for line in done.stdout.splitlines()] if kind in LINES else [done.json]
    assert written
    for each in written:
        shapes.check(kind, each)
    assert all(
        line.startswith("erpsyncd: warning: ") or "event" in json.loads(line) for line in done.stderr.splitlines()
    )


def _takes_more(shapes: Shapes, kind: str, written: Any) -> bool:
    """Say whether a schema takes what is not written: members that are not known, or moments in another form."""
    changed = copy.deepcopy(written)
    for each in objects(changed):
        before = dict(each)
        for name, value in before.items():
            if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", value):
                each[name] = value.replace("Z", "+00:00")
                if shapes.takes(kind, changed):
                    return True
            each[name] = [[]]
            if shapes.takes(kind, changed):
                return True
            each[name] = value
        each["surprise"] = [[]]
        if shapes.takes(kind, changed):
            return True
        del each["surprise"]
    return False


def test_no_command_is_left_out() -> None:
    """A new command needs a line above, a way to fail, and a schema."""
    leaves = {words for words in walk() if not _is_group(words)}

    lines = [tuple(words.split()) for words, _, _ in (*BEGINNING, *LATER, *DRIFTED)]
    failures = [tuple(words.split()) for words, _ in FAILURES]
    assert leaves - LONG == {words for words in leaves if any(words == line[: len(words)] for line in lines)}
    assert leaves == {words for words in leaves if any(words == line[: len(words)] for line in failures)}


def test_the_installed_command_keeps_logs_from_results(populated: Erpsyncd) -> None:
    """As a process of its own, at log level debug: what it says goes to the right one of two pipes."""
    installed = Erpsyncd(populated.directory, populated.store_url, populated.environ)
    shapes = Shapes(populated)

    shapes.check("import_report", installed("import", "acme.toml", "--output", "json").json)
    done = installed("--run-once", "--output", "json", "--log-format", "json")

    shapes.check("run_report", done.json)
    events = {json.loads(line)["event"] for line in done.stderr.splitlines()}
    assert {"call.finished", "run.finished"} <= events


def test_the_daemon_writes_nothing_to_stdout(populated: Erpsyncd) -> None:
    """It has no result; whoever reads stdout of a unit finds no logs there."""
    with populated.daemon("--output", "json") as daemon:
        daemon.wait_for("service.started")
        daemon.signal(signal.SIGTERM)
        out, _ = daemon.process.communicate(timeout=PATIENCE)

    assert (0, b"") == (daemon.process.returncode, out)


def test_empty_lists_are_lists(populated: Erpsyncd) -> None:
    """A store without anything has the same shapes."""
    shapes = Shapes(populated)

    for noun in ("changes", "checks", "connections", "runs", "tenants"):
        listed = populated(noun, "list", "--output", "json").json
        shapes.check(noun, listed)
        assert [] == listed["items"]
    shapes.check("document", populated("export", "--output", "json").json)
    shapes.check("run_report", populated.run_once().json)
    assert "" == populated("changes", "export", "--output", "json").stdout


def test_the_sandbox_says_where_it_is(populated: Erpsyncd) -> None:
    """Before it begins to wait, and nothing after that."""
    with subprocess.Popen(
        [COMMAND, "sandbox", "--port", "0", "--output", "json"], env=populated.environment, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()

    Shapes(populated).check("sandbox", json.loads(line))
    assert b"" == rest


@pytest.mark.parametrize(("words", "code"), FAILURES)
def test_errors_are_objects_on_stderr(populated: Erpsyncd, words: str, code: int) -> None:
    """The last line there; nothing on stdout."""
    failed = populated(*words.split(), "--output", "json", "--log-format", "json")

    assert (code, "") == (failed.code, failed.stdout), failed.stderr
    Shapes(populated).check("error", failed.error)
    assert code == failed.error["exit_code"]


@pytest.mark.parametrize(
    "words", [words for words in walk() if words and _is_group(words) and words != ("drift",)], ids=" ".join
)
def test_groups_without_a_command_are_errors(populated: Erpsyncd, words: tuple[str, ...]) -> None:
    """Also those where none, or no known one, was named."""
    for rest in ((), ("nothing",)):
        failed = populated("--output", "json", *words, *rest)

        assert (2, "") == (failed.code, failed.stdout)
        Shapes(populated).check("error", failed.error)


def test_schemas_are_schemas() -> None:
    """Of the dialect that they name; each names its kind and says what it is."""
    for kind in KINDS:
        schema = schema_of(kind)

        Draft202012Validator.check_schema(schema)
        assert (kind, True) == (schema["title"], schema["description"].endswith("."))


def test_schemas_are_printed(populated: Erpsyncd) -> None:
    """One of them as it is, in either form of output; without a name, all their names; a misspelt one is told."""
    schema = populated("schema", "run_report")
    as_json = populated("schema", "run_report", "--output", "json")
    listed = populated("schema")
    unknown = populated("schema", "run_reports")

    assert schema_of("run_report") == schema.json == as_json.json
    assert sorted(KINDS) == [line.split()[0] for line in listed.stdout.splitlines()[1:]]
    assert (2, "erpsyncd: there is no kind 'run_reports'; did you mean 'run_report'?\n") == (
        unknown.code,
        unknown.stderr,
    )


def test_the_kinds_that_others_script_against_are_there() -> None:
    """Those of design.md §7."""
    fixed = {"run_report", "import_report", "tenants", "connections", "runs", "checks", "changes", "error"}

    assert fixed | {"config", "validate", "doctor", "version", "status"} <= set(KINDS)

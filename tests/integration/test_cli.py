"""The command line in this process: what it prints, where, and the code it ends with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from commands import Invoke, connection, document
from erpsyncd import __version__
from erpsyncd.cli.history import _named
from erpsyncd.cli.output import json_text, printable, table
from erpsyncd.sandbox import SandboxServer

DOCUMENT = """
[[tenants]]
name = "acme"
url = "http://127.0.0.1:9"
[tenants.auth]
kind = "password"
username = "sync"
password = "tenant password"

[[connections]]
tenant = "acme"
key = "visma"
erp_connector_id = 1
display_name = "Visma"

[[connections]]
tenant = "acme"
key = "other"
erp_connector_id = 1
display_name = "Other"
"""


@pytest.fixture
def loaded(invoke: Invoke, tmp_path: Path) -> Invoke:
    """The same, with a tenant in the store."""
    path = tmp_path / "acme.toml"
    path.write_text(DOCUMENT)
    assert 0 == invoke("import", str(path))[0]
    return invoke


def test_version_as_text_and_json(invoke: Invoke) -> None:
    """The version is told in three ways."""
    assert (0, f"erpsyncd {__version__}\n", "") == invoke("--version")
    assert (0, f"erpsyncd {__version__}\n", "") == invoke("version")
    assert {"version": 1, "kind": "version", "erpsyncd": __version__} == json.loads(
        invoke("version", "--output", "json")[1]
    )


def test_global_options_stand_before_or_after_the_command(loaded: Invoke) -> None:
    """Both places mean the same; the later one wins."""
    before = loaded("--output", "json", "tenants", "list")
    after = loaded("tenants", "list", "--output", "json")
    both = loaded("--output", "json", "tenants", "list", "--output", "text")

    assert before == after
    assert "tenants" == json.loads(before[1])["kind"]
    assert both[1].startswith("TENANT")


def test_import_says_what_changed(loaded: Invoke, tmp_path: Path) -> None:
    """Added, changed, unchanged, marked absent; a dry run says it and writes nothing."""
    path = tmp_path / "acme.toml"

    assert "0 added, 0 changed, 3 unchanged, 0 marked absent" in loaded("import", str(path))[1]

    path.write_text(DOCUMENT.rpartition("[[connections]]")[0].replace('"Visma"', '"Visma AS"'))

    assert (
        "Would import: 0 added, 1 changed, 1 unchanged, 1 marked absent"
        in loaded("import", str(path), "--prune", "--dry-run")[1]
    )
    assert {
        "version": 1,
        "kind": "import_report",
        "added": 0,
        "changed": 1,
        "unchanged": 1,
        "removed": 1,
        "items": [
            {
                "change": "removed",
                "tenant": "acme",
                "key": "other",
                "fields": [{"name": "state", "change": "changed", "old": "present", "new": "absent"}],
                "incomplete": [],
            },
            {
                "change": "changed",
                "tenant": "acme",
                "key": "visma",
                "fields": [{"name": "display_name", "change": "changed", "old": "Visma", "new": "Visma AS"}],
                "incomplete": [],
            },
        ],
    } == json.loads(loaded("import", str(path), "--prune", "--output", "json")[1])


def test_import_warns_on_stderr(loaded: Invoke, tmp_path: Path) -> None:
    """What is allowed but hardly meant is said beside the result."""
    path = tmp_path / "fast.toml"
    path.write_text(DOCUMENT.replace("url =", "calls_per_second = 50\nurl ="))

    code, out, err = loaded("import", str(path))

    assert (0, True) == (code, "1 changed" in out)
    assert "calls_per_second" in err


def test_unreadable_files_are_named(invoke: Invoke, tmp_path: Path) -> None:
    """A directory is no document."""
    code, _, err = invoke("import", str(tmp_path))

    assert 78 == code
    assert f"{tmp_path} cannot be read" in err


@pytest.mark.parametrize(
    ("noun", "members"),
    [
        ("tenants", {"name", "url", "protocol", "state", "paused"}),
        (
            "connections",
            {
                "tenant", "key", "state", "erp_connection_id", "connection_id", "erp_connector_id",
                "erp_connector", "display_name", "active", "attempts", "next_attempt_at", "error_class", "error",
            },
        ),
        ("runs", {"run_id", "status", "started_at", "finished_at"}),
        (
            "checks",
            {
                "tenant", "run_id", "is_ok", "user_explanation", "tech_explanation", "error_code", "first_at",
                "last_at", "times",
            },
        ),
        ("changes", {"tenant", "run_id", "operation", "change", "table_name", "record_id", "recorded_at"}),
    ],
)  # fmt: skip
def test_lists_have_the_members_that_others_script_against(loaded: Invoke, noun: str, members: set[str]) -> None:
    """Every list is one object with `items`; the members that are fixed are there."""
    loaded("--run-once")

    code, out, _ = loaded(noun, "list", "--output", "json")
    document = json.loads(out)

    assert (0, 1, noun) == (code, document["version"], document["kind"])
    assert all(members <= item.keys() for item in document["items"])
    assert (noun in {"checks", "changes"}) == (document["items"] == [])
    assert 0 == loaded(noun, "list")[0]


def test_lists_can_be_filtered_and_limited(loaded: Invoke) -> None:
    """By tenant, and by number; newest runs come first."""
    loaded("--run-once")
    loaded("--run-once")

    def items(*arguments: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(loaded(*arguments, "--output", "json")[1])["items"]
        return found

    assert ["other", "visma"] == [item["key"] for item in items("connections", "list")]
    assert ["other"] == [item["key"] for item in items("connections", "list", "--limit", "1")]
    assert ["other", "visma"] == [item["key"] for item in items("connections", "list", "--tenant", "acme")]
    assert [2, 1] == [item["run_id"] for item in items("runs", "list")]
    assert "There are no changes." in loaded("changes", "list")[1]


def test_a_run_as_text_and_its_story(loaded: Invoke) -> None:
    """The report says what happened, why, and the sum; `runs show` says it again later."""
    code, out, err = loaded("--run-once", "--log-format", "json")

    assert 75 == code
    assert "failed" in out.splitlines()[1]
    assert "unreachable" in out
    assert out.splitlines()[-1].startswith("Run 1 failed: 2 failed")
    assert {"run.started", "run.finished"} <= {json.loads(line)["event"] for line in err.splitlines()}

    shown = loaded("runs", "show", "1")
    as_json = json.loads(loaded("runs", "show", "1", "--output", "json")[1])

    assert (0, True) == (shown[0], "unreachable" in shown[1])
    assert {"visma", "other"} <= {outcome["key"] for outcome in as_json["items"][0]["outcomes"]}
    assert 2 == loaded("runs", "show", "99")[0]


def test_run_report_has_the_members_that_others_script_against(loaded: Invoke) -> None:
    """Kind, counts and outcomes are printed whatever the exit code."""
    code, out, _ = loaded("--run-once", "--dry-run", "--output", "json")
    report = json.loads(out)

    assert 75 == code
    assert {"run_id", "status", "counts", "outcomes", "checks", "changed_records"} <= report.keys()
    assert {"created", "updated", "deleted", "unchanged", "failed", "in_doubt", "skipped", "planned"} == set(
        report["counts"]
    )
    assert {"tenant", "key", "change", "status", "error_class", "error"} <= report["outcomes"][0].keys()


def test_force_must_name_a_tenant(loaded: Invoke) -> None:
    """A name that the store does not have is told, after the run."""
    code, _, err = loaded("--run-once", "--force", "acne")

    assert (2, True) == (code, "acne" in err)


def test_tenants_are_paused_resumed_and_removed(loaded: Invoke) -> None:
    """What is paused is left alone; removing forgets here only."""
    assert 0 == loaded("tenants", "pause", "acme")[0]
    assert "paused" in loaded("tenants", "list")[1]
    assert 0 == loaded("--run-once")[0]
    assert 0 == loaded("tenants", "resume", "acme")[0]
    assert 75 == loaded("--run-once")[0]
    assert [{"name": "acme"}] == json.loads(loaded("tenants", "remove", "acme", "--output", "json")[1])["items"]
    assert "There are no tenants." in loaded("tenants", "list")[1]
    assert 2 == loaded("tenants", "resume", "acme")[0]


def test_connections_are_removed_here_only(loaded: Invoke) -> None:
    """Removing forgets; an unknown one is a usage error."""
    assert "nothing was changed in the tenant" in loaded("connections", "remove", "acme", "visma")[1]
    assert 2 == loaded("connections", "remove", "acme", "visma", "--output", "json")[0]
    assert ["other"] == [
        item["key"] for item in json.loads(loaded("connections", "list", "--output", "json")[1])["items"]
    ]


def test_operators_decide_which_connection_it_is(loaded: Invoke) -> None:
    """`adopt` and `resolve` say what comes next; an unclear or impossible decision is refused."""
    adopted = loaded("connections", "adopt", "acme", "--id", "7", "--key", "visma")
    resolved = json.loads(loaded("connections", "resolve", "acme", "other", "--id", "8", "--output", "json")[1])
    created = loaded("connections", "resolve", "acme", "other", "--create")

    assert "acme/visma is connection 7 now" in adopted[1]
    assert [{"tenant": "acme", "key": "other", "erp_connection_id": 8}] == resolved["items"]
    assert "will be created in the next pass" in created[1]
    assert [None, 7] == [
        item["erp_connection_id"] for item in json.loads(loaded("connections", "list", "--output", "json")[1])["items"]
    ]
    assert 2 == loaded("connections", "resolve", "acme", "other")[0]
    assert 2 == loaded("connections", "resolve", "acme", "other", "--id", "7")[0]


def test_a_state_directory_that_cannot_be_made_is_named(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file in its way is a configuration error."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ERPSYNCD__STATE__DIRECTORY", str(tmp_path / "file" / "state"))

    code, _, err = invoke("tenants", "list")

    assert (78, True) == (code, f"{tmp_path}/file/state" in err)


def test_db_upgrade_and_check(invoke: Invoke) -> None:
    """The first brings a store into being, the second finds nothing wrong with it."""
    assert "was upgraded" in invoke("db", "upgrade")[1]
    assert {"version": 1, "kind": "db_upgrade", "upgraded": False} == json.loads(
        invoke("db", "upgrade", "--output", "json")[1]
    )
    assert 0 == invoke("db", "check")[0]
    assert json.loads(invoke("db", "check", "--output", "json")[1])["ok"]


def test_doubtful_settings_are_logged(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning does not stop anything."""
    monkeypatch.setenv("ERPSYNCD__RETENTION__DAYS", "7")

    code, _, err = invoke("tenants", "list")

    assert (0, True) == (code, "retention.days" in err)


def test_errors_are_one_line_or_one_object(invoke: Invoke) -> None:
    """As text they begin with the program's name; as JSON they are the last line of stderr."""
    assert "erpsyncd: there is no command 'tenant'; did you mean 'tenants'?" in invoke("tenant")[2]

    code, out, err = invoke("tenants", "pause", "nobody", "--output", "json")
    error = json.loads(err.splitlines()[-1])

    assert (2, "") == (code, out)
    assert ("error", "usage", 2) == (error["kind"], error["error_class"], error["exit_code"])
    assert "nobody" in error["error"]


def test_text_output_cannot_steer_a_terminal() -> None:
    """What a tenant wrote is shown without control characters, and columns stay aligned."""
    assert "a\N{REPLACEMENT CHARACTER}[31mb\nc" == printable("a\x1b[31mb\nc")
    assert "A    B\nx y  -\n\N{REPLACEMENT CHARACTER}    yes" == table(("A", "B"), [("x\ny", None), ("\x07", True)])


def test_json_cannot_steer_a_terminal_either() -> None:
    """What cannot be seen, a lone surrogate among it, is an escape; read again it is what it was."""
    told = {"display_name": "Größe \x9b31m \u202e \U000e0001 \ud800"}

    text = json_text(told)

    assert r'{"display_name": "Größe \u009b31m \u202e \udb40\udc01 \ud800"}' == text
    assert told == json.loads(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plan", "--only", "acne"), 'no tenant matches "acne"; did you mean "acme"?'),
        (("--run-once", "--exclude", "acme/vismas"), 'matches "vismas"; did you mean "visma"?'),
        (("--run-once", "--only", "acme", "--exclude", "*"), "--only and --exclude leave nothing"),
        (("connections", "list", "--only", "acme/nothing"), 'no connection of acme matches "nothing"'),
        (("tenants", "list", "--exclude", "acne"), 'did you mean "acme"?'),
        (("checks", "list", "--only", "/visma"), "--only must be TENANT or TENANT/KEY"),
        (("--only", "acme", "plan"), "--only goes after the command"),
        (("--exclude", "acme"), "--exclude goes with --run-once"),
    ],
)
def test_a_selection_that_cannot_be_meant_is_refused_before_anything_is_done(
    loaded: Invoke, arguments: tuple[str, ...], message: str
) -> None:
    """Exit code 2 with the name that may have been meant, and no run."""
    code, out, err = loaded(*arguments, "--output", "json")
    error = json.loads(err.splitlines()[-1])

    assert (2, "", "usage") == (code, out, error["error_class"])
    assert message in error["error"]
    assert "There are no runs." in loaded("runs", "list")[1]


def test_lists_can_be_narrowed(invoke: Invoke, tmp_path: Path, sandbox: SandboxServer) -> None:
    """The same options narrow lists of tenants, connections, checks and changes; limits count what is left."""
    path = tmp_path / "three.toml"
    for name in ("acme", "beta", "north"):
        path.write_text(document(sandbox.url, "soap", "".join(connection(key, tenant=name) for key in "ab"), name=name))
        assert 0 == invoke("import", str(path))[0]
    assert 0 == invoke("--run-once")[0]

    def listed(noun: str, *arguments: str) -> list[str]:
        items = json.loads(invoke(noun, "list", "--output", "json", *arguments)[1])["items"]
        names = ((item.get("tenant") or item["name"], item.get("key")) for item in items)
        return [f"{tenant}/{key}" if key else tenant for tenant, key in names]

    assert ["acme/a", "beta/a"] == listed("connections", "--only", "*/a", "--exclude", "north")
    assert ["beta/b"] == listed("connections", "--only", "*/b", "--exclude", "acme", "--limit", "1")
    assert ["acme/b"] == listed("connections", "--tenant", "acme", "--only", "*/b")
    assert ["acme", "beta"] == listed("tenants", "--exclude", "nor*")
    assert ["north"] == listed("checks", "--only", "north")
    assert {"acme", "beta"} == set(listed("changes", "--exclude", "acme/a", "--exclude", "north"))

    assert 0 == invoke("tenants", "remove", "north")[0]

    assert ["north"] == listed("checks", "--only", "north") == listed("checks", "--tenant", "north")
    assert {"north"} == set(listed("changes", "--tenant", "north"))
    assert [] == listed("connections", "--tenant", "north")


def test_only_what_is_about_a_tenant_can_be_narrowed() -> None:
    """A list of something else is a mistake of ours."""
    with pytest.raises(TypeError, match="str is about no tenant"):
        _named("a run")

"""Drift: seen in whatever way a tenant shows things, settled as somebody decided, and never a reason to save twice."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from commands import Erpsyncd, Result, connection, document
from erpsyncd.domain.connections import ErpConnection
from erpsyncd.domain.ports import StillAllowed
from erpsyncd.errors import RemoteRejected
from erpsyncd.sandbox import SandboxServer
from erpsyncd.sandbox.options import ConfigKeeping, ConfigReading
from erpsyncd.service.remote import Remote
from in_process import InProcess

READING = {"AuthenticateUsernamePassword", "GetConnection", "GetList", "GetAllConnections"}
ENFORCE = 'drift = "enforce"'
FIELDS = {"Client": "F0001", "Password": "erp password", "Active": "1", "Factor": "1.5"}


@pytest.fixture
def sqlite(tmp_path: Path, upgraded_sqlite: Path, logging_restored: None) -> Erpsyncd:
    """The command line in this process, on SQLite."""
    shutil.copy(upgraded_sqlite, tmp_path / "erpsyncd.db")
    return InProcess(tmp_path, f"sqlite:///{tmp_path}/erpsyncd.db")


def prepared(
    command: Erpsyncd,
    sandbox: SandboxServer,
    protocol: str = "soap",
    *,
    extra: str = "",
    keys: str = "ab",
    **fields: Any,
) -> None:
    """Describe connections and push them, one after the other: the first of them is 1 there, the next 2."""
    given = {"config_fields": FIELDS} | fields
    loaded = command.load(document(sandbox.url, protocol, "".join(connection(k, **given) for k in keys), extra=extra))
    assert 0 == loaded.code, loaded.stderr
    for key in keys:
        assert 0 == command.run_once("--only", f"acme/{key}").code


def saves(sandbox: SandboxServer) -> int:
    return [call.operation for call in sandbox.calls].count("SaveConnection")


def look(command: Erpsyncd, *arguments: str) -> Result:
    return command("drift", *arguments, "--output", "json")


def found(result: Result) -> dict[str, str]:
    """Return what a look found, by key and field."""
    return {f"{item['key']}/{item['field']}": item["kind"] for item in result.json["items"]}


@pytest.mark.parametrize("protocol", ["soap", "rest"])
@pytest.mark.parametrize("reading", list(ConfigReading))
def test_ten_passes_and_ten_looks_save_nothing(
    sqlite: Erpsyncd, sandbox: SandboxServer, protocol: str, reading: ConfigReading
) -> None:
    """However the tenant shows config values, also where drift is enforced."""
    sandbox.tenant("acme").configure(config_reading=reading)
    prepared(sqlite, sandbox, protocol, extra=ENFORCE)
    before = saves(sandbox)

    codes = {code for _ in range(10) for code in (look(sqlite).code, sqlite.run_once().code)}

    assert ({0}, before) == (codes, saves(sandbox))


@pytest.mark.parametrize("protocol", ["soap", "rest"])
def test_a_look_tells_each_kind_and_cannot_write(quick: Erpsyncd, sandbox: SandboxServer, protocol: str) -> None:
    """Fields, keys, and connections as a whole; then all is as it was, and in sync by itself."""
    prepared(quick, sandbox, protocol, keys="abcdef", user_group_access_ids=[1, 3])
    tenant = sandbox.tenant("acme")
    rows = tenant.connections
    ids = {row["key"]: row["erp_connection_id"] for row in quick.listed("connections")}
    assert (0, {}, 6) == ((clean := look(quick)).code, found(clean), clean.json["as_pushed"])
    tenant.edit(ids["a"], display_name="Theirs", active=False, user_group_access_ids=(3,))
    tenant.edit(ids["b"], config_fields={"Client": "stolen", "Password": "erp password", "Active": "[I:1]", "Odd": "o"})
    tenant.edit(ids["c"], user_group_access_ids=(3, 1), most_recent_timestamp="later")
    tenant.edit(ids["d"], deleted=True)
    tenant.edit(ids["e"], guid=rows[ids["a"]].guid)
    tenant.forget(ids["f"])
    calls = len(sandbox.calls)

    first, text, passed = look(quick), quick("drift", "acme"), quick.run_once()

    assert 5 == first.code == text.code
    assert {
        "a/active": "changed",
        "a/display_name": "changed",
        "a/user_group_access_ids": "changed",
        "b/config_fields.Client": "changed",
        "b/config_fields.Factor": "removed",
        "b/config_fields.Odd": "unknown_field",
        "d/": "deleted",
        "e/": "replaced",
        "f/": "missing",
    } == found(first)
    assert 'display_name was changed in the CRM: "Name of a" -> "Theirs"' in text.stdout
    assert {call.operation for call in sandbox.calls[calls:]} <= READING | {"HasConnections"}
    assert (0, 6) == (passed.code, passed.json["counts"]["unchanged"])
    states = {row["key"]: row["state"] for row in quick.listed("connections")}
    assert {"a", "b", "d", "e", "f"} == {key for key, state in states.items() if state == "drifted"}
    for row in rows.values():
        tenant._table.put(row)
    again = look(quick)
    assert (0, {}) == (again.code, found(again))
    assert {"in_sync"} == {row["state"] for row in quick.listed("connections")}


@pytest.mark.parametrize("protocol", ["soap", "rest"])
@pytest.mark.parametrize(("words", "code"), [("drift", 5), ("drift adopt acme a --reason r", 0), ("plan", 0)])
def test_a_save_that_is_forced_through_a_look_is_not_sent(
    sqlite: Erpsyncd, sandbox: SandboxServer, protocol: str, words: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its real client refuses to write, whatever is asked of it: the tenant never hears of it."""
    prepared(sqlite, sandbox, protocol, keys="a")
    sandbox.tenant("acme").edit(1, display_name="Theirs")
    sqlite.load(connection("a", display_name="New", config_fields=FIELDS))
    before, calls = sandbox.tenant("acme").connections, len(sandbox.calls)
    observe, refused = Remote.observe, []

    async def leaves() -> StillAllowed:
        return lambda: True

    async def writing(self: Remote, number: int, *arguments: Any, **options: Any) -> ErpConnection | None:
        found = await observe(self, number, *arguments, **options)
        assert found is not None
        for write in (
            self.api.save_connection(found, leaves),
            self.api.delete_connection(number, leaves),
            self.api.sync_all(leaves),
        ):
            with pytest.raises(RemoteRejected, match="not sent"):
                await write
            refused.append(number)
        return found

    monkeypatch.setattr(Remote, "observe", writing)
    done = sqlite(*words.split())

    assert (code, [1, 1, 1]) == (done.code, refused), done.stderr
    assert before == sandbox.tenant("acme").connections
    assert {call.operation for call in sandbox.calls[calls:]} <= READING


def test_what_was_changed_here_is_for_the_next_pass(sqlite: Erpsyncd, sandbox: SandboxServer) -> None:
    """It is no drift; what was changed on both sides is told, and the pass overwrites it."""
    prepared(sqlite, sandbox, keys="a")
    sandbox.tenant("acme").edit(1, display_name="Theirs")
    sqlite.load(connection("a", display_name="Ours", active=False, config_fields=FIELDS))

    both = look(sqlite)
    states = [row["state"] for row in sqlite.listed("connections")]
    passed = sqlite.run_once()

    assert (5, {"a/display_name": "both"}, ["pending"]) == (both.code, found(both), states)
    assert ["active", "display_name"] == passed.json["outcomes"][0]["fields"]
    assert (0, {}) == ((after := look(sqlite)).code, found(after))


@pytest.mark.parametrize("protocol", ["soap", "rest"])
def test_enforcing_pushes_once_with_a_fresh_cursor(quick: Erpsyncd, sandbox: SandboxServer, protocol: str) -> None:
    """By decision or by policy; the plan tells it before, and what is described stands there after."""
    prepared(quick, sandbox, protocol)
    tenant = sandbox.tenant("acme")
    tenant.edit(1, display_name="Theirs", config_fields={"Client": "stolen"})
    tenant.edit(2, active=False)
    look(quick)
    before = saves(sandbox)
    assert (0, before) == (quick.run_once().code, saves(sandbox))

    decided = quick("drift", "enforce", "acme", "a", "--reason", "only here", "--output", "json")
    plan = quick("plan")
    passed = [quick.run_once() for _ in range(3)]

    assert 5 == len(decided.json["items"])
    assert '    display_name: "Theirs" -> "Name of a"' in plan.stdout.splitlines()
    assert "    config_fields.Client: changed" in plan.stdout.splitlines()
    assert [1, 0, 0] == [one.json["counts"]["updated"] for one in passed]
    assert [1, 2, 2] == [one.json["counts"]["unchanged"] for one in passed]
    assert (before + 1, 0) == (saves(sandbox), tenant.cursor_rewinds)
    assert FIELDS == tenant.connections[1].config_fields
    assert {"b/active": "changed"} == found(look(quick))

    quick.load(document(sandbox.url, protocol, "", extra=ENFORCE))
    passed = [quick.run_once() for _ in range(3)]
    assert [1, 0, 0] == [one.json["counts"]["updated"] for one in passed]
    assert (True, 0) == (tenant.connections[2].active, look(quick).code)


@pytest.mark.parametrize(
    ("keeping", "pushes", "fields"),
    [
        (ConfigKeeping.ENCODED, 0, set()),
        (ConfigKeeping.TRIMMED, 1, {"config_fields.Password"}),
        (ConfigKeeping.COMPLETED, 1, {"config_fields.Timeout"}),
        (ConfigKeeping.COUNTED, 1, {f"config_fields.{name}" for name in FIELDS}),
    ],
)
def test_a_server_that_alters_what_it_is_sent_is_not_fought(
    sqlite: Erpsyncd, sandbox: SandboxServer, keeping: ConfigKeeping, pushes: int, fields: set[str]
) -> None:
    """Ours is pushed once; what comes back is told as stubborn, until somebody adopts or ignores it."""
    sandbox.tenant("acme").configure(config_keeping=keeping)
    prepared(sqlite, sandbox, extra=ENFORCE, keys="a")
    before = saves(sandbox)

    looks: list[Result] = []
    for _ in range(10):
        looks.append(look(sqlite))
        sqlite.run_once()
    looked = looks[-1]

    assert pushes == saves(sandbox) - before
    assert fields == {item["field"] for item in looked.json["items"] if item["stubborn"]}
    assert (5 if fields else 0) == looked.code
    if fields:
        assert "stubborn" in sqlite("drift").stdout
        assert 0 == sqlite("drift", "adopt", "acme", "a", "--reason", "the server's").code
        assert (0, {}) == ((after := look(sqlite)).code, found(after))
        assert (0, pushes) == (sqlite.run_once().code, saves(sandbox) - before)


def test_a_value_that_somebody_types_in_again_and_again_is_stubborn(sqlite: Erpsyncd, sandbox: SandboxServer) -> None:
    """Policy pushes over each value once; another value is another change, and a decision pushes once more."""
    prepared(sqlite, sandbox, extra=ENFORCE, keys="a")
    tenant, before = sandbox.tenant("acme"), saves(sandbox)

    def typed_in(name: str) -> tuple[int, bool]:
        tenant.edit(1, display_name=name)
        (item,) = look(sqlite).json["items"]
        sqlite.run_once()
        return saves(sandbox) - before, item["stubborn"]

    assert [(1, False), (1, True), (2, False), (2, True)] == [typed_in(name) for name in ("X", "X", "Y", "Y")]
    sqlite("drift", "enforce", "acme", "a", "display_name", "--reason", "once more")
    assert 0 == sqlite.run_once().code
    assert (3, "Name of a") == (saves(sandbox) - before, tenant.connections[1].display_name)


@pytest.mark.parametrize("protocol", ["soap", "rest"])
def test_ignoring_lets_one_value_be(quick: Erpsyncd, sandbox: SandboxServer, protocol: str) -> None:
    """It is shown with its reason wherever the field is, counts for nothing, and ends with the value."""
    prepared(quick, sandbox, protocol, extra=ENFORCE)
    tenant, before = sandbox.tenant("acme"), saves(sandbox)
    tenant.edit(1, display_name="Theirs")
    look(quick)
    end = (datetime.now(UTC) + timedelta(days=1)).isoformat()

    quick("drift", "ignore", "acme", "a", "display_name", "--reason", "agreed with Sales", "--until", end)
    looked, text, shown, passed = (
        look(quick),
        quick("drift"),
        quick("connections", "show", "acme", "a"),
        quick.run_once(),
    )

    (item,) = looked.json["items"]
    assert (0, True, "ignore", "agreed with Sales") == (looked.code, item["ignored"], item["decision"], item["reason"])
    assert all("ignored until" in told.stdout and "agreed with Sales" in told.stdout for told in (text, shown))
    assert ("in_sync", 2, before) == (
        quick.listed("connections")[0]["state"],
        passed.json["counts"]["unchanged"],
        saves(sandbox),
    )
    assert "Everything is pushed, as described." in quick("status").stdout

    tenant.edit(1, display_name="Another")
    (item,) = (looked := look(quick)).json["items"]
    assert (5, False, None) == (looked.code, item["ignored"], item["decision"])
    assert "display_name was changed in the CRM" in quick("status").stdout


@pytest.mark.parametrize("protocol", ["soap", "rest"])
def test_adopting_describes_what_is_there(quick: Erpsyncd, sandbox: SandboxServer, protocol: str) -> None:
    """Plain values and clear secrets, a field that went or came; nothing is pushed, and an import counts again."""
    prepared(quick, sandbox, protocol)
    theirs = {"Client": "F0002", "Password": "th@{eirs", "Active": "1", "Odd": "o"}
    tenant, before = sandbox.tenant("acme"), saves(sandbox)
    tenant.edit(1, display_name="Theirs", user_group_access_ids=(2,), config_fields=theirs)

    one = quick("drift", "adopt", "acme", "a", "display_name", "--reason", "renamed", "--output", "json")
    rest = quick("drift", "adopt", "acme", "a", "--reason", "all of it")

    assert [{"tenant": "acme", "key": "a", "field": "display_name", "decision": "adopt"}] == one.json["items"]
    assert (0, 0, {}) == (rest.code, (looked := look(quick)).code, found(looked))
    assert (0, before) == (quick.run_once().code, saves(sandbox))
    exported = json.loads(quick("export", "--reveal", "--output", "json").stdout)["connections"][0]
    assert ("Theirs", [2]) == (exported["display_name"], exported["user_group_access_ids"])
    assert theirs == {name: value.replace("@@{", "@{") for name, value in exported["config_fields"].items()}

    assert 1 == quick.load(connection("a", config_fields=FIELDS)).json["changed"]
    assert 1 == quick.run_once().json["counts"]["updated"]
    assert FIELDS == tenant.connections[1].config_fields


def test_what_cannot_be_adopted_is_refused(sqlite: Erpsyncd, sandbox: SandboxServer) -> None:
    """Hidden values, references, another connection, and nothing at all; with what to do instead."""
    sqlite.environ["SECRET"] = "from the environment"
    prepared(sqlite, sandbox, keys="a", config_fields={"Client": "F0001", "Password": "@{env:SECRET}"})
    prepared(sqlite, sandbox, keys="bc")
    tenant = sandbox.tenant("acme")

    def refused(key: str, *field: str) -> str:
        done = sqlite("drift", "adopt", "acme", key, *field, "--reason", "r")
        assert 2 == done.code, done.stderr
        return done.stderr.splitlines()[-1]

    assert "nothing to adopt" in refused("a")
    tenant.edit(1, config_fields={"Client": "F0001", "Password": "another"})
    assert "is kept in @{env:SECRET}; change it there" in refused("a")
    tenant.edit(2, config_fields=FIELDS | {"Odd": "********"})
    assert "import the entry with its value" in refused("b")
    tenant.configure(config_reading=ConfigReading.MASKED)
    assert "is hidden there" in refused("a", "config_fields.Password")
    tenant.edit(3, guid=tenant.connections[1].guid)
    assert "erpsyncd connections resolve acme c --id 3" in refused("c")
    assert "must be" in sqlite("drift", "ignore", "acme", "c", "--reason", "r", "--until", "soon").stderr
    assert "over already" in sqlite("drift", "ignore", "acme", "c", "--reason", "r", "--until", "2020-01-01").stderr
    assert "resolve" in sqlite("drift", "enforce", "acme", "c", "--reason", "r").stderr
    assert "only of config_fields.Odd" in sqlite("drift", "ignore", "acme", "b", "Odd", "--reason", "r").stderr
    assert 0 == sqlite("connections", "resolve", "acme", "c", "--id", "3").code
    assert (0, 1) == ((passed := sqlite.run_once()).code, passed.json["counts"]["updated"])


def test_what_is_gone_there_can_be_gone_here(quick: Erpsyncd, sandbox: SandboxServer) -> None:
    """Adopted, it is neither missed nor created again; policy never pushes over it."""
    prepared(quick, sandbox, extra=ENFORCE)
    tenant, before = sandbox.tenant("acme"), saves(sandbox)
    tenant.forget(1)
    tenant.edit(2, deleted=True)
    assert {"a/": "missing", "b/": "deleted"} == found(look(quick))
    assert (0, before) == (quick.run_once().code, saves(sandbox))

    for key in "ab":
        assert 0 == quick("drift", "adopt", "acme", key, "--reason", "no longer used").code

    assert {"deleted"} == {row["state"] for row in quick.listed("connections")}
    assert (0, 0, before) == (look(quick).code, quick.run_once().code, saves(sandbox))
    assert 1 == quick.load(connection("a", config_fields=FIELDS)).json["added"]
    assert 1 == quick.run_once().json["counts"]["created"]


def test_too_much_drift_stops_before_any_write(sqlite: Erpsyncd, sandbox: SandboxServer) -> None:
    """More than 30 % of at least 10; the limit is a setting, and --force looks past it once."""
    prepared(sqlite, sandbox, extra=ENFORCE, keys="abcdefghij")
    tenant, before = sandbox.tenant("acme"), saves(sandbox)
    for number in range(1, 5):
        tenant.edit(number, active=False)
    sqlite.load(connection("k", config_fields=FIELDS))
    look(sqlite)

    plan, refused = sqlite("plan"), sqlite.run_once()

    assert (6, 6, before) == (plan.code, refused.code, saves(sandbox))
    (outcome,) = refused.json["outcomes"]
    assert ("unsafe_plan", True) == (outcome["error_class"], "4 of 10 connections" in outcome["error"])
    assert "safety.max_drift_percent" in sqlite("status").stdout.replace("\n", "")
    sqlite.environ["ERPSYNCD__SAFETY__MAX_DRIFT_PERCENT"] = "40"
    assert 0 == sqlite("plan").code
    del sqlite.environ["ERPSYNCD__SAFETY__MAX_DRIFT_PERCENT"]
    forced = sqlite.run_once("--force", "acme")
    assert (0, 4, 1) == (forced.code, forced.json["counts"]["updated"], forced.json["counts"]["created"])


def test_exit_codes(sqlite: Erpsyncd, sandbox: SandboxServer) -> None:
    """5 where something differs; what went wrong counts more."""
    prepared(sqlite, sandbox)
    sqlite.load(document(sandbox.url, "soap", connection("b", tenant="wrong"), name="wrong", password="wrong"))
    sqlite.load(document("http://127.0.0.1:9", "rest", connection("c", tenant="away"), name="away"))
    sandbox.tenant("acme").edit(1, active=False)

    assert [5, 0, 5, 77, 75, 3, 2, 2, 2, 5] == [
        look(sqlite, *arguments).code
        for arguments in (
            ("acme",),
            ("acme", "b"),
            ("--only", "acme/a"),
            ("wrong",),
            ("away",),
            ("--exclude", "wrong"),
            ("nobody",),
            ("acme", "nothing"),
            ("acme", "--only", "acme"),
            ("look", "acme", "a"),
        )
    ]
    failures = look(sqlite, "away").json["failures"]
    assert [("away", None, "unreachable")] == [(one["tenant"], one["key"], one["error_class"]) for one in failures]
    sqlite("tenants", "pause", "acme")
    assert "! acme: it is paused" in sqlite("drift", "acme").stdout


def test_a_look_says_what_to_do(sqlite: Erpsyncd, sandbox: SandboxServer) -> None:
    """The commands for it, as long as nothing is decided; and a name is taken as it is told."""
    prepared(sqlite, sandbox)
    sandbox.tenant("acme").edit(1, active=False)

    told = sqlite("drift", "acme/a").stdout.splitlines()
    assert [
        "acme/a",
        "    active was changed in the CRM: yes -> no",
        "1 differs, 0 connections as they were pushed",
        "To settle it: erpsyncd drift enforce|adopt|ignore acme a [FIELD] --reason TEXT",
    ] == told
    assert ["0 differ, 1 connection as it was pushed"] == sqlite("drift", "acme/b").stdout.splitlines()
    sandbox.tenant("acme").edit(2, active=False)
    assert "ignore TENANT KEY [FIELD]" in sqlite("drift").stdout

    adopted = sqlite("drift", "adopt", "acme", "a", "--reason", "theirs").stdout
    assert "the document has to say so, too" in " ".join(adopted.split())
    sqlite("drift", "ignore", "acme", "b", "--reason", "agreed")
    assert "To settle it" not in sqlite("drift").stdout
    sandbox.tenant("acme").forget(1)
    sqlite("drift")
    gone = sqlite("drift", "adopt", "acme", "a", "--reason", "not used").stdout
    assert "it is absent here now, too" in " ".join(gone.split())


def test_no_secret_is_told(sqlite: Erpsyncd, sandbox: SandboxServer, tmp_path: Path) -> None:
    """Neither ours nor theirs, in no output, log or row, whatever is decided."""
    ours, theirs = "0ur-very-own-secret", "th31r-very-own-secret"
    prepared(sqlite, sandbox, keys="ab", config_fields={"Password": ours}, extra=ENFORCE)
    tenant = sandbox.tenant("acme")
    told: list[Result] = []

    def run(*arguments: str) -> None:
        told.append(sqlite(*arguments, "--log-level", "debug", "--debug"))

    for key in "ab":
        tenant.edit(" ab".index(key), config_fields={"Password": theirs, "Odd": theirs})
        for form in ("text", "json"):
            for words in ("drift", "status", "plan", f"connections show acme {key}", "connections list"):
                run(*words.split(), "--output", form)
    run("drift", "ignore", "acme", "a", "--reason", "r")
    run("drift", "adopt", "acme", "b", "--reason", "r")
    run("--run-once")
    run("drift", "enforce", "acme", "a", "--reason", "r")
    run("--run-once")
    run("runs", "show", "1", "--output", "json")

    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*.db*"))
    assert {0, 5} == {one.code for one in told}
    assert 0 == sum(secret in one.stdout + one.stderr for one in told for secret in (ours, theirs))
    assert not any(secret.encode() in stored for secret in (ours, theirs))
    assert ours == tenant.connections[1].config_fields["Password"]


def test_the_daemon_looks_by_itself(tmp_path: Path, sandbox: SandboxServer) -> None:
    """It finds what somebody changed, and that it was changed back; a pass beside it is not disturbed."""
    installed = Erpsyncd(tmp_path, environ={"ERPSYNCD__SCHEDULE__DRIFT": "4s", "ERPSYNCD__SCHEDULE__JITTER": "0s"})
    prepared(installed, sandbox, "rest", keys="a")
    with installed.daemon() as daemon:
        daemon.wait_for("service.started")
        sandbox.tenant("acme").edit(1, active=False)
        drifted = daemon.wait_for("connection.drifted")
        by_hand = look(installed)
        sandbox.tenant("acme").edit(1, active=True)
        daemon.wait_for("connection.undrifted")

    assert (["active"], "a") == (drifted["fields"], drifted["key"])
    assert by_hand.code in (5, 75)
    assert ["in_sync"] == [row["state"] for row in installed.listed("connections")]

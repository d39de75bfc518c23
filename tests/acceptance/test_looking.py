"""Looking closely: one connection, one tenant, one run, and the changed records."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import select
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from commands import COMMAND, PATIENCE, Erpsyncd, connection, document
from erpsyncd.domain.intents import Moment
from erpsyncd.domain.results import ChangeKind
from erpsyncd.sandbox import SandboxServer
from erpsyncd.store import SqlStore, open_store
from json_shapes import Shapes


@pytest.fixture
def loaded(quick: Erpsyncd, sandbox: SandboxServer) -> Erpsyncd:
    """A tenant with one connection that is as described."""
    quick.environ["CANARY"] = "canary"
    fields = {"Client": "F0001", "Password": "@{env:CANARY}", "Both": "x@{env:CANARY}"}
    quick.load(document(sandbox.url, "soap", connection("a", config_fields=fields, user_group_access_ids=[3, 1])))
    assert 0 == quick.run_once().code
    return quick


def one(result: Any) -> dict[str, Any]:
    (item,) = result.json["items"]
    return dict(item)


def test_a_connection_as_text_and_json(loaded: Erpsyncd) -> None:
    """Described, remembered, past; secrets as asterisks or as what they refer to; 80 columns."""
    told, shown = (
        one(loaded("connections", "show", "acme", "a", "--output", "json")),
        loaded("connections", "show", "acme", "a"),
    )

    assert ("in_sync", 1, [3, 1], True, None) == (
        told["state"],
        told["erp_connection_id"],
        told["user_group_access_ids"],
        told["active"],
        told["open_intent"],
    )
    assert {"Client": "***", "Password": "@{env:CANARY}", "Both": "***"} == told["config_fields"]
    assert [("created", "create", 1)] == [(past["status"], past["change"], past["run_id"]) for past in told["history"]]
    assert told["since"].endswith("Z")
    assert 0 == shown.code
    assert all(secret not in repr(told) + shown.stdout for secret in ("F0001", "x@{env"))
    lines = shown.stdout.splitlines()
    assert "acme/a: as described" == lines[0]
    assert "Config fields: Client = ***, Password = @{env:CANARY}, Both = ***" in lines
    assert "Groups:        3, 1" in lines
    assert 80 >= max(map(len, lines))


def test_a_connection_that_fails_again_and_again(quick: Erpsyncd) -> None:
    """It says since when, when it is tried next, and what happened lately, as much of it as is asked for."""
    quick.environ["ERPSYNCD__REMOTE__ATTEMPTS"] = "1"
    quick.load(document("http://127.0.0.1:9", "rest", connection("a")))
    for _ in range(3):
        quick.run_once()

    told = one(quick("connections", "show", "acme", "a", "--limit", "2", "--output", "json"))
    shown = quick("connections", "show", "acme", "a").stdout

    first_run = one(quick("runs", "show", "1", "--output", "json"))
    assert [3, 2] == [past["run_id"] for past in told["history"]]
    assert (3, next(o["recorded_at"] for o in first_run["outcomes"] if o["key"])) == (told["attempts"], told["since"])
    assert told["next_attempt_at"] > told["history"][0]["recorded_at"]
    assert ("Next try:" in shown, "unreachable: " in shown, "Attempts:      3" in shown) == (True, True, True)
    assert 80 >= max(map(len, shown.splitlines()))


def test_connections_of_one_state(loaded: Erpsyncd) -> None:
    """The list can be cut to what is in one state; a word that is none is refused."""
    loaded.load(connection("b"))

    def keys(state: str) -> list[str]:
        found = loaded("connections", "list", "--state", state, "--output", "json").json["items"]
        return [item["key"] for item in found]

    assert (["a"], ["b"], []) == (keys("in_sync"), keys("pending"), keys("failed"))
    assert 2 == loaded("connections", "list", "--state", "fine").code


@pytest.mark.parametrize(("protocol", "address"), [("soap", "/acme/Remote/Services86"), ("rest", "/acme/api/v1")])
def test_a_tenant_as_text_and_json(quick: Erpsyncd, sandbox: SandboxServer, protocol: str, address: str) -> None:
    """Where it is called, which secrets are set, its last answer, its counts."""
    quick.load(document(sandbox.url, protocol, connection("a")))
    before = quick("tenants", "show", "acme").stdout
    quick.run_once()

    told, shown = one(quick("tenants", "show", "acme", "--output", "json")), quick("tenants", "show", "acme")

    assert ("acme", "active", protocol, {"username": "***", "password": "***"}, None) == (
        told["name"],
        told["state"],
        told["protocol"],
        told["auth_fields"],
        told["lease_owner"],
    )
    assert (1, 0, True) == (told["counts"]["in_sync"], told["counts"]["failed"], told["last_check"]["is_ok"])
    assert f"{sandbox.url}{address} ({protocol})" in shown.stdout
    assert (True, True) == ("HasConnections: never" in before, "HasConnections: yes, " in shown.stdout)
    assert ".\n" not in shown.stdout
    assert 80 >= max(map(len, shown.stdout.splitlines()))
    assert "sandbox" not in shown.stdout


def test_the_way_to_a_tenant(quick: Erpsyncd) -> None:
    """Certificates by their paths; a proxy may hold a password, so that it is shown as any secret."""
    quick.write("ca.pem", "")
    paths = f'ca_file = "{quick.directory}/ca.pem"\nproxy = "http://me:geheim@127.0.0.1:3128"'
    assert 0 == quick.load(document("https://acme.example", "soap", "", extra=paths)).code

    told = one(quick("tenants", "show", "acme", "--output", "json"))
    shown = quick("tenants", "show", "acme").stdout

    assert (f"{quick.directory}/ca.pem", "***", None) == (told["ca_file"], told["proxy"], told["client_key"])
    assert (True, True, False, False) == tuple(
        words in shown for words in ("Trusts:", "Proxy:          ***", "Key:", "geheim")
    )


def test_what_is_not_there(quick: Erpsyncd) -> None:
    """A usage error names the list to look at."""
    for words, noun in (("tenants show no", "tenants"), ("connections show no a", "tenants"), ("runs show 7", "runs")):
        shown = quick(*words.split())
        assert (2, True) == (shown.code, f"see: erpsyncd {noun} list" in shown.stderr)


def test_a_connection_in_one_word(quick: Erpsyncd) -> None:
    """As results name it; commands that want two words say so."""
    for words in ("connections show acme/a", "drift ignore acme/a --reason x"):
        told = quick(*words.split())
        assert (2, True) == (told.code, "; give it as two words: acme a (see: " in told.stderr), words


def test_changes_for_another_program(loaded: Erpsyncd) -> None:
    """The same records in both forms, oldest first, with the columns that others count on."""
    columns = ["recorded_at", "tenant", "run_id", "operation", "change", "table_name", "record_id"]
    listed = loaded.listed("changes")

    lines = [json.loads(line) for line in loaded("changes", "export").stdout.splitlines()]
    rows = list(csv.DictReader(io.StringIO(loaded("changes", "export", "--format", "csv").stdout)))

    assert listed[::-1] == lines
    assert [columns] * len(listed) == [list(line) for line in lines] == [list(row) for row in rows]
    assert [{name: str(value) for name, value in line.items()} for line in lines] == rows
    assert datetime.fromisoformat(lines[0]["recorded_at"]).tzinfo is not None
    for arguments in (("--since", "1h"), ("--tenant", "acme", "--since", "2020-01-01")):
        assert len(listed) == len(loaded("changes", "list", *arguments, "--output", "json").json["items"])
        assert len(listed) == len(loaded("changes", "export", *arguments).stdout.splitlines())
    none = ("--since", "2999-01-01")
    assert "There are no changes." in loaded("changes", "list", *none).stdout
    assert ("", columns) == (
        loaded("changes", "export", *none).stdout,
        loaded("changes", "export", "--format", "csv", *none).stdout.strip().split(","),
    )
    for arguments in (("--since", "yesterday"), ("--format", "csv", "--output", "json")):
        refused = loaded("changes", "export", *arguments)
        assert (2, "", True) == (refused.code, refused.stdout, arguments[0] in refused.stderr)


@pytest.mark.parametrize(("number", "form"), [(signal.SIGINT, "json"), (signal.SIGTERM, "text")])
def test_changes_as_they_come(loaded: Erpsyncd, number: signal.Signals, form: str) -> None:
    """What a later run is told appears at once, and nothing from before; a signal ends it with 0."""
    with subprocess.Popen(
        [COMMAND, "changes", "follow", "--output", form],
        env=loaded.environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as following:
        assert following.stdout is not None
        try:
            told, run_id = "", 0
            for attempt in range(60):  # it may have begun after a run, of which it then tells nothing
                loaded.load(connection("a", display_name=f"Name {attempt}"))
                run_id = loaded.run_once().json["run_id"]
                ready = loaded("changes", "list", "--limit", "1", "--output", "json").json["items"][0]["run_id"]
                assert run_id == ready
                if told := _line_within_two_seconds(following):
                    break
        finally:
            following.send_signal(number)
        rest, _ = following.communicate(timeout=PATIENCE)

    assert 0 == following.returncode
    lines = [told, *rest.splitlines()]
    if form == "json":
        shapes = Shapes(loaded)
        for line in lines:
            shapes.check("changed_record", json.loads(line))
        assert {("acme", run_id)} == {(json.loads(line)["tenant"], json.loads(line)["run_id"]) for line in lines}
    else:
        assert all(f"  acme: updated erpconnection 1 (HasConnections, run {run_id})" in line for line in lines[:1])


def test_what_is_going_on(quick: Erpsyncd) -> None:
    """A call that may be on its way, who works on the tenant, and until when it is left alone."""
    quick.load(document("https://acme.example", "soap", connection("a")))
    now = datetime.now(UTC)

    async def begin(store: SqlStore) -> None:
        (tenant,) = await store.tenants()
        run_id = await store.start_run(trigger="test", dry_run=False, started_at=now)
        lease = await store.claim(tenant.id, owner="somebody", now=now, seconds=60)
        assert lease is not None
        (due,) = await store.due_connections(tenant.id, now=now, longest_backoff=None)
        await store.open_intent(
            lease, run_id=run_id, connection=due, kind=ChangeKind.CREATE, seen=frozenset(), sent=Moment(at=now)
        )
        until = now + timedelta(hours=1)
        await store.remember_tenant(lease, refused_auth=None, parked_until=until, transient_failures=8)

    with open_store(quick.store_url, key_path=None, state_directory=quick.directory / "state") as store:
        asyncio.run(begin(store))

    shown = quick("connections", "show", "acme", "a")
    told = one(quick("connections", "show", "acme", "a", "--output", "json"))
    tenant = quick("tenants", "show", "acme").stdout

    assert "On its way:    create, sent " in shown.stdout
    assert ("create", 1) == (told["open_intent"]["kind"], told["open_intent"]["run_id"])
    assert "Worked on by:   somebody, until " in tenant
    assert ("parked until ", "after 8 failures in a row") == tuple(
        words for words in ("parked until ", "after 8 failures in a row") if words in tenant
    )


def _line_within_two_seconds(process: subprocess.Popen[str]) -> str:

    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], 2.5)
    return process.stdout.readline() if ready else ""

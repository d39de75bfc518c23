"""What a tenant has already becomes ours without a save; what cannot be told for sure is left alone."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from commands import Erpsyncd, Result, connection, document
from erpsyncd.domain.intents import Moment
from erpsyncd.domain.results import ChangeKind
from erpsyncd.sandbox import ConfigReading, SandboxServer
from erpsyncd.store import SqlStore, open_store

FIELDS = {"Client": "F0001", "Password": "a@{b}c@@{d", "Empty": "e"}


def items(result: Result) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(result.stdout)["items"]
    return found


def adopt(quick: Erpsyncd, *arguments: str) -> Result:
    return quick("connections", "adopt", "acme", *arguments, "--output", "json")


def saves(sandbox: SandboxServer) -> int:
    return [call.operation for call in sandbox.calls].count("SaveConnection")


def opened(quick: Erpsyncd) -> SqlStore:
    return open_store(quick.store_url, key_path=None, state_directory=quick.directory / "state")


@pytest.mark.parametrize("protocol", ["soap", "rest"])
def test_everything_that_nobody_owns(quick: Erpsyncd, sandbox: SandboxServer, protocol: str) -> None:
    """It is described as it is there, in sync, and nothing is planned or saved; the next change goes there whole."""
    quick.load(document(sandbox.url, protocol, connection("ours")))
    quick.run_once()
    tenant = sandbox.tenant("acme")
    for name in ("Visma Norway", "visma norway"):
        tenant.add(
            display_name=name, display_description="by hand", active=True, all_access=False, erp_connector_id=2,
            config_fields=FIELDS, user_group_access_ids=(3, 1), associate_access_ids=(2,),
        )  # fmt: skip
    tenant.add(display_name="Gone", deleted=True)

    planned = adopt(quick, "--dry-run")
    before = quick.listed("connections")
    taken = adopt(quick)
    dry = quick.run_once("--dry-run")
    again = adopt(quick)

    assert (0, ["visma-norway", "visma-norway-2"]) == (planned.code, [item["key"] for item in items(planned)])
    assert (["ours"], [False, False]) == (
        [row["key"] for row in before],
        [item["adopted"] for item in items(planned)],
    )
    assert (0, [("visma-norway", 2, "in_sync", True), ("visma-norway-2", 3, "in_sync", True)]) == (
        taken.code,
        [(item["key"], item["erp_connection_id"], item["state"], item["adopted"]) for item in items(taken)],
    )
    assert (0, [], 3) == (dry.code, dry.json["outcomes"], dry.json["counts"]["unchanged"])
    assert (0, []) == (again.code, items(again))
    (shown,) = items(quick("connections", "show", "acme", "visma-norway", "--output", "json"))
    assert ("by hand", [3, 1], [2], 2, dict.fromkeys(FIELDS, "***")) == (
        shown["display_description"],
        shown["user_group_access_ids"],
        shown["associate_access_ids"],
        shown["erp_connector_id"],
        shown["config_fields"],
    )
    quick.run_once()
    assert 1 == saves(sandbox)
    assert all(value not in told.stdout + told.stderr for told in (planned, taken) for value in ("F0001", "a@{b}"))

    with opened(quick) as store:
        document_ = store.read_document(tenants=frozenset({"acme"}))
    assert FIELDS == {
        name: template.resolve({}).reveal()
        for name, template in next(
            entry.template.config_fields for entry in document_.connections if entry.key == "visma-norway"
        ).items()
    }


def test_one_of_them_under_a_key_of_ones_choice(quick: Erpsyncd, sandbox: SandboxServer) -> None:
    """The others stay as they are; what is not there, or ours already, is told."""
    quick.load(document(sandbox.url, "rest", ""))
    for name in ("One", "Two"):
        sandbox.tenant("acme").add(display_name=name, config_fields={"Client": "F1"})

    taken = quick("connections", "adopt", "acme", "--id", "2", "--key", "mine")

    assert (0, True) == (taken.code, taken.stdout.startswith("2 (Two) is acme/mine\n1 of 1 taken over; nothing was"))
    assert [("mine", 2)] == [(row["key"], row["erp_connection_id"]) for row in quick.listed("connections")]
    for arguments, reason in (
        (("--id", "2"), "connection 2 of tenant 'acme' is 'mine' already"),
        (("--id", "9"), "tenant 'acme' lists no connection 9"),
        (("--key", "x"), "--key goes with --id N"),
        (("--id", "1", "--key", "mine", "--dry-run"), "described already"),
    ):
        refused = quick("connections", "adopt", "acme", *arguments)
        assert (2, True) == (refused.code, reason in refused.stderr), refused.stderr
    assert 2 == quick("connections", "adopt", "nobody").code
    assert "1 of 1 would be taken over" in quick("connections", "adopt", "acme", "--dry-run").stdout
    bad = quick("connections", "adopt", "acme", "--id", "1", "--key", "a/b")
    assert (1, True) == (bad.code, 'must not contain "/"' in " ".join(bad.stdout.split()))
    assert 0 == quick("connections", "adopt", "acme").code
    assert "acme has nothing that is not ours already.\n" == quick("connections", "adopt", "acme").stdout


@pytest.mark.parametrize("reading", [ConfigReading.MASKED, ConfigReading.BLANK])
def test_what_the_tenant_hides_is_never_saved(quick: Erpsyncd, sandbox: SandboxServer, reading: ConfigReading) -> None:
    """It is ours, and incomplete until an import gives what is hidden; nothing is planned or saved before."""
    quick.load(document(sandbox.url, "soap", ""))
    tenant = sandbox.tenant("acme")
    tenant.add(display_name="Name of a", config_fields={"Password": "secret"})
    tenant.add(display_name="Without")
    tenant.configure(config_reading=reading)

    planned = quick("connections", "adopt", "acme", "--dry-run")
    taken = adopt(quick)
    dry, run = quick.run_once("--dry-run"), quick.run_once()

    lacking = "1 (Name of a) would be acme/name-of-a; the tenant hides Password: import it with its value"
    assert (0, True) == (planned.code, lacking in " ".join(planned.stdout.split()))
    assert 80 >= max(map(len, planned.stdout.splitlines()))
    assert (0, [("name-of-a", "incomplete", ["Password"]), ("without", "in_sync", [])]) == (
        taken.code,
        [(item["key"], item["state"], item["hidden"]) for item in items(taken)],
    )
    assert ([], [], 0) == (dry.json["outcomes"], run.json["outcomes"], saves(sandbox))
    assert [1, 2] == [row["erp_connection_id"] for row in quick.listed("connections")]
    assert all(row["connection_id"] for row in quick.listed("connections"))

    quick.load(connection("name-of-a", display_name="Name of a", config_fields={"Password": "known"}))
    assert (0, "known") == (quick.run_once().code, tenant.connections[1].config_fields["Password"])
    assert (2, 1) == (len(tenant.connections), saves(sandbox))


def test_what_is_described_here_is_not_taken_under_another_key(quick: Erpsyncd, sandbox: SandboxServer) -> None:
    """It is told under which key it can be; nor are two taken that nobody could tell apart."""
    quick.load(document(sandbox.url, "soap", connection("a")))
    for name in ("Name of a", "Twin", "Twin"):
        sandbox.tenant("acme").add(display_name=name)

    found = items(adopt(quick))

    assert [("exists", None), (None, "twin"), ("exists", None)] == [
        (item["error_class"], item["key"]) for item in found
    ]
    assert found[0]["error"].endswith("erpsyncd connections adopt acme --id 1 --key a")
    assert "another name in the CRM" in found[2]["error"]


def test_a_create_without_an_answer_is_for_a_pass(quick: Erpsyncd, sandbox: SandboxServer) -> None:
    """What it may have made is not taken, also where its connection is described otherwise by now."""
    quick.load(document(sandbox.url, "soap", connection("a")))

    async def begin(store: SqlStore) -> None:
        (tenant,) = await store.tenants()
        now = datetime.now(UTC)
        run_id = await store.start_run(trigger="test", dry_run=False, started_at=now)
        lease = await store.claim(tenant.id, owner="one", now=now, seconds=60)
        assert lease is not None
        (due,) = await store.due_connections(tenant.id, now=now, longest_backoff=None)
        await store.open_intent(
            lease,
            run_id=run_id,
            connection=due,
            kind=ChangeKind.CREATE,
            seen=frozenset(),
            sent=Moment(at=now),
        )

    with opened(quick) as store:
        store.lock_process()
        asyncio.run(begin(store))
        sandbox.tenant("acme").add(display_name="Name of a")
        leased = quick("connections", "adopt", "acme")
        if "@" in store.place:  # On a server the lease of who died has to run out.
            store.free_leases()
    quick.load(connection("a", display_name="Another name"))

    (found,) = items(adopt(quick))

    assert (75, True) == (leased.code, "another erpsyncd process" in leased.stderr)
    assert ("exists", True) == (found["error_class"], "the next pass settles that" in found["error"])


def test_failures_are_those_of_one_or_of_all(quick: Erpsyncd, sandbox: SandboxServer) -> None:
    """A connection that cannot be read or described costs itself; a tenant that cannot be asked costs the command."""
    quick.environ["ERPSYNCD__REMOTE__ATTEMPTS"] = "1"
    quick.load(document(sandbox.url, "soap", ""))
    tenant = sandbox.tenant("acme")
    tenant.add(display_name=" blanks around ")
    tenant.add(display_name="Good")

    some = items(adopt(quick))
    tenant.configure(users={"sandbox": "another"})
    tenant.expire_tickets()
    refused = quick("connections", "adopt", "acme")
    calls = len(sandbox.calls)
    again, passed = quick("connections", "adopt", "acme"), quick.run_once()
    not_tried = len(sandbox.calls) == calls
    quick("tenants", "edit", "acme", "--url", "http://127.0.0.1:9")
    unreached = quick("connections", "adopt", "acme")

    assert [("configuration", None), (None, "good")] == [(item["error_class"], item["key"]) for item in some]
    assert "display_name: must not begin or end with a blank" in some[0]["error"]
    assert (77, 77, 77, 75) == (refused.code, again.code, passed.code, unreached.code)
    assert (True, True) == ("tenants resume acme" in again.stderr, not_tried)

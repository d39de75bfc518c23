"""Leases with fences, and the process lock of a SQLite store."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from store_support import MINUTE, NOW, added, begin_pass, execute, outcome, query, row

from erpsyncd.domain.connections import State
from erpsyncd.domain.intents import Lease
from erpsyncd.domain.ports import PassStore
from erpsyncd.domain.results import PluginResponse, Verdict
from erpsyncd.domain.secrets import Reference, Scheme
from erpsyncd.errors import ConfigurationError, LeaseLost, RunInProgress, UsageError
from erpsyncd.store import SqlStore, open_store, upgrade_store
from erpsyncd.store.addresses import read_url
from erpsyncd.store.lock import ProcessLock
from factories import make_connection, make_document, make_tenant


@pytest.fixture
def loaded(store: SqlStore) -> SqlStore:
    store.apply_document(
        make_document(make_tenant(), make_connection(config_fields={"P": "@{env:P}"}), make_tenant("other"))
    )
    return store


def run_out(store: SqlStore) -> None:
    """Let every lease run out, by whichever clock counts."""
    past = "now() - interval '1 second'" if "@" in store.place else "'2000-01-01 00:00:00.000000'"
    execute(store, f"UPDATE tenants SET lease_until = {past} WHERE lease_until IS NOT NULL")


def test_the_store_is_what_a_pass_needs(store: SqlStore) -> None:
    """The type checker compares every signature with the port's."""
    port: PassStore = store

    assert port is store


async def test_one_owner_at_a_time(loaded: SqlStore) -> None:
    """A lease keeps others out until it is given back; another tenant is not concerned."""
    one = await begin_pass(loaded)

    assert await loaded.claim(one.tenant_id, owner="two", now=NOW, seconds=60) is None
    assert (await begin_pass(loaded, "other", owner="two")).lease.owner == "two"
    await loaded.release(one.lease)
    two = await loaded.claim(one.tenant_id, owner="two", now=NOW, seconds=60)
    assert two == Lease(tenant_id=one.tenant_id, owner="two", fence=one.lease.fence + 1)
    assert await loaded.claim(10**6, owner="two", now=NOW, seconds=60) is None


async def test_a_lease_that_ran_out_can_be_taken_over(loaded: SqlStore) -> None:
    """Its fence is then no longer current, and giving it back changes nothing."""
    one = await begin_pass(loaded)
    run_out(loaded)

    two = await begin_pass(loaded, owner="two")

    assert two.lease.fence > one.lease.fence
    with pytest.raises(LeaseLost):
        await loaded.renew(one.lease, now=NOW, seconds=60)
    await loaded.release(one.lease)
    await loaded.renew(two.lease, now=NOW, seconds=60)


async def test_a_renewed_lease_does_not_run_out(loaded: SqlStore) -> None:
    """Nor does one that its owner claims again, which makes the older one void."""
    one = await begin_pass(loaded)
    run_out(loaded)
    await loaded.renew(one.lease, now=NOW, seconds=600)

    assert await loaded.claim(one.tenant_id, owner="two", now=NOW + MINUTE, seconds=60) is None
    again = await loaded.claim(one.tenant_id, owner="one", now=NOW + MINUTE, seconds=60)
    assert again is not None
    with pytest.raises(LeaseLost):
        await loaded.renew(one.lease, now=NOW, seconds=60)


async def test_on_postgresql_only_the_servers_clock_counts(loaded: SqlStore) -> None:
    """A machine whose clock is wrong neither steals a lease nor keeps one; on SQLite there is one clock."""
    one = await begin_pass(loaded)
    far = NOW + timedelta(days=3650)

    taken = await loaded.claim(one.tenant_id, owner="two", now=far, seconds=60)

    assert (taken is None) == ("@" in loaded.place)


async def test_a_lost_lease_writes_nothing(loaded: SqlStore) -> None:
    """Whatever a pass may write: the store is as it was."""
    one = await begin_pass(loaded)
    (due,) = await one.due()
    intent = await one.open(due)
    run_out(loaded)
    await begin_pass(loaded, owner="two")
    before = everything(loaded)

    for write in (
        one.open(due),
        one.settle(due, outcome=outcome(), intent_id=intent),
        one.check(PluginResponse(is_ok=True, changes=(added(),))),
        one.record({Reference(Scheme.ENV, "P"): "fingerprint"}),
        loaded.remember_tenant(one.lease, refused_auth="x", parked_until=NOW, transient_failures=9),
        loaded.adopt(one.lease, make_document(make_connection("new")), Verdict(state=State.IN_SYNC), at=NOW),
        loaded.renew(one.lease, now=NOW, seconds=60),
    ):
        with pytest.raises(LeaseLost, match="another process works"):
            await write
    await loaded.release(one.lease)

    assert before == everything(loaded)


def everything(store: SqlStore) -> list[object]:
    tables = ("tenants", "connections", "intents", "listings", "outcomes", "checks", "changes", "secret_references")
    return [query(store, f"SELECT * FROM {table} ORDER BY id") for table in tables]


async def test_a_removed_tenant_ends_its_pass(loaded: SqlStore) -> None:
    """Its number does not come back, so the lease fits no other tenant."""
    one = await begin_pass(loaded)
    (due,) = await one.due()
    await one.open(due, seen=frozenset({1}))
    loaded.remove_tenant("acme")
    loaded.apply_document(make_document(make_tenant("third"), make_tenant()))

    again = await begin_pass(loaded)

    assert again.tenant_id != one.tenant_id
    with pytest.raises(LeaseLost):
        await one.settle(due)
    assert 0 == await loaded.in_sync_count(one.tenant_id)


async def test_claims_of_one_turn_have_each_their_answer(loaded: SqlStore) -> None:
    """They share their statements, and so do the leases that are given back."""
    two = await begin_pass(loaded, "other", owner="two")
    acme, other = sorted(tenant.id for tenant in await loaded.tenants())

    mine, refused, removed = await asyncio.gather(
        *(loaded.claim(tenant_id, owner="one", now=NOW, seconds=60) for tenant_id in (acme, other, 10**6))
    )

    assert mine is not None
    assert (refused, removed) == (None, None)
    stale = replace(two.lease, fence=two.lease.fence - 1)
    await asyncio.gather(*map(loaded.release, (mine, stale)))
    assert await loaded.claim(acme, owner="two", now=NOW, seconds=60) is not None
    assert await loaded.claim(other, owner="one", now=NOW, seconds=60) is None


async def test_each_of_two_claims_on_one_tenant_has_its_fence(loaded: SqlStore) -> None:
    """Also where both came in one turn, from one owner: only the later one is current."""
    (tenant_id, _) = sorted(tenant.id for tenant in await loaded.tenants())

    first, second = await asyncio.gather(*(loaded.claim(tenant_id, owner="one", now=NOW, seconds=60) for _ in range(2)))

    assert first is not None
    assert second is not None
    assert first.fence < second.fence
    with pytest.raises(LeaseLost):
        await loaded.renew(first, now=NOW, seconds=60)
    await loaded.renew(second, now=NOW, seconds=60)


async def test_claims_at_one_moment_have_one_winner(upgraded_url: str, tmp_path: Path) -> None:
    """Processes that claim together do not both get the tenant."""
    stores = [open_store(upgraded_url, key_path=None, state_directory=tmp_path) for _ in range(4)]
    stores[0].apply_document(make_document(make_tenant()))
    (tenant,) = await stores[0].tenants()

    leases = await asyncio.gather(
        *(store.claim(tenant.id, owner=f"process {n}", now=NOW, seconds=600) for n, store in enumerate(stores))
    )
    for store in stores:
        store.close()

    assert 1 == sum(lease is not None for lease in leases)


async def test_passes_of_several_processes_do_not_stop_each_other(upgraded_url: str, tmp_path: Path) -> None:
    """Each works on tenants of its own, writes of many tenants share transactions, and nobody waits for ever."""
    tenants = [f"t{n}" for n in range(8)]
    stores = [open_store(upgraded_url, key_path=None, state_directory=tmp_path) for _ in range(2)]
    stores[0].apply_document(
        make_document(
            *map(make_tenant, tenants), *(make_connection(f"{t} {n}", tenant=t) for t in tenants for n in range(5))
        )
    )

    async def work(number: int, tenant: str) -> None:
        one = await begin_pass(stores[number % 2], tenant, owner=f"process {number % 2}")
        await asyncio.gather(*(one.create(due) for due in await one.due()))
        await one.store.release(one.lease)

    await asyncio.gather(*(work(number, tenant) for number, tenant in enumerate(tenants)))
    found = stores[0].count_states()
    for store in stores:
        store.close()

    assert 40 == found[State.IN_SYNC]


def sqlite_store(directory: Path) -> SqlStore:
    return open_store(f"sqlite:///{directory}/erpsyncd.db", key_path=None, state_directory=directory)


HOLD = """
import sys
from pathlib import Path
from erpsyncd.store import open_store
store = open_store(f"sqlite:///{sys.argv[1]}/erpsyncd.db", key_path=None, state_directory=Path(sys.argv[1]))
store.lock_process()
print("held", flush=True)
sys.stdin.read()
"""


def hold_in_another_process(directory: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert "held\n" == process.stdout.readline()
    return process


def test_the_lock_names_its_holder(tmp_path: Path) -> None:
    """Who comes second learns which process to look at; commands that make no passes go on."""
    with hold_in_another_process(tmp_path) as process, sqlite_store(tmp_path) as store:
        with pytest.raises(RunInProgress, match=rf"\(pid {process.pid}\)"):
            store.lock_process()
        store.apply_document(make_document(make_tenant()))
        process.communicate()

        store.lock_process()
        store.lock_process()


async def test_what_a_dead_process_left_is_put_right(tmp_path: Path) -> None:
    """Its leases are free at once, its run is marked; what it wrote stays."""
    with sqlite_store(tmp_path) as store:
        store.apply_document(make_document(make_tenant(), make_connection()))
        dead = await begin_pass(store)
        (due,) = await dead.due()
        await dead.open(due)
        store.lock_process()

        await begin_pass(store, owner="two")

        assert ["running", "interrupted"] == [run.status for run in store.list_runs()]
        assert State.IN_FLIGHT == row(store).state
        assert 1 == len(await store.open_intents(dead.tenant_id))
        # Held already: a second call must not take the leases of the first one's passes.
        store.lock_process()
        assert await store.claim(dead.tenant_id, owner="three", now=NOW, seconds=60) is None


def test_a_run_is_running_while_its_process_holds_the_lock(tmp_path: Path) -> None:
    """After that, a run without an end is an interrupted one."""

    async def start(store: SqlStore) -> None:
        for _ in range(2):
            await store.start_run(trigger="test", dry_run=False, started_at=NOW)

    with sqlite_store(tmp_path) as store:
        asyncio.run(start(store))
        assert ["interrupted", "interrupted"] == [run.status for run in store.list_runs()]
        with hold_in_another_process(tmp_path) as process:
            asyncio.run(start(store))
            assert ["running", "interrupted"] == [run.status for run in store.list_runs(limit=2)]
            assert ["running", "interrupted"] == [found[0].status for n in (4, 3) if (found := store.get_run(n))]
            process.communicate()
        assert ["interrupted"] * 4 == [run.status for run in store.list_runs()]


async def test_on_postgresql_a_run_is_running_while_somebody_holds_a_lease(store: SqlStore) -> None:
    """There is no process lock on a server: leases say how many runs can be under way."""
    if "@" not in store.place:
        store.lock_process()
    store.apply_document(make_document(make_tenant(), make_tenant("other")))
    await store.start_run(trigger="test", dry_run=False, started_at=NOW)
    one = await begin_pass(store)

    assert ["running", "interrupted"] == [run.status for run in store.list_runs()]
    if "@" in store.place:
        await store.release(one.lease)
        assert {"interrupted"} == {run.status for run in store.list_runs()}
        store.lock_process()


def test_a_lock_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    """A link could make the lock overwrite another file."""
    (tmp_path / "erpsyncd.db.lock").symlink_to(tmp_path / "elsewhere")

    with sqlite_store(tmp_path) as store, pytest.raises(ConfigurationError, match="cannot be opened"):
        store.lock_process()


def test_a_holder_that_has_not_signed_yet_is_named_without_a_number(tmp_path: Path) -> None:
    """Between taking the lock and writing into it lies an instant."""
    first, second = ProcessLock(tmp_path / "x.db"), ProcessLock(tmp_path / "x.db")
    first.acquire()
    first.path.write_text("")

    with pytest.raises(RunInProgress, match="another erpsyncd process works"):
        second.acquire()
    assert second.is_held()
    first.release()
    first.release()
    assert not second.is_held()


@pytest.mark.parametrize("links", ["file", "directory", "file that is not there yet"])
def test_one_store_has_one_lock_whatever_path_leads_to_it(tmp_path: Path, links: str) -> None:
    """Through a link or not, it is the same store; what is said about it names the file."""
    real = tmp_path / "real" / "erpsyncd.db"
    real.parent.mkdir()
    if links == "directory":
        (tmp_path / "link").symlink_to(real.parent)
        link = tmp_path / "link" / real.name
    else:
        link = tmp_path / "link.db"
        link.symlink_to(real)
    if links != "file that is not there yet":
        upgrade_store(f"sqlite:///{real}")

    with (
        open_store(f"sqlite:///{link}", key_path=None, state_directory=tmp_path) as one,
        open_store(f"sqlite:///{real}", key_path=None, state_directory=tmp_path) as other,
    ):
        one.lock_process()
        with pytest.raises(RunInProgress, match=re.escape(str(real))):
            other.lock_process()
        with pytest.raises(UsageError, match="is the store itself"):
            one.copy_to(read_url(f"sqlite:///{real}"))
    assert [] == list(tmp_path.glob("*.lock"))

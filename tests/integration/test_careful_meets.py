"""Careful saves where they meet the rest: crashes and imports, tenants that stop, and values shown in other ways."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text

from careful_bench import NEW, OLD, SAVE, CarefulBench
from erpsyncd.domain.tenants import Protocol
from erpsyncd.errors import StoreError
from erpsyncd.sandbox import SandboxServer
from erpsyncd.sandbox.options import ConfigKeeping, ConfigReading
from erpsyncd.store import SqlStore
from pass_bench import only

NAME = "Name of visma"
OLD_STATE = (True, "old password", NAME)


@pytest.fixture
async def bench(store: SqlStore) -> AsyncIterator[CarefulBench]:
    """A careful tenant with a connection that is in sync and active."""
    with SandboxServer(open_tenants=True) as sandbox:
        bench = CarefulBench(store=store, sandbox=sandbox, protocol=Protocol.SOAP)
        bench.describe()
        assert ("visma", "created", None) == only(await bench.run())
        yield bench


async def test_a_change_taken_back_after_a_crash_does_not_leave_it_inactive(
    bench: CarefulBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass dies after it made a connection inactive; an import wants the old config again: it is pushed.

    A dry run says so, too.
    """
    bench.describe(config_fields=NEW)

    async def dies(*_: Any, **__: Any) -> None:
        raise StoreError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(bench.store, "resend_intent", dies)
        with pytest.raises(StoreError):
            await bench.run()
    assert [(False, "old password", NAME)] == bench.there
    assert "in_flight" == bench.row.state

    bench.describe(config_fields=OLD)
    assert ("visma", "planned", None) == only(await bench.run(dry_run=True))
    await bench.run()

    assert [OLD_STATE] == bench.there
    assert ("in_sync", ()) == (bench.row.state, await bench.intents())
    await bench.run()
    assert [] == bench.calls
    assert SAVE not in bench.calls


@pytest.mark.parametrize("reading", list(ConfigReading))
@pytest.mark.parametrize("keeping", [ConfigKeeping.AS_SENT, ConfigKeeping.ENCODED, ConfigKeeping.COMPLETED])
async def test_it_converges_however_values_are_shown(
    bench: CarefulBench, reading: ConfigReading, keeping: ConfigKeeping
) -> None:
    """What drift takes for the value that was pushed, a careful save takes for it too."""
    bench.tenant.configure(config_reading=reading, config_keeping=keeping)
    bench.describe(config_fields=NEW | {"Company": "42", "Deep": "true", "Rate": "1.50"})

    report = await bench.run()

    assert (only(report), bench.row.error) == (("visma", "updated", None), None)
    assert [(True, "new password", NAME)] == bench.there
    assert ("in_sync", ()) == (bench.row.state, await bench.intents())


@pytest.mark.parametrize("reading", list(ConfigReading))
@pytest.mark.parametrize("change", [{"display_name": "New"}, {"config_fields": OLD | {"Client": "F0002"}}])
async def test_a_refusal_never_costs_a_password(
    bench: CarefulBench, reading: ConfigReading, change: dict[str, Any]
) -> None:
    """However config is shown: a save that is taken back leaves the password that was there, or says so aloud."""
    bench.tenant.configure(config_reading=reading, id_tests_refused=1)
    bench.describe(**change)

    key, status, error_class = only(await bench.run())

    assert ("visma", "failed") == (key, status)
    assert error_class in ("test_refused", "not_restored")
    assert {"old password"} == {password for _, password, _ in (*bench.saves, *bench.there)}


async def test_one_word_in_the_place_of_all_is_never_put_back(bench: CarefulBench) -> None:
    """Nor where it is not known what was pushed, as after a create that was looked up."""
    bench.tenant.configure(config_reading=ConfigReading.WORD, id_tests_refused=1)
    bench.describe(config_fields=NEW)
    with bench.store._database.write() as connection:
        connection.execute(text("UPDATE connections SET applied = '{}'"))

    assert ("visma", "failed", "not_restored") == only(await bench.run())
    assert {"new password"} == {password for _, password, _ in (*bench.saves, *bench.there)}


async def test_a_server_that_alters_what_it_gets_is_not_fought(bench: CarefulBench) -> None:
    """One attempt says what it is; no pass makes it again by itself, a person and another description do."""
    bench.tenant.configure(config_keeping=ConfigKeeping.TRIMMED)
    bench.describe(config_fields=NEW | {"Password": " new password"})

    assert ("visma", "failed", "not_as_saved") == only(await bench.run(scheduled=True))
    assert [(True, "OLD PASSWORD", NAME)] == bench.there
    assert "described otherwise" in bench.row.error
    for _ in range(10):
        bench.pass_by(days=1)
        assert () == (await bench.run(scheduled=True)).tenants[0].outcomes
        assert [] == bench.saves
    assert ("visma", "failed", "not_as_saved") == only(await bench.run())
    bench.describe(config_fields={"Client": "F0001", "Password": "NEW PASSWORD"})

    assert ("visma", "updated", None) == only(await bench.run(scheduled=True))
    assert ("in_sync", ()) == (bench.row.state, await bench.intents())

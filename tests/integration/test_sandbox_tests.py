"""Connection tests that fail on demand, and the two rules of a strict installation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from erpsyncd.sandbox import SandboxConnector, SandboxServer, SandboxTenant
from sandbox_support import Rest

CONNECTORS = {1: SandboxConnector(name="Visma", refused_values=frozenset({"wrong"}))}


@pytest.fixture
def rest() -> Iterator[Rest]:
    with SandboxServer(tenants={"acme": SandboxTenant(connectors=CONNECTORS)}) as server:
        yield Rest(server=server)


def by_config(rest: Rest, **fields: str) -> Any:
    return rest.call("ErpSync", "TestConnectionByConfig", {"ErpConnectionId": 1, "ConfigFields": fields}).json


def by_id(rest: Rest, erp_connection_id: int) -> Any:
    return rest.call("ErpSync", "TestConnectionById", {"ErpConnectionId": erp_connection_id}).json


def test_a_config_value_fails_both_tests(rest: Rest) -> None:
    """What a connector does not take it refuses before and after a save; the save itself goes through."""
    saved = rest.save(ErpConnectorId=1, ConfigFields={"Password": "wrong"}).json

    assert (False, True) == (by_config(rest, Password="wrong"), by_config(rest, Password="right"))
    assert by_id(rest, saved["ErpConnectionId"]) is False


def test_tests_fail_so_many_times(rest: Rest) -> None:
    """Each test has its own number of refusals."""
    rest.save(ErpConnectorId=1)
    rest.server.tenant("acme").configure(config_tests_refused=1, id_tests_refused=2)

    assert [False, True] == [by_config(rest) for _ in range(2)]
    assert [False, False, True] == [by_id(rest, 1) for _ in range(3)]


def test_the_config_of_an_active_connection_is_locked(rest: Rest) -> None:
    """It can be renamed; its config changes once it is inactive."""
    tenant = rest.server.tenant("acme")
    tenant.configure(config_locked_while_active=True)
    row = tenant.add(active=True, config_fields={"a": "1"}, most_recent_timestamp="x")

    def save(**members: Any) -> int:
        cursor = tenant.connections[row.erp_connection_id].most_recent_timestamp
        own = {"ErpConnectionId": row.erp_connection_id, "ErpConnectorId": 1, "MostRecentTimestamp": cursor}
        return rest.save(**own, **members).status

    assert 500 == save(Active=True, ConfigFields={"a": "2"})
    assert 500 == save(Active=False, ConfigFields={"a": "2"})
    assert 200 == save(Active=True, ConfigFields={"a": "1"}, DisplayName="New")
    assert 200 == save(Active=False, ConfigFields={"a": "1"})
    assert 200 == save(Active=True, ConfigFields={"a": "2"})
    assert [(True, "1"), (False, "1"), (True, "2")] == [(each.active, each.config_fields["a"]) for each in tenant.saves]


def test_nothing_is_active_without_mappings(rest: Rest) -> None:
    """A new connection cannot be made active before it has mappings."""
    tenant = rest.server.tenant("acme")
    tenant.configure(mapped=frozenset({1}))

    assert 500 == rest.save(ErpConnectorId=1, Active=True).status
    assert 200 == rest.save(ErpConnectorId=1, Active=False).status
    cursor = tenant.connections[1].most_recent_timestamp
    assert 200 == rest.save(ErpConnectionId=1, ErpConnectorId=1, Active=True, MostRecentTimestamp=cursor).status

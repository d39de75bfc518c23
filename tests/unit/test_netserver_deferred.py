"""Tenants that are opened by the first call to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from erpsyncd.domain.ports import TenantApis
from erpsyncd.domain.tenants import AuthKind, Credentials, Environment, Protocol, TenantSpec
from erpsyncd.errors import ConfigurationError
from erpsyncd.netserver.deferred import DeferredApis
from netserver_support import credentials, tenant_spec


class Apis:
    """Tells what is opened and closed, and answers one call."""

    def __init__(self) -> None:
        self.told: list[str] = []

    @asynccontextmanager
    async def open(self, tenant: TenantSpec, _credentials: object, **_options: Any) -> AsyncIterator[Apis]:
        self.told.append(f"opened {tenant.name}")
        await asyncio.sleep(0)  # so that another call can come meanwhile
        yield self
        self.told.append(f"closed {tenant.name}")

    async def list_connections(self) -> tuple[()]:
        self.told.append("listed")
        return ()


@pytest.fixture
def apis() -> Apis:
    return Apis()


@pytest.fixture
def deferred(apis: Apis) -> DeferredApis:
    return DeferredApis(lambda: cast("TenantApis", apis))


async def test_who_is_not_called_is_not_opened(apis: Apis, deferred: DeferredApis) -> None:
    """An idle pass makes no client."""
    async with deferred.open(tenant_spec(), credentials()):
        """There is nothing to do."""

    assert [] == apis.told


async def test_the_first_of_several_calls_opens_it(apis: Apis, deferred: DeferredApis) -> None:
    """Once, and it is closed when the pass ends."""
    async with deferred.open(tenant_spec(), credentials()) as api:
        await asyncio.gather(api.list_connections(), api.list_connections())
        assert ["opened acme", "listed", "listed"] == apis.told

    assert "closed acme" == apis.told[-1]


@pytest.mark.parametrize(
    "tenant",
    [
        tenant_spec(Protocol.REST),
        tenant_spec(ca_file="/etc/ssl/acme.pem"),
        tenant_spec(environment=Environment.SOD, context="Cust12345"),
    ],
)
async def test_what_opening_checks_is_checked_without_a_call(
    apis: Apis, deferred: DeferredApis, tenant: TenantSpec
) -> None:
    """A certificate that cannot be read is told by a pass with nothing to do, too."""
    async with deferred.open(tenant, credentials()):
        assert ["opened acme"] == apis.told

    assert "closed acme" == apis.told[-1]


async def test_who_logs_in_online_is_checked_without_a_call(apis: Apis, deferred: DeferredApis) -> None:
    """An environment that is missing is told by a pass with nothing to do, too."""
    async with deferred.open(tenant_spec(), Credentials(kind=AuthKind.SYSTEM_USER)):
        assert ["opened acme"] == apis.told


async def test_an_address_is_checked_without_a_call(apis: Apis, deferred: DeferredApis) -> None:
    """Passwords do not go over plain http to another machine."""
    with pytest.raises(ConfigurationError, match="url must be https"):
        async with deferred.open(tenant_spec(url="http://crm.acme.example"), credentials()):
            """It is not even entered."""

    assert [] == apis.told

"""Trying a tenant out, against one with a memory."""

from __future__ import annotations

from erpsyncd.domain.results import PluginResponse
from erpsyncd.domain.tenants import Tenant
from erpsyncd.errors import RemoteForbidden, RemoteUnreachable, Unauthorized
from erpsyncd.service.probe import Probe
from erpsyncd.service.secrets import SecretResolver
from factories import make_erp_connection, make_tenant
from fakes import FakeTenants

LOGIN = "AuthenticateUsernamePassword"


async def trial(tenants: FakeTenants) -> Probe:
    probe = Probe(tenant=Tenant(id=1, spec=make_tenant().spec))
    await probe.run(tenants, SecretResolver(environ={}))
    return probe


async def test_it_cannot_write() -> None:
    """The client is one that passes reading operations only."""
    tenants = FakeTenants()
    tenants["acme"].type_in(make_erp_connection())
    tenants["acme"].response = PluginResponse(is_ok=False, tech_explanation="none here")

    probe = await trial(tenants)

    assert (True, ["GetList", "HasConnections"]) == (tenants["acme"].read_only, tenants["acme"].calls)
    assert ["1 connection", "no (none here)"] == [step.what for step in probe.steps[2:]]
    assert probe.error is None


async def test_a_login_that_fails_ends_it() -> None:
    """Refused or not answered, the password is spent once."""
    for error, code in ((Unauthorized("no"), 77), (RemoteUnreachable(LOGIN, "nobody there"), 75)):
        tenants = FakeTenants()
        tenants["acme"].fail["GetList"].append(error)

        probe = await trial(tenants)

        assert ["GetList"] == tenants["acme"].calls
        assert [True, False, None, None] == [step.is_ok for step in probe.steps]
        assert probe.error is not None
        assert code == probe.error.exit_code


async def test_a_list_that_fails_does_not_end_it() -> None:
    """We are known, and the other question may be answered; the first failure has the say."""
    tenants = FakeTenants()
    tenants["acme"].fail["GetList"].append(RemoteForbidden("GetList", "not granted"))
    tenants["acme"].fail["HasConnections"].append(Unauthorized("no longer"))

    probe = await trial(tenants)

    assert [True, True, False, False] == [step.is_ok for step in probe.steps]
    assert (1, "forbidden") == (probe.error and probe.error.exit_code, probe.steps[2].error_class)

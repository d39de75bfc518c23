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


async def trial(tenants: FakeTenants, *, refused: str | None = None, retry: bool = False) -> Probe:
    tenant = Tenant(id=1, spec=make_tenant().spec, refused_auth=refused)
    probe = Probe(tenant=tenant, fingerprint=lambda credentials: credentials.username.reveal(), retry=retry)
    await probe.run(tenants, SecretResolver(environ={}))
    return probe


async def test_it_cannot_write() -> None:
    """The client is one that passes reading operations only."""
    tenants = FakeTenants()
    tenants["acme"].type_in(make_erp_connection())
    tenants["acme"].response = PluginResponse(is_ok=False, tech_explanation="none here")

    probe = await trial(tenants)

    assert (True, ["GetList", "HasConnections", "GetConnectionStartupErrors"]) == (
        tenants["acme"].read_only,
        tenants["acme"].calls,
    )
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


async def test_refused_credentials_are_not_tried_again() -> None:
    """Each trial would count towards a lock of the account; who insists, or has others by now, is let through."""
    tenants = FakeTenants()
    name = "sync"

    left = await trial(tenants, refused=name)
    calls = list(tenants["acme"].calls)
    insisted = await trial(tenants, refused=name, retry=True)
    others = await trial(tenants, refused="another")

    assert ([], [True, False, None, None]) == (calls, [step.is_ok for step in left.steps])
    assert (77, "unauthorized") == (left.error and left.error.exit_code, left.steps[1].error_class)
    assert left.steps[1].what.endswith("to try them all the same: erpsyncd tenants test --retry acme")
    assert "erpsyncd tenants edit acme --ask-secret" == left.steps[1].do
    assert [True] * 4 == [step.is_ok for step in insisted.steps]
    assert ["erpsyncd tenants resume acme", None] == [insisted.steps[1].do, others.steps[1].do]

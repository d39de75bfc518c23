"""Which failed calls lead to another question for the tenant's state, and where calls go after its answer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from erpsyncd.domain.ports import BeforeSend
from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.tenant_states import ReportedState
from erpsyncd.errors import (
    Effect,
    MalformedResponse,
    Misdirected,
    OutcomeUnknown,
    ProxyUnauthorized,
    RemoteError,
    RemoteFault,
    RemoteForbidden,
    RemoteNotFound,
    RemoteRejected,
    RemoteUnavailable,
    RemoteUnreachable,
    TenantNotRunning,
)
from erpsyncd.netserver.calls import Call, Endpoint, Exchange, Reply
from erpsyncd.netserver.places import Places
from factories import make_tenant

OLD, NEW = "https://sod2.superoffice.com/Cust1", "https://sod3.superoffice.com/Cust1"
RUNNING = ReportedState(word="Running", is_running=True, endpoint=OLD, api=f"{OLD}/api")
MOVED = replace(RUNNING, endpoint=NEW, api=f"{NEW}/api")
STOPPED = ReportedState(word="Suspended", is_running=False)


@dataclass
class Told:
    """Whereabouts that answer what a test says."""

    current: ReportedState = RUNNING
    next: ReportedState = MOVED
    asked: int = 0

    async def ask_again(self, known: ReportedState) -> ReportedState:
        assert known is self.current
        self.asked += 1
        self.current = self.next
        return self.current


@dataclass
class Wire:
    """A transport that fails once and then answers."""

    error: RemoteError | None = None
    urls: list[str] = field(default_factory=list)

    async def send(self, call: Call, before_send: BeforeSend | None = None) -> Reply:
        assert before_send is None
        self.urls.append(call.endpoint.url)
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return Reply(status=200)


def exchange(path: str = "/Remote/Services86/ErpSync.svc", *, base: str = OLD) -> Exchange[str]:
    endpoint = Endpoint(agent="ErpSync", operation="SaveConnection", url=f"{base}{path}", advice="")
    return Exchange(
        endpoint=endpoint,
        repeatable=False,
        write=lambda _: Call(endpoint=endpoint, headers={}),
        read=lambda call, _: call.endpoint.where,
    )


async def carry_out(told: Told, wire: Wire, one: Exchange[str]) -> str:
    places = Places(make_tenant(url="").spec, told)
    return await places.carry_out(one, Secret(""), wire.send, None)


@pytest.mark.parametrize("path", ["/Remote/Services86/ErpSync.svc", "/api/v1/Agents/ErpSync/SaveConnection"])
@pytest.mark.parametrize(
    "error", [Misdirected("SaveConnection", "421"), RemoteUnreachable("SaveConnection", "refused")]
)
async def test_what_was_not_carried_out_goes_to_the_new_address(error: RemoteError, path: str) -> None:
    """Once, over either protocol, and messages name the address that was called."""
    told, wire = Told(), Wire(error)

    where = await carry_out(told, wire, exchange(path))

    assert [f"{OLD}{path}", f"{NEW}{path}"] == wire.urls
    assert f"{NEW}{path}".removeprefix("https://") == where
    assert 1 == told.asked


@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (OutcomeUnknown("SaveConnection", "no answer"), 1),
        (RemoteUnavailable("SaveConnection", "503"), 1),
        (MalformedResponse("SaveConnection", "a page"), 1),
        (RemoteUnavailable("SaveConnection", "429", effect=Effect.REFUSED), 0),
        (ProxyUnauthorized("SaveConnection", "407"), 0),
        (RemoteFault("SaveConnection", "no"), 0),
        (RemoteForbidden("SaveConnection", "403"), 0),
        (RemoteNotFound("SaveConnection", "404"), 0),
        (RemoteRejected("SaveConnection", "400"), 0),
    ],
)
async def test_everything_else_is_not_repeated(error: RemoteError, asked: int) -> None:
    """A question may be worth it, a second call never is."""
    told, wire = Told(), Wire(error)

    with pytest.raises(type(error)) as caught:
        await carry_out(told, wire, exchange())

    assert caught.value is error
    assert (asked, 1) == (told.asked, len(wire.urls))


async def test_what_is_for_the_environment_is_not_moved() -> None:
    """A login at the vendor's own host has nothing to do with where the tenant is."""
    told, wire = Told(), Wire(RemoteUnreachable("Authenticate", "refused"))

    with pytest.raises(RemoteUnreachable):
        await carry_out(told, wire, exchange("/Login/api", base="https://sod.superoffice.com"))

    assert (0, ["https://sod.superoffice.com/Login/api"]) == (told.asked, wire.urls)


@pytest.mark.parametrize("error", [Misdirected("SaveConnection", "421"), OutcomeUnknown("SaveConnection", "no answer")])
async def test_a_tenant_that_does_not_run_any_more(error: RemoteError) -> None:
    """The call waits; what it may have done is what it may have done before the question."""
    with pytest.raises(TenantNotRunning, match="does not run any more: Suspended") as caught:
        await carry_out(Told(next=STOPPED), Wire(error), exchange())

    assert (error.effect, True) == (caught.value.effect, caught.value.needs_operator)


async def test_later_calls_are_written_for_the_old_address_and_go_to_the_new_one() -> None:
    """The rest of a pass goes where the tenant is, without another question."""
    told, wire = Told(current=RUNNING), Wire()
    places = Places(make_tenant(url="").spec, told)
    told.current = MOVED

    await places.carry_out(exchange(), Secret(""), wire.send, None)

    assert [f"{NEW}/Remote/Services86/ErpSync.svc"] == wire.urls
    assert 0 == told.asked

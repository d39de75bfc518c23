"""Retries: two yeses, a bound, and nothing of ours in anybody's log."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
import stamina
import structlog
from stamina.instrumentation import RetryDetails, get_on_retry_hooks, set_on_retry_hooks

from erpsyncd.domain.tenants import AuthKind, Protocol
from erpsyncd.errors import (
    Effect,
    MalformedResponse,
    OutcomeUnknown,
    ProxyUnauthorized,
    RemoteFault,
    RemoteRejected,
    RemoteUnavailable,
    RemoteUnreachable,
)
from erpsyncd.netserver.limits import RemoteLimits
from erpsyncd.netserver.retries import backoff, log_retries_quietly, may_retry
from netserver_support import QUICK, Wire, answer, connection_json, credentials, erp_connection, opened, tenant_spec

REST = tenant_spec(Protocol.REST)
BASIC = credentials(AuthKind.PASSWORD)


@pytest.mark.parametrize(
    ("error", "read", "write"),
    [
        (RemoteUnreachable("x", "m"), True, True),
        (ProxyUnauthorized("x", "m"), False, False),
        (OutcomeUnknown("x", "m"), True, False),
        (OutcomeUnknown("x", "m", effect=Effect.NEVER_SENT), True, True),
        (RemoteUnavailable("x", "m"), True, False),
        (RemoteUnavailable("x", "m", effect=Effect.REFUSED), True, True),
        (RemoteFault("x", "m"), False, False),
        (RemoteRejected("x", "m", effect=Effect.NEVER_SENT), False, False),
        (MalformedResponse("x", "m"), False, False),
        (KeyError("a bug"), False, False),
    ],
)
def test_two_yeses(error: Exception, *, read: bool, write: bool) -> None:
    """A call is repeated where it can help and cannot harm."""
    assert read is may_retry(error, repeatable=True)
    assert write is may_retry(error, repeatable=False)


@pytest.mark.parametrize(
    ("retry_after", "expected"), [(None, True), (0.0, True), (7.0, 7.0), (30.0, 30.0), (30.1, False), (86400.0, False)]
)
def test_retry_after(retry_after: float | None, *, expected: bool | float) -> None:
    """A pause that the tenant asks for is kept; one that is too long ends the attempts."""
    error = RemoteUnavailable("x", "m", retry_after=retry_after)

    found = backoff(RemoteLimits(), repeatable=True)(error)

    assert (expected, type(expected)) == (found, type(found))


async def test_reads_are_repeated_until_they_work() -> None:
    """A read survives an unreachable host and a 503."""
    wire = Wire(GetConnection=[httpx.ConnectError("refused"), answer(b"", 503), answer(connection_json())])
    async with opened(wire, REST, BASIC) as api:
        assert erp_connection() == await api.get_connection(7)

    assert 3 == len(wire.requests)


async def test_attempts_are_bounded() -> None:
    """After the last attempt the last error comes out as it is."""
    wire = Wire(GetConnection=[httpx.ReadTimeout("slow")])
    async with opened(wire, REST, BASIC) as api:
        with pytest.raises(OutcomeUnknown):
            await api.get_connection(7)

    assert QUICK.attempts == len(wire.requests)


@pytest.mark.parametrize(
    ("failure", "sent"),
    [
        (httpx.ConnectError("refused"), 2),
        (answer({"Message": "slow down"}, 429), 2),
        (httpx.ReadTimeout("slow"), 1),
        (answer(b"", 503), 1),
        (answer(b"", 500), 1),
        (answer(b"", 502), 1),
        (answer({"ErrorType": "SoX", "ErrorMessage": "m"}), 1),
        (answer("<html>", 200), 1),
    ],
)
async def test_saves_are_not_repeated_after_an_uncertain_attempt(
    failure: Exception | httpx.Response, sent: int
) -> None:
    """A save goes out once, unless nobody can have carried it out."""
    wire = Wire(SaveConnection=[failure, answer(connection_json())])
    async with opened(wire, REST, BASIC) as api:
        if sent == 2:
            assert erp_connection() == await api.save_connection(erp_connection())
        else:
            with pytest.raises(Exception, match="SaveConnection"):
                await api.save_connection(erp_connection())

    assert sent == len(wire.requests)


async def test_long_retry_after_gives_up_at_once() -> None:
    """A tenant that wants a minute's peace is not asked again by this call."""
    wire = Wire(HasConnections=[answer(b"", 503, Retry_After="60")])
    async with opened(wire, REST, BASIC) as api:
        with pytest.raises(RemoteUnavailable) as caught:
            await api.has_connections()

    assert (60.0, 1) == (caught.value.retry_after, len(wire.requests))


async def test_stamina_can_be_switched() -> None:
    """`set_active` and `set_testing` do what stamina says, so others' tests can use them."""
    wire = Wire(GetConnection=[httpx.ConnectError("refused")])
    async with opened(wire, REST, BASIC, limits=RemoteLimits()) as api:
        with stamina.set_testing(True, attempts=2), pytest.raises(RemoteUnreachable):
            await api.get_connection(7)
        assert 2 == len(wire.requests)
        stamina.set_active(False)
        try:
            with pytest.raises(RemoteUnreachable):
                await api.get_connection(7)
        finally:
            stamina.set_active(True)

    assert 3 == len(wire.requests)


@pytest.fixture
def hooks() -> Iterator[None]:
    yield
    set_on_retry_hooks(None)


async def test_hooks_see_no_arguments(hooks: None) -> None:
    """Whatever hook is installed, it is told about the error and nothing about what was sent."""
    seen: list[RetryDetails] = []

    def hook(details: RetryDetails) -> None:
        seen.append(details)

    set_on_retry_hooks([hook])
    wire = Wire(SaveConnection=[httpx.ConnectError("refused"), answer(connection_json())])
    async with opened(wire, REST, BASIC) as api:
        await api.save_connection(erp_connection())

    assert [((), {})] == [(details.args, dict(details.kwargs)) for details in seen]
    assert "placeholder" not in repr(seen)


async def test_own_hook_logs_one_debug_event(hooks: None) -> None:
    """The composition root's choice replaces stamina's warning by one debug event."""
    log_retries_quietly()
    wire = Wire(GetConnection=[httpx.ConnectError("refused"), answer(None)])
    with structlog.testing.capture_logs() as events:
        async with opened(wire, REST, BASIC) as api:
            assert await api.get_connection(7) is None

    assert 1 == len(get_on_retry_hooks())
    (retried,) = (event for event in events if event["event"] == "call.retried")
    assert ("GetConnection", "unreachable", 1, "debug") == (
        retried["operation"],
        retried["error_class"],
        retried["attempt"],
        retried["log_level"],
    )

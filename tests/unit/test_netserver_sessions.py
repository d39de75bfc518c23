"""Sessions: one login for many calls, one repeat for a lost one, and none for refused credentials."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import httpx
import pytest
from lxml import etree

from erpsyncd.domain.tenants import AuthKind
from erpsyncd.errors import (
    Effect,
    MalformedResponse,
    OutcomeUnknown,
    RemoteFault,
    RemoteForbidden,
    RemoteNotFound,
    RemoteUnreachable,
    Unauthorized,
)
from erpsyncd.netserver.authentication import LoginSession
from netserver_support import (
    ENVELOPE,
    FakeTime,
    Wire,
    answer,
    connection_xml,
    credentials,
    erp_connection,
    login_body,
    namespace,
    opened,
    soap_body,
    until,
)

PASSWORD = credentials(AuthKind.PASSWORD)
LOGIN = answer(login_body())
SAVED = answer(soap_body("SaveConnection", f"<Response>{connection_xml()}</Response>"))
FOUND = answer(soap_body("GetConnection", f"<Response>{connection_xml()}</Response>"))
SESSION_FAULT = answer(
    soap_body(
        "SaveConnection",
        "",
        headers="<ExceptionInfo><ExceptionType>SuperOffice.Exceptions.SoSessionException</ExceptionType></ExceptionInfo>",
    )
)
AUTH = "AuthenticateUsernamePassword"
BROKEN_LOGIN = (
    b"<ExceptionInfo><ExceptionType>SuperOffice.Exceptions.SoDbAccessException</ExceptionType></ExceptionInfo>"
    b"<Succeeded>false"
)
NESTED_FAULT = answer(
    soap_body(
        "SaveConnection",
        "",
        headers="<ExceptionInfo><ExceptionType>SuperOffice.Exceptions.SoServerException</ExceptionType>"
        "<InnerException><Message>TLS to the ERP system failed</Message>"
        "<ExceptionType>System.Security.Authentication.AuthenticationException</ExceptionType>"
        "</InnerException></ExceptionInfo><Succeeded>false</Succeeded>",
    )
)
QUOTED_FAULT = answer(
    f'<s:Envelope xmlns:s="{ENVELOPE}"><s:Body><s:Fault><faultcode>s:Server</faultcode>'
    "<faultstring>The connector failed: SoSessionException at its own server</faultstring>"
    "</s:Fault></s:Body></s:Envelope>".encode(),
    500,
)


def tickets(wire: Wire) -> list[str | None]:
    found = (etree.fromstring(request.content).findtext(f".//{{{namespace(86)}}}Ticket") for request in wire.requests)
    return list(found)


async def test_nothing_is_sent_before_the_first_call() -> None:
    """Opening a tenant does not log in."""
    wire = Wire()
    async with opened(wire, given=PASSWORD):
        pass

    assert [] == wire.requests


async def test_one_login_serves_many_calls() -> None:
    """The ticket of the first login goes with every call, over the first one's own address."""
    wire = Wire(AuthenticateUsernamePassword=LOGIN, GetConnection=FOUND)
    async with opened(wire, given=PASSWORD) as api:
        for _ in range(3):
            assert erp_connection() == await api.get_connection(7)

    assert [AUTH, *["GetConnection"] * 3] == wire.operations
    assert [None, *["7T:fresh"] * 3] == tickets(wire)
    assert "https://crm.acme.example/Remote/Services86/SoPrincipal.svc" == str(wire.requests[0].url)


@pytest.mark.parametrize("lost", [answer(b"", 401), answer(b"", 403), SESSION_FAULT], ids=["401", "403", "fault"])
@pytest.mark.parametrize("erp_connection_id", [0, 7])
async def test_lost_session_is_renewed_once(lost: httpx.Response, erp_connection_id: int) -> None:
    """A lost session costs one login and one repeat, even for a create: it was refused before any work."""
    wire = Wire(AuthenticateUsernamePassword=[LOGIN, answer(login_body("7T:second"))], SaveConnection=[lost, SAVED])
    async with opened(wire, given=PASSWORD) as api:
        assert erp_connection() == await api.save_connection(erp_connection(erp_connection_id))

    assert [AUTH, "SaveConnection", AUTH, "SaveConnection"] == wire.operations
    assert [None, "7T:fresh", None, "7T:second"] == tickets(wire)


@pytest.mark.parametrize(
    ("lost", "error"),
    [(answer(b"", 401), Unauthorized), (SESSION_FAULT, Unauthorized), (answer(b"", 403), RemoteForbidden)],
)
async def test_a_fresh_login_that_does_not_help(lost: httpx.Response, error: type[Exception]) -> None:
    """After the one repeat a 401 is about the credentials, a 403 about the operation."""
    wire = Wire(AuthenticateUsernamePassword=LOGIN, SaveConnection=lost)
    async with opened(wire, given=PASSWORD) as api:
        with pytest.raises(error):
            await api.save_connection(erp_connection())

    assert [AUTH, "SaveConnection"] * 2 == wire.operations


async def test_forbidden_operation_is_not_worth_another_login() -> None:
    """What stays forbidden after a fresh login costs one request from then on; others go on working."""
    wire = Wire(AuthenticateUsernamePassword=LOGIN, SaveConnection=answer(b"", 403), GetConnection=FOUND)
    async with opened(wire, given=PASSWORD) as api:
        for _ in range(3):
            with pytest.raises(RemoteForbidden) as caught:
                await api.save_connection(erp_connection())
            assert Effect.REFUSED is caught.value.effect
        await api.get_connection(7)

    assert [*[AUTH, "SaveConnection"] * 2, "SaveConnection", "SaveConnection", "GetConnection"] == wire.operations


@pytest.mark.parametrize(
    "refusal",
    [
        answer(b"", 403),
        answer(
            login_body("", succeeded="false").replace(
                b"<Succeeded>true", BROKEN_LOGIN.replace(b"SoDbAccessException", b"SoSentryException")
            )
        ),
        answer(login_body("", succeeded="false")),
        answer(login_body("7T:ignored", succeeded="0")),
        answer(soap_body("", "", wrapper="AuthenticateResponse")),
        answer(b"", 401),
        answer(
            soap_body(
                "",
                "",
                wrapper="AuthenticateResponse",
                headers="<ExceptionInfo><ExceptionType>SuperOffice.Exceptions.SoInvalidPasswordException</ExceptionType>"
                "<Message>placeholder-password is wrong</Message></ExceptionInfo>",
            ),
        ),
        SESSION_FAULT,
    ],
    ids=["403", "body wins", "refused", "refused with a ticket", "says nothing", "401", "password", "session"],
)
async def test_refused_credentials_are_tried_once(refusal: httpx.Response) -> None:
    """A refused login is not repeated, by no call of this pass; the message does not repeat the password."""
    wire = Wire(AuthenticateUsernamePassword=refusal)
    async with opened(wire, given=PASSWORD) as api:
        for _ in range(3):
            with pytest.raises(Unauthorized) as caught:
                await api.get_connection(7)
            assert "placeholder" not in str(caught.value)

    assert [AUTH] == wire.operations


@pytest.mark.parametrize(
    ("failure", "error", "logins"),
    [
        (httpx.ConnectError("refused"), RemoteUnreachable, 3),
        (httpx.ReadTimeout("slow"), OutcomeUnknown, 3),
        (answer(b"", 404), RemoteNotFound, 1),
        (answer("<html>"), MalformedResponse, 1),
        (answer(login_body("")), MalformedResponse, 1),
        (
            answer(login_body().replace(b"<Succeeded>true", BROKEN_LOGIN)),
            RemoteFault,
            1,
        ),
        (
            answer(login_body("", succeeded="false").replace(b"<Succeeded>true", BROKEN_LOGIN)),
            RemoteFault,
            1,
        ),
    ],
)
async def test_failed_login_means_that_the_call_was_never_sent(
    failure: Any, error: type[Exception], logins: int
) -> None:
    """Whatever became of the login, the create that needed it did not leave."""
    wire = Wire(AuthenticateUsernamePassword=failure)
    async with opened(wire, given=PASSWORD) as api:
        with pytest.raises(error) as caught:
            await api.save_connection(erp_connection(0))

    assert getattr(caught.value, "effect", None) in (Effect.NEVER_SENT, Effect.REFUSED)
    assert [AUTH] * logins == wire.operations


@pytest.mark.parametrize("fault", [NESTED_FAULT, QUOTED_FAULT], ids=["nested", "quoted"])
async def test_login_that_failed_inside_a_create_is_not_ours(fault: httpx.Response) -> None:
    """A create that failed of a connector's own login is not sent a second time, and may have happened."""
    wire = Wire(AuthenticateUsernamePassword=LOGIN, SaveConnection=fault)
    async with opened(wire, given=PASSWORD) as api:
        with pytest.raises(RemoteFault) as caught:
            await api.save_connection(erp_connection(0))

    assert Effect.UNCERTAIN is caught.value.effect
    assert [AUTH, "SaveConnection"] == wire.operations


async def test_wrapped_session_fault_of_a_read_is_worth_a_login() -> None:
    """A read whose session fault is wrapped once is repeated with a fresh ticket."""
    wrapped = soap_body(
        "GetConnection",
        "",
        headers="<ExceptionInfo><ExceptionType>SuperOffice.Exceptions.SoServerException</ExceptionType><InnerException>"
        "<ExceptionType>SuperOffice.Exceptions.SoSessionException</ExceptionType></InnerException></ExceptionInfo>",
    )
    wire = Wire(AuthenticateUsernamePassword=LOGIN, GetConnection=[answer(wrapped), FOUND])
    async with opened(wire, given=PASSWORD) as api:
        assert erp_connection() == await api.get_connection(7)

    assert [AUTH, "GetConnection"] * 2 == wire.operations


async def test_refused_login_does_not_repeat_the_user_name() -> None:
    """Neither the user name nor the password comes back in the message of a failed login."""
    said = (
        b"<ExceptionInfo><Message>sync-user / placeholder-password is locked</Message></ExceptionInfo><Succeeded>false"
    )
    wire = Wire(AuthenticateUsernamePassword=answer(login_body("").replace(b"<Succeeded>true", said)))
    async with opened(wire, given=PASSWORD) as api:
        with pytest.raises(Unauthorized, match=r"\*\*\* / \*\*\* is locked"):
            await api.get_connection(7)


async def test_permanent_login_failure_is_remembered_and_temporary_for_a_while() -> None:
    """An address that does not exist is asked once per pass; an unreachable one again after five seconds."""
    missing = Wire(AuthenticateUsernamePassword=answer(b"", 404))
    async with opened(missing, given=PASSWORD) as api:
        for _ in range(2):
            with pytest.raises(RemoteNotFound, match="erpsync_services"):
                await api.get_connection(7)
    away = Wire(AuthenticateUsernamePassword=[*[httpx.ConnectError("refused")] * 3, LOGIN], GetConnection=FOUND)
    time = FakeTime()
    async with opened(away, given=PASSWORD, clock=time.clock) as api:
        for _ in range(3):
            with pytest.raises(RemoteUnreachable) as caught:
                await api.save_connection(erp_connection())
            assert Effect.NEVER_SENT is caught.value.effect
            time.now += 2
        await api.get_connection(7)

    assert [AUTH] == missing.operations
    assert [*[AUTH] * 4, "GetConnection"] == away.operations


async def test_many_calls_share_one_login_and_one_renewal() -> None:
    """However many calls start, or fail, at once, there is one login for each."""
    logins = 0
    valid = "7T:1"

    async def log_in(_: httpx.Request) -> httpx.Response:
        nonlocal logins, valid
        logins += 1
        valid = f"7T:{logins}"
        for _turn in range(5):
            await asyncio.sleep(0)
        return answer(login_body(valid))

    def get(request: httpx.Request) -> httpx.Response:
        return FOUND if valid in request.content.decode() else answer(b"", 401)

    async def answer_get(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        found = get(request)
        return httpx.Response(found.status_code, headers=found.headers, stream=found.stream)

    wire = Wire(AuthenticateUsernamePassword=log_in, GetConnection=answer_get)
    async with opened(wire, given=PASSWORD) as api:
        await asyncio.gather(*(api.get_connection(7) for _ in range(20)))
        assert 1 == logins
        valid = "7T:expired-meanwhile"
        await asyncio.gather(*(api.get_connection(7) for _ in range(20)))

    assert 2 == logins
    assert wire.operations.count("GetConnection") <= 20 + 20 + 20


async def test_cancelled_caller_does_not_take_the_login_with_it() -> None:
    """A login goes on for the others when the call that started it is given up."""
    gate = asyncio.Event()

    async def log_in(_: httpx.Request) -> httpx.Response:
        await gate.wait()
        return answer(login_body())

    wire = Wire(AuthenticateUsernamePassword=log_in, GetConnection=FOUND)
    async with opened(wire, given=PASSWORD) as api:
        first, second = (asyncio.create_task(api.get_connection(7)) for _ in range(2))
        await until(lambda: bool(wire.requests))
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        gate.set()
        assert erp_connection() == await second

    assert [AUTH, "GetConnection"] == wire.operations


@pytest.mark.parametrize("fails", [False, True])
async def test_closing_ends_a_login_that_nobody_waits_for(*, fails: bool) -> None:
    """A login without waiters is stopped with the pass, or fails without asyncio complaining."""
    gate = asyncio.Event()

    async def log_in(_: httpx.Request) -> httpx.Response:
        await gate.wait()
        return answer(b"", 401)

    wire = Wire(AuthenticateUsernamePassword=log_in)
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with opened(wire, given=PASSWORD) as api:
        waiter = asyncio.create_task(api.get_connection(7))
        await until(lambda: bool(wire.requests))
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        if fails:
            gate.set()
            session = api._session
            assert isinstance(session, LoginSession)
            await until(lambda: session._running is not None and session._running.done())
    gc.collect()

    assert [] == complaints

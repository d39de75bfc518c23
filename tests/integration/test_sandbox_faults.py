"""Faults on purpose: what happens to the call, and what happened to the tenant."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator

import pytest

from erpsyncd.sandbox import (
    Action,
    Answer,
    Call,
    Drop,
    Hang,
    Raise,
    Rule,
    SandboxServer,
    SandboxTenant,
    When,
)
from sandbox_support import Rest, logged_in

LOST = (http.client.RemoteDisconnected, ConnectionError)


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    with SandboxServer(tenants={"acme": SandboxTenant(), "other": SandboxTenant()}) as running:
        yield running


@pytest.mark.parametrize(("when", "saved"), [(When.BEFORE, 0), (When.AFTER, 1)])
def test_answer_replaces_the_real_one(server: SandboxServer, when: When, saved: int) -> None:
    """A given answer comes instead of the real one, with the work undone or done."""
    answer = Answer(status=503, headers={"Retry-After": "7"}, body=b"<html/>", when=when)
    server.add_faults(Rule(operation="SaveConnection", action=answer))

    answered = Rest(server=server).save(ErpConnectorId=1)

    assert (answered.status, answered.headers["Retry-After"], answered.body) == (503, "7", b"<html/>")
    assert len(server.tenant("acme").connections) == saved
    assert [(call.worked, call.http_status) for call in server.saves("acme")] == [(bool(saved), 503)]


@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize(("when", "saved"), [(When.BEFORE, 0), (When.AFTER, 1)])
def test_dropped_connection(server: SandboxServer, when: When, saved: int, reset: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """The answer is lost; whether the work was done nobody can tell from outside."""
    server.add_faults(Rule(action=Drop(when=when, reset=reset)))
    rest = Rest(server=server)

    with pytest.raises(LOST):
        rest.save(ErpConnectorId=1)

    assert len(server.tenant("acme").connections) == saved
    assert [call.http_status for call in server.calls] == [0]
    assert rest.save(ErpConnectorId=1).status == 200


def test_body_that_breaks_off(server: SandboxServer) -> None:
    """The head promises a whole body and only a part of it comes."""
    server.add_faults(Rule(action=Answer(body=b"0123456789", cut_after=4)))

    with pytest.raises(http.client.IncompleteRead) as caught:
        Rest(server=server).call("Quote", "HasConnections")

    assert caught.value.partial == b"0123"


@pytest.mark.parametrize(("when", "saved"), [(When.BEFORE, 0), (When.AFTER, 1)])
def test_hanging_call(server: SandboxServer, when: When, saved: int) -> None:
    """A call hangs until it is let go, and then goes on as if nothing had been."""
    hang = Hang(when=when)
    server.add_faults(Rule(action=hang))
    answers: list[int] = []
    client = threading.Thread(target=lambda: answers.append(Rest(server=server).save(ErpConnectorId=1).status))
    client.start()

    assert hang.reached.wait(10)
    assert len(server.tenant("acme").connections) == saved
    assert [call.http_status for call in server.calls] == [None]
    hang.release.set()
    client.join(10)

    assert answers == [200]


def test_clearing_and_closing_let_hanging_calls_go() -> None:
    """Nothing keeps hanging once the rules are cleared or the server is closed."""
    hangs = [Hang(), Hang()]
    with SandboxServer(tenants={"acme": SandboxTenant()}) as server:
        clients = []
        for hang in hangs:
            server.add_faults(Rule(action=hang))
            clients.append(threading.Thread(target=_try, args=(Rest(server=server),)))
            clients[-1].start()
            assert hang.reached.wait(10)
            if hang is hangs[0]:
                server.faults.clear()
    for client in clients:
        client.join(10)

    assert [hang.release.is_set() for hang in hangs] == [True, True]
    assert not any(client.is_alive() for client in clients)


def _try(rest: Rest) -> None:
    try:
        rest.call("Quote", "HasConnections")
    except LOST:
        """Closing the server may be faster than the answer."""


@pytest.mark.parametrize(("when", "saved"), [(When.BEFORE, 0), (When.AFTER, 1)])
def test_raised_exception(server: SandboxServer, when: When, saved: int) -> None:
    """An operation fails with any exception, reported in the tenant's way, with the work undone or done."""
    rule = Rule(agent="erpsync", times=None, action=Raise(exception_type="SoLicenseException", when=when))
    server.add_faults(rule)

    rest = Rest(server=server).save(ErpConnectorId=1)
    assert (rest.status, rest.json["ErrorType"]) == (500, "SoLicenseException")
    assert len(server.tenant("acme").connections) == saved
    soap = logged_in(server).get(1)
    assert soap.text("ExceptionType") == "SuperOffice.Exceptions.SoLicenseException"


def test_rules_choose_their_calls(server: SandboxServer) -> None:
    """Tenant, protocol, operation, the nth call and how many from there: all of it has to fit."""
    server.add_faults(
        Rule(tenant="ACME", operation="getconnection", nth=2, times=2, action=Answer(status=503)),
        Rule(protocol="soap", times=None, action=Answer(status=418)),
    )
    acme, other = Rest(server=server), Rest(server=server, tenant="other")

    assert [acme.get(1).status for _ in range(4)] == [200, 503, 503, 200]
    assert acme.call("Quote", "HasConnections").status == 200
    assert [other.get(1).status for _ in range(3)] == [200, 200, 200]
    assert [logged_in(server).get(1).status for _ in range(2)] == [418, 418]


def test_rules_can_look_into_the_request(server: SandboxServer) -> None:
    """A rule for one connection leaves the others alone."""
    tenant = server.tenant("acme")
    tenant.add()
    tenant.add()
    server.add_faults(Rule(erp_connection_id=2, times=None, action=Answer(status=503)))
    rest = Rest(server=server)

    assert [rest.get(identity).status for identity in (1, 2)] == [200, 503]


def test_hooks_see_the_call_and_may_act(server: SandboxServer) -> None:
    """before_call and after_call get the call as far as it is known and may return an action."""
    seen: list[Call] = []

    def before(call: Call) -> Action | None:
        seen.append(call)
        return Drop() if len(seen) == 1 else None

    def after(call: Call) -> Action | None:
        seen.append(call)
        return Answer(status=504) if call.operation == "SaveConnection" else None

    server.before_call, server.after_call = before, after
    rest = Rest(server=server)
    with pytest.raises(LOST):
        rest.save(ErpConnectorId=1)
    assert rest.save(ErpConnectorId=1).status == 504
    assert rest.call("ErpSync", "DeleteConnection", {"ErpConnectionId": 9}).status == 500

    told = [(call.operation, call.erp_connection_id, call.worked) for call in seen]
    assert told == [
        ("SaveConnection", None, False),
        ("SaveConnection", None, False),
        ("SaveConnection", 1, True),
        ("DeleteConnection", None, False),
        ("DeleteConnection", 9, False),
    ]
    assert (server.before_call, server.after_call) == (before, after)


def test_reset_is_a_reset(server: SandboxServer) -> None:
    """With reset the client sees a TCP reset, not an orderly end."""
    server.add_faults(Rule(action=Drop(reset=True)))
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(b"POST /acme/api/v1/Agents/Quote/HasConnections HTTP/1.1\r\nContent-Length: 0\r\n\r\n")

        with pytest.raises(ConnectionResetError):
            client.recv(1)

"""The sandbox as a server: life, tenants, journal, connections, control surface."""

from __future__ import annotations

import ast
import http.client
import logging
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import erpsyncd.sandbox
from erpsyncd.sandbox import Call, Hang, Rule, SandboxServer, SandboxTenant
from erpsyncd.sandbox.journal import Journal
from sandbox_support import Rest, logged_in, send


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    with SandboxServer(tenants={"acme": SandboxTenant()}, open_tenants=True) as running:
        yield running


def control(server: SandboxServer, method: str, path: str, body: bytes = b"") -> tuple[int, object]:
    answered = send(f"{server.url}/_sandbox/{path}", method=method, body=body)
    return answered.status, answered.json if answered.body else None


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.com", ""])
def test_only_loopback_is_bound(host: str) -> None:
    """The sandbox shows secrets to whoever asks, so it refuses any address but loopback."""
    with pytest.raises(ValueError, match="loopback"):
        SandboxServer(host=host)


@pytest.mark.parametrize("host", ["127.0.0.2", "::1", "localhost"])
def test_other_loopback_addresses(host: str) -> None:
    """Other loopback addresses will do, IPv6 too."""
    if host == "::1" and not _has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")
    with SandboxServer(host=host, open_tenants=True) as server:
        assert Rest(server=server).call("Quote", "HasConnections").status == 200


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def test_life_of_a_server() -> None:
    """It has no address before it runs, wait ends with close, closing twice is no error, the port is free again."""
    server = SandboxServer(open_tenants=True)
    with pytest.raises(RuntimeError):
        _ = server.port
    server.wait()
    server.close()
    server.start()
    port = server.port
    waiter = threading.Thread(target=server.wait)
    waiter.start()
    server.close()
    server.close()
    waiter.join(10)

    assert not waiter.is_alive()
    with SandboxServer(port=port) as again:
        assert again.port == port


def test_closing_ends_idle_connections() -> None:
    """A client that keeps its connection open does not keep the server from closing."""
    with SandboxServer(open_tenants=True) as server:
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        client.request("GET", "/acme/api", headers={"Accept": "application/json"})
        client.getresponse().read()

    assert client.sock.recv(1) == b""
    client.close()


def test_tenants(server: SandboxServer) -> None:
    """In an open house each name is a tenant of its own; names do not care about case."""
    Rest(server=server, tenant="Ny").save(ErpConnectorId=1)

    assert len(server.tenant("ny").connections) == 1
    assert server.tenant("acme").connections == {}
    with SandboxServer() as closed, pytest.raises(KeyError):
        closed.tenant("acme")
    for name in ("_sandbox", "_SANDBOX"):
        with pytest.raises(ValueError, match="_sandbox"):
            SandboxServer(tenants={name: SandboxTenant()})


def test_options_are_checked() -> None:
    """Options that cannot be meant are refused."""
    with pytest.raises(ValueError, match="cursor_every"):
        SandboxTenant(cursor_every=0)
    with pytest.raises(ValueError, match="services"):
        SandboxTenant(services=frozenset({75}))


def test_runs_repeat() -> None:
    """The same seed gives the same GUIDs whatever the number of logins; another seed gives others."""

    def guids(seed: int, logins: int) -> list[str]:
        with SandboxServer(open_tenants=True, seed=seed) as server:
            for _ in range(logins):
                server.tenant("acme").issue_ticket()
            return [Rest(server=server).save(ErpConnectorId=1).json["ConnectionId"] for _ in range(2)]

    assert guids(1, 0) == guids(1, 3) != guids(2, 0)


def test_tests_may_change_the_tenant(server: SandboxServer) -> None:
    """Rows can be added, edited and removed behind the client's back."""
    tenant = server.tenant("acme")
    first = tenant.add(display_name="one")
    second = tenant.add(display_name="two")

    replaced = tenant.edit(1, guid=second.guid, display_name="uno")
    tenant.forget(2)

    assert (first.erp_connection_id, second.erp_connection_id) == (1, 2)
    assert tenant.connections == {1: replaced}
    created = Rest(server=server).save(ErpConnectorId=1).json
    assert created["ErpConnectionId"] == 3


def test_journal_knows_every_call_and_no_secret(server: SandboxServer) -> None:
    """Each call is there with its protocol, version, operation, connection and status; passwords are not."""
    soap = logged_in(server, services=83)
    soap.call("SoPrincipal", "AuthenticateUsernamePassword", "<n:UserName>sandbox</n:UserName>")
    Rest(server=server).save(ErpConnectorId=1, ConfigFields={"Password": "pass word"})
    soap.get(1)

    told = [(c.protocol, c.services, c.agent, c.operation, c.erp_connection_id, c.http_status) for c in server.calls]
    assert told == [
        ("soap", 83, "SoPrincipal", "AuthenticateUsernamePassword", None, 200),
        ("rest", None, "ErpSync", "SaveConnection", 1, 200),
        ("soap", 83, "ErpSync", "GetConnection", 1, 200),
    ]
    assert server.counts("ACME") == {"AuthenticateUsernamePassword": 1, "SaveConnection": 1, "GetConnection": 1}
    assert [call.number for call in server.saves("acme")] == [2]
    assert (server.calls_of("other"), server.counts("other"), server.peaks("other").running) == ((), {}, 0)
    text = repr(server.calls)
    assert "pass word" not in text
    assert soap.ticket not in text


def test_peaks_of_a_second() -> None:
    """The largest number of calls within any one second is kept, by the server's clock."""
    now = [0.0]
    with SandboxServer(open_tenants=True, clock=lambda: now[0]) as server:
        rest = Rest(server=server)
        for now[0] in (0.0, 0.5, 0.9, 1.0, 1.4, 5.0):
            rest.call("Quote", "HasConnections")

        assert server.peaks("acme").calls_per_second == 4


def test_peaks_of_running_calls_and_connections(server: SandboxServer) -> None:
    """Calls that run at once and connections open at once are counted per tenant; closed ones do not linger."""
    hangs = [Hang(), Hang()]
    server.add_faults(*(Rule(action=hang, nth=number + 1) for number, hang in enumerate(hangs)))
    rest = Rest(server=server)
    clients = [threading.Thread(target=rest.call, args=("Quote", "HasConnections")) for _ in hangs]
    for client in clients:
        client.start()
    for hang in hangs:
        assert hang.reached.wait(10)
    for hang in hangs:
        hang.release.set()
    for client in clients:
        client.join(10)

    for _ in range(5):
        rest.call("Quote", "HasConnections")
    peaks = server.peaks("acme")
    assert (peaks.running, peaks.open_connections) == (2, 2)
    Rest(server=server, tenant="other").call("Quote", "HasConnections")
    assert server.peaks("other").open_connections == 1


def test_connections_are_kept_alive(server: SandboxServer) -> None:
    """Many calls go over one connection, and each answer is one segment's worth of head and body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    headers = {"Authorization": "Basic c2FuZGJveDpzYW5kYm94"}
    url = f"{server.tenant_url('acme')}/api/v1/Agents/Quote/HasConnections"

    for _ in range(3):
        assert send(url, headers=headers, connection=connection).status == 200
    connection.close()

    assert {call.connection for call in server.calls} == {1}
    assert server.peaks("acme").open_connections == 1


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /acme/api HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST /acme/api HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", b"413"),
        (b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * 101 + b"\r\n", b"431"),
    ],
)
def test_bad_frames_are_refused(server: SandboxServer, head: bytes, status: bytes) -> None:
    """What is no acceptable HTTP is refused, and the connection ends."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(head)
        received = b"".join(iter(lambda: client.recv(4096), b""))

    assert status in received[:60]


def test_client_that_goes_away_is_no_error(server: SandboxServer, caplog: pytest.LogCaptureFixture) -> None:
    """A request that breaks off is dropped without a word in the log, and the server goes on."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(b"POST /acme/api HTTP/1.1\r\nContent-Length: 10\r\n\r\n123")

    assert Rest(server=server).call("Quote", "HasConnections").status == 200
    server.close()
    assert caplog.records == []


def test_mistake_in_a_hook_is_logged(server: SandboxServer, caplog: pytest.LogCaptureFixture) -> None:
    """An exception that nobody meant drops the connection and is in the log."""

    def broken(_call: object) -> None:
        raise LookupError("a mistake in the test")

    server.before_call = broken
    with caplog.at_level(logging.ERROR), pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        Rest(server=server).call("Quote", "HasConnections")
    server.close()

    assert [record.message for record in caplog.records] == ["sandbox.connection_failed"]


def test_state_over_http(server: SandboxServer) -> None:
    """Other processes see rows with config values, counts and peaks."""
    Rest(server=server).save(ErpConnectorId=1, DisplayName="æ", ConfigFields={"Client": "1"})
    server.tenant("other")

    status, document = control(server, "GET", "state?tenant=Acme")

    assert status == 200
    assert document == {"tenants": {"acme": server.state()["tenants"]["acme"]}}
    assert document == {
        "tenants": {
            "acme": {
                "connections": [
                    {
                        "ErpConnectionId": 1,
                        "ErpConnectorId": 1,
                        "DisplayName": "æ",
                        "DisplayDescription": "",
                        "Active": False,
                        "ConnectionId": str(server.tenant("acme").connections[1].guid),
                        "MostRecentTimestamp": "2024-01-01T00:00:01.0000001Z",
                        "ConfigFields": {"Client": "1"},
                        "Deleted": False,
                        "AllAccess": False,
                        "UserGroupAccessIds": [],
                        "AssociateAccessIds": [],
                    }
                ],
                "cursor_rewinds": 0,
                "logins": {"granted": 0, "refused": 0},
                "calls": {"SaveConnection": 1},
                "peaks": {"calls_per_second": 1, "running": 1, "open_connections": 1},
            }
        }
    }


def test_calls_over_http(server: SandboxServer) -> None:
    """Other processes see the journal, of one tenant and operation if they like."""
    Rest(server=server).save(ErpConnectorId=1)
    Rest(server=server, tenant="other").save(ErpConnectorId=1)

    _, document = control(server, "GET", "calls?tenant=other&operation=SaveConnection")

    assert isinstance(document, dict)
    assert [(call["tenant"], call["worked"]) for call in document["calls"]] == [("other", True)]


def test_tickets_expire_over_http(server: SandboxServer) -> None:
    """Other processes can expire the tickets of all tenants or of one."""
    for name in ("acme", "other"):
        server.tenant(name).issue_ticket()

    assert control(server, "POST", "expire-tickets", b'{"tenant": "Other"}') == (200, {"expired": {"other": 1}})
    assert control(server, "POST", "expire-tickets") == (200, {"expired": {"acme": 1, "other": 0}})
    assert control(server, "POST", "expire-tickets", b"[1]")[0] == 400


def test_faults_over_http(server: SandboxServer) -> None:
    """Other processes can add and clear rules; a bad rule is refused with the reason, and the good ones beside it."""
    rest = Rest(server=server)
    rules = (
        b'[{"operation": "HasConnections", "times": null,'
        b' "action": {"kind": "answer", "status": 503, "body": "no", "when": "after"}}]'
    )

    assert control(server, "POST", "faults", rules) == (201, {"rules": 1})
    assert rest.call("Quote", "HasConnections").status == 503
    assert control(server, "DELETE", "faults") == (204, None)
    assert rest.call("Quote", "HasConnections").status == 200
    assert control(server, "GET", "faults")[0] == 404


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (b"{}", "needs an action"),
        (b"not json", "Expecting value"),
        (b"[1]", "an object"),
        (b'{"action": {"kind": "explode"}}', "explode"),
        (b'{"action": {"kind": "drop", "when": "later"}}', "later"),
        (b'{"action": {"kind": "drop"}, "nht": 1}', "nht"),
        (b'[{"action": {"kind": "drop"}}, {"action": {"kind": "drop", "status": 1}}]', "status"),
        (b'{"action": {"kind": "drop"}, "nth": "2"}', "nth"),
        (b'{"action": {"kind": "hang", "release": 1}}', "release"),
        (b'{"action": {"kind": "answer", "status": "503"}}', "status"),
    ],
)
def test_bad_rules_over_http(server: SandboxServer, rule: bytes, reason: str) -> None:
    """A rule that cannot be meant is refused with the reason and changes nothing."""
    status, document = control(server, "POST", "faults", rule)

    assert status == 400
    assert reason in str(document)
    assert Rest(server=server).call("Quote", "HasConnections").status == 200


def test_sandbox_shares_no_code_with_the_client() -> None:
    """The sandbox imports two libraries and itself, so that client and server cannot share a mistake."""
    imported = set()
    for path in Path(erpsyncd.sandbox.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {name.name for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(str(node.module))

    ours = {name for name in imported if name.partition(".")[0] == "erpsyncd"}
    assert {name for name in ours if not name.startswith("erpsyncd.sandbox")} == set()
    assert {name.partition(".")[0] for name in imported - ours} - sys.stdlib_module_names == {"lxml", "cryptography"}


def test_journal_forgets_the_oldest_calls() -> None:
    """Only the newest calls are kept; counts go on, and a call that was forgotten while it ran ends all the same."""
    journal = Journal(size=1)
    first, second = (journal.begin(blank_call()) for _ in range(2))

    assert journal.note(first.number, worked=True) is None
    journal.end(first, 200)
    journal.end(second, 200)

    assert [call.number for call in journal.calls()] == [2]
    assert journal.counts("acme") == {"HasConnections": 2}


def blank_call() -> Call:
    return Call(
        number=0,
        tenant="acme",
        protocol="rest",
        services=None,
        agent="Quote",
        operation="HasConnections",
        at=0.0,
        connection=1,
        open_connections=1,
        running=0,
    )

"""Answers of the tenant state API: what is read of them, and which addresses are believed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from erpsyncd.domain.tenant_states import ReportedState
from erpsyncd.errors import (
    MalformedResponse,
    RemoteError,
    RemoteNotFound,
    RemoteRejected,
    RemoteUnavailable,
    UntrustedAddress,
)
from erpsyncd.netserver.calls import Call, Endpoint, Reply
from erpsyncd.netserver.tenant_states import check_addresses, is_trusted, read_state

SOD = "https://sod.superoffice.com"
HERE = "http://127.0.0.1:8700"
#: As the vendor's page shows it (domain.md §3.6).
RUNNING: dict[str, Any] = {
    "ContextIdentifier": "Cust12345",
    "Endpoint": "https://online.superoffice.com/Cust12345",
    "State": "Running",
    "IsRunning": True,
    "ValidUntil": "2020-10-05T09:52:01.9342965Z",
    "Api": "https://online.superoffice.com/Cust12345/api",
}


def read(body: Any, status: int = 200, content_type: str = "application/json") -> ReportedState:
    endpoint = Endpoint(agent="", operation="TenantState", url=f"{SOD}/api/state/Cust12345", advice="check context")
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply = Reply(status=status, content_type=content_type, body=text)
    return read_state(Call(endpoint=endpoint, headers={}), reply, "Cust12345")


def test_the_vendors_own_example() -> None:
    """Everything of it is read; of the seven digits behind the second Python keeps six."""
    assert ReportedState(
        word="Running",
        is_running=True,
        endpoint="https://online.superoffice.com/Cust12345",
        api="https://online.superoffice.com/Cust12345/api",
        valid_until=datetime(2020, 10, 5, 9, 52, 1, 934296, tzinfo=UTC),
    ) == read(RUNNING)


@pytest.mark.parametrize(
    ("said", "word", "is_running"),
    [
        ({"State": "OfflineMaintenance", "IsRunning": False}, "OfflineMaintenance", False),
        ({"State": "onlinemaintenance", "IsRunning": True}, "OnlineMaintenance", True),
        ({"State": 4, "IsRunning": False}, "Suspended", False),
        ({"State": 99, "IsRunning": True}, "99", True),
        ({"State": " 6", "IsRunning": "False"}, "OfflineMaintenance", False),
        ({"State": "2", "IsRunning": None}, "Running", True),
        ({"State": "Galloping", "IsRunning": True}, "Galloping", True),
        ({"State": "Running", "IsRunning": False}, "Running", False),
        ({"State": "Running", "IsRunning": None}, "Running", True),
        ({"State": 12, "IsRunning": None}, "MigrationPending", False),
        ({"State": None, "IsRunning": True}, "Unknown", True),
        ({"State": "two\nlines" * 99, "IsRunning": False}, ("two lines" * 99)[:64], False),
    ],
)
def test_is_running_decides(said: dict[str, Any], word: str, is_running: bool) -> None:  # noqa: FBT001 -- a parameter
    """Words and numbers are read alike, and where IsRunning is missing a known word stands for it."""
    found = read(RUNNING | said)

    assert (word, is_running) == (found.word, found.is_running)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(RUNNING | {"State": "Galloping", "IsRunning": None}, id="neither known word nor IsRunning"),
        pytest.param(RUNNING | {"IsRunning": "yes"}, id="no boolean"),
        pytest.param(RUNNING | {"ContextIdentifier": "Cust99"}, id="another customer"),
        pytest.param([], id="no object"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html><body>Log in</body></html>", id="a page"),
        pytest.param(b'{"IsRunning": true, "IsRunning": false}', id="a key twice"),
    ],
)
def test_what_cannot_be_read(body: Any) -> None:
    """An answer that leaves the question open is none."""
    with pytest.raises(MalformedResponse):
        read(body)


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, RemoteRejected), (403, RemoteRejected), (404, RemoteNotFound), (503, RemoteUnavailable)],
)
def test_failures(status: int, error: type[RemoteError]) -> None:
    """None of them speaks of credentials: none were sent."""
    with pytest.raises(error, match=r"sod\.superoffice\.com/api/state/Cust12345"):
        read(b"", status)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("https://SOD2.superoffice.com:443/Cust12345/", "https://sod2.superoffice.com/Cust12345"),
        ("https://sod2.superoffice.com./Cust12345", "https://sod2.superoffice.com/Cust12345"),
        ("https://sod2.superoffice.com:8443/Cust12345", "https://sod2.superoffice.com:8443/Cust12345"),
        ("http://[::1]:80/Cust12345", "http://[::1]/Cust12345"),
        (None, ""),
        (7, ""),
    ],
)
def test_addresses_are_written_in_one_way(written: object, kept: str) -> None:
    """A slash or a port that goes without saying is no move."""
    assert kept == read(RUNNING | {"Endpoint": written}).endpoint


@pytest.mark.parametrize(
    ("moment", "kept"),
    [
        ("2020-10-05T09:52:01Z", datetime(2020, 10, 5, 9, 52, 1, tzinfo=UTC)),
        ("2020-10-05T09:52:01", datetime(2020, 10, 5, 9, 52, 1, tzinfo=UTC)),
        ("2020-10-05T11:52:01.9+02:00", datetime(2020, 10, 5, 9, 52, 1, 900000, tzinfo=UTC)),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59.9999999-12:00", None),
        ("soon", None),
        (1601891521, None),
        (None, None),
    ],
)
def test_moments(moment: object, kept: datetime | None) -> None:
    """What is no moment is as if it was not said."""
    assert kept == read(RUNNING | {"ValidUntil": moment}).valid_until


@pytest.mark.parametrize(
    ("address", "host", "trusted"),
    [
        ("https://sod2.superoffice.com/Cust1", SOD, True),
        ("https://superoffice.com/Cust1", SOD, False),
        ("https://eviluperoffice.com/Cust1", SOD, False),
        ("https://evilsuperoffice.com/Cust1", SOD, False),
        ("https://sod.superoffice.com.evil.example/Cust1", SOD, False),
        ("https://evil.example/.superoffice.com", SOD, False),
        ("https://evil.example#.superoffice.com", SOD, False),
        ("https://evil.example?.superoffice.com", SOD, False),
        ("https://evil.example\\.superoffice.com/", SOD, False),
        ("https://sod2.superoffice.com@evil.example/Cust1", SOD, False),
        ("https://user:password@sod2.superoffice.com/Cust1", SOD, False),
        ("https://sod2.superoffice.com/../x", SOD, False),
        ("https://sod2.superoffice.com:99999/Cust1", SOD, False),
        ("http://sod2.superoffice.com/Cust1", SOD, False),
        ("https://127.0.0.1/Cust1", SOD, False),
        ("https://127.0.0.1/Cust1", HERE, True),
        ("http://localhost:9/Cust1", HERE, True),
        ("http://[::1]:9/Cust1", HERE, True),
        ("https://sod2.superoffice.com/Cust1", HERE, False),
        ("https://crm.example/Cust1", "https://crm.example", True),
        ("https://crm.example:8443/Cust1", "https://crm.example", True),
        ("http://crm.example/Cust1", "https://crm.example", False),
        ("https://sub.crm.example/Cust1", "https://crm.example", False),
        ("https://sod2.superoffice.com/Cust1", "https://crm.example", False),
        ("ftp://sod2.superoffice.com/Cust1", SOD, False),
        ("", SOD, False),
    ],
)
def test_which_addresses_get_credentials(address: str, host: str, *, trusted: bool) -> None:
    """The vendor's own hosts, the very host that was set, or this machine; and https, but for this machine."""
    assert trusted is is_trusted(address, host)


@pytest.mark.parametrize("member", ["endpoint", "api"])
def test_either_address_can_be_the_hostile_one(member: str) -> None:
    """One good address does not vouch for the other."""
    addresses: dict[str, Any] = {
        "endpoint": f"{SOD}/Cust1",
        "api": f"{SOD}/Cust1/api",
        member: "https://evil.example/Cust1",
    }

    with pytest.raises(UntrustedAddress, match=r"https://evil.example/Cust1, which is not https under superoffice.com"):
        check_addresses(replace(ReportedState(word="Running", is_running=True), **addresses), SOD, "Cust1")


def test_running_nowhere_is_no_answer() -> None:
    """A tenant that runs is somewhere; one that does not run need not be."""
    check_addresses(ReportedState(word="Deleted", is_running=False), SOD, "Cust1")

    with pytest.raises(MalformedResponse, match="names no address"):
        check_addresses(ReportedState(word="Running", is_running=True), SOD, "Cust1")


@pytest.mark.parametrize("path", ["/Cust12", "/cust2/api", "/Cust1/Cust2"])
def test_another_customers_address_is_not_this_ones(path: str) -> None:
    """The vendor's host is not enough: what is described for one customer must not be saved at another one's."""
    running = ReportedState(word="Running", is_running=True, endpoint=f"{SOD}/CUST1", api=f"{SOD}/cust1/api")
    check_addresses(running, SOD, "Cust1")
    check_addresses(replace(running, endpoint=f"{SOD}/customers/x"), SOD, "Cust1")

    with pytest.raises(UntrustedAddress, match=r"the state of Cust1 names .* of another customer"):
        check_addresses(replace(running, endpoint=f"{SOD}{path}"), SOD, "Cust1")

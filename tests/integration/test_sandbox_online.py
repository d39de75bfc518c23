"""The sandbox's login service, asked with raw HTTP: what it checks, and what it answers."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from erpsyncd.sandbox import SandboxServer
from sandbox_support import Answered, Rest, send

CONTEXT = "Cust12345"


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    with SandboxServer(open_tenants=True) as running:
        yield running


@pytest.fixture
def known(server: SandboxServer) -> dict[str, str]:
    """An application that the tenant approved, as the control surface makes it."""
    answered = send(f"{server.url}/_sandbox/application?tenant={CONTEXT}", method="GET")
    found: dict[str, str] = answered.json
    return found


def authenticate(server: SandboxServer, known: dict[str, str], *, off: timedelta = timedelta(), **changes: Any) -> Any:
    key: Any = load_pem_private_key(known["private_key"].encode(), None)
    data = f"{known['system_token']}.{datetime.now(UTC) + off:%Y%m%d%H%M}"
    signed = f"{data}.{base64.b64encode(key.sign(data.encode(), PKCS1v15(), SHA256())).decode()}"
    document = {
        "SignedSystemToken": signed,
        "ApplicationToken": known["client_secret"],
        "ContextIdentifier": CONTEXT,
        "ReturnTokenType": "JWT",
    }
    body = json.dumps(document | changes).encode()
    url = f"{server.url}/Login/api/PartnerSystemUser/Authenticate"
    return send(url, headers={"Content-Type": "application/json"}, body=body).json


def tokens(server: SandboxServer, body: str, kind: str = "application/x-www-form-urlencoded") -> Answered:
    return send(f"{server.url}/login/common/oauth/tokens", headers={"Content-Type": kind}, body=body.encode())


def test_an_application_is_let_in(server: SandboxServer, known: dict[str, str]) -> None:
    """A good signature gives a token in three parts, and its ticket works over REST."""
    answered = authenticate(server, known)

    assert (True, None) == (answered["IsSuccessful"], answered["ErrorMessage"])
    assert 3 == len(answered["Token"].split("."))
    assert 1 == len(send(f"{server.url}/login/.well-known/jwks", method="GET").json["keys"])


@pytest.mark.parametrize(
    ("off", "changes", "word"),
    [
        (6, {}, "InvalidTimestamp"),
        (-6, {}, "InvalidTimestamp"),
        (0, {"SignedSystemToken": "x"}, "InvalidTimestamp"),
        (0, {"ApplicationToken": "x"}, "Denied"),
        (0, {"ContextIdentifier": "Cust1"}, "Denied"),
    ],
)
def test_what_is_refused(
    server: SandboxServer, known: dict[str, str], off: int, changes: dict[str, str], word: str
) -> None:
    """A minute that is far away, another application and another tenant are told apart."""
    answered = authenticate(server, known, off=timedelta(minutes=off), **changes)

    assert (False, None) == (answered["IsSuccessful"], answered["Token"])
    assert answered["ErrorMessage"].endswith(f"AuthorizeErrorCode: {word}")


def test_an_altered_signature(server: SandboxServer, known: dict[str, str]) -> None:
    """Another token under the same signature is no signature."""
    answered = authenticate(server, {**known, "private_key": send_new_key(server)})

    assert answered["ErrorMessage"].endswith("InvalidSignature")


def send_new_key(server: SandboxServer) -> str:
    key: str = send(f"{server.url}/_sandbox/application?tenant={CONTEXT}", method="GET").json["private_key"]
    return key


def test_refresh_tokens(server: SandboxServer, known: dict[str, str]) -> None:
    """A form with all that is right gives an access token, which REST takes until it is over."""
    form = f"grant_type=refresh_token&client_id={known['client_id']}&client_secret={known['client_secret']}"
    answered = tokens(server, f"{form}&refresh_token={known['refresh_token']}")
    rest = Rest(server=server, tenant=CONTEXT, authorization=f"Bearer {answered.json['access_token']}")
    before = rest.call("Quote", "HasConnections").status
    server.tenant(CONTEXT).expire_tickets()

    assert ("Bearer", 3600) == (answered.json["token_type"], answered.json["expires_in"])
    assert (200, 401) == (before, rest.call("Quote", "HasConnections").status)
    assert "invalid_grant" == tokens(server, f"{form}&refresh_token=x").json["error"]
    assert 401 == tokens(server, form.replace(known["client_secret"], "x")).status
    assert "unsupported_grant_type" == tokens(server, "grant_type=password").json["error"]
    assert "invalid_request" == tokens(server, "{}", "application/json").json["error"]


def test_requests_that_are_none(server: SandboxServer) -> None:
    """Another media type, no JSON, other members; and a path that only begins like the service's is a tenant's."""
    url = f"{server.url}/login/api/partnersystemuser/authenticate"
    body = json.dumps({"ReturnTokenType": "SAML"}).encode()

    assert 415 == send(url, body=b"{}").status
    for sent in (b"{", b"[]", body):
        assert 400 == send(url, headers={"Content-Type": "application/json"}, body=sent).status
    assert 404 == send(f"{server.url}/login/nothing", method="GET").status
    assert 404 == send(f"{server.url}/_sandbox/application", method="GET").status

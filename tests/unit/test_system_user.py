"""The system user: what is signed, which "no" is which, and what is kept of a session. No network."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.sessions import KeptSession, OpenSession, is_worth_keeping
from erpsyncd.domain.tenants import AuthKind
from erpsyncd.errors import (
    ClockSkewed,
    ConfigurationError,
    MalformedResponse,
    RemoteError,
    RemoteFault,
    RemoteNotFound,
    RemoteRejected,
    RemoteUnavailable,
    Unauthorized,
)
from erpsyncd.netserver.calls import Endpoint, Reply
from erpsyncd.netserver.failures import SessionLost
from erpsyncd.netserver.oauth import refresh_token_exchange
from erpsyncd.netserver.signing_keys import PublishedKeys, read_certificates, read_jwks
from erpsyncd.netserver.system_user import (
    SystemUserLogin,
    clock_sentence,
    read_private_key,
    signed_system_token,
    system_user_endpoint,
)
from erpsyncd.netserver.system_user_tokens import CLAIMS, TokenRefused, UnknownKey, read_ticket
from erpsyncd.sandbox import LoginKey
from online_support import CLIENT_SECRET, CONTEXT, REFRESH_TOKEN, SYSTEM_TOKEN, credentials, private_key

NOW = datetime(2026, 3, 1, 11, 59, 59, tzinfo=UTC)
HOST = "https://sod.example"
JWKS = Endpoint(agent="login", operation="jwks", url=f"{HOST}/login/.well-known/jwks", advice="check [online]")


@cache
def login_key() -> LoginKey:
    return LoginKey.new()


def exchange() -> Any:
    login = SystemUserLogin(
        tenant="acme",
        endpoint=system_user_endpoint(HOST),
        context=CONTEXT,
        credentials=credentials(AuthKind.SYSTEM_USER),
        perform=lambda *_: pytest.fail("nothing is performed here"),
        tokens=None,  # type: ignore[arg-type]  # none is read here
        now=lambda: NOW,
    )
    return login.exchange(private_key())


def answered(made: Any, document: Any, status: int = 200, **fields: Any) -> Any:
    """Return what an exchange reads in an answer."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    reply = Reply(status=status, content_type="application/json", body=body, date=NOW, **fields)
    return made.read(made.write(Secret("")), reply)


def test_what_is_signed() -> None:
    """Token, dot, UTC to the minute, dot, base64 of PKCS#1 v1.5 with SHA-256 over the first two in UTF-8."""
    here = NOW.astimezone(tz=None).replace(tzinfo=None).astimezone()
    signed = signed_system_token(Secret("Bedrift Ås-8k8Q7DmBgo"), private_key(), here).reveal()

    data, _, signature = signed.rpartition(".")
    assert "Bedrift Ås-8k8Q7DmBgo.202603011159" == data
    private_key().public_key().verify(base64.b64decode(signature, validate=True), data.encode(), PKCS1v15(), SHA256())


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=1), st.datetimes(min_value=datetime(2000, 1, 1)))  # noqa: DTZ001 -- the test says which zone it is
def test_any_token_can_be_signed(token: str, at: datetime) -> None:
    """Blanks, dots and any letters stay as they are; the minute is found behind the last dot but one."""
    signed = signed_system_token(Secret(token), private_key(), at.replace(tzinfo=UTC)).reveal()

    data, _, signature = signed.rpartition(".")
    assert (token, ".", f"{at:%Y%m%d%H%M}") == data.rpartition(".")
    private_key().public_key().verify(base64.b64decode(signature, validate=True), data.encode(), PKCS1v15(), SHA256())


def test_the_request() -> None:
    """The members are the vendor's; the context is the tenant's; what is signed goes nowhere else."""
    call = exchange().write(Secret(""))

    sent = json.loads(call.body)
    assert {"SignedSystemToken", "ApplicationToken", "ContextIdentifier", "ReturnTokenType"} == sent.keys()
    assert sent["SignedSystemToken"].startswith(f"{SYSTEM_TOKEN}.202603011159.")
    assert (CLIENT_SECRET, CONTEXT, "JWT") == (
        sent["ApplicationToken"],
        sent["ContextIdentifier"],
        sent["ReturnTokenType"],
    )
    assert f"{HOST}/Login/api/PartnerSystemUser/Authenticate" == call.endpoint.url
    assert {"Accept", "Content-Type"} == call.headers.keys()
    assert sent["SignedSystemToken"] in {secret.reveal() for secret in call.secrets}


def test_the_form_of_a_refresh_token() -> None:
    """The parameters are a form in the body, and none of them stands in the address."""
    call = refresh_token_exchange("acme", f"{HOST}/", credentials(AuthKind.REFRESH_TOKEN)).write(Secret(""))

    sent = dict(pair.split("=") for pair in call.body.decode().split("&"))
    assert {
        "grant_type": "refresh_token",
        "client_id": "sandbox-client",
        "client_secret": CLIENT_SECRET,
        "refresh_token": REFRESH_TOKEN,
    } == sent
    assert f"{HOST}/login/common/oauth/tokens" == call.endpoint.url
    assert ("application/json", "application/x-www-form-urlencoded") == (
        call.headers["Accept"],
        call.headers["Content-Type"],
    )


@pytest.mark.parametrize(
    ("document", "error", "words"),
    [
        ({"ErrorMessage": "InvalidTimestamp"}, ClockSkewed, "both clocks agree"),
        ({"ErrorMessage": "AuthorizeErrorCode: 6"}, ClockSkewed, "both clocks agree"),
        ({"ErrorMessage": "The signature has an invalid time stamp"}, ClockSkewed, "time"),
        ({"ErrorMessage": "", "AuthorizeErrorCode": 6}, ClockSkewed, "time"),
        ({"ErrorMessage": None, "ErrorCode": "InvalidTimestamp"}, ClockSkewed, "time"),
        ({"ErrorMessage": "Error code 7"}, Unauthorized, r"\(7 InvalidSignature, Error code 7\)"),
        ({"ErrorMessage": "Invalid signature"}, Unauthorized, "private_key"),
        ({"ErrorMessage": "Revoked"}, Unauthorized, r"\(1 Revoked\)"),
        ({"ErrorMessage": "The approval has expired."}, Unauthorized, r"\(3 Expired, The approval has expired\.\)"),
        ({"ErrorMessage": "Access denied"}, Unauthorized, r"\(4 Denied"),
        ({"ErrorMessage": "Application needs re-approval"}, Unauthorized, r"\(5 NeedsReapproval"),
        ({"ErrorMessage": "Something broke"}, RemoteFault, "refused the login: Something broke"),
        ({"ErrorMessage": None}, RemoteFault, "it gave no reason"),
        ({"AuthorizeErrorCode": 99, "ErrorMessage": "New"}, RemoteFault, "refused the login: New"),
        ({"AuthorizeErrorCode": "6", "ErrorMessage": None}, ClockSkewed, "time"),
        ({"errorCode": "7", "errorMessage": ""}, Unauthorized, r"\(7 InvalidSignature\)"),
        ({"ErrorCode": 0, "ErrorMessage": "InvalidSignature"}, Unauthorized, r"\(7 InvalidSignature\)"),
        ({"ErrorCode": True, "ErrorMessage": "New"}, RemoteFault, "refused the login: New"),
    ],
)
@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_no_is_told_apart(document: dict[str, Any], error: type[Exception], words: str, status: int) -> None:
    """Numbers and words, in a member or in the sentence, with any status: only known ones are about the credentials."""
    with pytest.raises(error, match=words):
        answered(exchange(), {"IsSuccessful": False, "Token": None, **document}, status)


def test_a_no_does_not_repeat_what_was_sent() -> None:
    """A service that quotes the token or the secret does not put it into our message."""
    said = f"{SYSTEM_TOKEN} with {CLIENT_SECRET} was denied"
    with pytest.raises(Unauthorized) as caught:
        answered(exchange(), {"IsSuccessful": False, "ErrorMessage": said})

    assert not any(secret in str(caught.value) for secret in (SYSTEM_TOKEN, CLIENT_SECRET))


@pytest.mark.parametrize(
    ("document", "status", "error"),
    [
        (b"", 401, SessionLost),
        (b"", 403, SessionLost),
        (b"", 404, RemoteNotFound),
        (b"", 503, RemoteUnavailable),
        (b"<html>", 200, MalformedResponse),
        ({"Message": "An error has occurred."}, 500, RemoteFault),
        ({"IsSuccessful": "perhaps", "Token": "x"}, 200, MalformedResponse),
        ({"IsSuccessful": 1, "Token": "x"}, 200, MalformedResponse),
        ({"IsSuccessful": True}, 200, MalformedResponse),
        ({"IsSuccessful": True, "Token": 7}, 200, MalformedResponse),
        ([], 200, MalformedResponse),
    ],
)
def test_answers_that_are_none(document: Any, status: int, error: type[Exception]) -> None:
    """What is no answer of a login service means what it means everywhere."""
    with pytest.raises(error):
        answered(exchange(), document, status)


@pytest.mark.parametrize(
    "document",
    [
        {"IsSuccessful": True, "Token": "a.b.c", "ErrorMessage": None},
        {"isSuccessful": True, "token": "a.b.c"},
        {"IsSuccessful": "True", "Token": "a.b.c", "More": {"to": "come"}},
    ],
)
def test_ways_to_write_a_yes(document: dict[str, Any]) -> None:
    """Small letters and a boolean in words are .NET's, too."""
    assert "a.b.c" == answered(exchange(), document).token


def test_a_no_in_small_letters() -> None:
    """It is one as well, whatever its reason."""
    with pytest.raises(Unauthorized, match="Revoked"):
        answered(exchange(), {"isSuccessful": "false", "token": None, "errorMessage": "Revoked"})


@pytest.mark.parametrize(
    ("document", "status", "error"),
    [
        ({"error": "invalid_grant"}, 400, Unauthorized),
        ({"error": "invalid_client"}, 401, Unauthorized),
        ({"error": "unauthorized_client"}, 400, Unauthorized),
        ({"error": "invalid_request"}, 400, RemoteRejected),
        ({"error": "temporarily_unavailable"}, 503, RemoteUnavailable),
        (b"", 401, SessionLost),
        (b"<html>", 200, MalformedResponse),
        ({}, 200, MalformedResponse),
        ({"access_token": "a b\r\n"}, 200, MalformedResponse),
        ({"access_token": "x", "token_type": "mac"}, 200, MalformedResponse),
    ],
)
def test_answers_of_the_token_endpoint(document: Any, status: int, error: type[Exception]) -> None:
    """OAuth's words are told apart; a body that is no token is none."""
    with pytest.raises(error):
        answered(refresh_token_exchange("acme", HOST, credentials(AuthKind.REFRESH_TOKEN)), document, status)


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [(3600, 3600), ("900", 900), (None, 1200), ("soon", 1200), (-1, 1200), (10**12, 86_400), (True, 1)],
)
def test_how_long_an_access_token_lives(expires_in: Any, seconds: int) -> None:
    """What the answer says counts; twenty minutes where it says nothing that can be understood, a day at most."""
    made = refresh_token_exchange("acme", HOST, credentials(AuthKind.REFRESH_TOKEN))
    token = answered(made, {"access_token": "8A:x", "token_type": "bearer", "expires_in": expires_in})

    assert ("8A:x", timedelta(seconds=seconds)) == (token.value.reveal(), token.life)


@pytest.mark.parametrize(
    ("off", "words"),
    [
        (timedelta(seconds=421), "421 s ahead of it; set it"),
        (timedelta(seconds=-421), "421 s behind it; set it"),
        (timedelta(seconds=60), "both clocks agree"),
        (None, "has no date"),
    ],
)
def test_what_is_said_of_a_clock(off: timedelta | None, words: str) -> None:
    """How far this machine is off, and which way; and where nobody knows."""
    assert words in clock_sentence(None if off is None else NOW - off, NOW)


def test_keys_that_cannot_be_used() -> None:
    """Another algorithm and a passphrase are named; the text of a key is never repeated."""
    curve = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    locked = private_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    for text, words in ((curve, "is not an RSA key"), (locked, "without a passphrase"), (b"SECRET", "in PEM")):
        with pytest.raises(ConfigurationError, match=words) as caught:
            read_private_key("acme", Secret(text.decode()))
        assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"", 403, RemoteRejected),
        (b"", 404, RemoteNotFound),
        (b"nothing", 200, MalformedResponse),
        (b"[]", 200, MalformedResponse),
        (b'{"keys": []}', 200, MalformedResponse),
        (
            b'{"keys": [7, {"kty": "EC"}, {"kty": "RSA", "n": "!", "e": "AQAB"}, {"kty": "RSA"}]}',
            200,
            MalformedResponse,
        ),
        (b'{"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}', 200, MalformedResponse),
    ],
)
def test_keys_that_are_none(body: bytes, status: int, error: type[RemoteError]) -> None:
    """A refusal to show the keys is none of our credentials; keys that are too short or unreadable do not count."""
    with pytest.raises(error):
        read_jwks(JWKS, Reply(status=status, content_type="application/json", body=body))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"use": None, "alg": None, "x5t": None, "x5c": None}, id="nulls"),
        pytest.param({"x5c": ["no certificate"]}, id="another chain"),
        pytest.param({"x5t": None, "kid": "k1", "x5c": None}, id="a name that the token does not know"),
    ],
)
def test_keys_of_another_server(changes: dict[str, Any]) -> None:
    """What stands beside a key is a hint: the signature decides, among several keys and however they are named."""
    own, other = LoginKey.new(), LoginKey.new()
    keys = [{**other.to_jwk(), "kid": "k0"}, {**own.to_jwk(), **changes}]
    found = read_jwks(
        JWKS, Reply(status=200, content_type="application/json", body=json.dumps({"keys": keys}).encode())
    )
    claims = {
        "iss": "SuperOffice AS",
        "aud": ["spn:1114566917", "spn:2"],
        "exp": NOW.timestamp() + 360,
        f"{CLAIMS}serial": 1114566917,
        f"{CLAIMS}ctx": CONTEXT.lower(),
        f"{CLAIMS}ticket": "7T:x",
    }
    header = {"alg": "RS256", "typ": "JWT", "x5t": own.x5t}
    token = own.sign(header, claims)

    assert "7T:x" == read_ticket(token, found, context=CONTEXT, now=NOW).reveal()
    with pytest.raises(UnknownKey):
        read_ticket(LoginKey.new().sign(header, claims), found, context=CONTEXT, now=NOW)


def test_certificates_that_cannot_be_used(tmp_path: Any) -> None:
    """A file that is missing or holds something else is named."""
    (tmp_path / "no.pem").write_text("no certificate")
    for name in ("missing.pem", "no.pem"):
        with pytest.raises(ConfigurationError, match=name):
            read_certificates(str(tmp_path / name))


def test_what_is_worth_a_write() -> None:
    """A new ticket, none any more, other credentials, or an end that moved by an hour; not every use of it."""
    session = OpenSession(credential=Secret("7T:a"), until=NOW, slides_by=timedelta(hours=6))
    kept = KeptSession(session=session, auth="x")

    def at(**changes: Any) -> KeptSession:
        return replace(kept, session=replace(session, **changes))

    assert not is_worth_keeping(None, None)
    assert not is_worth_keeping(kept, kept)
    assert not is_worth_keeping(kept, at(until=NOW + timedelta(minutes=59)))
    assert is_worth_keeping(kept, at(until=NOW + timedelta(minutes=60)))
    assert is_worth_keeping(kept, at(credential=Secret("7T:b")))
    assert is_worth_keeping(kept, replace(kept, auth="y"))
    assert is_worth_keeping(None, kept)
    assert is_worth_keeping(kept, None)
    assert "7T:a" not in repr(kept)


async def test_whoever_waited_for_keys_shares_why_there_are_none() -> None:
    """A login service that answers late holds all tenants up once, not one by one; who comes later asks anew."""
    time, asked = itertools.count(), []
    published = PublishedKeys(clock=lambda: float(next(time)))

    async def fetch(endpoint: Endpoint) -> Reply:
        asked.append(endpoint.operation)
        await asyncio.sleep(0)
        raise RemoteUnavailable("jwks", "not now")

    keys = published.of(HOST, None, fetch)
    found = await asyncio.gather(*(keys.current() for _ in range(5)), return_exceptions=True)
    assert ([RemoteUnavailable] * 5, ["jwks"]) == ([type(one) for one in found], asked)

    with pytest.raises(RemoteUnavailable):
        await keys.current()
    assert 2 == len(asked)


def test_an_access_token_of_another_customer() -> None:
    """A token says whose it is; another customer's goes to no tenant, and the message names the refresh token."""
    made = refresh_token_exchange("acme", HOST, credentials(AuthKind.REFRESH_TOKEN), CONTEXT)
    for own in (f"8A:{CONTEXT.lower()}.x", "8A:opaque", "opaque"):
        assert own == answered(made, {"access_token": own}).value.reveal()

    with pytest.raises(Unauthorized, match=f"is Cust99's, not {CONTEXT}'s.*: erpsyncd tenants resume acme") as caught:
        answered(made, {"access_token": "8A:Cust99.canary"})
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("name", ["alg", "kid", "x5t", "typ", "crit", "b64", "jwk", "x5c"])
@pytest.mark.parametrize("value", [None, 7, 1.5, True, "x", [], [1], ["x"], {}, {"a": 1}])
def test_whatever_stands_in_a_header(name: str, value: Any) -> None:
    """Nobody signed it yet when it is read: it may make the token useless, and no more than that."""
    key = login_key()
    body = json.dumps({"keys": [key.to_jwk()]}).encode()
    keys = read_jwks(JWKS, Reply(status=200, content_type="application/json", body=body))

    with contextlib.suppress(TokenRefused, UnknownKey):
        read_ticket(key.sign({"alg": "RS256", name: value}, {}), keys, context=CONTEXT, now=NOW)
        pytest.fail("a token without claims was believed")

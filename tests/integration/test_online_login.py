"""Online tenants over real sockets: how they are logged in to, what a "no" means, and which tokens are believed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from erpsyncd.domain.sessions import SessionMemory
from erpsyncd.domain.tenants import AuthKind, Environment, Protocol
from erpsyncd.errors import (
    ClockSkewed,
    ConfigurationError,
    Effect,
    MalformedResponse,
    RemoteForbidden,
    RemoteRejected,
    Unauthorized,
)
from erpsyncd.netserver.api import NetServerApi
from erpsyncd.sandbox import Answer, AuthorizeErrorCode, LoginKey, Rule
from netserver_support import erp_connection
from online_support import (
    CLIENT_SECRET,
    CONTEXT,
    REFRESH_TOKEN,
    SYSTEM_TOKEN,
    OnlineWorld,
    credentials,
    online_world,
    pem,
    private_key,
)

KINDS = [AuthKind.SYSTEM_USER, AuthKind.REFRESH_TOKEN]
SECRETS = (SYSTEM_TOKEN, CLIENT_SECRET, REFRESH_TOKEN)
CLAIMS = "http://schemes.superoffice.net/identity/"


@pytest.fixture
def world() -> Iterator[OnlineWorld]:
    with online_world() as running:
        yield running


async def refusal(api: NetServerApi) -> str:
    """Make a call and return why we were refused."""
    with pytest.raises(Unauthorized) as caught:
        await api.list_connections()
    return str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("protocol", list(Protocol))
async def test_one_login_serves_every_call(world: OnlineWorld, protocol: Protocol, kind: AuthKind) -> None:
    """Both kinds work over both protocols; the tenant checks the application's secret with every call."""
    login = {AuthKind.SYSTEM_USER: {"Authenticate": 1, "jwks": 1}, AuthKind.REFRESH_TOKEN: {"tokens": 1}}[kind]
    async with world.opened(protocol, credentials(kind)) as api:
        saved = await api.save_connection(erp_connection(0))
        found = await api.get_connection(saved.erp_connection_id)
        await api.has_connections()
        listed = await api.list_connections()

    assert found is not None
    assert saved.spec == found.spec
    assert [saved.erp_connection_id] == [item.erp_connection_id for item in listed]
    assert login == world.counts


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("protocol", list(Protocol))
async def test_many_calls_share_one_renewal(world: OnlineWorld, protocol: Protocol, kind: AuthKind) -> None:
    """When the session is gone in the middle of a pass, twenty calls that wait cost one more login, not twenty."""
    name = "Authenticate" if kind is AuthKind.SYSTEM_USER else "tokens"
    async with world.opened(protocol, credentials(kind)) as api:
        await api.list_connections()
        world.tenant.expire_tickets()
        found = await asyncio.gather(*(api.list_connections() for _ in range(20)))

    assert [()] * 20 == found
    assert 2 == world.counts[name]
    assert world.counts.get("jwks", 1) == 1


async def test_an_access_token_is_renewed_before_its_end(world: OnlineWorld) -> None:
    """A minute before `expires_in` is over the next call gets a new one, and no call is refused for it."""
    async with world.opened(Protocol.REST, credentials(AuthKind.REFRESH_TOKEN)) as api:
        await api.list_connections()
        world.clock.pass_by(seconds=3539)
        await api.list_connections()
        before = world.counts["tokens"]
        world.clock.pass_by(seconds=2)
        await api.list_connections()

    assert (1, 2) == (before, world.counts["tokens"])
    assert {200} == {call.http_status for call in world.server.calls_of(CONTEXT)}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_remembered_session_is_used(world: OnlineWorld, kind: AuthKind) -> None:
    """What one pass was given serves the next one; a ticket lives on with its use, an access token does not."""
    memory = SessionMemory()
    ends = []
    for _ in range(2):
        async with world.opened(Protocol.REST, credentials(kind), memory=memory) as api:
            await api.list_connections()
        assert memory.session is not None
        ends.append((memory.session.until - world.clock()).total_seconds())
        world.clock.pass_by(minutes=15)

    assert 1 == sum(world.counts[name] for name in ("Authenticate", "tokens") if name in world.counts)
    assert {AuthKind.SYSTEM_USER: [21_600, 21_600], AuthKind.REFRESH_TOKEN: [3_540, 2_640]}[kind] == ends


async def test_a_remembered_session_that_was_revoked(world: OnlineWorld) -> None:
    """It costs one refused call and one login, and the new one is remembered."""
    memory = SessionMemory()
    async with world.opened(memory=memory) as api:
        await api.list_connections()
    old = memory.session
    world.tenant.expire_tickets()
    async with world.opened(memory=memory) as api:
        await api.list_connections()

    assert old is not None
    assert memory.session is not None
    assert old.credential != memory.session.credential
    assert [200, 401, 200] == [call.http_status for call in world.server.calls_of(CONTEXT)]


async def test_a_refused_session_is_forgotten(world: OnlineWorld) -> None:
    """A tenant that takes no fresh ticket either refuses us, and nothing is kept."""
    memory = SessionMemory()
    world.tenant.configure(application_token="another one")
    async with world.opened(memory=memory) as api:
        with pytest.raises(Unauthorized):
            await api.list_connections()
        with pytest.raises(Unauthorized):
            await api.list_connections()

    assert memory.session is None
    assert 2 == world.counts["Authenticate"]


async def test_a_dry_run_may_log_in(world: OnlineWorld) -> None:
    """A read-only client can log in and read, and still not write."""
    for kind in KINDS:
        async with world.opened(Protocol.REST, credentials(kind), read_only=True) as api:
            await api.list_connections()
            with pytest.raises(RemoteRejected, match="not sent"):
                await api.save_connection(erp_connection(0))


# A "no", told apart ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [-480, 480])
async def test_a_wrong_clock(world: OnlineWorld, seconds: int) -> None:
    """A clock that is off by minutes is named with by how much, is no refusal, and is good again when it is right."""
    world.clock.pass_by(seconds=seconds)
    async with world.opened() as api:
        with pytest.raises(ClockSkewed, match=f"480 s {'behind' if seconds < 0 else 'ahead of'}") as caught:
            await api.save_connection(erp_connection(0))
    world.clock.pass_by(seconds=-seconds)
    async with world.opened() as api:
        await api.list_connections()

    assert Effect.NEVER_SENT is caught.value.effect
    assert 75 == caught.value.exit_code
    assert 2 == world.counts["Authenticate"]


async def test_a_refused_time_though_the_clocks_agree(world: OnlineWorld) -> None:
    """Error 6 alone is a doubtful clock: it is told as such, and not taken for refused credentials."""
    world.server.login.refuse = AuthorizeErrorCode.INVALID_TIMESTAMP
    async with world.opened() as api:
        with pytest.raises(ClockSkewed, match="both clocks agree"):
            await api.list_connections()


@pytest.mark.parametrize("code", [code for code in AuthorizeErrorCode if code.value != 6])
async def test_a_refusal_says_what_to_do(world: OnlineWorld, code: AuthorizeErrorCode) -> None:
    """Every other code is about the credentials: asked once, and the message ends in what an operator types then."""
    world.server.login.refuse = code
    async with world.opened() as api:
        said = [await refusal(api) for _ in range(2)]

    assert said[0] == said[1]
    assert f"({code.value} {code.word}" in said[0]
    assert said[0].endswith("; then: erpsyncd tenants resume acme")
    assert 1 == world.counts["Authenticate"]


async def test_the_wrong_key(world: OnlineWorld) -> None:
    """A signature with another key is told as that; neither the key nor a token stands in the message."""
    async with world.opened(given=credentials(AuthKind.SYSTEM_USER, private_key=pem(private_key(1)))) as api:
        with pytest.raises(Unauthorized, match="private_key is not the key of this application") as caught:
            await api.list_connections()

    assert not any(secret in str(caught.value) for secret in SECRETS)


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("no key", "is not a private key in PEM"),
        ("<RSAKeyValue><Modulus>x</Modulus></RSAKeyValue>", "convert it to PEM"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "is not a private key in PEM"),
    ],
)
async def test_a_key_that_is_none(world: OnlineWorld, key: str, problem: str) -> None:
    """A text that is no key is named by its place, and nothing is sent."""
    async with world.opened(given=credentials(AuthKind.SYSTEM_USER, private_key=key)) as api:
        with pytest.raises(ConfigurationError, match=f"acme: auth.private_key {problem}|auth.private_key.*{problem}"):
            await api.list_connections()

    assert {} == world.counts


@pytest.mark.parametrize(
    ("field", "word"),
    [("refresh_token", "invalid_grant"), ("client_secret", "invalid_client"), ("client_id", "invalid_client")],
)
async def test_a_refused_refresh_token(world: OnlineWorld, field: str, word: str) -> None:
    """What the token endpoint says is named, with what to do, and is not tried again."""
    given = credentials(AuthKind.REFRESH_TOKEN, **{field: "something-else"})
    async with world.opened(given=given) as api:
        said = [await refusal(api) for _ in range(2)]

    assert f"({word}, " in said[0]
    assert said[0].endswith("erpsyncd tenants resume acme")
    assert not any(secret in said[0] for secret in (*SECRETS, "something-else"))
    assert 1 == world.counts["tokens"]


async def test_a_forbidden_agent_is_no_refusal(world: OnlineWorld) -> None:
    """A 403 that stays after a fresh ticket is about that operation; the others go on."""
    world.server.add_faults(Rule(action=Answer(status=403), tenant=CONTEXT, operation="HasConnections", times=2))
    async with world.opened() as api:
        with pytest.raises(RemoteForbidden):
            await api.has_connections()
        await api.list_connections()

    assert 2 == world.counts["Authenticate"]


# Tokens -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [("x5t",), ("kid",), ("kid", "x5t"), ()])
async def test_keys_change_in_mid_life(world: OnlineWorld, names: tuple[str, ...]) -> None:
    """A key that is not known makes us look again, once, however the header names it; the old keys are asked first."""
    time = [0.0]
    apis = world.new_apis(clock=lambda: time[0])
    world.server.login.header_names = names
    async with world.opened(apis=apis) as api:
        await api.list_connections()
        world.server.login.keys.rotate()
        world.tenant.expire_tickets()
        time[0] += 31
        await api.list_connections()
        world.tenant.expire_tickets()
        await api.list_connections()

    assert {"Authenticate": 3, "jwks": 2} == world.counts


async def test_strange_tokens_do_not_hammer(world: OnlineWorld) -> None:
    """Keys are looked up again after half a minute at the earliest, whoever asks."""
    stranger = LoginKey.new()
    world.server.login.mint = lambda _key, header, claims: stranger.sign({**header, "x5t": stranger.x5t}, claims)
    for _ in range(5):
        async with world.opened() as api:
            with pytest.raises(MalformedResponse, match=r"a key that .*/jwks does not have"):
                await api.list_connections()

    assert {"Authenticate": 5, "jwks": 1} == world.counts


async def test_a_configured_certificate_takes_the_place_of_published_keys(world: OnlineWorld, tmp_path: Path) -> None:
    """With a certificate nothing is looked up; a token that another key signed is not believed."""
    path = tmp_path / "login.pem"
    path.write_bytes(world.server.login.keys.current.pem)
    apis = world.new_apis(certificates={Environment.SOD: str(path)})
    async with world.opened(apis=apis) as api:
        await api.list_connections()
        world.server.login.keys.rotate()
        world.tenant.expire_tickets()
        with pytest.raises(MalformedResponse, match=r"the certificate .*login\.pem does not have"):
            await api.list_connections()

    assert {"Authenticate": 2} == world.counts


def _unsigned(key: LoginKey, header: dict[str, Any], claims: dict[str, Any]) -> str:
    return f"{_part({**header, 'alg': 'none'})}.{_part(claims)}."


def _hmac(key: LoginKey, header: dict[str, Any], claims: dict[str, Any]) -> str:
    """Sign with the public key as if it were a shared secret."""
    public = key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = f"{_part({**header, 'alg': 'HS256'})}.{_part(claims)}"
    return f"{signed}.{_base64(hmac.digest(public, signed.encode(), hashlib.sha256))}"


def _own_key(key: LoginKey, header: dict[str, Any], claims: dict[str, Any]) -> str:
    """Bring the key along in the header."""
    stranger = LoginKey.new()
    return stranger.sign({**header, "jwk": stranger.to_jwk()}, claims)


def _changed(**changes: Any) -> Callable[..., str]:
    def mint(key: LoginKey, header: dict[str, Any], claims: dict[str, Any]) -> str:
        return key.sign(header, {name: value for name, value in {**claims, **changes}.items() if value is not None})

    return mint


def _cut(key: LoginKey, header: dict[str, Any], claims: dict[str, Any]) -> str:
    return key.sign(header, claims)[:-8] + "AAAAAAAA"


def _other_payload(key: LoginKey, header: dict[str, Any], claims: dict[str, Any]) -> str:
    head, _, signature = key.sign(header, claims).split(".")
    return f"{head}.{_part({**claims, f'{CLAIMS}ticket': '7T:mine'})}.{signature}"


def _part(value: dict[str, Any]) -> str:
    return _base64(json.dumps(value).encode())


def _base64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("mint", "reason"),
    [
        (_unsigned, "not as it must be"),
        (_hmac, "not as it must be"),
        (_own_key, "a key that"),
        (_cut, "a key that"),
        (_other_payload, "a key that"),
        (lambda *_: "no.token", "not as it must be"),
        (lambda *_: "x" * 300_000, "not as it must be"),
        (lambda key, header, claims: key.sign({**header, "crit": ["exp"], "exp": 1}, claims), "not as it must be"),
        (_changed(iss="https://sod.superoffice.com"), "its iss is missing or wrong"),
        (_changed(iss=None), "its iss is missing or wrong"),
        (_changed(aud="spn:another"), "its aud is missing or wrong"),
        (_changed(aud=None), "its aud is missing or wrong"),
        (_changed(exp=None), "its exp is missing or wrong"),
        (_changed(exp=1), "it has expired"),
        (_changed(nbf=9_999_999_999), "it is not valid yet"),
        (_changed(**{f"{CLAIMS}ctx": "Cust54321"}), "it is for Cust54321, not for Cust12345"),
        (_changed(**{f"{CLAIMS}ctx": None}), "it is for nobody, not for Cust12345"),
        (_changed(**{f"{CLAIMS}serial": None}), "it has no serial number"),
        (_changed(**{f"{CLAIMS}ticket": None}), "it has no ticket in it"),
        (_changed(**{f"{CLAIMS}ticket": "7T:\r\nX-Evil: 1"}), "it has no ticket in it"),
    ],
)
async def test_forged_tokens_are_refused(world: OnlineWorld, mint: Callable[..., str], reason: str) -> None:
    """A token that is not signed, not by the service, not for us or not for now gives no ticket, and no call is made.

    It is no refusal of our credentials either: whoever stands between must not be able to lock a tenant out.
    """
    memory = SessionMemory()
    world.server.login.mint = mint
    async with world.opened(memory=memory) as api:
        with pytest.raises(MalformedResponse, match=reason) as caught:
            await api.save_connection(erp_connection(0))

    assert Effect.NEVER_SENT is caught.value.effect
    assert memory.session is None
    assert () == world.server.calls_of(CONTEXT)


async def test_a_token_that_this_machine_is_too_late_for(world: OnlineWorld) -> None:
    """Where signature and minute were good and only the token is over by our clock, the clock is named."""
    world.server.login.mint = lambda key, header, claims: key.sign(header, {**claims, "exp": claims["iat"] + 60})
    world.clock.pass_by(seconds=200)
    async with world.opened() as api:
        with pytest.raises(ClockSkewed, match=r"it has expired\. But this machine's clock is 200 s ahead of"):
            await api.list_connections()


async def test_login_needs_an_environment(world: OnlineWorld) -> None:
    """Without an environment, or with one that has no address, nothing is opened."""
    for overrides in ({"environment": None}, {"environment": Environment.STAGE}, {"context": None}):
        with pytest.raises(ConfigurationError, match="acme"):
            async with world.opened(**overrides):
                pass


async def test_secrets_do_not_go_over_plain_http_elsewhere(world: OnlineWorld) -> None:
    """The login service's address is checked like a tenant's own."""
    apis = type(world.apis)(hosts={Environment.SOD: "http://login.example"})
    with pytest.raises(ConfigurationError, match=r"online\.sod must be https"):
        async with world.opened(apis=apis, given=credentials(AuthKind.REFRESH_TOKEN)):
            pass

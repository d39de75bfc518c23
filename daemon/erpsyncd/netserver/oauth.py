"""The refresh token of an online tenant's user: what it is exchanged for, and what a "no" means.

Source: domain.md §3.5. The parameters go in the body: an address is what proxies and servers write down.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from erpsyncd.domain.items import command
from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.sessions import OpenSession
from erpsyncd.domain.tenants import Credentials
from erpsyncd.errors import MalformedResponse, RemoteRejected, Unauthorized
from erpsyncd.netserver.calls import Call, Endpoint, Exchange, Reply
from erpsyncd.netserver.carriers import Unreadable
from erpsyncd.netserver.failures import one_line, raise_for_failure, unreadable
from erpsyncd.netserver.json_replies import find_fault, parse_json

_PATH = "/login/common/oauth/tokens"
#: An access token is renewed so long before its end, or in the last tenth of its life where that is shorter.
RENEW_BEFORE = timedelta(seconds=60)
#: What is taken where the answer does not say; the shorter of the two that the vendor names (domain.md §7).
_DEFAULT_LIFE = timedelta(minutes=20)
_MAX_LIFE = timedelta(days=1)

#: How an access token names its tenant (domain.md §3.5).
_OWNER = re.compile(r"8A:(Cust[0-9]{1,10})\.", re.IGNORECASE)

_REMEDIES = {
    "invalid_grant": "the refresh token is not accepted (any more); have the user approve the application again and "
    "give the new refresh_token",
    "invalid_client": "client_id or client_secret is not the application's in this environment; give the right ones",
    "unauthorized_client": "the application may not use refresh tokens; look at its settings in the developer portal",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """What the token endpoint gave."""

    value: Secret
    life: timedelta


class RefreshTokenLogin:
    """Exchanges a refresh token for an access token."""

    def __init__(
        self,
        exchange: Exchange[AccessToken],
        perform: Callable[[Exchange[AccessToken], Secret], Awaitable[AccessToken]],
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._exchange = exchange
        self._perform = perform
        self._now = now

    async def __call__(self) -> OpenSession:
        """Log in.

        Raises:
            SessionLost, Unauthorized: the token endpoint refused us.
            RemoteError: it did not answer, or with something else.
        """
        asked_at = self._now()
        token = await self._perform(self._exchange, Secret(""))
        return OpenSession(credential=token.value, until=asked_at + token.life - min(RENEW_BEFORE, token.life / 10))


def refresh_token_exchange(
    tenant: str, host: str, credentials: Credentials, context: str | None = None
) -> Exchange[AccessToken]:
    """Return the exchange of a refresh token at a login service; `context` is whose access token it has to give."""
    endpoint = Endpoint(
        agent="oauth",
        operation="tokens",
        url=f"{host.rstrip('/')}{_PATH}",
        advice="check the tenant's environment, and the address of its login service in [online]",
    )
    parameters = {
        "grant_type": "refresh_token",
        "client_id": credentials.client_id.reveal(),
        "client_secret": credentials.client_secret.reveal(),
        "refresh_token": credentials.refresh_token.reveal(),
    }
    secrets = (credentials.client_secret, credentials.refresh_token, credentials.client_id)

    def write(_: Secret) -> Call:
        return Call(
            endpoint=endpoint,
            headers={"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"},
            body=urlencode(parameters).encode(),
            secrets=secrets,
        )

    def read(call: Call, reply: Reply) -> AccessToken:
        token = _read_token(call, reply, tenant)
        _check_owner(call, token, tenant, context)
        return token

    return Exchange(endpoint=endpoint, repeatable=True, write=write, read=read)


def _read_token(call: Call, reply: Reply, tenant: str) -> AccessToken:
    document: Any = None
    problem = "it is no answer of a token endpoint"
    try:
        document = parse_json(reply.body, reply.content_type)
    except Unreadable as exc:
        problem = str(exc)
    if isinstance(document, dict) and reply.status < 500 and isinstance(document.get("error"), str):  # noqa: PLR2004 -- where the server's own errors begin
        raise _refusal(call, document, tenant)
    succeeded = 200 <= reply.status < 300  # noqa: PLR2004 -- the range of success
    raise_for_failure(call, reply, find_fault(document, succeeded=succeeded))
    if not isinstance(document, dict):
        raise unreadable(call, reply, problem, parsed=document is not None)
    value, kind = document.get("access_token"), document.get("token_type", "Bearer")
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or not value.strip():
        raise MalformedResponse(call.endpoint.operation, f"{call.endpoint.where} gave no access token")
    if not isinstance(kind, str) or kind.casefold() != "bearer":
        raise MalformedResponse(call.endpoint.operation, f"{call.endpoint.where} gave a token that is no Bearer")
    return AccessToken(value=Secret(value.strip()), life=_life(document.get("expires_in")))


def _check_owner(call: Call, token: AccessToken, tenant: str, context: str | None) -> None:
    """Refuse another customer's token: where it says whose it is, that is who everything would be saved at."""
    named = _OWNER.match(token.value.reveal())
    if named is None or context is None or named[1].casefold() == context.casefold():
        return
    raise Unauthorized(
        f"{call.endpoint.operation}: the refresh token is {named[1]}'s, not {context}'s; give the one that this "
        f"customer's user has approved; then: {command('tenants', 'resume', tenant)}"
    )


def _life(given: Any) -> timedelta:
    try:
        life = timedelta(seconds=float(given))
    except (TypeError, ValueError, OverflowError):
        return _DEFAULT_LIFE
    return min(life, _MAX_LIFE) if life > timedelta() else _DEFAULT_LIFE


def _refusal(call: Call, document: dict[str, Any], tenant: str) -> Exception:
    endpoint = call.endpoint
    error, description = document["error"], document.get("error_description")
    said = description if isinstance(description, str) else ""
    named = one_line(f"{error}, {said}" if said else error, call.secrets)
    remedy = _REMEDIES.get(error)
    if remedy is None:
        return RemoteRejected(endpoint.operation, f"{endpoint.where} rejected the request ({named})")
    resume = command("tenants", "resume", tenant)
    return Unauthorized(
        f"{endpoint.operation}: {endpoint.where} refused us ({named}): {remedy}; where it was put right there: {resume}"
    )

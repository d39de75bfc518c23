"""Reads the JWT of a system user: who signed it, for whom, when, and the ticket in it.

RS256 only, with a key that the login service publishes or that was configured. Nothing in the token chooses how it
is checked: not `alg`, not a key in its header.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import BadSignatureError, ClaimError, ExpiredTokenError, InvalidClaimError, JoseError

from erpsyncd.domain.secrets import Secret
from erpsyncd.errors import ClockSkewed, MalformedResponse
from erpsyncd.netserver.calls import Endpoint
from erpsyncd.netserver.failures import one_line
from erpsyncd.netserver.signing_keys import KeySource, SigningKey, header_names
from erpsyncd.netserver.system_user import CLOCKS_AGREE, SignedAnswer, clock_sentence

#: How far the clocks of this machine and of the login service may differ; tokens live some minutes.
LEEWAY_SECONDS = 120
ISSUER = "SuperOffice AS"
CLAIMS = "http://schemes.superoffice.net/identity/"
_ALGORITHMS = ("RS256",)


class UnknownKey(Exception):
    """No key that is known signed the token; a newer set of keys may have the one."""


class TokenRefused(Exception):
    """The token must not be used; the message says why and repeats nothing of it."""

    def __init__(self, reason: str, *, about_time: bool = False) -> None:
        super().__init__(reason)
        #: Whether another clock would have accepted it.
        self.about_time = about_time


class _Registry(jws.JWSRegistry):
    """Takes headers with a certificate chain in them, and those that nobody registered (RFC 7515 §4)."""

    max_header_length = 16_384

    def __init__(self) -> None:
        super().__init__(algorithms=_ALGORITHMS, strict_check_header=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemUserTokens:
    """Validates the tokens of one tenant."""

    endpoint: Endpoint
    """Where they come from, for messages."""

    context: str
    keys: KeySource
    now: Callable[[], datetime]

    async def ticket(self, answer: SignedAnswer) -> Secret:
        """Return the ticket in a token, which is looked at with newer keys where its own is not known.

        Raises:
            ClockSkewed: the token is not valid now, and the clocks differ.
            MalformedResponse: it must not be trusted.
            RemoteError: the keys cannot be fetched.
        """
        now = self.now()
        try:
            try:
                return read_ticket(answer.token, await self.keys.current(), context=self.context, now=now)
            except UnknownKey:
                return read_ticket(answer.token, await self.keys.renewed(), context=self.context, now=now)
        except UnknownKey:
            raise self._untrusted(f"it is signed with a key that {self.keys.where} does not have") from None
        except TokenRefused as refused:
            off = abs(now - answer.date) if answer.date is not None else CLOCKS_AGREE
            if refused.about_time and off > CLOCKS_AGREE:
                what = f"{self.endpoint.where} gave a token that cannot be used: {refused}"
                raise ClockSkewed(self.endpoint.operation, f"{what}. But {clock_sentence(answer.date, now)}") from None
            raise self._untrusted(str(refused)) from None

    def _untrusted(self, reason: str) -> MalformedResponse:
        return MalformedResponse(
            self.endpoint.operation, f"{self.endpoint.where} gave a token that cannot be trusted: {reason}"
        )


def read_ticket(token: str, keys: Sequence[SigningKey], *, context: str, now: datetime) -> Secret:
    """Validate a token and return its ticket.

    Raises:
        UnknownKey: none of the keys has signed it.
        TokenRefused: it is not valid, not for us, or not what it should be.
    """
    claims = _verified_claims(token, keys)
    serial = claims.get(f"{CLAIMS}serial")
    if not isinstance(serial, str | int) or isinstance(serial, bool) or not serial:
        raise TokenRefused("it has no serial number")
    _check_claims(claims, audience=f"spn:{serial}", now=now)
    ctx = claims.get(f"{CLAIMS}ctx")
    if not isinstance(ctx, str) or ctx.casefold() != context.casefold():
        told = one_line(ctx) if isinstance(ctx, str) and ctx else "nobody"
        raise TokenRefused(f"it is for {told}, not for {context}")
    ticket = claims.get(f"{CLAIMS}ticket")
    if not isinstance(ticket, str) or not ticket.isascii() or not ticket.isprintable() or not ticket.strip():
        raise TokenRefused("it has no ticket in it")
    return Secret(ticket.strip())


def _verified_claims(token: str, keys: Sequence[SigningKey]) -> dict[str, Any]:
    registry = _Registry()
    try:
        header = jws.extract_compact(token.encode(), registry=registry).headers()
        for key in _candidates(header_names(header), keys):
            try:
                return jwt.decode(token, key.key, algorithms=_ALGORITHMS, registry=registry).claims
            except BadSignatureError:
                continue
    except (JoseError, ValueError, TypeError, RecursionError) as exc:  # a crit that is no list is a TypeError there
        raise TokenRefused(_reason(exc)) from None
    raise UnknownKey


def _candidates(names: frozenset[str], keys: Sequence[SigningKey]) -> Iterable[SigningKey]:
    """Return the keys that may have signed, those of that name first: a name is a hint, and not written in one way."""
    return sorted(keys, key=lambda key: names.isdisjoint(key.names))


def _check_claims(claims: dict[str, Any], *, audience: str, now: datetime) -> None:
    registry = jwt.JWTClaimsRegistry(
        now=int(now.timestamp()),
        leeway=LEEWAY_SECONDS,
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "value": audience},
        exp={"essential": True},
    )
    try:
        registry.validate(claims)
    except ExpiredTokenError:
        raise TokenRefused("it has expired", about_time=True) from None
    except InvalidClaimError as exc:
        early = exc.claim in ("nbf", "iat")
        raise TokenRefused("it is not valid yet" if early else _reason(exc), about_time=early) from None
    except ClaimError as exc:
        raise TokenRefused(_reason(exc)) from None


def _reason(exc: Exception) -> str:
    """Name what is wrong without the library's own words, which may quote the token."""
    if isinstance(exc, ClaimError):
        return f"its {exc.claim} is missing or wrong"
    name = getattr(exc, "error", None) or "no JWT"
    return f"it is not as it must be ({name})"

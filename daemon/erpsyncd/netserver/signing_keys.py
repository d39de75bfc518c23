"""The keys that an online login service signs with: published as JWKS, or configured as a certificate.

Published ones are kept for the whole process. A token with a key that is not among them makes us look again, for
the service may have changed its keys; but not again and again, for whoever sends strange tokens.
"""

from __future__ import annotations

import asyncio
import base64
import time
import warnings
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha1, sha256
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from erpsyncd.errors import ConfigurationError, MalformedResponse, RemoteError, RemoteRejected
from erpsyncd.netserver.calls import Call, Endpoint, Reply
from erpsyncd.netserver.carriers import Unreadable
from erpsyncd.netserver.failures import SessionLost, raise_for_failure
from erpsyncd.netserver.json_replies import parse_json

#: How long published keys are not fetched again because of a token whose key is not among them.
REFETCH_SECONDS = 30.0
#: How long they are believed at all: a key that was withdrawn must not count for ever.
MAX_AGE_SECONDS = 24 * 3600.0
_PATH = "/login/.well-known/jwks"
_MIN_BITS = 2048
_MAX_KEYS = 100

Fetch: TypeAlias = Callable[[Endpoint], Awaitable[Reply]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A public RSA key and what a token's header may call it."""

    key: RSAKey
    names: frozenset[str]
    """Its `kid`, and the thumbprints of its certificate."""


class KeySource(Protocol):
    """Where the keys come from."""

    @property
    def where(self) -> str:
        """What to call it in a message."""
        ...

    async def current(self) -> Sequence[SigningKey]:
        """Return the keys as they are known; raises `RemoteError`."""
        ...

    async def renewed(self) -> Sequence[SigningKey]:
        """Return the newest ones that can be had now; none where they are the same."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredKeys:
    """The key of a certificate that stands in a file."""

    path: str
    keys: tuple[SigningKey, ...]

    @property
    def where(self) -> str:
        """The file."""
        return f"the certificate {self.path}"

    async def current(self) -> Sequence[SigningKey]:
        """Return the key."""
        return self.keys

    async def renewed(self) -> Sequence[SigningKey]:
        """Return none: there is no other."""
        return ()


def read_certificates(path: str) -> ConfiguredKeys:
    """Read the certificates in a PEM file.

    Raises:
        ConfigurationError: it cannot be read, or there is no certificate with an RSA key in it.
    """
    try:
        found = x509.load_pem_x509_certificates(Path(path).read_bytes())
    except OSError as exc:
        raise ConfigurationError(f"the login service's certificate {path} cannot be read: {exc.strerror}") from None
    except ValueError:
        raise ConfigurationError(f"the login service's certificate {path} is not in PEM") from None
    keys = [_of_certificate(each) for each in found]
    known = tuple(key for key in keys if key is not None)
    if not known:
        raise ConfigurationError(f"the login service's certificate {path} has no RSA key of {_MIN_BITS} bits or more")
    return ConfiguredKeys(path=path, keys=known)


@dataclass(slots=True)
class _Known:
    keys: tuple[SigningKey, ...] = ()
    fetched_at: float | None = None
    failure: RemoteError | None = None
    """Of the last fetch, for those who waited for it."""

    failed_at: float = 0.0
    fetching: asyncio.Lock = field(default_factory=asyncio.Lock)


class PublishedKeys:
    """The keys of all login services, for one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[Hashable, _Known] = {}

    def of(self, host: str, way: Hashable, fetch: Fetch) -> KeySource:
        """Return those of one login service. What came another `way` may be trusted by others than this tenant."""
        known = self._known.setdefault((host, way), _Known())
        endpoint = Endpoint(
            agent="login",
            operation="jwks",
            url=f"{host.rstrip('/')}{_PATH}",
            advice="check the address of the login service in [online]",
        )
        return _Published(known=known, endpoint=endpoint, fetch=fetch, clock=self._clock)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Published:
    known: _Known
    endpoint: Endpoint
    fetch: Fetch
    clock: Callable[[], float]

    @property
    def where(self) -> str:
        return self.endpoint.where

    async def current(self) -> Sequence[SigningKey]:
        return await self._not_older_than(MAX_AGE_SECONDS)

    async def renewed(self) -> Sequence[SigningKey]:
        return await self._not_older_than(REFETCH_SECONDS)

    async def _not_older_than(self, seconds: float) -> Sequence[SigningKey]:
        known, asked_at = self.known, self.clock()
        async with known.fetching:
            if known.fetched_at is not None and self.clock() - known.fetched_at < seconds:
                return known.keys
            if known.failure is not None and asked_at < known.failed_at:
                # All tenants of a service that hangs wait once, and not one after the other.
                raise known.failure.with_traceback(None)
            try:
                known.keys = read_jwks(self.endpoint, await self.fetch(self.endpoint))
            except RemoteError as exc:
                known.failure, known.failed_at = exc, self.clock()
                raise
            known.fetched_at, known.failure = self.clock(), None
            return known.keys


def read_jwks(endpoint: Endpoint, reply: Reply) -> tuple[SigningKey, ...]:
    """Return the keys for signing in a JWKS; others are left out, and those that cannot be read.

    Raises:
        RemoteError: there is none.
    """
    try:
        raise_for_failure(Call(endpoint=endpoint, headers={}), reply, None)
    except SessionLost as lost:  # no credential was sent, so none was refused
        raise RemoteRejected(endpoint.operation, str(lost)) from None
    try:
        document = parse_json(reply.body, reply.content_type)
    except Unreadable as exc:
        raise MalformedResponse(endpoint.operation, f"{endpoint.where} cannot be read: {exc}") from None
    listed = document.get("keys") if isinstance(document, dict) else None
    keys = [_of_jwk(each) for each in listed[:_MAX_KEYS]] if isinstance(listed, list) else []
    known = tuple(key for key in keys if key is not None)
    if not known:
        raise MalformedResponse(endpoint.operation, f"{endpoint.where} publishes no RSA key for signing")
    return known


def header_names(header: Mapping[str, Any]) -> frozenset[str]:
    """Return what a token's header calls the key it was signed with."""
    return frozenset(_name(header[each]) for each in ("kid", "x5t", "x5t#S256") if isinstance(header.get(each), str))


def _of_jwk(jwk: Any) -> SigningKey | None:
    if not isinstance(jwk, dict) or jwk.get("kty") != "RSA":
        return None
    if jwk.get("use") not in (None, "sig") or jwk.get("alg") not in (None, "RS256"):
        return None
    names = header_names(jwk)
    chain = jwk.get("x5c")
    if isinstance(chain, list) and chain and isinstance(chain[0], str):
        with suppress(ValueError):  # a certificate gives no more than names; some break its lines
            names |= _thumbprints(base64.b64decode("".join(chain[0].split()), validate=True))
    public = {name: jwk.get(name) for name in ("kty", "n", "e")}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the length, which is looked at here
            key = RSAKey.import_key(public)  # type: ignore[arg-type]  # it says itself what is wrong
            return _strong(key.public_key, names)
    except (JoseError, ValueError, TypeError):
        return None


def _of_certificate(certificate: x509.Certificate) -> SigningKey | None:
    key = certificate.public_key()
    names = _thumbprints(certificate.public_bytes(Encoding.DER))
    return _strong(key, names) if isinstance(key, RSAPublicKey) else None


def _strong(key: RSAPublicKey, names: frozenset[str]) -> SigningKey | None:
    if key.key_size < _MIN_BITS:
        return None
    return SigningKey(key=RSAKey.import_key(key), names=names)


def _thumbprints(certificate: bytes) -> frozenset[str]:
    """Return what `x5t` and `x5t#S256` of a certificate are, and the hexadecimal form that .NET takes for a `kid`."""
    digests = sha1(certificate, usedforsecurity=False), sha256(certificate)
    encoded = (base64.urlsafe_b64encode(each.digest()).decode() for each in digests)
    return frozenset(map(_name, (*encoded, *(each.hexdigest().upper() for each in digests))))


def _name(text: str) -> str:
    return text.rstrip("=")

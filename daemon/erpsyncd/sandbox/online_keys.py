"""The keys that the sandbox's login service signs with: made when they are needed, and changed when it is told to."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

_BITS = 2048


@dataclass(frozen=True, slots=True)
class LoginKey:
    """One key with its certificate."""

    private: rsa.RSAPrivateKey
    certificate: x509.Certificate

    @classmethod
    def new(cls) -> LoginKey:
        """Make one."""
        private = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "A sandbox's login")])
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=365))
        return cls(private, builder.sign(private, SHA256()))

    @property
    def pem(self) -> bytes:
        """The certificate as a file has it."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def x5t(self) -> str:
        """The certificate's thumbprint as a header has it."""
        return base64url(sha1(self._der, usedforsecurity=False).digest())

    @property
    def kid(self) -> str:
        """The same in the way that .NET names keys."""
        return sha1(self._der, usedforsecurity=False).hexdigest().upper()

    @property
    def _der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    def to_jwk(self) -> dict[str, Any]:
        """Return what a JWKS says of it."""
        numbers = self.private.public_key().public_numbers()
        return {
            "kty": "RSA",
            "use": "sig",
            "kid": self.kid,
            "x5t": self.x5t,
            "e": _number(numbers.e),
            "n": _number(numbers.n),
            "x5c": [base64.b64encode(self._der).decode()],
        }

    def sign(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
        """Return a JWT with just this header, signed with RS256 whatever it says."""
        signed = f"{base64url(json.dumps(header).encode())}.{base64url(json.dumps(claims).encode())}"
        return f"{signed}.{base64url(self.private.sign(signed.encode(), padding.PKCS1v15(), SHA256()))}"


class LoginKeys:
    """The keys of a login service: the newest signs, and those that are published are listed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: list[LoginKey] = []

    @property
    def current(self) -> LoginKey:
        """The key that signs."""
        with self._lock:
            if not self._keys:
                self._keys.append(LoginKey.new())
            return self._keys[-1]

    def rotate(self, *, keep_old: bool = False) -> LoginKey:
        """Sign with a new key from now on; the old ones are listed no more unless they are kept."""
        key = LoginKey.new()
        with self._lock:
            self._keys = [*self._keys, key] if keep_old else [key]
        return key

    def to_jwks(self) -> dict[str, Any]:
        """Return the document at `.well-known/jwks`."""
        current = self.current
        with self._lock:
            return {"keys": [key.to_jwk() for key in self._keys or [current]]}


def base64url(octets: bytes) -> str:
    """Return the encoding that JOSE uses everywhere."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _number(value: int) -> str:
    return base64url(value.to_bytes((value.bit_length() + 7) // 8))

"""Fingerprints: what was pushed, remembered without its secrets.

HMAC-SHA256 under a key of the store's own, cut to 128 bits. The key never changes, so that rotating the
encryption key does not make every connection look changed (design.md §6).
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from erpsyncd.domain.connections import CONFIG_PREFIX, ConnectionSpec, FieldValue, Fingerprints
from erpsyncd.domain.tenants import ONLINE_KINDS, Credentials, TenantSpec

_BYTES = 16


@dataclass(frozen=True, slots=True)
class Fingerprinter:
    """Takes fingerprints under one key.

    The key is worked into the hash once: a pass takes one fingerprint of each field of each connection. Most of what
    is no secret is the same in many connections, and is not taken again.
    """

    _key: bytes = field(repr=False)
    _keyed: hmac.HMAC = field(init=False, repr=False, compare=False)
    _of_plain: Callable[[str, FieldValue], str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Work the key into the hash."""
        object.__setattr__(self, "_keyed", hmac.new(self._key, digestmod="sha256"))
        # Typed: 1 and true are equal to Python only.
        object.__setattr__(self, "_of_plain", lru_cache(maxsize=256, typed=True)(self._taken_of_plain))

    def of_text(self, purpose: str, text: str) -> str:
        """Return the fingerprint of one text; equal texts of different purpose do not look alike."""
        message = f"{len(purpose)}:{purpose}{text}".encode("utf-8", "surrogatepass")
        keyed = self._keyed.copy()
        keyed.update(message)
        return base64.urlsafe_b64encode(keyed.digest()[:_BYTES]).rstrip(b"=").decode()

    def of_spec(self, spec: ConnectionSpec) -> Fingerprints:
        """Return one fingerprint for each field that we own. Access ids count as sets."""
        prints = {name: self._of_plain(name, value) for name, value in spec.plain_fields.items()}
        for name, value in spec.config_fields.items():
            prints[CONFIG_PREFIX + name] = self.of_text(CONFIG_PREFIX + name, value.reveal())
        return prints

    def _taken_of_plain(self, name: str, value: FieldValue) -> str:
        return self.of_text(name, json.dumps(value))

    def of_credentials(self, credentials: Credentials) -> str:
        """Return one fingerprint for all of the credentials, to know refused ones again."""
        fields: tuple[str, ...] = (
            credentials.kind,
            credentials.username.reveal(),
            credentials.password.reveal(),
            credentials.ticket.reveal(),
            credentials.token.reveal(),
            credentials.application_token.reveal(),
        )
        if credentials.kind in ONLINE_KINDS:  # beside the others, so that what was remembered of those stays true
            fields = (
                *fields,
                credentials.system_token.reveal(),
                credentials.private_key.reveal(),
                credentials.client_id.reveal(),
                credentials.client_secret.reveal(),
                credentials.refresh_token.reveal(),
            )
        return self.of_text("credentials", json.dumps(fields))

    def of_session(self, tenant: TenantSpec, credentials: Credentials) -> str:
        """Return one fingerprint for what a session belongs to: the credentials, and where they are described to go."""
        where = (tenant.url, tenant.soap_url, tenant.rest_url, tenant.environment, tenant.context)
        return self.of_text("session", json.dumps((self.of_credentials(credentials), *where)))


def changed_fields(desired: Fingerprints, applied: Fingerprints) -> tuple[str, ...]:
    """Return the names of the fields whose desired value is not the one last pushed, sorted."""
    return tuple(sorted(name for name in {*desired, *applied} if desired.get(name) != applied.get(name)))

"""Secrets at rest: AES-256-GCM, each value bound to the place where it stands.

A sealed value is `v1:{key id}:{base64 of nonce and ciphertext}`. What it is bound to (tenant, key, field) is
authenticated with it: a value that was moved to another row or field does not open.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from erpsyncd.domain.secrets import WITHHELD, Damaged, Template, parse_template
from erpsyncd.errors import ConfigurationError, StoreError
from erpsyncd.store.keys import KeyRing

_VERSION = "v1"
_NONCE_BYTES = 12

#: `{"sealed": …}` or `{"reference": …}`, as it stands in a row.
StoredTemplate: TypeAlias = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sealed value stands."""

    parts: tuple[str, ...]

    def field(self, name: str) -> Place:
        """Return the place of one field here."""
        return Place((*self.parts, name))

    @property
    def associated(self) -> bytes:
        """The bytes that are authenticated with the value."""
        return json.dumps(("erpsyncd", _VERSION, *self.parts)).encode()


def withheld(stored: Mapping[str, StoredTemplate]) -> Iterator[str]:
    """Return the names of the values that were never given; no key is needed to see that."""
    return (name for name, value in stored.items() if value.get("reference") == WITHHELD.source())


def auth_of(tenant: str) -> Place:
    """Return the place of a tenant's auth fields."""
    return Place(("auth", tenant))


def proxy_of(tenant: str) -> Place:
    """Return the place of a tenant's proxy."""
    return Place(("proxy", tenant))


def config_fields_of(tenant: str, key: str) -> Place:
    """Return the place of a connection's config fields."""
    return Place(("config_fields", tenant, key))


def snapshot_of(tenant_id: int, row_id: int) -> Place:
    """Return the place of what stood in a tenant before a careful save, by the numbers of tenant and connection."""
    return Place(("snapshot", str(tenant_id), str(row_id)))


#: The place of the store's fingerprint key.
FINGERPRINT_KEY = Place(("fingerprint_key",))


class TemplateReader(Protocol):
    """Makes templates of what rows hold."""

    def read_template(self, stored: StoredTemplate, place: Place) -> Template:
        """Return a template from what a row holds."""
        ...

    def read_templates(self, stored: Mapping[str, StoredTemplate], place: Place) -> dict[str, Template]:
        """Return named templates from what a row holds, in their order."""
        ...


class Withholder:
    """Leaves sealed values where they are, and needs no key for that."""

    def read_template(self, stored: StoredTemplate, place: Place) -> Template:
        """Return the marker for what is sealed; a reference as it is."""
        del place
        return WITHHELD if "sealed" in stored else parse_template(stored["reference"])

    def read_templates(self, stored: Mapping[str, StoredTemplate], place: Place) -> dict[str, Template]:
        """Return the same for named ones, in their order."""
        return {name: self.read_template(value, place) for name, value in stored.items()}


class Sealer:
    """Seals under the current key, opens under any key of the ring."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys
        self._ciphers = {key.id: AESGCM(key.value) for key in (keys.current, *keys.others)}

    def seal(self, value: bytes, place: Place) -> str:
        """Return the value, readable only here and only at this place."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        key_id = self._keys.current.id
        sealed = nonce + self._ciphers[key_id].encrypt(nonce, value, place.associated)
        return f"{_VERSION}:{key_id}:{base64.b64encode(sealed).decode()}"

    def open(self, sealed: str, place: Place) -> bytes:
        """Return what was sealed.

        Raises:
            ConfigurationError: it was sealed under a key that is not in the key file.
            StoreError: it was altered, or it was sealed for another place.
        """
        version, _, rest = sealed.partition(":")
        key_id, _, body = rest.partition(":")
        if version != _VERSION:
            raise StoreError(f"a sealed value of {_name(place)} has a form that this version cannot read")
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise ConfigurationError(
                f"{_name(place)} is sealed under key {key_id}, which is not in the key file; add it there as a "
                "further line"
            )
        try:
            content = base64.b64decode(body, validate=True)
            return cipher.decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], place.associated)
        except (InvalidTag, binascii.Error, ValueError):
            raise StoreError(
                f"{_name(place)} does not open: it was altered in the store or moved there from another place; "
                "restore the store from a backup, or import the entry again"
            ) from None

    def store_template(self, template: Template, place: Place) -> StoredTemplate:
        """Return a template as a row holds it: literal text sealed, references as they are."""
        source = template.source()
        if template.holds_secret_text:
            return {"sealed": self.seal(source.encode(), place)}
        return {"reference": source}

    def read_template(self, stored: StoredTemplate, place: Place) -> Template:
        """Return a template from what a row holds. One that does not open says so to whoever needs it."""
        if "sealed" in stored:
            try:
                return parse_template(self.open(stored["sealed"], place).decode())
            except (ConfigurationError, StoreError) as exc:
                # One damaged value is no reason to leave all tenants alone.
                return Template((Damaged(str(exc)),))
        return parse_template(stored["reference"])

    def store_templates(self, templates: Mapping[str, Template], place: Place) -> dict[str, StoredTemplate]:
        """Return named templates as a row holds them, in their order."""
        return {name: self.store_template(template, place.field(name)) for name, template in templates.items()}

    def read_templates(self, stored: Mapping[str, StoredTemplate], place: Place) -> dict[str, Template]:
        """Return named templates from what a row holds, in their order."""
        return {name: self.read_template(value, place.field(name)) for name, value in stored.items()}


def _name(place: Place) -> str:
    return "/".join(place.parts)

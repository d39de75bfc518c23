"""Taking over what a tenant has already: under which key, and why some of it cannot be taken. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Iterable
from dataclasses import dataclass

from erpsyncd.domain.connections import ConnectionSpec, first_translation, name_variants
from erpsyncd.domain.input_rules import MAX_NAME
from erpsyncd.domain.items import command

_NOT_IN_A_KEY = re.compile("[^a-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownConnection:
    """What the store describes, or has sent without an answer: what must not be taken over under another key."""

    key: str
    erp_connector_id: int
    erp_connector: str | None = None
    """By which name it is described. Where no id goes with it yet, it may be any of the tenant's."""

    display_name: str
    erp_connection_id: int | None = None
    """Which one of the tenant it is; None where that is not known."""

    is_unanswered: bool = False
    """Whether it is a create that got no answer, with the name as it was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One connection of a tenant that nobody owned, and what became of it."""

    erp_connection_id: int
    display_name: str
    connection_id: str | None = None
    erp_connector_id: int | None = None
    active: bool | None = None
    key: str | None = None
    hidden: tuple[str, ...] = ()
    """Its config fields that the tenant does not show. Without them it is incomplete: a save replaces all of it."""

    error_class: str | None = None
    error: str | None = None
    """Why it was not taken over."""

    @property
    def is_taken(self) -> bool:
        """Whether it is ours now, or would be without `--dry-run`."""
        return self.error is None


def key_for(display_name: str, taken: Container[str]) -> str:
    """Return a key that says what the name says, in small letters, digits and hyphens, and that nobody has."""
    plain = unicodedata.normalize("NFKD", first_translation(display_name)).encode("ascii", "ignore").decode().lower()
    stem = _NOT_IN_A_KEY.sub("-", plain).strip("-")[: MAX_NAME - 8].rstrip("-") or "connection"
    key, number = stem, 1
    while key in taken:
        number += 1
        key = f"{stem}-{number}"
    return key


def hidden_fields(spec: ConnectionSpec) -> tuple[str, ...]:
    """Return the config fields whose value the tenant does not show, as far as one can tell."""
    return tuple(name for name, value in spec.config_fields.items() if value.looks_hidden)


def conflict(spec: ConnectionSpec, tenant: str, erp_connection_id: int, known: Iterable[KnownConnection]) -> str | None:
    """Return why this one cannot get a description of its own: another one has its connector and name."""
    names = name_variants(spec.display_name)
    for other in known:
        unknown = other.erp_connector is not None and other.erp_connector_id == 0
        if other.erp_connector_id != spec.erp_connector_id and not unknown:
            continue
        if names.isdisjoint(name_variants(other.display_name)):
            continue
        if other.is_unanswered:
            return f"an unanswered create of {other.key!r} may have made it; the next pass settles that"
        if other.erp_connection_id is None:
            adopt = command("connections", "adopt", tenant, "--id", str(erp_connection_id), "--key", other.key)
            return f"it is described here as {other.key!r}; to take it over as that: {adopt}"
        return f"it has the connector and name of {other.key!r}; give one of the two another name in the CRM"
    return None

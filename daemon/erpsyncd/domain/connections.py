"""The two sides of every comparison: a connection as we want it and as the tenant has it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from erpsyncd.domain.secrets import Reference, Secret, Template
from erpsyncd.domain.tenants import TenantId

ConnectionRowId: TypeAlias = int
Fingerprints: TypeAlias = Mapping[str, str]
"""Field name → HMAC of the field's value; config fields are named `config_fields.KEY`."""

#: What the name of a config field begins with where fields are named.
CONFIG_PREFIX = "config_fields."

FieldValue: TypeAlias = str | int | tuple[int, ...]
"""What a field that is no secret can hold."""

Owned: TypeAlias = Mapping[int, frozenset[str]]
"""The `erp_connection_id`s that the store's connections have in a tenant, with the GUIDs that go with each number.

An empty GUID is one that is not known. Several go with a number that a tenant has given more than once.
"""

#: Column widths of the tenant's database (domain.md §4.2).
MAX_DISPLAY_TEXT = 254
MAX_URL = 1023
MAX_CONFIG_KEY = 254
MAX_CONFIG_VALUE = 1023


class State(StrEnum):
    """What is known about a connection (design.md §4)."""

    PENDING = "pending"
    IN_FLIGHT = "in_flight"
    IN_SYNC = "in_sync"
    FAILED = "failed"
    IN_DOUBT = "in_doubt"
    DRIFTED = "drifted"
    REPLACED = "replaced"
    MISSING = "missing"
    PARKED = "parked"
    INCOMPLETE = "incomplete"
    DELETED = "deleted"


#: Failures that another attempt can only repeat: no scheduled pass makes it before something is described otherwise.
HELD_BACK = frozenset({"not_as_saved"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSpec:
    """What we own of a connection. All of it is sent with every save, because a save replaces all of it."""

    erp_connector_id: int
    display_name: str
    display_description: str = ""
    active: bool = True
    all_access: bool = False
    user_group_access_ids: tuple[int, ...] = ()
    associate_access_ids: tuple[int, ...] = ()
    config_fields: Mapping[str, Secret] = field(default_factory=dict)
    """Every value counts as a secret: they hold ERP passwords."""

    @property
    def plain_fields(self) -> dict[str, FieldValue]:
        """Every field but the secret ones, by name. Access ids are sets, so they are sorted here."""
        return {
            "erp_connector_id": self.erp_connector_id,
            "display_name": self.display_name,
            "display_description": self.display_description,
            "active": self.active,
            "all_access": self.all_access,
            "user_group_access_ids": tuple(sorted(set(self.user_group_access_ids))),
            "associate_access_ids": tuple(sorted(set(self.associate_access_ids))),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionTemplate:
    """A `[[connections]]` entry: a spec whose config field values may still be references.

    What is given by name has beside it the ids that the name stood for last; none, or 0, where that is not known yet.
    """

    erp_connector_id: int
    erp_connector: str | None = None
    """The connector by its name or URL."""

    display_name: str
    display_description: str = ""
    active: bool = True
    all_access: bool = False
    user_group_access_ids: tuple[int, ...] = ()
    user_groups: tuple[str, ...] = ()
    associate_access_ids: tuple[int, ...] = ()
    associates: tuple[str, ...] = ()
    config_fields: Mapping[str, Template] = field(default_factory=dict)

    @property
    def has_names(self) -> bool:
        """Whether a tenant's lists have to be asked what this is."""
        return self.erp_connector is not None or bool(self.user_groups or self.associates)

    @property
    def connectors(self) -> frozenset[int | str]:
        """What this connector may be known by: its id, its name. Two connections that share one have the same."""
        known: set[int | str] = {self.erp_connector_id} if self.erp_connector_id else set()
        return frozenset(known if self.erp_connector is None else known | {self.erp_connector.strip().casefold()})

    @property
    def templates(self) -> dict[str, Template]:
        """The values that may hold secrets or refer to them, by their places in the document."""
        return {f"config_fields.{name}": template for name, template in self.config_fields.items()}

    def resolve(self, values: Mapping[Reference, Secret]) -> ConnectionSpec:
        """Return the spec with every reference resolved.

        Raises:
            KeyError: a reference is not in `values`; the key is the reference.
        """
        return ConnectionSpec(
            erp_connector_id=self.erp_connector_id,
            display_name=self.display_name,
            display_description=self.display_description,
            active=self.active,
            all_access=self.all_access,
            user_group_access_ids=self.user_group_access_ids,
            associate_access_ids=self.associate_access_ids,
            config_fields={name: value.resolve(values) for name, value in self.config_fields.items()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ErpConnection:
    """A connection as the tenant describes it; the tenant's own fields stand beside the spec."""

    erp_connection_id: int
    connection_id: str
    """The GUID that NetServer made; compare it with `same_guid`."""

    most_recent_timestamp: str
    """The sync engine's cursor: opaque, moves by itself, is sent back exactly as it was just read."""

    deleted: bool
    spec: ConnectionSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedConnection:
    """One line of a tenant's list. The SOAP list has no connector id, and names may be translated."""

    erp_connection_id: int
    display_name: str
    connection_id: str = ""
    erp_connector_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredConnection:
    """A connection as the store holds it, ready to be worked on in a pass."""

    id: ConnectionRowId
    tenant_id: TenantId
    key: str
    present: bool
    """False for `state = "absent"`: it is to be deleted in the tenant."""

    template: ConnectionTemplate
    erp_connection_id: int | None = None
    connection_id: str | None = None
    applied: Fingerprints = field(default_factory=dict)
    """What we last pushed successfully; empty when that is unknown."""

    state: State = State.PENDING
    revision: int = 0
    """Grows with every change of the desired side, so that a pass does not settle what it has not seen."""

    attempts: int = 0
    next_attempt_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredConnection:
    """A connection as it should be, with its secrets resolved and its fingerprints taken."""

    stored: StoredConnection
    spec: ConnectionSpec | None
    """None when it should not exist."""

    fingerprints: Fingerprints = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Our stable name for it inside its tenant."""
        return self.stored.key

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What a tenant may quote of it and nobody may read; of one that should not exist, as far as that is known."""
        if self.spec is not None:
            return tuple(self.spec.config_fields.values())
        templates = self.stored.template.config_fields.values()
        return tuple(Secret(part) for template in templates for part in template.parts if isinstance(part, str))


def same_guid(ours: str, theirs: str) -> bool:
    """Compare two GUIDs as NetServer writes them: in either case, with or without braces."""
    return ours.strip("{} ").lower() == theirs.strip("{} ").lower()


def is_owned(erp_connection_id: int, connection_id: str, owned: Owned) -> bool | None:
    """Say whether the store has this connection of the tenant; None where only its number says so.

    A number alone is no proof: a tenant that was restored from a backup gives its numbers once more.
    """
    guids = owned.get(erp_connection_id, frozenset())
    if connection_id and any(guid and same_guid(guid, connection_id) for guid in guids):
        return True
    return None if guids and ("" in guids or not connection_id) else False


_TRANSLATION = re.compile(r'[A-Za-z]{2}(?:-[A-Za-z]{2})?:"([^"]*)"')


def name_variants(display_name: str) -> frozenset[str]:
    """Return every way a tenant may list this name: as it is, and each of its translations.

    A multi-language name is written `US:"Norway";NO:"Norge"`; lists may show just one language of it.
    """
    return frozenset({display_name, *_TRANSLATION.findall(display_name)})


def first_translation(display_name: str) -> str:
    """Return a multi-language name in the first of its languages, any other as it is."""
    return next(iter(_TRANSLATION.findall(display_name)), display_name)

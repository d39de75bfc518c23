"""What a planned change does to each field, as a person may read it.

Config field values are secrets: what becomes of them is told in a word, and `FieldChange` takes nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from erpsyncd.domain.connections import CONFIG_PREFIX, FieldValue
from erpsyncd.domain.drift_comparison import shows
from erpsyncd.domain.plan import Change, Create, Delete, Update


class SecretChange(StrEnum):
    """What becomes of a config field, which is all that may be told of it."""

    SET = "set"
    CHANGED = "changed"
    REMOVED = "removed"
    PUSHED_AGAIN = "pushed_again"
    """It is not known what was pushed last, and what the tenant shows may be a mask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """One field of a planned change."""

    name: str
    old: FieldValue | None = None
    """What the tenant has; None where it has nothing, and for every secret."""

    new: FieldValue | SecretChange | None = None
    """What it is to have; None where that is nothing."""

    names: tuple[str, ...] = ()
    """Where `new` was given by name: what the document calls it."""

    def __post_init__(self) -> None:
        """Refuse the value of a secret. Ours is the last place at which it could become readable."""
        if self.name.startswith(CONFIG_PREFIX) and (self.old is not None or not isinstance(self.new, SecretChange)):
            raise TypeError(f"{self.name} is secret: say what becomes of it, not what it holds")


def field_changes(change: Change) -> tuple[FieldChange, ...]:
    """Return what a change does to the fields of its connection, in the order of a spec."""
    match change:
        case Create():
            return tuple(_of_create(change))
        case Update():
            return (*_plain_of_update(change), *_secrets_of_update(change))
        case Delete():
            return tuple(_of_delete(change))
        case _ as never:
            assert_never(never)


def _of_create(create: Create) -> Iterator[FieldChange]:
    spec = create.desired.spec
    assert spec is not None, "a create has a spec"
    names = _names(create)
    for name, value in spec.plain_fields.items():
        yield FieldChange(name=name, new=value, names=names.get(name, ()))
    for key in sorted(spec.config_fields):
        yield FieldChange(name=f"{CONFIG_PREFIX}{key}", new=SecretChange.SET)


def _names(change: Create | Update) -> dict[str, tuple[str, ...]]:
    template = change.desired.stored.template
    return {
        "erp_connector_id": () if template.erp_connector is None else (template.erp_connector,),
        "user_group_access_ids": template.user_groups,
        "associate_access_ids": template.associates,
    }


def _of_delete(delete: Delete) -> Iterator[FieldChange]:
    spec = delete.observed.spec
    for name, value in spec.plain_fields.items():
        yield FieldChange(name=name, old=value)
    for key in sorted(spec.config_fields):
        yield FieldChange(name=f"{CONFIG_PREFIX}{key}", new=SecretChange.REMOVED)


def _plain_of_update(update: Update) -> Iterator[FieldChange]:
    """Tell of what changed since the last push, and of what a save overwrites beside it: it replaces everything."""
    spec = update.desired.spec
    assert spec is not None, "an update has a spec"
    observed, names = update.observed.spec.plain_fields, _names(update)
    for name, value in spec.plain_fields.items():
        if name in update.fields or not shows(name, observed[name], value):
            yield FieldChange(name=name, old=observed[name], new=value, names=names.get(name, ()))


def _secrets_of_update(update: Update) -> Iterator[FieldChange]:
    spec = update.desired.spec
    assert spec is not None, "an update has a spec"
    changed = {name.removeprefix(CONFIG_PREFIX) for name in update.fields if name.startswith(CONFIG_PREFIX)}
    for key in sorted({*spec.config_fields, *update.observed.spec.config_fields, *changed}):
        becomes = _secret_change(key, update)
        if becomes is not None:
            yield FieldChange(name=f"{CONFIG_PREFIX}{key}", new=becomes)


def _secret_change(key: str, update: Update) -> SecretChange | None:
    spec, applied = update.desired.spec, update.desired.stored.applied
    assert spec is not None, "an update has a spec"
    if key not in spec.config_fields:
        return SecretChange.REMOVED
    if not applied:
        shown = update.observed.spec.config_fields.get(key) == spec.config_fields[key]
        return None if shown else SecretChange.PUSHED_AGAIN
    name = f"{CONFIG_PREFIX}{key}"
    if name not in update.fields:
        return None
    return SecretChange.CHANGED if name in applied else SecretChange.SET

"""A careful save as values: which steps lead from what stands in a tenant to what is wanted there, and back.

The vendor's own screen tests a connection before it is saved, and makes it inactive before its configuration
changes (domain.md §4.6, §4.9). Nothing here does anything; `service/careful_save.py` walks through the steps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from erpsyncd.domain.connections import CONFIG_PREFIX, ConnectionSpec, DesiredConnection, Fingerprints, name_variants
from erpsyncd.domain.secrets import Secret


class Step(StrEnum):
    """One step of a careful save; the names stand in messages and in the store."""

    TEST_CONFIG = "test_config"
    """TestConnectionByConfig with what is wanted, before anything is written."""

    CREATE = "create"
    """The new connection, inactive."""

    DEACTIVATE = "deactivate"
    """What stands there, inactive."""

    CONFIGURE = "configure"
    """What is wanted, inactive."""

    TEST = "test"
    """TestConnectionById of what stands there now."""

    ACTIVATE = "activate"
    """What is wanted, active."""

    SAVE = "save"
    """What is wanted, in one save: neither connector nor config fields of an active connection change."""

    READ_BACK = "read_back"
    """GetConnection, compared with what is wanted."""

    RESTORE = "restore"
    """What stood there before the first step that wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CarefulStep:
    """A step and the spec that it tests, saves or expects."""

    step: Step
    spec: ConnectionSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A connection as it stood before a careful save wrote to it for the first time."""

    spec: ConnectionSpec
    unknown: tuple[str, ...] = ()
    """The config fields whose values the tenant does not show and that nothing else proves. A snapshot that has any
    is never written back: what a tenant shows in the place of a secret must not become the secret."""


#: What tenants show in the place of a secret: three of these in a row. Nothing at all is the other way.
_MASK = re.compile(r"[*\u2022\u25cf]{3}")

#: The vendor's way to write values that are no texts (domain.md §4.5).
_ENCODED = re.compile(r"\[(?:I|F|D|DT|T|B):(.*)\]", re.DOTALL)


def is_withheld(shown: Secret) -> bool:
    """Say whether a config value that came from a tenant may stand for another one that it does not show."""
    text = shown.reveal().strip()
    return not text or _MASK.search(text) is not None


def take_snapshot(observed: ConnectionSpec, desired: DesiredConnection, shown: Fingerprints) -> Snapshot:
    """Return what stands there, with its config values as far as they are certain.

    `shown` are the fingerprints of `observed`. A field is certain where the tenant shows what we pushed or what is
    desired, or where what we pushed is what is desired now. One that we pushed and that shows anything else is
    masked in some way, or was changed by hand, and nobody can tell which. One of which it is not known what we
    pushed is believed unless it looks withheld.
    """
    wanted = desired.spec.config_fields if desired.spec is not None else {}
    applied = desired.stored.applied
    values, unknown = dict(observed.config_fields), []
    for name, value in observed.config_fields.items():
        place = f"{CONFIG_PREFIX}{name}"
        pushed = applied.get(place)
        if shown.get(place) in (pushed, desired.fingerprints.get(place)):
            certain = True
        elif pushed is None:
            certain = not is_withheld(value)
        else:
            certain = name in wanted and desired.fingerprints.get(place) == pushed
            values[name] = wanted[name] if certain else value
        if not certain:
            unknown.append(name)
    return Snapshot(spec=replace(observed, config_fields=values), unknown=tuple(unknown))


def is_to_be_tested(desired: ConnectionSpec, before: Snapshot | None) -> bool:
    """Say whether the connector is asked at all.

    Nothing that it could refuse comes into effect where a connection keeps its configuration and is inactive
    afterwards: to switch off what does not work must be possible.
    """
    return desired.active or before is None or not _keeps_config(before, desired)


def steps_towards(desired: ConnectionSpec, before: Snapshot) -> tuple[CarefulStep, ...]:
    """Return the steps from what stands there to what is wanted, all those that follow the test of its config.

    Where the old values are not certain, a connection becomes inactive in the same save that brings the new ones.
    """
    now, inactive = before.spec, replace(desired, active=False)
    steps: list[CarefulStep] = []
    tested = is_to_be_tested(desired, before)
    if _keeps_config(before, desired) and now.active:
        if not _is(now, desired):
            steps.append(CarefulStep(step=Step.SAVE, spec=desired))
        activates = False
    else:
        if now.active and not before.unknown:
            steps.append(CarefulStep(step=Step.DEACTIVATE, spec=replace(now, active=False)))
        if now.active or before.unknown or not _is(now, inactive):
            steps.append(CarefulStep(step=Step.CONFIGURE, spec=inactive))
        activates = desired.active
    if tested:
        steps.append(CarefulStep(step=Step.TEST, spec=desired))
    if activates:
        steps.append(CarefulStep(step=Step.ACTIVATE, spec=desired))
    steps.append(CarefulStep(step=Step.READ_BACK, spec=desired))
    return tuple(steps)


def steps_back(before: Snapshot, now: ConnectionSpec, stands: ConnectionSpec | None) -> tuple[CarefulStep, ...]:
    """Return the saves that bring back what stood there before; none where it stands there in full view.

    `now` is what the tenant shows, `stands` what was last saved and answered: None where that is not certain. An
    active connection is made inactive first where its configuration changes back.

    Raises:
        ValueError: a value of the snapshot is not certain.
    """
    if before.unknown:
        raise ValueError("a snapshot that is not certain is never written")
    target, steps = before.spec, []
    if _is(now, target):
        return ()
    if now.active and not (stands is not None and _same_config(stands, target)):
        if stands is not None:
            stopped = replace(
                now, active=False, erp_connector_id=stands.erp_connector_id, config_fields=stands.config_fields
            )
            steps.append(CarefulStep(step=Step.DEACTIVATE, spec=stopped))
        elif target.active:
            steps.append(CarefulStep(step=Step.RESTORE, spec=replace(target, active=False)))
    return (*steps, CarefulStep(step=Step.RESTORE, spec=target))


def differences(observed: ConnectionSpec, wanted: ConnectionSpec) -> tuple[str, ...]:
    """Return the names of the fields that a tenant shows to be other than wanted, as far as it shows them.

    A multi-language text may come back in one language, access ids mean nothing with `all_access`, and a config
    value that is withheld, or left over beside the wanted ones, says nothing.
    """
    theirs, ours = observed.plain_fields, wanted.plain_fields
    wrong = {name for name in ours if theirs[name] != ours[name]}
    for name in ("display_name", "display_description"):
        if not name_variants(str(theirs[name])).isdisjoint(name_variants(str(ours[name]))):
            wrong.discard(name)
    if wanted.all_access and observed.all_access:
        wrong -= {"user_group_access_ids", "associate_access_ids"}
    nothing = Secret("")
    for name, value in wanted.config_fields.items():
        shown = observed.config_fields.get(name, nothing)
        hidden = name in observed.config_fields and is_withheld(shown) and bool(value.reveal())
        if not hidden and _plain_text(shown) != _plain_text(value):
            wrong.add(f"{CONFIG_PREFIX}{name}")
    return tuple(sorted(wrong))


def shows_all(observed: ConnectionSpec, wanted: ConnectionSpec) -> bool:
    """Say whether a tenant shows beyond doubt that it has what is wanted."""
    return not differences(observed, wanted) and _same_config(observed, wanted)


def _keeps_config(before: Snapshot, desired: ConnectionSpec) -> bool:
    """Say whether it is certain that neither the connector nor a config field changes."""
    return not before.unknown and _same_config(before.spec, desired)


def _same_config(one: ConnectionSpec, other: ConnectionSpec) -> bool:
    return (one.erp_connector_id, _texts(one.config_fields)) == (other.erp_connector_id, _texts(other.config_fields))


def _is(one: ConnectionSpec, other: ConnectionSpec) -> bool:
    return one.plain_fields == other.plain_fields and _same_config(one, other)


def _texts(fields: Mapping[str, Secret]) -> dict[str, str]:
    return {name: _plain_text(value) for name, value in fields.items()}


def _plain_text(value: Secret) -> str:
    """Return a value as it was meant: `1` for `[I:1]`."""
    text = value.reveal()
    encoded = _ENCODED.fullmatch(text)
    return encoded[1] if encoded is not None else text

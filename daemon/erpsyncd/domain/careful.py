"""A careful save as values: which steps lead from what stands in a tenant to what is wanted there, and back.

The vendor's own screen tests a connection before it is saved, and makes it inactive before its configuration
changes (domain.md §4.6, §4.9). Nothing here does anything; `service/careful_save.py` walks through the steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from erpsyncd.domain.connections import CONFIG_PREFIX, ConnectionSpec, DesiredConnection, name_variants
from erpsyncd.domain.drift_comparison import constant_masks
from erpsyncd.domain.encoded_values import same_value, spellings
from erpsyncd.domain.secrets import Secret

if TYPE_CHECKING:
    from erpsyncd.domain.fingerprints import Fingerprinter


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


def is_withheld(shown: Secret) -> bool:
    """Say whether a config value that came from a tenant may stand for another one that it does not show."""
    return shown.looks_hidden


def take_snapshot(observed: ConnectionSpec, desired: DesiredConnection, fingerprinter: Fingerprinter) -> Snapshot:
    """Return what stands there, with its config values as far as they are certain.

    A field is certain where the tenant shows what we pushed or what is desired, in whichever spelling, or where what
    we pushed is what is desired now. One that we pushed and that shows anything else, or is not there at all, is
    masked in some way, or was changed by hand, and nobody can tell which. One of which it is not known what we pushed
    is believed unless it looks withheld.
    """
    wanted = desired.spec.config_fields if desired.spec is not None else {}
    shown, applied = observed.config_fields, desired.stored.applied
    proven = {name for name in shown if _is_proven(name, shown[name], desired, fingerprinter)}
    masks = constant_masks([value.reveal() for name, value in shown.items() if name not in proven])
    values, unknown = dict(shown), []
    for name in sorted({*shown, *_not_shown(shown, desired, fingerprinter)}):
        pushed = applied.get(f"{CONFIG_PREFIX}{name}")
        if name in proven:
            continue
        if pushed is None:
            certain = name in shown and not is_withheld(shown[name]) and shown[name].reveal() not in masks
        elif certain := name in wanted and desired.fingerprints.get(f"{CONFIG_PREFIX}{name}") == pushed:
            values[name] = wanted[name]
        if not certain:
            unknown.append(name)
    return Snapshot(spec=replace(observed, config_fields=values), unknown=tuple(unknown))


def _is_proven(name: str, shown: Secret, desired: DesiredConnection, fingerprinter: Fingerprinter) -> bool:
    text, place = shown.reveal(), f"{CONFIG_PREFIX}{name}"
    wanted = None if desired.spec is None else desired.spec.config_fields.get(name)
    if wanted is not None and same_value(wanted.reveal(), text):
        return True
    pushed = desired.stored.applied.get(place)
    return pushed is not None and any(fingerprinter.of_text(place, way) == pushed for way in spellings(text))


def _not_shown(shown: Mapping[str, Secret], desired: DesiredConnection, fingerprinter: Fingerprinter) -> frozenset[str]:
    """Return the config fields that a tenant has, by what was pushed, and does not show.

    A tenant that shows no config field at all does not show them; where it is not known what was pushed, it may hold
    those that are wanted.
    """
    applied = desired.stored.applied
    if not applied and not shown and desired.spec is not None:
        return frozenset(desired.spec.config_fields)
    return frozenset(
        name
        for place, pushed in applied.items()
        if place.startswith(CONFIG_PREFIX)
        and (name := place.removeprefix(CONFIG_PREFIX)) not in shown
        and pushed != fingerprinter.of_text(place, "")
    )


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
    value that is withheld, or left over beside the wanted ones, says nothing. A look for drift judges alike.
    """
    theirs, ours = observed.plain_fields, wanted.plain_fields
    wrong = {name for name in ours if theirs[name] != ours[name]}
    for name in ("display_name", "display_description"):
        if not name_variants(str(theirs[name])).isdisjoint(name_variants(str(ours[name]))):
            wrong.discard(name)
    if wanted.all_access and observed.all_access:
        wrong -= {"user_group_access_ids", "associate_access_ids"}
    return tuple(sorted(wrong | _other_config(observed.config_fields, wanted.config_fields)))


def _other_config(shown: Mapping[str, Secret], wanted: Mapping[str, Secret]) -> set[str]:
    if not shown:
        return set()  # a tenant that shows no config field at all does not show them
    nothing = Secret("")
    others = {
        name: shown.get(name, nothing)
        for name, value in wanted.items()
        if not same_value(value.reveal(), shown.get(name, nothing).reveal())
    }
    masks = constant_masks([value.reveal() for value in others.values()])
    return {
        f"{CONFIG_PREFIX}{name}"
        for name, value in others.items()
        if not (name in shown and wanted[name].reveal() and (is_withheld(value) or value.reveal() in masks))
    }


def shows_all(observed: ConnectionSpec, wanted: ConnectionSpec) -> bool:
    """Say whether a tenant shows beyond doubt that it has what is wanted."""
    return not differences(observed, wanted) and _same_config(observed, wanted)


def _keeps_config(before: Snapshot, desired: ConnectionSpec) -> bool:
    """Say whether it is certain that neither the connector nor a config field changes."""
    return not before.unknown and _same_config(before.spec, desired)


def _same_config(one: ConnectionSpec, other: ConnectionSpec) -> bool:
    ours, theirs = one.config_fields, other.config_fields
    return (
        one.erp_connector_id == other.erp_connector_id
        and ours.keys() == theirs.keys()
        and all(same_value(value.reveal(), theirs[name].reveal()) for name, value in ours.items())
    )


def _is(one: ConnectionSpec, other: ConnectionSpec) -> bool:
    return one.plain_fields == other.plain_fields and _same_config(one, other)

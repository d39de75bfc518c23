"""A connection from three sides. Pure.

What the store says (*desired*), what we last pushed (*applied*, known by its fingerprint only) and what the tenant
shows (*observed*). What differs between the first two is work for the next pass and no drift; what the tenant shows
otherwise than we pushed it is drift, and where both is so, it was changed on both sides.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from erpsyncd.domain.connections import (
    CONFIG_PREFIX,
    DesiredConnection,
    ErpConnection,
    FieldValue,
    Fingerprints,
    ListedConnection,
    StoredConnection,
    name_variants,
    same_guid,
)
from erpsyncd.domain.drift import WHOLE, Drift, DriftKind
from erpsyncd.domain.encoded_values import canonical, decode, same_value, spellings
from erpsyncd.domain.fingerprints import Fingerprinter
from erpsyncd.domain.secrets import Secret

#: The longest name of a config field (domain.md §4.3); no index takes one that a tenant makes up without end.
_MAX_NAME = 254

#: Texts that a tenant may give in one language only (domain.md §4.3).
_TRANSLATED = ("display_name", "display_description")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What one look at a connection found."""

    drifts: tuple[Drift, ...] = ()
    pending: tuple[str, ...] = ()
    """Fields that differ from what was pushed because the store was changed: the next pass pushes them."""

    hidden: tuple[str, ...] = ()
    """Config fields of which the tenant shows no more than a mask, so that nobody can tell."""


def compare(desired: DesiredConnection, observed: ErpConnection | None, fingerprinter: Fingerprinter) -> Comparison:
    """Compare a connection that was pushed with what the tenant shows.

    The sync engine's cursor is no field of ours. `desired.spec` may lack config fields whose values are not known
    here; these are compared with what was pushed.
    """
    whole = identity_drift(desired.stored, observed, fingerprinter)
    if whole is not None or observed is None:
        return Comparison(drifts=(whole,) if whole else ())
    plain = [*_plain(desired, observed, fingerprinter)]
    secret = _Secrets(desired, observed, fingerprinter)
    found = [*plain, *secret.compared()]
    return Comparison(
        drifts=tuple(drift for _, drift in found if drift is not None),
        pending=tuple(name for name, drift in found if drift is None),
        hidden=tuple(sorted(secret.hidden)),
    )


def identity_drift(
    stored: StoredConnection, observed: ErpConnection | ListedConnection | None, fingerprinter: Fingerprinter
) -> Drift | None:
    """Say what is wrong with the connection as a whole; None where it is the one that it was."""
    if observed is None:
        return _whole(DriftKind.MISSING, "", fingerprinter)
    if isinstance(observed, ErpConnection) and observed.deleted:
        return _whole(DriftKind.DELETED, "", fingerprinter)
    ours, theirs = stored.connection_id, observed.connection_id
    # An answer without a GUID says nothing about whose it is.
    if ours and theirs and not same_guid(ours, theirs):
        return _whole(DriftKind.REPLACED, theirs.strip("{} ").lower(), fingerprinter)
    return None


def _whole(kind: DriftKind, text: str, fingerprinter: Fingerprinter) -> Drift:
    return Drift(field=WHOLE, kind=kind, observed_fingerprint=fingerprinter.of_text(f"observed:{kind}", text))


def shows(name: str, observed: FieldValue, desired: FieldValue) -> bool:
    """Say whether a tenant shows this value. A multi-language text may come back in one language."""
    if name in _TRANSLATED:
        return observed in name_variants(str(desired))
    return observed == desired


def _plain(
    desired: DesiredConnection, observed: ErpConnection, fingerprinter: Fingerprinter
) -> Iterator[tuple[str, Drift | None]]:
    """Yield the fields that are no secrets and differ from what was pushed, with the drift unless it is ours."""
    spec = desired.spec
    assert spec is not None, "what should not exist has nothing to compare"
    shown = observed.spec.plain_fields
    for name, value in spec.plain_fields.items():
        theirs = shown[name]
        if name == "erp_connector_id" and not theirs:
            continue  # not told
        changed_here = desired.fingerprints.get(name) != desired.stored.applied.get(name)
        text = json.dumps(theirs)
        if shows(name, theirs, value):
            if changed_here:
                yield name, None
            continue
        if changed_here and fingerprinter.of_text(name, text) == desired.stored.applied.get(name):
            yield name, None
            continue
        yield (
            name,
            Drift(
                field=name,
                kind=DriftKind.BOTH if changed_here else DriftKind.CHANGED,
                desired=value,
                observed=theirs,
                observed_fingerprint=fingerprinter.of_text(f"observed:{name}", text),
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    """A config field from all three sides."""

    name: str
    theirs: str | None
    """None where the tenant has no such key."""

    is_described: bool
    was_pushed: bool
    changed_here: bool
    is_settled: bool
    """Whether the tenant shows it as described, or as pushed."""


class _Secrets:
    """The config fields of one connection."""

    def __init__(self, desired: DesiredConnection, observed: ErpConnection, fingerprinter: Fingerprinter) -> None:
        assert desired.spec is not None, "what should not exist has nothing to compare"
        self._fingerprinter = fingerprinter
        self._applied: Fingerprints = desired.stored.applied
        shown = {name: value.reveal() for name, value in observed.spec.config_fields.items()}
        described = {*desired.spec.config_fields, *desired.stored.template.config_fields}
        pushed = {name.removeprefix(CONFIG_PREFIX) for name in self._applied if name.startswith(CONFIG_PREFIX)}
        self._fields = [
            self._side(name, desired, shown.get(name), is_described=name in described, was_pushed=name in pushed)
            for name in sorted({*described, *pushed, *shown})
        ]
        masks = constant_masks([one.theirs for one in self._fields if one.was_pushed and not one.is_settled])
        self.hidden = {
            one.name
            for one in self._fields
            if not one.is_settled
            and (one.was_pushed or one.is_described)
            # A tenant that shows no config field at all does not show them.
            and (not shown or _is_mask(one.theirs, masks))
        }

    def compared(self) -> Iterator[tuple[str, Drift | None]]:
        """Yield the fields that differ from what was pushed, as `_plain` does."""
        for one in self._fields:
            name = f"{CONFIG_PREFIX}{one.name[:_MAX_NAME]}"
            # A key without a value, where nobody pushed one, is no field.
            nothing = not one.was_pushed and not one.theirs
            if not (one.is_settled or nothing or one.name in self.hidden):
                yield name, Drift(field=name, kind=_kind(one), observed_fingerprint=self._observed(name, one.theirs))
            elif one.changed_here:
                yield name, None

    def _side(
        self, name: str, desired: DesiredConnection, theirs: str | None, *, is_described: bool, was_pushed: bool
    ) -> _Field:
        assert desired.spec is not None, "as above"
        full = f"{CONFIG_PREFIX}{name}"
        applied = self._applied.get(full)
        value = desired.spec.config_fields.get(name)
        # To a connector, a key that is not there and one without a value are the same.
        text = theirs or ""
        as_desired = same_value(value.reveal(), text) if value is not None else not is_described and not text
        as_pushed = any(self._fingerprinter.of_text(full, way) == applied for way in spellings(text))
        return _Field(
            name=name,
            theirs=theirs,
            is_described=is_described,
            was_pushed=was_pushed,
            # Of a value that is not known here, nobody can say that it was changed.
            changed_here=(value is not None or not is_described) and desired.fingerprints.get(full) != applied,
            is_settled=as_desired or as_pushed,
        )

    def _observed(self, name: str, theirs: str | None) -> str:
        return self._fingerprinter.of_text(f"observed:{name}", canonical(theirs or ""))


def _kind(one: _Field) -> DriftKind:
    if not one.was_pushed and not one.is_described:
        return DriftKind.UNKNOWN_FIELD
    if one.changed_here:
        return DriftKind.BOTH
    return DriftKind.CHANGED if one.theirs else DriftKind.REMOVED


def _is_mask(theirs: str | None, masks: frozenset[str]) -> bool:
    """Say whether this stands for a value rather than being one. A key that is not there is no mask."""
    return theirs is not None and (theirs in masks or Secret(theirs).looks_hidden)


def constant_masks(shown: list[str | None]) -> frozenset[str]:
    """Return the text that several fields show instead of what they hold, if each that differs shows the same.

    Two checkboxes that somebody ticked show the same too: what can be decoded is a value, never a mask.
    """
    texts = Counter(text for text in shown if text and not Secret(text).looks_hidden)
    return frozenset(text for text, times in texts.items() if len(texts) == 1 < times and decode(text) is None)

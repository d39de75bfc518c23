"""What is drift, what is work for the next pass, and what nobody can tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from erpsyncd.domain.connections import (
    ConnectionSpec,
    ConnectionTemplate,
    DesiredConnection,
    ErpConnection,
    ListedConnection,
    StoredConnection,
)
from erpsyncd.domain.drift import Decision, DecisionKind, Drift, DriftKind, KnownDrift, drift_in_words, rebased
from erpsyncd.domain.drift_comparison import Comparison, compare, constant_masks, identity_drift
from erpsyncd.domain.fingerprints import Fingerprinter, changed_fields
from erpsyncd.domain.secrets import Secret, parse_template

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PRINTS = Fingerprinter(b"k" * 32)
GUID = "0f9e4dd2-7b2a-4d0e-9c1e-6f0a1b2c3d4e"
FIELDS = {"Client": "F0001", "Password": "pw"}


def spec(config: Mapping[str, str] = FIELDS, **fields: Any) -> ConnectionSpec:
    given: dict[str, Any] = {"erp_connector_id": 1, "display_name": "Norway"} | fields
    return ConnectionSpec(**given, config_fields={name: Secret(value) for name, value in config.items()})


def look(
    observed: ConnectionSpec | None,
    *,
    desired: ConnectionSpec | None = None,
    applied: ConnectionSpec | None = None,
    guid: str = GUID.upper(),
    deleted: bool = False,
) -> Comparison:
    """Compare; what is desired and what was pushed is the same unless told otherwise."""
    wanted = desired or spec()
    stored = StoredConnection(
        id=1,
        tenant_id=1,
        key="no",
        present=True,
        template=ConnectionTemplate(
            erp_connector_id=1,
            display_name=wanted.display_name,
            config_fields={name: parse_template(value.reveal()) for name, value in wanted.config_fields.items()},
        ),
        erp_connection_id=7,
        connection_id=GUID,
        applied=PRINTS.of_spec(applied or wanted),
    )
    shown = None
    if observed is not None:
        shown = ErpConnection(
            erp_connection_id=7, connection_id=guid, most_recent_timestamp="moved", deleted=deleted, spec=observed
        )
    return compare(DesiredConnection(stored=stored, spec=wanted, fingerprints=PRINTS.of_spec(wanted)), shown, PRINTS)


def kinds(found: Comparison) -> dict[str, str]:
    return {drift.field: str(drift.kind) for drift in found.drifts}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (spec(), spec()),
        (spec(user_group_access_ids=(1, 3)), spec(user_group_access_ids=(3, 1, 3))),
        (spec(display_name='US:"Norway";NO:"Norge"'), spec(display_name="Norge")),
        (spec(display_description='US:"a";NO:"b"'), spec(display_description="a")),
        (spec(), spec(erp_connector_id=0)),
        (spec({"Empty": ""}), spec({})),
        (spec({}), spec({"Empty": ""})),
        (spec({"N": "1"}), spec({"N": "[I:1]"})),
        (spec({"N": "[I:1]"}), spec({"N": "1"})),
        (spec({"N": "[I:1]"}), spec({"N": "true"})),
        (spec({"N": "False"}), spec({"N": "[I:0]"})),
        (spec({"N": "1.5"}), spec({"N": "[F:1.50]"})),
        (spec({"N": "[F:1.5]"}), spec({"N": "1.5"})),
        (spec({"N": "2013-12-31T23:59:59"}), spec({"N": "[DT:12/31/2013 23:59:59.0000000]"})),
        (spec({"N": "[DT:12/31/2013 23:59:59.5]"}), spec({"N": "[DT:12/31/2013 23:59:59.5000000]"})),
    ],
)
def test_what_is_the_same(ours: ConnectionSpec, theirs: ConnectionSpec) -> None:
    """However the tenant writes it; GUIDs in either case; the cursor is not looked at."""
    assert Comparison() == look(theirs, desired=ours)


@pytest.mark.parametrize(
    ("ours", "theirs", "field", "kind"),
    [
        ({}, {"display_name": "Norge"}, "display_name", "changed"),
        ({}, {"display_description": "x"}, "display_description", "changed"),
        ({}, {"active": False}, "active", "changed"),
        ({}, {"all_access": True}, "all_access", "changed"),
        ({"associate_access_ids": (1, 2)}, {"associate_access_ids": (2,)}, "associate_access_ids", "changed"),
        ({}, {"erp_connector_id": 2}, "erp_connector_id", "changed"),
        ({"config": {"N": "01"}}, {"config": {"N": "1"}}, "config_fields.N", "changed"),
        ({"config": {"N": "1"}}, {"config": {"N": "[I:2]"}}, "config_fields.N", "changed"),
        ({"config": {"N": "a"}}, {"config": {"N": "a "}}, "config_fields.N", "changed"),
        ({"config": {"N": "a", "M": "b"}}, {"config": {"M": "b"}}, "config_fields.N", "removed"),
        ({}, {"config": FIELDS | {"Timeout": "30"}}, "config_fields.Timeout", "unknown_field"),
    ],
)
def test_each_field_that_was_changed_in_the_crm(
    ours: dict[str, Any], theirs: dict[str, Any], field: str, kind: str
) -> None:
    """It is named with its kind; of a secret, no value is told."""
    found = look(spec(**theirs), desired=spec(**ours))

    assert ({field: kind}, (), ()) == (kinds(found), found.pending, found.hidden)
    (drift,) = found.drifts
    assert (drift.desired is None, drift.observed is None) == (field.startswith("config"),) * 2
    with pytest.raises(TypeError, match="secret"):
        Drift(field="config_fields.N", kind=DriftKind.CHANGED, observed="pw", observed_fingerprint="f")


def test_what_was_changed_here_is_no_drift() -> None:
    """It waits for a pass; what was changed on both sides is both, unless both agree."""
    pushed = spec({"A": "1", "B": "b", "C": "c", "D": "d"}, display_description="old")
    wanted = spec({"A": "2", "B": "new", "C": "new", "E": "e"}, display_description="new", active=False)

    found = look(
        spec({"A": "[I:1]", "B": "theirs", "C": "new", "D": "d"}, display_description="theirs", active=False),
        desired=wanted,
        applied=pushed,
    )

    assert {"display_description": "both", "config_fields.B": "both"} == kinds(found)
    assert {"active", *(f"config_fields.{name}" for name in "ACDE")} == set(found.pending)
    assert Comparison(pending=("display_name",)) == look(spec(), desired=spec(display_name="x"), applied=spec())


@pytest.mark.parametrize(
    "shown",
    [
        dict.fromkeys(FIELDS, "********"),
        dict.fromkeys(FIELDS, ""),
        {"Client": "F0001", "Password": "••••••"},
        {"Client": "F0001", "Password": "xxxx"},
        {"Client": "F0001", "Password": "Server=a;Pwd=***"},
        dict.fromkeys(FIELDS, "(hidden)"),
        {},
    ],
)
def test_a_mask_is_never_drift(shown: dict[str, str]) -> None:
    """It cannot be seen, in whatever way it is hidden, also beside values that are shown."""
    found = look(spec(shown))

    assert ({}, ()) == (kinds(found), found.pending)
    assert {"Password"} <= set(found.hidden) <= set(FIELDS)


def test_what_only_looks_like_a_mask_is_seen() -> None:
    """A value that is pushed as such is that value; two ticked checkboxes and one odd value are values."""
    assert Comparison() == look(spec({"P": "***"}), desired=spec({"P": "***"}))
    assert frozenset() == constant_masks(["[I:1]", "[I:1]"])
    assert frozenset() == constant_masks(["(hidden)"])
    assert frozenset() == constant_masks(["a", "a", "b"])
    assert {"config_fields.Password": "changed"} == kinds(look(spec({"Client": "F0001", "Password": "(hidden)"})))


def test_a_value_that_is_not_known_here_is_compared_with_what_was_pushed() -> None:
    """A reference that cannot be resolved is no reason to see nothing."""
    wanted = look(spec({"P": "[I:5]"}), desired=spec({"P": "5"}))
    stored = StoredConnection(
        id=1,
        tenant_id=1,
        key="no",
        present=True,
        template=ConnectionTemplate(
            erp_connector_id=1, display_name="Norway", config_fields={"P": parse_template("@{env:P}")}
        ),
        erp_connection_id=7,
        connection_id=GUID,
        applied=PRINTS.of_spec(spec({"P": "5"})),
    )
    partial = DesiredConnection(stored=stored, spec=spec({}), fingerprints=PRINTS.of_spec(spec({})))

    def shown(text: str) -> ErpConnection:
        return ErpConnection(
            erp_connection_id=7, connection_id="", most_recent_timestamp="", deleted=False, spec=spec({"P": text})
        )

    assert wanted == compare(partial, shown("[I:5]"), PRINTS) == compare(partial, shown("5"), PRINTS)
    assert {"config_fields.P": "changed"} == kinds(compare(partial, shown("6"), PRINTS))


def test_the_connection_as_a_whole() -> None:
    """Missing, deleted and replaced are told before any field; a list says the last, too."""
    assert [{"": "missing"}, {"": "deleted"}, {"": "replaced"}] == [
        kinds(look(None)),
        kinds(look(spec(), deleted=True)),
        kinds(look(spec(active=False), guid="{11111111-7b2a-4d0e-9c1e-6f0a1b2c3d4e}")),
    ]
    stored = StoredConnection(
        id=1,
        tenant_id=1,
        key="no",
        present=True,
        template=ConnectionTemplate(erp_connector_id=1, display_name="x"),
        connection_id=GUID,
    )
    listed = ListedConnection(erp_connection_id=7, display_name="x", connection_id="{" + GUID.upper() + "}")
    assert identity_drift(stored, listed, PRINTS) is None
    assert identity_drift(stored, replace(listed, connection_id=""), PRINTS) is None
    assert identity_drift(stored, replace(listed, connection_id="another"), PRINTS) is not None


def test_one_value_has_one_fingerprint_however_it_is_written() -> None:
    """A tenant that starts to decode does not undo a decision; another value does."""
    ways = [look(spec({"N": text}), desired=spec({"N": "5"})).drifts[0] for text in ("[I:1]", "1", "true")]
    other = look(spec({"N": "2"}), desired=spec({"N": "5"})).drifts[0]

    assert 1 == len({drift.observed_fingerprint for drift in ways})
    assert other.observed_fingerprint != ways[0].observed_fingerprint


def test_pushing_over_a_drift_names_just_its_fields() -> None:
    """What stands there counts as pushed, so the ordinary plan has ours to push; of the whole, nothing is."""
    wanted = spec({"A": "1", "B": "b"})
    applied = PRINTS.of_spec(wanted)
    drifts = look(spec({"B": "c", "New": "n"}, active=False), desired=wanted).drifts

    fields = changed_fields(applied, rebased(applied, drifts))

    assert ("active", "config_fields.A", "config_fields.B", "config_fields.New") == fields
    assert {} == rebased({}, drifts)
    assert applied == rebased(applied, look(None).drifts)


def known(decision: DecisionKind | None = None, *, seen: str = "f", kind: DriftKind = DriftKind.CHANGED) -> KnownDrift:
    drift = Drift(field="active", kind=kind, desired=True, observed=False, observed_fingerprint="f")
    made = None
    if decision is not None:
        made = Decision(kind=decision, reason="r", decided_at=NOW, until=NOW + timedelta(1), observed_fingerprint=seen)
    return KnownDrift(drift=drift, first_seen_at=NOW, last_seen_at=NOW, decision=made)


@pytest.mark.parametrize(
    ("one", "ignored", "stubborn", "reported", "enforced"),
    [
        (known(), False, False, False, True),
        (known(DecisionKind.IGNORE), True, False, False, False),
        (known(DecisionKind.IGNORE, seen="other"), False, False, False, True),
        (known(DecisionKind.ENFORCE), False, False, True, True),
        (known(DecisionKind.ENFORCED), False, True, False, False),
        (known(DecisionKind.ENFORCED, seen="other"), False, False, False, True),
        (known(DecisionKind.STUBBORN, seen="other"), False, True, False, False),
        (known(kind=DriftKind.REPLACED), False, False, False, False),
        (known(DecisionKind.ENFORCE, kind=DriftKind.MISSING), False, False, False, False),
    ],
)
def test_what_was_decided(one: KnownDrift, *, ignored: bool, stubborn: bool, reported: bool, enforced: bool) -> None:
    """A decision is about one value: another one ends it. The whole is never pushed over."""
    assert (ignored, stubborn) == (one.is_ignored(NOW), one.is_stubborn)
    assert (reported, enforced) == (
        one.is_to_be_pushed(NOW, enforced=False),
        one.is_to_be_pushed(NOW, enforced=True),
    )
    assert not one.is_ignored(NOW + timedelta(1))


def test_each_kind_has_words() -> None:
    """For people, and without values."""
    assert 7 == len({drift_in_words("active", kind) for kind in DriftKind})


@pytest.mark.parametrize(
    "shown",
    ["[F:1E+999999999999]", "[I:1E+1000000]", "[F:1E-999999999]", f"[I:{'9' * 1000}]", "[F:Infinity]", "[I:1_0]"],
)
def test_a_number_that_is_none_is_a_text(shown: str) -> None:
    """A tenant that shows a number nobody can write out costs no memory and no pass: it differs, like any text."""
    found = look(spec({"Client": shown, "Password": "pw"}), applied=spec({"Client": "1", "Password": "pw"}))

    assert ["config_fields.Client"] == [drift.field for drift in found.drifts]


def test_long_numbers_are_not_rounded() -> None:
    """Two account numbers that differ in their last digit are two values, also to a decision to let one be."""
    one, other = (
        look(spec({"Client": f"{'8' * 34}{last}", "Password": "pw"})).drifts[0].observed_fingerprint for last in "12"
    )

    assert one != other

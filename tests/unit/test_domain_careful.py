"""The steps of a careful save, there and back, and what is believed of what a tenant shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erpsyncd.domain.careful import (
    Snapshot,
    Step,
    differences,
    is_to_be_tested,
    is_withheld,
    shows_all,
    steps_back,
    steps_towards,
    take_snapshot,
)
from erpsyncd.domain.connections import (
    ConnectionSpec,
    ConnectionTemplate,
    DesiredConnection,
    Fingerprints,
    StoredConnection,
)
from erpsyncd.domain.fingerprints import Fingerprinter
from erpsyncd.domain.secrets import Secret

PRINTS = Fingerprinter(b"k" * 32)


def spec(**overrides: Any) -> ConnectionSpec:
    config = overrides.pop("config", {"Client": "F0001", "Password": "old"})
    fields: dict[str, Any] = {"erp_connector_id": 1, "display_name": "Visma"}
    return ConnectionSpec(**(fields | overrides), config_fields={name: Secret(value) for name, value in config.items()})


OLD, NEW = spec(), spec(config={"Client": "F0001", "Password": "new"})


def desired(wanted: ConnectionSpec | None, applied: ConnectionSpec | None) -> DesiredConnection:
    prints: Fingerprints = PRINTS.of_spec(applied) if applied is not None else {}
    template = ConnectionTemplate(erp_connector_id=1, display_name="Visma")
    stored = StoredConnection(id=1, tenant_id=1, key="visma", present=True, template=template, applied=prints)
    taken = PRINTS.of_spec(wanted) if wanted is not None else {}
    return DesiredConnection(stored=stored, spec=wanted, fingerprints=taken)


def snapshot(shown: ConnectionSpec, wanted: ConnectionSpec | None, applied: ConnectionSpec | None) -> Snapshot:
    return take_snapshot(shown, desired(wanted, applied), PRINTS)


def inactive(active: ConnectionSpec) -> ConnectionSpec:
    return replace(active, active=False)


def walk(wanted: ConnectionSpec, before: Snapshot) -> list[tuple[Step, ConnectionSpec]]:
    return [(step.step, step.spec) for step in steps_towards(wanted, before)]


def back(before: Snapshot, now: ConnectionSpec, stands: ConnectionSpec | None) -> list[tuple[Step, ConnectionSpec]]:
    return [(step.step, step.spec) for step in steps_back(before, now, stands)]


@pytest.mark.parametrize(
    ("wanted", "before", "expected"),
    [
        (
            NEW,
            Snapshot(spec=OLD),
            [(Step.DEACTIVATE, inactive(OLD)), (Step.CONFIGURE, inactive(NEW)), (Step.TEST, NEW), (Step.ACTIVATE, NEW)],
        ),
        (
            inactive(NEW),
            Snapshot(spec=OLD),
            [(Step.DEACTIVATE, inactive(OLD)), (Step.CONFIGURE, inactive(NEW)), (Step.TEST, inactive(NEW))],
        ),
        # A value that is not certain is never sent: both steps in one.
        (
            NEW,
            Snapshot(spec=OLD, unknown=("Password",)),
            [(Step.CONFIGURE, inactive(NEW)), (Step.TEST, NEW), (Step.ACTIVATE, NEW)],
        ),
        (
            OLD,
            Snapshot(spec=inactive(OLD), unknown=("Password",)),
            [(Step.CONFIGURE, inactive(OLD)), (Step.TEST, OLD), (Step.ACTIVATE, OLD)],
        ),
        (
            NEW,
            Snapshot(spec=inactive(OLD)),
            [(Step.CONFIGURE, inactive(NEW)), (Step.TEST, NEW), (Step.ACTIVATE, NEW)],
        ),
        (NEW, Snapshot(spec=inactive(NEW)), [(Step.TEST, NEW), (Step.ACTIVATE, NEW)]),
        (replace(OLD, display_name="New"), Snapshot(spec=OLD), [(Step.SAVE, None), (Step.TEST, None)]),
        (OLD, Snapshot(spec=OLD), [(Step.TEST, OLD)]),
        # Another connector is another configuration.
        (
            replace(OLD, erp_connector_id=2),
            Snapshot(spec=OLD),
            [(Step.DEACTIVATE, None), (Step.CONFIGURE, None), (Step.TEST, None), (Step.ACTIVATE, None)],
        ),
        # Nothing that a connector could refuse comes into effect.
        (inactive(OLD), Snapshot(spec=OLD), [(Step.SAVE, inactive(OLD))]),
        (inactive(replace(OLD, display_name="New")), Snapshot(spec=inactive(OLD)), [(Step.CONFIGURE, None)]),
    ],
)
def test_steps(wanted: ConnectionSpec, before: Snapshot, expected: list[Any]) -> None:
    """What changes decides on the steps; all of them end with a look."""
    found = walk(wanted, before)

    assert [*(step for step, _ in expected), Step.READ_BACK] == [step for step, _ in found]
    assert all(shown == saved for (_, shown), (_, saved) in zip(expected, found, strict=False) if shown is not None)
    assert (Step.TEST in dict(found)) == is_to_be_tested(wanted, before)


def test_what_is_new_is_always_tested() -> None:
    """Also where it is to be inactive."""
    assert is_to_be_tested(inactive(OLD), None)


SPECS = st.builds(
    lambda name, active, connector, password: spec(
        display_name=name, active=active, erp_connector_id=connector, config={"Password": password}
    ),
    st.sampled_from(["Visma", "Other"]),
    st.booleans(),
    st.sampled_from([1, 2]),
    st.sampled_from(["a", "b"]),
)


@given(wanted=SPECS, now=SPECS, certain=st.booleans())
def test_the_steps_lead_there_without_touching_what_is_active(
    wanted: ConnectionSpec, now: ConnectionSpec, *, certain: bool
) -> None:
    """Whatever stands there, the last save is what is wanted, and no config changes on an active connection."""
    before = Snapshot(spec=now, unknown=() if certain else ("Password",))
    stands = now
    for step, saved in walk(wanted, before):
        if step in (Step.TEST, Step.READ_BACK):
            continue
        changes = (stands.erp_connector_id, stands.config_fields) != (saved.erp_connector_id, saved.config_fields)
        assert not (changes and stands.active and saved.active)
        assert not (changes and stands.active and certain)
        stands = saved

    assert wanted == stands


@given(before=SPECS, now=SPECS, known=st.booleans())
def test_the_way_back_leads_back(before: ConnectionSpec, now: ConnectionSpec, *, known: bool) -> None:
    """The last save is what stood there before, and an active connection's config does not change back as it is."""
    stands = now
    for _, saved in back(Snapshot(spec=before), now, now if known else None):
        changes = (stands.erp_connector_id, stands.config_fields) != (saved.erp_connector_id, saved.config_fields)
        assert not (changes and stands.active and saved.active)
        stands = saved

    assert before == stands


def test_what_is_not_certain_is_never_put_back() -> None:
    """Not even by mistake."""
    with pytest.raises(ValueError, match="not certain"):
        steps_back(Snapshot(spec=OLD, unknown=("Password",)), NEW, NEW)


@pytest.mark.parametrize("mask", ["********", "", "  ", "\u2022\u2022\u2022\u2022", "(not shown)", "**** 1234"])
def test_what_was_pushed_proves_what_is_masked(mask: str) -> None:
    """A field that does not change is known by its fingerprint, whatever is shown; one that changes is not known."""
    shown = spec(config={"Client": "F0001", "Password": mask})

    assert Snapshot(spec=OLD) == snapshot(shown, OLD, OLD)
    assert ("Password",) == snapshot(shown, NEW, OLD).unknown


def test_what_is_shown_as_pushed_is_certain() -> None:
    """Also where it looks like a mask: a blank field is blank."""
    blank = spec(config={"Client": "F0001", "Password": ""})

    assert Snapshot(spec=OLD) == snapshot(OLD, NEW, OLD)
    assert Snapshot(spec=blank) == snapshot(blank, NEW, blank)


def test_what_was_never_pushed_is_believed_unless_it_looks_withheld() -> None:
    """An adopted connection has no fingerprints."""
    assert () == snapshot(OLD, NEW, None).unknown
    assert ("Password",) == snapshot(spec(config={"Client": "F0001", "Password": "***"}), NEW, None).unknown


def test_where_nothing_is_wanted_only_what_is_shown_counts() -> None:
    """A secret that went missing leaves the fingerprints of what was pushed."""
    assert () == snapshot(OLD, None, OLD).unknown
    assert ("Password",) == snapshot(spec(config={"Client": "F0001", "Password": "***"}), None, OLD).unknown


@pytest.mark.parametrize(
    ("shown", "wanted", "expected"),
    [
        ({}, {}, ()),
        ({"active": False}, {}, ("active",)),
        ({"erp_connector_id": 2, "all_access": True}, {}, ("all_access", "erp_connector_id")),
        ({"user_group_access_ids": (3, 1, 1)}, {"user_group_access_ids": (1, 3)}, ()),
        ({"associate_access_ids": (3,)}, {}, ("associate_access_ids",)),
        ({"all_access": True}, {"all_access": True, "associate_access_ids": (3,)}, ()),
        ({"display_name": "Norge"}, {"display_name": 'US:"Norway";NO:"Norge"'}, ()),
        ({"display_name": "Other"}, {}, ("display_name",)),
        ({"config": {"A": "1"}}, {"config": {"A": "[I:1]"}}, ()),
        ({"config": {"A": "2"}}, {"config": {"A": "[I:1]"}}, ("config_fields.A",)),
        ({"config": {"A": "***"}}, {"config": {"A": "1"}}, ()),
        ({"config": {"A": ""}}, {"config": {"A": "1"}}, ()),
        ({"config": {}}, {"config": {"A": "1"}}, ()),
        ({"config": {"B": "2"}}, {"config": {"A": "1", "B": "2"}}, ("config_fields.A",)),
        ({"config": {"A": "word", "B": "word"}}, {"config": {"A": "1", "B": "2"}}, ()),
        ({"config": {"A": "word"}}, {"config": {"A": "1"}}, ("config_fields.A",)),
        ({"config": {"A": "[B:1]"}}, {"config": {"A": "True"}}, ()),
        ({"config": {}}, {"config": {"A": ""}}, ()),
        ({"config": {"A": "***"}}, {"config": {"A": ""}}, ("config_fields.A",)),
        ({"config": {"A": "1", "left over": "2"}}, {"config": {"A": "1"}}, ()),
    ],
)
def test_differences(shown: dict[str, Any], wanted: dict[str, Any], expected: tuple[str, ...]) -> None:
    """What can be compared is compared, under the names of fields and never with values."""
    assert expected == differences(spec(**shown), spec(**wanted))


def test_doubt_is_not_proof() -> None:
    """A mask does not contradict, and does not prove that a save arrived."""
    masked = spec(config={"Client": "F0001", "Password": "***"})

    assert not differences(masked, OLD)
    assert (True, False) == (shows_all(OLD, OLD), shows_all(masked, OLD))


def test_a_starred_value_is_no_mask() -> None:
    """A sign here and there may belong to the value; three in a row, or nothing else, do not."""
    assert [False, False, True, True] == [is_withheld(Secret(text)) for text in ("a**b", "a*b*c", "x***", "\t")]


def test_what_is_not_shown_at_all_is_not_certain() -> None:
    """A field that was pushed and does not come back is there, or was removed: it is never taken for removed."""
    nothing, some = spec(config={}), spec(config={"Client": "F0001"})

    assert Snapshot(spec=OLD) == snapshot(nothing, OLD, OLD) == snapshot(some, OLD, OLD)
    assert ("Password",) == snapshot(nothing, NEW, OLD).unknown == snapshot(some, NEW, OLD).unknown
    assert ("Client", "Password") == snapshot(nothing, NEW, None).unknown
    assert () == snapshot(some, NEW, None).unknown


def test_an_encoded_value_is_proven_by_what_was_pushed() -> None:
    """A tenant that writes numbers in brackets shows what was pushed all the same."""
    pushed, shown = spec(config={"Company": "42"}), spec(config={"Company": "[I:42]"})

    assert Snapshot(spec=shown) == snapshot(shown, spec(config={"Company": "43"}), pushed)

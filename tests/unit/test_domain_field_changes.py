"""What a plan says about each field, and that it cannot say a secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erpsyncd.domain.connections import (
    ConnectionSpec,
    ConnectionTemplate,
    DesiredConnection,
    ErpConnection,
    StoredConnection,
)
from erpsyncd.domain.field_changes import FieldChange, SecretChange, field_changes
from erpsyncd.domain.fingerprints import Fingerprinter
from erpsyncd.domain.plan import Create, Delete, Update, plan_connection
from erpsyncd.domain.secrets import Secret

SPEC = ConnectionSpec(
    erp_connector_id=1, display_name="Norway", config_fields={"Client": Secret("F1"), "Password": Secret("p1")}
)
FINGERPRINTER = Fingerprinter(b"a key for tests")


def make_spec(config: Mapping[str, str] | None = None, **overrides: Any) -> ConnectionSpec:
    if config is not None:
        overrides["config_fields"] = {name: Secret(value) for name, value in config.items()}
    return replace(SPEC, **overrides)


def make_desired(spec: ConnectionSpec | None, *, applied: ConnectionSpec | None = SPEC) -> DesiredConnection:
    """Return a connection of the tenant that was last pushed as `applied`; None stands for "nobody knows"."""
    stored = StoredConnection(
        id=1,
        tenant_id=1,
        key="no",
        present=spec is not None,
        template=ConnectionTemplate(erp_connector_id=1, display_name="Norway"),
        erp_connection_id=7,
        applied=FINGERPRINTER.of_spec(applied) if applied else {},
    )
    return DesiredConnection(stored=stored, spec=spec, fingerprints=FINGERPRINTER.of_spec(spec) if spec else {})


def make_observed(spec: ConnectionSpec) -> ErpConnection:
    return ErpConnection(erp_connection_id=7, connection_id="", most_recent_timestamp="42", deleted=False, spec=spec)


def changes(
    spec: ConnectionSpec, observed: ConnectionSpec, *, applied: ConnectionSpec | None = SPEC
) -> list[tuple[str, Any, Any]]:
    """Return what the plan for an update says."""
    planned = plan_connection(make_desired(spec, applied=applied), make_observed(observed), tenant="acme")
    assert isinstance(planned, Update)
    return [(change.name, change.old, change.new) for change in field_changes(planned)]


def test_a_create_tells_every_field() -> None:
    """Plain fields with their values, in the order of a spec; secrets as set."""
    desired = make_desired(make_spec(user_group_access_ids=(3, 1, 3)))

    told = field_changes(Create(desired=replace(desired, stored=replace(desired.stored, erp_connection_id=None))))

    assert [
        ("erp_connector_id", None, 1),
        ("display_name", None, "Norway"),
        ("display_description", None, ""),
        ("active", None, True),
        ("all_access", None, False),
        ("user_group_access_ids", None, (1, 3)),
        ("associate_access_ids", None, ()),
        ("config_fields.Client", None, SecretChange.SET),
        ("config_fields.Password", None, SecretChange.SET),
    ] == [(change.name, change.old, change.new) for change in told]


def test_a_delete_tells_what_goes() -> None:
    """What the tenant has is the old side; there is no new one."""
    told = field_changes(Delete(desired=make_desired(None), observed=make_observed(SPEC)))

    assert FieldChange(name="display_name", old="Norway") in told
    assert FieldChange(name="config_fields.Password", new=SecretChange.REMOVED) in told
    assert {None} == {change.new for change in told} - {SecretChange.REMOVED}


def test_an_update_tells_what_changed_since_the_last_push() -> None:
    """Old values are the tenant's; secrets are told apart by what was pushed."""
    desired = make_spec({"Password": "p2", "New": "n"}, display_name="Norge", active=False)

    assert [
        ("display_name", "Norway", "Norge"),
        ("active", True, False),
        ("config_fields.Client", None, SecretChange.REMOVED),
        ("config_fields.New", None, SecretChange.SET),
        ("config_fields.Password", None, SecretChange.CHANGED),
    ] == changes(desired, SPEC)


def test_a_field_that_stands_there_already_is_told_all_the_same() -> None:
    """It changed since the last push, whoever typed it in."""
    assert [("display_name", "Norge", "Norge")] == changes(
        make_spec(display_name="Norge"), make_spec(display_name="Norge")
    )


def test_what_a_save_overwrites_beside_it_is_told() -> None:
    """A save replaces the whole connection, so what somebody else changed or added goes with it."""
    observed = make_spec(
        {"Client": "F1", "Password": "p1", "Theirs": "t"}, display_description="by hand", associate_access_ids=(5,)
    )

    assert [
        ("display_description", "by hand", ""),
        ("active", True, False),
        ("associate_access_ids", (5,), ()),
        ("config_fields.Theirs", None, SecretChange.REMOVED),
    ] == changes(make_spec(active=False), observed)


@pytest.mark.parametrize("shown", [{"Client": "***", "Password": "***"}, {"Client": "", "Password": ""}, {}])
def test_a_mask_is_no_change(shown: dict[str, str]) -> None:
    """What was pushed and did not change since is not compared with what the tenant shows."""
    assert [("active", True, False)] == changes(make_spec(active=False), make_spec(shown))


def test_one_language_of_a_name_is_that_name() -> None:
    """A tenant may give back a multi-language name in one language."""
    name = 'US:"Norway";NO:"Norge"'
    applied = make_spec(display_name=name)

    assert [("active", True, False)] == changes(
        make_spec(display_name=name, active=False), make_spec(display_name="Norge"), applied=applied
    )


def test_without_knowing_the_last_push_the_tenant_is_compared() -> None:
    """What differs there is told; a secret that is not shown as it should be may be a mask, so it is pushed again."""
    observed = make_spec({"Client": "F1", "Password": "***", "Theirs": "t"}, display_name="Norge")

    assert [
        ("display_name", "Norge", "Norway"),
        ("config_fields.Password", None, SecretChange.PUSHED_AGAIN),
        ("config_fields.Theirs", None, SecretChange.REMOVED),
    ] == changes(SPEC, observed, applied=None)
    assert [] == changes(SPEC, SPEC, applied=None)


@given(st.text(), st.text(min_size=1), st.text(min_size=1), st.text(min_size=1))
def test_no_secret_gets_into_a_field_change(name: str, wanted: str, shown: str, pushed: str) -> None:
    """Whatever config fields hold, a plan consists of words about them."""
    marks = [f"canary-{value}-canary" for value in (wanted, shown, pushed)]
    desired, observed, applied = (make_spec({f"Field {name}": mark}, active=mark is marks[0]) for mark in marks)
    update = plan_connection(make_desired(desired, applied=applied), make_observed(observed), tenant="acme")
    unknown = plan_connection(make_desired(desired, applied=None), make_observed(observed), tenant="acme")
    gone = plan_connection(make_desired(None), make_observed(observed), tenant="acme")
    assert isinstance(update, Update)
    assert isinstance(unknown, Update)
    assert isinstance(gone, Delete)

    for change in (update, unknown, gone, Create(desired=make_desired(desired))):
        told = field_changes(change)

        assert not [mark for mark in marks if mark in repr(told)]
        assert all(isinstance(field.new, SecretChange) for field in told if field.name.startswith("config_fields."))


@pytest.mark.parametrize(
    "fields",
    [
        {"old": "erp password", "new": SecretChange.CHANGED},
        {"new": "erp password"},
        {"old": "erp password"},
    ],
)
def test_a_field_change_refuses_the_value_of_a_secret(fields: dict[str, Any]) -> None:
    """Neither side of a config field can be a value; the refusal does not repeat it."""
    with pytest.raises(TypeError, match=r"config_fields\.Password is secret") as refused:
        FieldChange(name="config_fields.Password", **fields)

    assert "erp password" not in str(refused.value)

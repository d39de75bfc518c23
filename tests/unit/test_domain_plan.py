"""The decision what to do to a connection."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from erpsyncd.domain.connections import (
    ConnectionSpec,
    ConnectionTemplate,
    DesiredConnection,
    ErpConnection,
    ListedConnection,
    State,
    StoredConnection,
    is_owned,
    name_variants,
    same_guid,
)
from erpsyncd.domain.plan import (
    Change,
    Create,
    Delete,
    Limits,
    Update,
    candidates,
    is_twin,
    needs_observation,
    plan_connection,
    raise_if_unsafe,
)
from erpsyncd.domain.secrets import Reference, Scheme, Secret, parse_template
from erpsyncd.errors import Undecided, UnsafePlan

GUID = "0f9e4dd2-7b2a-4d0e-9c1e-6f0a1b2c3d4e"
SPEC = ConnectionSpec(erp_connector_id=1, display_name="Norway")


def make_desired(
    *,
    spec: ConnectionSpec | None = SPEC,
    remote_id: int | None = 7,
    guid: str | None = GUID,
    fingerprints: Mapping[str, str] | None = None,
    applied: Mapping[str, str] | None = None,
    state: State = State.IN_SYNC,
) -> DesiredConnection:
    """Return a connection that stands in the tenant as pushed, unless told otherwise."""
    stored = StoredConnection(
        id=1,
        tenant_id=1,
        key="no",
        present=spec is not None,
        template=ConnectionTemplate(erp_connector_id=1, display_name="Norway"),
        erp_connection_id=remote_id,
        connection_id=guid,
        applied={"active": "a"} if applied is None else applied,
        state=state,
    )
    return DesiredConnection(
        stored=stored, spec=spec, fingerprints={"active": "a"} if fingerprints is None else fingerprints
    )


def make_observed(*, guid: str = GUID, deleted: bool = False, spec: ConnectionSpec = SPEC) -> ErpConnection:
    """Return what the tenant answers."""
    return ErpConnection(
        erp_connection_id=7, connection_id=guid, most_recent_timestamp="42", deleted=deleted, spec=spec
    )


def test_never_created_is_created_unseen() -> None:
    """What was never created cannot be read, so nothing is asked."""
    desired = make_desired(remote_id=None, guid=None, applied={})

    assert not needs_observation(desired)
    assert Create(desired=desired) == plan_connection(desired, None, tenant="acme")


def test_never_created_and_unwanted_is_nothing() -> None:
    """Absent and never there: done."""
    assert plan_connection(make_desired(spec=None, remote_id=None, guid=None, applied={}), None, tenant="acme") is None


def test_unchanged_is_left_alone_whatever_stands_there() -> None:
    """A save is decided by what was last pushed, so masked secrets and foreign edits cause none."""
    desired = make_desired()

    assert not needs_observation(desired)
    assert plan_connection(desired, None, tenant="acme") is None
    assert plan_connection(desired, make_observed(guid="another"), tenant="acme") is None


def test_changed_is_updated_with_the_names_of_its_fields() -> None:
    """The update names what changed and carries the connection as it was just read."""
    desired = make_desired(fingerprints={"active": "b", "config_fields.Password": "p"})
    observed = make_observed(guid="{" + GUID.upper() + "}")

    assert needs_observation(desired)
    change = plan_connection(desired, observed, tenant="acme")

    assert Update(desired=desired, observed=observed, fields=("active", "config_fields.Password")) == change


def test_an_adopted_connection_is_pushed_once() -> None:
    """Where it is not known what was last pushed, everything is pushed, and no field is said to have changed."""
    desired = make_desired(applied={})

    assert needs_observation(desired)
    assert Update(desired=desired, observed=make_observed(), fields=()) == plan_connection(
        desired, make_observed(), tenant="acme"
    )


def test_a_guid_that_is_not_known_yet_is_not_compared() -> None:
    """A connection adopted by its id alone has no GUID to lose."""
    desired = make_desired(guid=None, fingerprints={"active": "b"})

    assert isinstance(plan_connection(desired, make_observed(), tenant="acme"), Update)


@pytest.mark.parametrize("observed", [None, make_observed(deleted=True)])
def test_gone_is_missing(observed: ErpConnection | None) -> None:
    """What somebody deleted in the tenant is not created again without a decision."""
    with pytest.raises(Undecided, match="no longer has connection 7") as caught:
        plan_connection(make_desired(fingerprints={"active": "b"}), observed, tenant="acme")

    assert caught.value.reason == "missing"


@pytest.mark.parametrize("state", [State.MISSING, State.REPLACED])
def test_what_was_lost_is_looked_at_again(state: State) -> None:
    """It may have come back, and then nothing has to be done; if not, it stays undecided."""
    desired = make_desired(state=state)

    assert needs_observation(desired)
    assert plan_connection(desired, make_observed(), tenant="acme") is None
    with pytest.raises(Undecided):
        plan_connection(desired, None, tenant="acme")


@pytest.mark.parametrize("spec", [SPEC, None])
def test_another_guid_is_replaced(spec: ConnectionSpec | None) -> None:
    """An id that now belongs to another object is neither written to nor deleted."""
    with pytest.raises(Undecided, match="another one now") as caught:
        plan_connection(
            make_desired(spec=spec, fingerprints={"active": "b"}), make_observed(guid="another"), tenant="acme"
        )

    assert caught.value.reason == "replaced"


def test_absent_is_deleted() -> None:
    """What should not exist and does is deleted."""
    desired = make_desired(spec=None, fingerprints={})

    assert needs_observation(desired)
    assert Delete(desired=desired, observed=make_observed()) == plan_connection(desired, make_observed(), tenant="acme")


@pytest.mark.parametrize("observed", [None, make_observed(deleted=True), make_observed(deleted=True, guid="another")])
def test_absent_and_gone_is_done(observed: ErpConnection | None) -> None:
    """What should not exist and does not needs nothing, whoever deleted it."""
    assert plan_connection(make_desired(spec=None, fingerprints={}), observed, tenant="acme") is None


def deletes(number: int) -> list[Change]:
    """Return a plan with so many deletes and one create."""
    gone = Delete(desired=make_desired(spec=None), observed=make_observed())
    return [Create(desired=make_desired(remote_id=None)), *[gone] * number]


@pytest.mark.parametrize(("number", "connections"), [(0, 0), (1, 1), (2, 3), (3, 10), (1, 0)])
def test_few_deletes_are_let_through(number: int, connections: int) -> None:
    """Up to the limit, and one that is all there is, since it was named."""
    raise_if_unsafe(number, tenant="acme", connections=connections, limits=Limits())


@pytest.mark.parametrize(
    ("number", "connections", "words"), [(4, 10, "4 connections"), (2, 2, "all 2"), (3, 3, "all 3"), (2, 1, "all 2")]
)
def test_many_deletes_stop_the_pass(number: int, connections: int, words: str) -> None:
    """More than the limit, or all of several, with the numbers and the way out."""
    with pytest.raises(UnsafePlan, match=words) as caught:
        raise_if_unsafe(number, tenant="acme", connections=connections, limits=Limits())

    assert "--force acme" in str(caught.value)


def test_no_deletes_can_be_allowed_at_all() -> None:
    """With a limit of none, one delete is too many."""
    with pytest.raises(UnsafePlan, match=r"safety\.max_deletes"):
        raise_if_unsafe(1, tenant="acme", connections=5, limits=Limits(max_deletes=0))


def listed(number: int, name: str, connector: int | None = 1) -> ListedConnection:
    """Return one line of a tenant's list."""
    return ListedConnection(erp_connection_id=number, display_name=name, erp_connector_id=connector)


def test_candidates_are_unowned_and_may_have_the_connector() -> None:
    """Owned ones and other connectors are none; a list without connectors leaves them open."""
    lines = [listed(1, "Norway"), listed(2, "Norway", 2), listed(3, "Norway", None), listed(5, "Norway")]

    found = candidates(lines, erp_connector_id=1, owned={5})

    assert [item.erp_connection_id for item in found] == [1, 3]


def test_name_variants() -> None:
    """Each translation is a way the name may be listed, and so is the whole."""
    name = 'US:"Norway";en-GB:"Norway!";NO:""'

    assert name_variants(name) == {name, "Norway", "Norway!", ""}
    assert name_variants("plain") == {"plain"}


def test_a_twin_has_the_same_connector_and_name() -> None:
    """Only a living connection with both is one."""
    other = ConnectionSpec(erp_connector_id=2, display_name="Norway")

    assert is_twin(make_observed(), erp_connector_id=1, display_name="Norway")
    assert not is_twin(make_observed(spec=other), erp_connector_id=1, display_name="Norway")
    assert not is_twin(make_observed(), erp_connector_id=1, display_name="norway")
    assert not is_twin(make_observed(deleted=True), erp_connector_id=1, display_name="Norway")
    assert not is_twin(None, erp_connector_id=1, display_name="Norway")


def test_guids_are_compared_as_netserver_writes_them() -> None:
    """Case and braces do not matter."""
    assert same_guid(GUID, "{" + GUID.upper() + "}")
    assert not same_guid(GUID, GUID[:-1] + "f")


def test_a_template_resolves_to_a_spec() -> None:
    """Everything is carried over, config fields with their references replaced."""
    template = ConnectionTemplate(
        erp_connector_id=3,
        display_name="Norway",
        display_description="d",
        active=False,
        all_access=True,
        user_group_access_ids=(1,),
        associate_access_ids=(2,),
        config_fields={"Password": parse_template("@{env:P}"), "Client": parse_template("F")},
    )

    spec = template.resolve({Reference(Scheme.ENV, "P"): Secret("pw")})

    assert spec == ConnectionSpec(
        erp_connector_id=3,
        display_name="Norway",
        display_description="d",
        active=False,
        all_access=True,
        user_group_access_ids=(1,),
        associate_access_ids=(2,),
        config_fields={"Password": Secret("pw"), "Client": Secret("F")},
    )
    assert make_desired().key == "no"


@pytest.mark.parametrize(
    ("number", "guid", "expected"),
    [
        (1, "{AAAA-1}", True),
        (1, "bbbb-2", False),
        (1, "", None),
        (2, "cccc-3", None),
        (3, "dddd-4", False),
        (4, "aaaa-1", True),
        (4, "eeee-5", None),
    ],
)
def test_a_number_alone_is_no_proof(number: int, guid: str, *, expected: bool | None) -> None:
    """A tenant that was restored gives its numbers again: the GUID decides where it is known."""
    owned = {1: frozenset({"aaaa-1"}), 2: frozenset({""}), 4: frozenset({"", "aaaa-1"})}

    assert expected is is_owned(number, guid, owned)


@pytest.mark.parametrize("state", [State.MISSING, State.REPLACED])
@pytest.mark.parametrize("spec", [SPEC, None])
def test_what_appeared_under_a_number_later_is_no_old_friend(state: State, spec: ConnectionSpec | None) -> None:
    """Nobody has ever seen that it is ours: it is neither written to nor deleted."""
    desired = make_desired(spec=spec, guid=None, applied={}, state=state)

    with pytest.raises(Undecided, match="erpsyncd connections resolve acme no --id 7, else --create") as caught:
        plan_connection(desired, make_observed(), tenant="acme")
    assert "replaced" == caught.value.reason


def test_a_number_of_another_connector_was_a_slip_of_the_pen() -> None:
    """A save would change the connector of somebody else's connection; a tenant that does not tell it is believed."""
    desired = make_desired(guid=None, applied={}, state=State.PENDING)
    others = ConnectionSpec(erp_connector_id=2, display_name="Norway")
    untold = ConnectionSpec(erp_connector_id=0, display_name="Norway")

    assert isinstance(plan_connection(desired, make_observed(spec=untold), tenant="acme"), Update)
    with pytest.raises(Undecided, match="'Norway' of connector 2"):
        plan_connection(desired, make_observed(spec=others), tenant="acme")

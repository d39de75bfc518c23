"""Fingerprints of what was pushed."""

from __future__ import annotations

import base64
import hmac
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erpsyncd.domain.connections import ConnectionSpec
from erpsyncd.domain.fingerprints import Fingerprinter, changed_fields
from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.tenants import AuthKind, Credentials

FINGERPRINTER = Fingerprinter(b"k" * 32)
SPEC = ConnectionSpec(
    erp_connector_id=1,
    display_name="Norway",
    user_group_access_ids=(1, 3),
    config_fields={"Client": Secret("F0001"), "Password": Secret("pw")},
)


def test_a_fingerprint_is_stable() -> None:
    """The stored form must never change: it would make every connection look changed."""
    assert FINGERPRINTER.of_text("display_name", '"Norway"') == "48aLkkqhKsC8EPjsZ8Yifw"


@given(key=st.binary(min_size=1, max_size=100), purpose=st.text(), content=st.text())
def test_a_fingerprint_is_an_hmac(key: bytes, purpose: str, content: str) -> None:
    """However the hashes are prepared; the standard library says the same."""
    message = f"{len(purpose)}:{purpose}{content}".encode()
    digest = base64.urlsafe_b64encode(hmac.digest(key, message, "sha256")[:16]).rstrip(b"=").decode()

    assert digest == Fingerprinter(key).of_text(purpose, content)


@given(
    number=st.integers(),
    name=st.text(st.characters(exclude_categories=["Cs"])),
    active=st.booleans(),
    groups=st.lists(st.integers()).map(tuple),
)
def test_plain_fields_count_as_json(number: int, name: str, active: bool, groups: tuple[int, ...]) -> None:  # noqa: FBT001 -- hypothesis gives it by name
    """As they did when stores took their first fingerprints."""
    spec = replace(SPEC, erp_connector_id=number, display_name=name, active=active, user_group_access_ids=groups)
    prints = FINGERPRINTER.of_spec(spec)

    assert {
        field: FINGERPRINTER.of_text(field, json.dumps(value)) for field, value in spec.plain_fields.items()
    }.items() <= prints.items()


def test_equal_values_of_other_types_do_not_look_alike() -> None:
    """What was taken before has no say: 1 and true are different words."""
    prints = Fingerprinter(b"k" * 32)
    numbers = [prints.of_spec(replace(SPEC, erp_connector_id=number))["erp_connector_id"] for number in (True, 1, True)]

    assert numbers == [FINGERPRINTER.of_text("erp_connector_id", text) for text in ("true", "1", "true")]


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"erp_connector_id": 2}, ("erp_connector_id",)),
        ({"display_name": "Norge"}, ("display_name",)),
        ({"display_description": "x"}, ("display_description",)),
        ({"active": False}, ("active",)),
        ({"all_access": True}, ("all_access",)),
        ({"user_group_access_ids": (1,)}, ("user_group_access_ids",)),
        ({"associate_access_ids": (1,)}, ("associate_access_ids",)),
        ({"config_fields": {"Client": Secret("F0001"), "Password": Secret("PW")}}, ("config_fields.Password",)),
        (
            {"config_fields": {"Client ": Secret("F0001"), "Password": Secret("pw")}},
            ("config_fields.Client", "config_fields.Client "),
        ),
        ({"user_group_access_ids": (3, 1, 3)}, ()),
    ],
)
def test_each_change_is_seen_and_named(changes: dict[str, object], fields: tuple[str, ...]) -> None:
    """Every field that is ours has a fingerprint of its own; access ids are sets."""
    changed = replace(SPEC, **changes)  # type: ignore[arg-type]  # the table above gives each field its type

    assert fields == changed_fields(FINGERPRINTER.of_spec(changed), FINGERPRINTER.of_spec(SPEC))


def test_nothing_known_means_everything_changed() -> None:
    """An empty memory differs in every field."""
    prints = FINGERPRINTER.of_spec(SPEC)

    assert tuple(sorted(prints)) == changed_fields(prints, {})
    assert changed_fields(prints, dict(prints)) == ()


def test_equal_texts_of_other_purpose_do_not_look_alike() -> None:
    """Neither the same value under another name, nor a shifted border between name and value."""
    prints = {
        FINGERPRINTER.of_text("a", "bc"),
        FINGERPRINTER.of_text("ab", "c"),
        FINGERPRINTER.of_text("b", "bc"),
        Fingerprinter(b"other").of_text("a", "bc"),
    }

    assert len(prints) == 4


def test_lone_surrogates_do_not_break_it() -> None:
    """Whatever text came in gets a fingerprint."""
    assert FINGERPRINTER.of_text("a", "\ud800") != FINGERPRINTER.of_text("a", "\ud801")


def test_credentials_have_one_fingerprint() -> None:
    """Any other field, or the same value in another field, is another login."""
    logins = [
        Credentials(kind=AuthKind.PASSWORD, username=Secret("a"), password=Secret("b")),
        Credentials(kind=AuthKind.PASSWORD, username=Secret("b"), password=Secret("a")),
        Credentials(kind=AuthKind.TICKET, ticket=Secret("a")),
        Credentials(kind=AuthKind.BEARER, token=Secret("a")),
        Credentials(kind=AuthKind.BEARER, token=Secret("a"), application_token=Secret("b")),
    ]

    assert len({FINGERPRINTER.of_credentials(login) for login in logins}) == len(logins)
    assert FINGERPRINTER.of_credentials(logins[0]) == FINGERPRINTER.of_credentials(replace(logins[0]))


def test_the_key_is_not_shown() -> None:
    """A fingerprinter in a traceback does not show its key."""
    assert "kkk" not in repr(FINGERPRINTER)

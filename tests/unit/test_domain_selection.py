"""`--only` and `--exclude`: what is selected, and which patterns are refused."""

from __future__ import annotations

import pytest

from erpsyncd.domain.selection import Selection, parse_selection
from erpsyncd.errors import UsageError

TENANTS = {"acme": ("visma-no", "visma-se"), "north-1": ("a",), "north-2": ("b",), "a[1]": ("c",)}


def selected(*only: str, exclude: tuple[str, ...] = ()) -> list[str]:
    """Return what is selected, tenants that are selected as a whole with a star."""
    selection = parse_selection(only, exclude)
    found = []
    for tenant, keys in TENANTS.items():
        if selection.matches(tenant):
            found.append(f"{tenant}*" if selection.is_whole(tenant) else tenant)
        found += [f"{tenant}/{key}" for key in keys if selection.matches(tenant, key)]
    return found


def test_nothing_said_is_everything() -> None:
    """Without patterns all is selected."""
    everything = ["acme*", "acme/visma-no", "acme/visma-se", "north-1*", "north-1/a", "north-2*", "north-2/b"]

    assert [*everything, "a[1]*", "a[1]/c"] == selected()
    assert Selection().is_everything
    assert not parse_selection(["acme"], []).is_everything
    assert not parse_selection([], ["acme"]).is_everything


@pytest.mark.parametrize(
    ("only", "exclude", "expected"),
    [
        (("acme",), (), ["acme*", "acme/visma-no", "acme/visma-se"]),
        (("north-*",), (), ["north-1*", "north-1/a", "north-2*", "north-2/b"]),
        (("acme/visma-no",), (), ["acme", "acme/visma-no"]),
        (("*/visma-*",), ("acme/*-se",), ["acme", "acme/visma-no", "north-1", "north-2", "a[1]"]),
        (("acme", "north-1"), ("north-*",), ["acme*", "acme/visma-no", "acme/visma-se"]),
        (("acme", "acme/visma-no"), (), ["acme*", "acme/visma-no", "acme/visma-se"]),
        (("acme",), ("acme/visma-no",), ["acme", "acme/visma-se"]),
        ((), ("north-*", "a[[]1]"), ["acme*", "acme/visma-no", "acme/visma-se"]),
        (("a[1]",), (), ["a[1]*", "a[1]/c"]),
        (("north-[2-9]",), (), ["north-2*", "north-2/b"]),
        (("ACME",), (), []),
    ],
)
def test_patterns_select_tenants_and_connections(
    only: tuple[str, ...], exclude: tuple[str, ...], expected: list[str]
) -> None:
    """Names and globs, of tenants and of keys; what is excluded is out whatever else was said."""
    assert expected == selected(*only, exclude=exclude)


@pytest.mark.parametrize("text", ["", "/", "acme/", "/visma", "a/b/c"])
@pytest.mark.parametrize("option", ["--only", "--exclude"])
def test_what_is_no_pattern_is_refused(option: str, text: str) -> None:
    """The message names the option and what it takes."""
    given = ([text], []) if option == "--only" else ([], [text])

    with pytest.raises(UsageError, match=rf"{option} must be TENANT or TENANT/KEY"):
        parse_selection(*given)


@pytest.mark.parametrize(
    ("only", "exclude", "message"),
    [
        (["acne"], [], 'no tenant matches "acne"; did you mean "acme"?'),
        ([], ["nort-1"], 'no tenant matches "nort-1"; did you mean "north-1"?'),
        (["nobody*"], [], 'no tenant matches "nobody*"'),
        (["acme/visma-n"], [], 'no connection of acme matches "visma-n"; did you mean "visma-no"?'),
        (["acme"], ["north-*/visma-no"], 'no connection of north-* matches "visma-no"'),
        (["acme"], ["acme"], "--only and --exclude leave nothing"),
        ([], ["*"], "--only and --exclude leave nothing"),
    ],
)
def test_what_matches_nothing_is_a_slip_of_the_pen(only: list[str], exclude: list[str], message: str) -> None:
    """Each pattern has to match something, and something has to be left."""
    with pytest.raises(UsageError) as refused:
        parse_selection(only, exclude).raise_if_unknown(TENANTS, TENANTS.__getitem__)

    assert message == str(refused.value)


def test_what_matches_something_is_taken() -> None:
    """Keys are asked for only where a pattern names keys, and only of the tenants that it matches."""
    asked = []

    def keys_of(tenant: str) -> tuple[str, ...]:
        asked.append(tenant)
        return TENANTS[tenant]

    parse_selection(["acme", "north-*/a"], ["a[1]"]).raise_if_unknown(TENANTS, keys_of)
    Selection().raise_if_unknown([], keys_of)

    assert ["north-1", "north-2"] == asked

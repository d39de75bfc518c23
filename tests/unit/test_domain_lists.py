"""Names looked up in a tenant's lists: which one is meant, and what is said where that is not clear."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erpsyncd.domain.lists import ListItem, ListName, TenantList, comparable_url, find_id
from erpsyncd.errors import NameAmbiguous, NameUnknown

MOMENT = datetime(2026, 1, 5, tzinfo=UTC)


def listed(*names: str, name: ListName = ListName.USER_GROUPS, urls: tuple[str, ...] = ()) -> TenantList:
    """Number some names from 1."""
    addresses = (*urls, *("",) * len(names))
    items = (
        ListItem(id=number, name=text, url=url)
        for number, (text, url) in enumerate(zip(names, addresses, strict=False), 1)
    )
    return TenantList(name=name, items=tuple(items), read_at=MOMENT)


@pytest.mark.parametrize(
    ("wanted", "names", "expected"),
    [
        ("Sales", ("Support", "Sales"), 2),
        ("sales", ("Support", "SALES"), 2),
        ("sales", ("Sales", "sales"), 2),
        ("Salg", ("Support", 'US:"Sales";NO:"Salg"'), 2),
        ("salg", ("Support", 'US:"Sales";NO:"Salg"'), 2),
        ('US:"Sales";NO:"Salg"', ("Support", 'US:"Sales";NO:"Salg"'), 2),
        ('US:"Sales";NO:"Salg"', ("Support", "Salg"), 2),
        ("Sales", ('US:"sales"', "Sales"), 2),
        ("Sales", ("Sales ",), 1),
        ("STRASSE", ("straße",), 1),
    ],
)
def test_one_is_meant(wanted: str, names: tuple[str, ...], expected: int) -> None:
    """What stands there letter by letter goes first, then case does not count; any language of a name will do."""
    assert expected == find_id(wanted, listed(*names))


@pytest.mark.parametrize(
    ("wanted", "urls", "expected"),
    [
        ("app://Client", ("https://a.example", "APP://client/"), 2),
        ("HTTPS://A.example/Erp.svc/", ("https://a.example/Erp.svc", "https://a.example/erp.svc"), 1),
        ("plugin://visma", ("", "plugin://visma"), 2),
    ],
)
def test_a_connector_by_its_url(wanted: str, urls: tuple[str, ...], expected: int) -> None:
    """The case of scheme and host does not count, nor a last slash; that of a path does."""
    assert expected == find_id(wanted, listed("one", "two", name=ListName.CONNECTORS, urls=urls))


def test_a_name_may_look_like_a_url() -> None:
    """What no connector has for its URL may still be what one is called."""
    assert 2 == find_id("see://docs", listed("Visma", "see://docs", name=ListName.CONNECTORS))


@pytest.mark.parametrize(
    ("wanted", "names", "said"),
    [
        (
            "Sales",
            ("Sales", "Sales"),
            "has 2 user groups 'Sales': 1 'Sales', 2 'Sales'; rename one in the CRM, or give",
        ),
        ("sales", ("Sales", "SALES"), "1 'Sales', 2 'SALES'"),
        ("Sales", ("Sales", 'NO:"Salg";US:"Sales"'), "1 'Sales', 2 'Salg'"),
        ("S", ("S",) * 7, "5 'S' and 2 more; rename one"),
    ],
)
def test_several_are_called_that(wanted: str, names: tuple[str, ...], said: str) -> None:
    """The message has the number and name of each, and what to do."""
    with pytest.raises(NameAmbiguous) as raised:
        find_id(wanted, listed(*names))

    assert said in str(raised.value)
    assert str(raised.value).endswith("give the number as user_group_access_ids")


def test_connectors_that_share_a_url() -> None:
    """A URL need not be one connector's only."""
    with pytest.raises(NameAmbiguous, match=r"1 'one' \(app://x\), 2 'two' \(app://x\)"):
        find_id("app://x", listed("one", "two", name=ListName.CONNECTORS, urls=("app://x", "app://x")))


def test_an_item_that_stands_there_twice_is_one() -> None:
    """An associate may be listed under several headings."""
    item = ListItem(id=7, name="SAL0")

    assert 7 == find_id("SAL0", TenantList(name=ListName.ASSOCIATES, items=(item, item), read_at=MOMENT))


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("Sale", "Support"), "no user group 'Sales' (perhaps 'Sale');"),
        (("SALE", 'NO:"Salg";US:"Sals"'), "(perhaps 'Salg' or 'SALE');"),
        (("Kunde", "Drift"), "no user group 'Sales' (it has 'Kunde', 'Drift');"),
        ((), "no user group 'Sales' (it lists none at all, or none to this user);"),
        (tuple("abcdefgh"), "no user group 'Sales'; write it as the CRM shows it"),
    ],
)
def test_nothing_is_called_that(names: tuple[str, ...], said: str) -> None:
    """The message has what was perhaps meant, and what to do."""
    with pytest.raises(NameUnknown) as raised:
        find_id("Sales", listed(*names))

    assert said in str(raised.value)
    assert str(raised.value).endswith("or give the number as user_group_access_ids")


@given(st.lists(st.text(max_size=8), max_size=6), st.text(max_size=8))
def test_any_names_are_found_or_refused(names: list[str], wanted: str) -> None:
    """Whatever a list holds: an id of it, or one of two errors. What stands there once is found."""
    found = listed(*names)
    if names.count(wanted) == 1 and not any('"' in name for name in (*names, wanted)):
        assert wanted == names[find_id(wanted, found) - 1]
    else:
        with contextlib.suppress(NameUnknown, NameAmbiguous):
            assert find_id(wanted, found) in range(1, len(names) + 1)


def test_urls_that_are_the_same() -> None:
    """Only what does not distinguish an address is made equal."""
    assert "https://a.example" == comparable_url(" HTTPS://A.Example/ ")
    assert "app://x/Y?Z=1" == comparable_url("app://X/Y?Z=1")


def test_a_list_without_end_is_not_compared_with_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a name resembles is looked for in a part of a huge list, and huge names are cut."""
    compared: list[str] = []

    def close(_word: str, items: Iterable[str], **_: object) -> list[str]:
        compared.extend(items)
        return []

    monkeypatch.setattr("difflib.get_close_matches", close)
    with pytest.raises(NameUnknown):
        find_id("Sales", listed(*(f"Group {number}" for number in range(20_000))))
    with pytest.raises(NameUnknown) as unknown:
        find_id("Sales", listed("x" * 1_000_000))
    with pytest.raises(NameAmbiguous) as ambiguous:
        find_id("x://y", listed(*["n" * 1_000_000] * 2, urls=("x://y", "X://y/")))

    assert 1_001 == len(compared)
    assert len(str(unknown.value)) < 1_000
    assert len(str(ambiguous.value)) < 1_000

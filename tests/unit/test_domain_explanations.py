"""What tenants explain: one language of several, several answers as one, and what makes two of them equal."""

from __future__ import annotations

from typing import Any

import pytest

from erpsyncd.domain.explanations import combined, in_language, without_changes
from erpsyncd.domain.results import ChangedDataItem, PluginResponse, RecordChange

BOTH = 'US:"No connections";NO:"Ingen tilkoblinger"'


@pytest.mark.parametrize(
    ("text", "language", "shown"),
    [
        (BOTH, None, "No connections"),
        (BOTH, "NO", "Ingen tilkoblinger"),
        (BOTH, "nb-NO", "Ingen tilkoblinger"),
        (BOTH, "no", "Ingen tilkoblinger"),
        (BOTH, "en-US", "No connections"),
        (BOTH, "de", "No connections"),
        ('en-GB:"Colour";en:"Color"', "en-GB", "Colour"),
        ('en:"Color";en-GB:"Colour"', "en-US", "Color"),
        (f"Quote: {BOTH};", "NO", "Quote: Ingen tilkoblinger"),
        ('US:"a";NO:"b"; US:"c";NO:"d"', "NO", "b; d"),
        ('US:"";NO:"b"', None, ""),
        ('He said "no"', "NO", 'He said "no"'),
        ('US:"not ended', "US", 'US:"not ended'),
        ("", "NO", ""),
    ],
)
def test_one_language_of_several(text: str, language: str | None, shown: str) -> None:
    """The tenant's, by language or by country; else the first; what is no translation stays as it is."""
    assert shown == in_language(text, language)


def test_several_answers_are_one() -> None:
    """Each explanation once and in order; it says yes if none says no; all that came is a list."""
    item = ChangedDataItem(change=RecordChange.UPDATED, table_name="quoteconnection", record_id=1)
    answers = (
        PluginResponse(is_ok=False, user_explanation="a", error_code="1", changes=(item,), received={"IsOk": False}),
        PluginResponse(is_ok=True, user_explanation="b", tech_explanation="t", error_code="1", received={"IsOk": True}),
        PluginResponse(is_ok=False, user_explanation="a", status="Error", changes=(item,), received={"IsOk": False}),
    )

    found = combined(answers)

    assert (False, "a; b", "t", "1", "Error", (item, item)) == (
        found.is_ok,
        found.user_explanation,
        found.tech_explanation,
        found.error_code,
        found.status,
        found.changes,
    )
    assert [{"IsOk": False}, {"IsOk": True}, {"IsOk": False}] == found.received
    assert (PluginResponse(is_ok=True), []) == (combined(()), combined(()).received)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ({"IsOk": True}, {"IsOk": True, "Changes": None}, True),
        ({"IsOk": True, "changes": {"AddedRecords": []}}, {"IsOk": True, "Changes": None}, True),
        ({"IsOk": True, "New": 1}, {"IsOk": True, "New": 2}, False),
        ([{"IsOk": False, "Changes": None}], [{"IsOk": False}], True),
        ([{"IsOk": False}], [{"IsOk": False}, {"IsOk": False}], False),
        ({"New": {"Changes": 1}}, {"New": {"Changes": 2}}, False),
        (None, {"IsOk": True}, False),
    ],
)
def test_how_an_answer_says_that_nothing_changed_does_not_count(one: Any, other: Any, *, equal: bool) -> None:
    """All else does, members that nobody knows among it."""
    assert equal == (without_changes(one) == without_changes(other))

"""The pages about events and tables are what the program does."""

from __future__ import annotations

import event_pages
import table_pages
from event_catalogue import MEANING, written_events


def test_every_event_has_a_meaning() -> None:
    """None is missing, and none is explained that is not written any more."""

    assert sorted(MEANING) == sorted(written_events())


def test_names_are_nouns_with_what_happened_to_them() -> None:
    """Programs filter by them."""

    assert [] == [event for event in written_events() if len(event.split(".")) != 2 or not event.islower()]


def test_the_pages_are_up_to_date() -> None:
    """After a change of events or tables: make reference."""

    assert event_pages.page() == event_pages.PAGE.read_text(encoding="utf-8")
    assert table_pages.page() == table_pages.PAGE.read_text(encoding="utf-8")

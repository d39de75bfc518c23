"""The page about faults is what its cases say, and says nothing that erpsyncd does not have."""

from __future__ import annotations

import re
from collections import Counter

from erpsyncd.setting_sections import setting_types
from fault_catalogue import ODD_CASES
from fault_reference import ALL_CASES, PAGE, rendered


def test_the_page_is_up_to_date() -> None:
    """After a change of the cases: make reference."""

    assert rendered() == PAGE.read_text(encoding="utf-8")


def test_names_are_unique() -> None:
    """A name leads to one row and to one test."""
    names = Counter([case.name for case in ALL_CASES] + [odd.name for odd in ODD_CASES])

    assert [] == [name for name, times in names.items() if times > 1]


def test_settings_exist() -> None:
    """The page sends nobody to a setting that there is not."""
    sections = {setting.partition(".")[0] for setting in setting_types()}
    named = {name for name in re.findall(r"`(\w+\.\w+)`", rendered()) if name.partition(".")[0] in sections}

    assert named
    assert named <= set(setting_types())

"""Writes docs/reference/settings.md from the settings themselves: `make reference`."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from erpsyncd.setting_reference import SettingDescription, describe_settings
from erpsyncd.setting_sections import Sections

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "settings.md"

INTRODUCTION = """\
# Settings

<!-- Written by `make reference` from the settings. Change their docstrings. -->

Later ones go before earlier ones: the default, the file (`--config`, else `$ERPSYNCD_CONFIG`, else
`/etc/erpsyncd/erpsyncd.toml`), the environment, the command line. `erpsyncd config show` tells which value is in
force and where it comes from. A duration is a number of seconds or a text such as `"30s"`, `"15m"`, `"6h"`, `"100d"`.
What cannot be used is refused as a whole, with every problem and its place.
"""


def page() -> str:
    """Return the page."""
    sections = groupby(describe_settings(), key=lambda setting: setting.path.partition(".")[0])
    return "\n".join((INTRODUCTION, *(_section(name, list(settings)) for name, settings in sections)))


def _section(name: str, settings: list[SettingDescription]) -> str:
    holder = getattr(Sections(), name)
    return "\n".join((f"## [{name}]\n", f"{holder.__doc__}\n", *map(_setting, settings)))


def _setting(setting: SettingDescription) -> str:
    facts = f"{setting.kind}, default `{setting.default}`, environment `{setting.environment}`"
    return f"### {setting.path}\n\n{setting.docstring}\n\n{facts[0].upper()}{facts[1:]}.\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

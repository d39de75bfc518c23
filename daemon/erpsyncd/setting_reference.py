"""The settings as data, for the generated reference and for `config show`."""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from erpsyncd import setting_sections
from erpsyncd.domain.schedules import format_duration
from erpsyncd.setting_sections import Sections, environment_name, setting_types


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingDescription:
    """One setting."""

    path: str
    environment: str
    kind: str
    """text, whole number, true or false, duration, or duration or cron expression."""

    default: str
    """As TOML writes it."""

    docstring: str


def describe_settings() -> tuple[SettingDescription, ...]:
    """Return every setting in the order of the file."""
    docstrings = _docstrings()
    defaults = Sections().model_dump()
    return tuple(
        SettingDescription(
            path=setting,
            environment=environment_name(setting),
            kind=_kind(wanted),
            default=_as_toml(defaults[section][key]),
            docstring=docstrings[setting],
        )
        for setting, wanted in setting_types().items()
        for section, key in [setting.split(".")]
    )


def _docstrings() -> dict[str, str]:
    """Return the text under each field. Read when asked for only: importing the settings has to stay cheap."""
    tree = ast.parse(inspect.getsource(setting_sections))
    classes = {node.name: node.body for node in tree.body if isinstance(node, ast.ClassDef)}
    return {
        f"{section}.{field.target.id}": " ".join(text.value.value.split())
        for section, info in Sections.model_fields.items()
        if info.annotation
        for field, text in zip(classes[info.annotation.__name__], classes[info.annotation.__name__][1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }


def _kind(wanted: Any) -> str:
    if wanted is timedelta:
        return "duration"
    if wanted is bool:
        return "true or false"
    if wanted is int:
        return "whole number"
    return "duration or cron expression" if wanted == timedelta | str else "text"


def _as_toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        return f'"{format_duration(value)}"'
    return f'"{value}"' if isinstance(value, str) else str(value)

"""The settings as data, for the generated reference and for `config show`."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from erpsyncd import setting_sections
from erpsyncd.domain.schedules import format_duration
from erpsyncd.setting_sections import SECRET_ADDRESSES, Sections, Settings, environment_name, setting_types


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


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingInForce:
    """One setting with the value that counts now."""

    name: str
    value: str | int | bool
    """Durations as a text, such as `15m`; a password in an address is left out."""

    source: str
    """`default`, a file, a name in the environment, or `command line`."""

    description: str


def settings_in_force(settings: Settings, *, without_password: Callable[[str], str]) -> tuple[SettingInForce, ...]:
    """Return every setting in the order of the file; `without_password` is asked about the store's address."""
    derived = {
        "store.url": without_password(settings.store_url),
        "state.directory": str(settings.state_directory),
        "state.key_file": str(settings.key_path),
    }
    return tuple(
        SettingInForce(
            name=setting.path,
            value=derived.get(setting.path) or _plain(setting.path, getattr(getattr(settings, section), key)),
            source=settings.sources.get(setting.path, "default"),
            description=setting.docstring,
        )
        for setting in describe_settings()
        for section, key in [setting.path.split(".")]
    )


def _plain(setting: str, value: timedelta | str | int | bool) -> str | int | bool:  # noqa: FBT001 -- a value to be shown
    if isinstance(value, timedelta):
        return format_duration(value)
    if setting in SECRET_ADDRESSES and isinstance(value, str) and value and not value.startswith("@{"):
        return f"{'/'.join(value.split('/')[:3])}/***"
    return value


def describe_settings() -> tuple[SettingDescription, ...]:
    """Return every setting in the order of the file."""
    docstrings = _docstrings()
    defaults = Sections()
    return tuple(
        SettingDescription(
            path=setting,
            environment=environment_name(setting),
            kind=_kind(wanted),
            default=_as_toml(getattr(getattr(defaults, section), key)),
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
        f"{section.name}.{field.target.id}": " ".join(text.value.value.split())
        for section in fields(Sections)
        for holder in [str(section.type)]
        for field, text in zip(classes[holder], classes[holder][1:], strict=False)
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

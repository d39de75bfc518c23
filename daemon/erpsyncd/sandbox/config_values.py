"""What a tenant does to config values: how it keeps them, and how it shows them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from erpsyncd.sandbox.options import ConfigKeeping, ConfigReading

_SAME_FOR_ALL = {ConfigReading.MASKED: "********", ConfigReading.BLANK: "", ConfigReading.WORD: "(hidden)"}


def readable(config_fields: Mapping[str, str], reading: ConfigReading) -> dict[str, str]:
    """Return config fields as this tenant shows them."""
    match reading:
        case ConfigReading.CLEAR:
            return dict(config_fields)
        case ConfigReading.WITHOUT:
            return {}
        case ConfigReading.PARTLY:
            return {key: _hidden(value) if "pass" in key.lower() else value for key, value in config_fields.items()}
        case _:
            return dict.fromkeys(config_fields, _SAME_FOR_ALL[reading])


def kept(config_fields: Mapping[str, str], keeping: ConfigKeeping, save: int) -> dict[str, str]:
    """Return config fields as this tenant stores them; `save` is how many saves there were."""
    match keeping:
        case ConfigKeeping.AS_SENT:
            return dict(config_fields)
        case ConfigKeeping.ENCODED:
            return {key: _encoded(value) for key, value in config_fields.items()}
        case ConfigKeeping.TRIMMED:
            return {key: value.strip().upper() for key, value in config_fields.items()}
        case ConfigKeeping.COMPLETED:
            return {**config_fields, "Timeout": config_fields.get("Timeout", "30")}
        case ConfigKeeping.COUNTED:
            return {key: f"{value} {save}" for key, value in config_fields.items()}


def _hidden(value: str) -> str:
    return f"{value[:1]}*****{value[-1:]}"


def _encoded(value: str) -> str:
    if value.lower() in ("true", "false"):
        return f"[I:{int(value.lower() == 'true')}]"
    if re.fullmatch(r"-?[1-9]\d*|0", value):
        return f"[I:{value}]"
    return f"[F:{value}]" if re.fullmatch(r"-?\d+\.\d+", value) else value

"""Plain tables as TOML, YAML and JSON, so that `formats.py` reads the same again.

Own few lines rather than a library for each format: a document is texts, numbers, truth values, lists of those and
tables in tables, nothing else. TOML and YAML have the escapes of JSON in common, so every text is written as in JSON;
what cannot be seen is escaped, because an export is shown on terminals, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import TypeAlias

Value: TypeAlias = str | bool | int | float | Sequence[int] | Sequence[str]
Entry: TypeAlias = Mapping[str, Value | Mapping[str, Value]]
Lists: TypeAlias = Mapping[str, Sequence[Entry]]
"""The lists of a document by name."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BMP_END = 0xFFFF
_LONGEST_YAML_KEY = 1000


class Layout(StrEnum):
    """What a document can be written as."""

    TOML = "toml"
    YAML = "yaml"
    JSON = "json"


def write_toml(lists: Lists, *, comment: Sequence[str]) -> str:
    """Return tables as TOML."""
    blocks = ["\n".join(f"# {line}" for line in comment)]
    blocks += [f"{name} = []" for name, entries in lists.items() if not entries]
    blocks += ["\n".join(_toml_entry(name, entry)) for name, entries in lists.items() for entry in entries]
    return "\n\n".join(blocks) + "\n"


def write_yaml(lists: Lists, *, comment: Sequence[str]) -> str:
    """Return tables as YAML."""
    lines = [f"# {line}" for line in comment]
    for name, entries in lists.items():
        lines.append(f"{name}:" if entries else f"{name}: []")
        for entry in entries:
            first, *others = _yaml_entry(entry)
            lines += [f"  - {first}", *(f"    {line}" for line in others)]
    return "\n".join(lines) + "\n"


def write_json(lists: Lists, *, about: Mapping[str, Value]) -> str:
    """Return tables as JSON, with what it says about itself before them."""
    return _visible(json.dumps({**about, **lists}, ensure_ascii=False, indent=2), _json_escape) + "\n"


def _toml_entry(name: str, entry: Entry) -> Iterator[str]:
    yield f"[[{name}]]"
    for key, value in entry.items():
        if not isinstance(value, Mapping):
            yield f"{_key(key)} = {_scalar(value)}"
    for key, value in entry.items():
        if isinstance(value, Mapping):
            yield f"[{name}.{_key(key)}]"
            yield from (f"{_key(inner)} = {_scalar(given)}" for inner, given in value.items())


def _yaml_entry(entry: Entry) -> Iterator[str]:
    for key, value in entry.items():
        if not isinstance(value, Mapping):
            yield f"{key}: {_scalar(value)}"
        elif value:
            yield f"{key}:"
            yield from (f"  {line}" for inner, given in value.items() for line in _yaml_pair(inner, given))
        else:
            yield f"{key}: {{}}"


def _yaml_pair(key: str, value: Value) -> Iterator[str]:
    """Return a key that somebody else chose with its value; YAML takes a long one only when it is announced."""
    quoted = _quoted(key)
    if len(quoted) <= _LONGEST_YAML_KEY:
        yield f"{quoted}: {_scalar(value)}"
    else:
        yield f"? {quoted}"
        yield f": {_scalar(value)}"


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _quoted(key)


def _scalar(value: Value) -> str:
    match value:
        case str():
            return _quoted(value)
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case int() | float():
            return repr(value)
        case _:
            return f"[{', '.join(map(_scalar, value))}]"


def _quoted(text: str) -> str:
    return _visible(json.dumps(text, ensure_ascii=False), _escape)


def _visible(text: str, escape: Callable[[str], str]) -> str:
    """Escape what cannot be seen. Line breaks are those between lines: inside of texts JSON has escaped them."""
    return "".join(char if char == "\n" or char.isprintable() else escape(char) for char in text)


def _escape(char: str) -> str:
    return f"\\u{ord(char):04X}" if ord(char) <= _BMP_END else f"\\U{ord(char):08X}"


def _json_escape(char: str) -> str:
    return json.dumps(char)[1:-1]

"""TOML, YAML and JSON as plain values: dicts, lists, texts, numbers, booleans, None.

What a format leaves to taste is made explicit here: keys that stand twice, YAML's guesses, anchors that multiply.
No message repeats content, because content holds passwords.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import yaml

MAX_BYTES = 64 * 1024 * 1024
#: Deeper than any document and far below what a parser survives.
_MAX_DEPTH = 32
#: A YAML alias is an object shared, not copied; but each time it is checked again, with all that is in it.
_MAX_ALIASES = 1000
_MAX_ALIASED_VALUES = 100_000

_YAML = "tag:yaml.org,2002:"
_TRUE_WORDS = frozenset({"true", "yes", "on"})
_QUOTED = re.compile(r"('[^']')|'[^']*'|\"[^\"]*\"")
#: Blanks, not line ends: the search would begin anew at each of many empty lines and go through all of them.
_LIKE_TOML = re.compile(r"^[ \t]*(\[|[\w.-]+[ \t]*=)", re.MULTILINE)
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]{0,18})")


class Unreadable(ValueError):
    """The content is not what its name says; the message has line and column where they are known."""


class Table(dict[str, Any]):
    """A mapping that remembers which of its keys stood twice."""

    duplicates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unclear:
    """A YAML scalar that YAML 1.1 reads as something else than it looks like."""

    kind: str


def read_content(name: str, content: bytes) -> object:
    """Return what a file holds; its format is told by its name, and found out for `-` (stdin).

    Raises:
        Unreadable: unknown suffix, too large, not UTF-8, or not valid in its format.
    """
    if len(content) > MAX_BYTES:
        raise Unreadable(f"is larger than {MAX_BYTES // 1024 // 1024} MiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise Unreadable(f"line {line}: is not UTF-8") from None
    if name == "-":
        return _read_unnamed(text)
    suffix = name.lower().rpartition(".")[2]
    if suffix not in _READERS:
        raise Unreadable("the name must end in .toml, .yaml, .yml or .json")
    return _READERS[suffix](text)


def _read_unnamed(text: str) -> object:
    """Try JSON, TOML and YAML in this order; complain in the words of the one it looks like."""
    complaints: dict[str, Unreadable] = {}
    for suffix in ("json", "toml", "yaml"):
        try:
            value = _READERS[suffix](text)
        except Unreadable as exc:
            complaints[suffix] = exc
        else:
            if isinstance(value, dict):  # nearly any text is a YAML string
                return value
    if text.lstrip().startswith("{"):
        raise complaints["json"]
    if _LIKE_TOML.search(text) is not None or "yaml" not in complaints:
        raise complaints["toml"]
    raise complaints["yaml"]


def _read_json(text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_table)  # NaN is no value of any field; see `finite`
    except json.JSONDecodeError as exc:
        raise Unreadable(f"line {exc.lineno}, column {exc.colno}: is not valid JSON: {exc.msg}") from None
    except RecursionError:
        raise Unreadable("is nested too deeply") from None
    except ValueError:
        raise Unreadable("is not valid JSON: it holds a number of too many digits") from None


def _table(pairs: Iterable[tuple[str, Any]]) -> Table:
    table = Table()
    duplicates = []
    for key, value in pairs:
        if key in table:
            duplicates.append(key)
        table[key] = value
    table.duplicates = tuple(dict.fromkeys(duplicates))
    return table


def _read_toml(text: str) -> object:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        found = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", str(exc), re.DOTALL)
        if found is None:
            raise Unreadable(f"is not valid TOML: {exc}") from None
        line, column = found[2] or text.count("\n") + 1, found[3]
        at = f"line {line}, column {column}" if column else f"line {line} (its end)"
        raise Unreadable(f"{at}: is not valid TOML: {found[1]}") from None
    except RecursionError:
        raise Unreadable("is nested too deeply") from None
    except ValueError:
        raise Unreadable("is not valid TOML: it holds a number of too many digits") from None


def _read_yaml(text: str) -> object:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        return _YamlReader(loader).read()
    except yaml.MarkedYAMLError as exc:
        # only the bare reason: PyYAML quotes lines, aliases and tags, and an unquoted password may look like one
        reason = _QUOTED.sub(lambda found: found[1] or "…", exc.problem or "cannot be read")
        mark = exc.problem_mark or exc.context_mark
        raise Unreadable(f"{_at(mark)}is not valid YAML: {reason}") from None
    except yaml.YAMLError as exc:  # a character that YAML does not allow
        position = getattr(exc, "position", None)
        line = f"line {text.count(chr(10), 0, position) + 1}: " if isinstance(position, int) else ""
        raise Unreadable(f"{line}is not valid YAML: it holds a character that YAML does not allow") from None
    finally:
        loader.dispose()


def _at(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""


class _YamlReader:
    """Builds values from the parser's events; PyYAML's own composer overflows the C stack on deep nesting."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._aliases = 0
        self._aliased_values = 0
        self._values = 0

    def read(self) -> object:
        self._loader.get_event()  # the stream begins
        if self._loader.check_event(yaml.StreamEndEvent):
            return Table()
        self._loader.get_event()  # the document begins
        value = self._value(self._loader.get_event(), 0)
        self._loader.get_event()  # the document ends
        if not self._loader.check_event(yaml.StreamEndEvent):
            raise Unreadable(f"{_at(self._loader.peek_event().start_mark)}holds a second YAML document (---)")
        return value

    def _value(self, event: Any, depth: int) -> Any:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if depth > _MAX_DEPTH:
            raise Unreadable(f"{_at(event.start_mark)}is nested too deeply")
        values_before = self._values
        self._values += 1
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
        elif event.tag not in (None, "!", f"{_YAML}map", f"{_YAML}seq"):
            raise _unknown_tag(event)
        elif isinstance(event, yaml.MappingStartEvent):
            value = self._mapping(depth)
        else:
            value = [self._value(item, depth + 1) for item in self._until(yaml.SequenceEndEvent)]
        if event.anchor:
            self._anchors[event.anchor] = (value, self._values - values_before)
        return value

    def _until(self, end: type) -> Iterable[Any]:
        while not isinstance(event := self._loader.get_event(), end):
            yield event

    def _mapping(self, depth: int) -> Table:
        pairs = []
        for event in self._until(yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise Unreadable(f"{_at(event.start_mark)}a key must be a plain text")
            if event.value == "<<" and event.implicit[0]:
                raise Unreadable(f"{_at(event.start_mark)}merge keys (<<) are not supported; write the keys out")
            pairs.append((event.value, self._value(self._loader.get_event(), depth + 1)))
        return _table(pairs)

    def _alias(self, event: Any) -> Any:
        self._aliases += 1
        if self._aliases > _MAX_ALIASES:
            raise Unreadable(f"{_at(event.start_mark)}uses more than {_MAX_ALIASES} aliases")
        if event.anchor not in self._anchors:
            raise Unreadable(
                f'{_at(event.start_mark)}uses an alias that is not defined; quote a text that begins with "*"'
            )
        value, values = self._anchors[event.anchor]
        self._values += values
        self._aliased_values += values
        if self._aliased_values > _MAX_ALIASED_VALUES:
            raise Unreadable(f"{_at(event.start_mark)}repeats more than {_MAX_ALIASED_VALUES} values by aliases")
        return value

    def _scalar(self, event: Any) -> object:
        tag = event.tag
        if tag in (None, "!"):
            tag = self._loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        reader = _SCALARS.get(tag.removeprefix(_YAML))
        if reader is None:
            raise _unknown_tag(event)
        return reader(event.value)


def _unknown_tag(event: Any) -> Unreadable:
    return Unreadable(f'{_at(event.start_mark)}uses a tag; quote a text that begins with "!"')


def _read_integer(text: str) -> object:
    return (
        int(text)
        if _DECIMAL.fullmatch(text)
        else Unclear("a number in a YAML notation (octal, hexadecimal, 1:30, 1_000)")
    )


def _read_float(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return Unclear("a number in a YAML notation (1:30.0, 1_000.0, .inf)")


_SCALARS: dict[str, Callable[[str], object]] = {
    "str": str,
    "value": str,  # a lone "="
    "merge": str,  # a lone "<<" as a value
    "null": lambda _text: None,
    "bool": lambda text: text.lower() in _TRUE_WORDS,
    "int": _read_integer,
    "float": _read_float,
    "timestamp": lambda _text: Unclear("a date"),
}

_READERS: dict[str, Callable[[str], object]] = {
    "json": _read_json,
    "toml": _read_toml,
    "yaml": _read_yaml,
    "yml": _read_yaml,
}

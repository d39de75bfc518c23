"""An answer that is kept whole, as a value of JSON: the same shape from SOAP as REST has by itself.

Members that nobody here knows are kept, too: they may be what an operator, or the vendor's support, is looking for.
What a tenant sends is not ours to size, so the value is bounded twice: by its parts when it is read, by its characters
once our secrets are out of it. Where something was left out, a member `…` of the answer says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter
from typing import Any, TypeVar

from erpsyncd.netserver.carriers import Unreadable
from erpsyncd.netserver.xml_parsing import Node
from erpsyncd.netserver.xml_values import is_nil, read_bool, read_long

T = TypeVar("T")

#: The member that says that something was left out, and what it says.
CUT = "…"
CUT_SENTENCE = "erpsyncd left the rest out: the answer is larger than what is kept of one"
#: So many members and items of one answer are read: a record of ChangedData is five of them.
MAX_PARTS = 20_000
#: So many characters are kept of the answers to one call, names and values together.
MAX_CHARACTERS = 256 * 1024
#: Our own shapes have five levels. Deeper ones would be for nobody to read, and Python's stack has an end.
MAX_DEPTH = 16

#: What no database and no encoder can take.
_UNSTORABLE = re.compile("[\u0000\ud800-\udfff]")

# What the members of a PluginResponse are, in all that it is made of. A name means the same at each depth.
_FLAGS = frozenset({"IsOk"})
_NUMBERS = frozenset({"RecordId", "FieldLength"})
_RECORDS = frozenset({"Changes", "TableRight", "FieldRight"})
_LISTS = frozenset({"AddedRecords", "UpdatedRecords", "DeletedRecords"})
_PAIRS = frozenset({"FieldProperties"})


@dataclass(slots=True)
class _Room:
    """What is left of a bound."""

    left: int
    is_full: bool = False

    def take(self, amount: int = 1) -> bool:
        """Say whether there is room for so much more, and take it."""
        self.is_full = self.is_full or amount > self.left
        if self.is_full:
            return False
        self.left -= amount
        return True


def whole_element(element: Node) -> dict[str, Any]:
    """Return a carrier that came as XML, as Web API would have written it."""
    room = _Room(MAX_PARTS)
    return _marked(_members(element, room, MAX_DEPTH), room)


def whole_document(document: dict[str, Any]) -> dict[str, Any]:
    """Return a carrier that came as JSON: as it is, with plain numbers."""
    room = _Room(MAX_PARTS)
    found: dict[str, Any] = _plain(document, room, MAX_DEPTH)
    return _marked(found, room)


def kept(answers: Iterable[Any], hide: Callable[[str], str]) -> list[Any]:
    """Return the whole answers to one call as they may be stored: together no larger than what is kept.

    `hide` takes our secrets out of a text. It sees each text whole: half a secret at a cut would not be known as one.
    """
    room = _Room(MAX_CHARACTERS)
    found = []
    for answer in answers:
        value = _bounded(answer, hide, room)
        found.append(_marked(value, room) if isinstance(value, dict) else value)
        if room.is_full:
            break
    return found


def _marked(value: dict[str, Any], room: _Room) -> dict[str, Any]:
    return {**value, CUT: CUT_SENTENCE} if room.is_full else value


# XML ----------------------------------------------------------------------------------------------------------


def _members(element: Node, room: _Room, depth: int) -> dict[str, Any]:
    """Return what an element holds by local names; what comes several times is a list."""
    children: Iterable[Node] = element
    ordered = _simple_first(enumerate(children), lambda item: len(item[1]) == 0)
    values = [(place, child, _value(child, room, depth - 1)) for place, child in ordered if room.take()]
    found: dict[str, list[Any]] = {}
    for _, child, value in sorted(values, key=itemgetter(0)):
        found.setdefault(_local(child), []).append(value)
    return {name: each[0] if len(each) == 1 else each for name, each in found.items()}


def _value(element: Node, room: _Room, depth: int) -> Any:
    name = _local(element)
    if is_nil(element):
        return None
    if depth <= 0:
        room.is_full = True
        return CUT
    if name in _LISTS:
        return [None if is_nil(each) else _members(each, room, depth - 1) for each in element if room.take()]
    if name in _PAIRS:
        return _pairs(element, room, depth)
    if len(element) or name in _RECORDS:
        return _members(element, room, depth)
    return _scalar(name, element)


def _pairs(element: Node, room: _Room, depth: int) -> Any:
    """Return a dictionary's pairs as the object that they are in JSON; as they came where they are none."""
    pairs = [_members(each, room, depth - 1) for each in element if not is_nil(each) and room.take()]
    names = [pair.get("Key") for pair in pairs]
    if all(isinstance(name, str) for name in names) and len(set(names)) == len(names):
        return {str(pair["Key"]): pair.get("Value") for pair in pairs}
    return pairs


def _scalar(name: str, element: Node) -> Any:
    try:
        if name in _FLAGS:
            return read_bool(element)
        if name in _NUMBERS:
            return read_long(element)
    except Unreadable:
        pass  # kept as it came; whether the answer counts is not decided here
    return element.text or ""


def _local(element: Node) -> str:
    return str(element.tag).rpartition("}")[2]


# JSON ---------------------------------------------------------------------------------------------------------


def _plain(value: Any, room: _Room, depth: int) -> Any:
    """Return what was parsed without `Decimal`, which is no value of JSON."""
    if isinstance(value, Decimal):
        number = float(value)
        return number if math.isfinite(number) else str(value)
    if isinstance(value, dict | list) and depth <= 0:
        room.is_full = True
        return CUT
    if isinstance(value, list):
        return [_plain(each, room, depth - 1) for each in value if room.take()]
    if isinstance(value, dict):
        ordered = _simple_first(value.items(), lambda item: not isinstance(item[1], dict | list))
        found = {name: _plain(each, room, depth - 1) for name, each in ordered if room.take()}
        return {name: found[name] for name in value if name in found}
    return value


# Both ---------------------------------------------------------------------------------------------------------


def _bounded(value: Any, hide: Callable[[str], str], room: _Room) -> Any:
    if isinstance(value, str):
        text = _storable(hide(value))
        if room.take(len(text)):
            return text
        text, room.left = text[: room.left], 0
        return f"{text}{CUT}"
    if isinstance(value, list):
        return [_bounded(each, hide, room) for each in value if room.take(_SEPARATORS)]
    if isinstance(value, dict):
        found = {}
        for name, each in _simple_first(value.items(), lambda item: not isinstance(item[1], dict | list)):
            shown = _storable(hide(name))
            if room.take(len(shown) + _SEPARATORS):
                found[name] = shown, _bounded(each, hide, room)
        return dict(found[name] for name in value if name in found)
    return value


#: What a member costs beside its name and its value, and a value that is no text, about.
_SEPARATORS = 6


def _storable(text: str) -> str:
    """Replace what is refused in the members that we know: in the others it must not cost the answer."""
    return _UNSTORABLE.sub("\ufffd", text)


def _simple_first(items: Iterable[T], is_simple: Callable[[T], bool]) -> list[T]:
    """Return values before lists and objects: a list without end must not cost the answer's few words."""
    return sorted(items, key=lambda item: not is_simple(item))

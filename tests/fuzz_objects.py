"""Damage to JSON that leaves it JSON, or nearly: objects are lists of pairs, so that a key can stand twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from fuzz_markup import TEXTS

_KEYS = (
    *("ErpConnectionId", "erpConnectionId", "ConfigFields", "UserGroupAccessIds", "Deleted", "DisplayName", "Active"),
    *("IsOk", "Status", "Changes", "AddedRecords", "Tablename", "RecordId", "ErrorCode", "UserExplanation"),
    *("Message", "MessageDetail", "Error", "ErrorType", "ErrorMessage", "ExceptionType", "ExceptionMessage"),
    *("InnerException", "title", "detail", "", "x", "\ud800", "__class__"),
)


class Written(str):
    """A value as it is to be written."""

    __slots__ = ()


class Pairs(list[tuple[str, Any]]):
    """An object."""


_WRITTEN = tuple(
    Written(each)
    for each in (
        *("NaN", "Infinity", "-Infinity", "1e999", "1e999999999", "1e99999999999999999999", "1e-999999", "-0", "-0.0"),
        *("7.0", "7.5", "0.1", "1e5", "2147483647", "2147483648", "-1", "0", "1", "4711", "9" * 19, "9" * 5000),
        *("0." + "1" * 5000, "007", "+7", "0x10", ".5", "5.", "'x'", '"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"'),
        *('"\\x41"', '"\x01"', '"\\', '"', "", ",", "undefined", "True", "// x", "/* x */ 1", "[1,]", '{"a"}'),
        *("[" * 500 + "]" * 500, "[" * 3000, '{"":' * 900 + "1" + "}" * 900, "[" + "1," * 5000 + "1]"),
        *("[" + "{}," * 3000 + "{}]", '"' + "\\u0041" * 2000 + '"', " " * 5000 + "1", "[null]", "[[]]"),
    )
)
_PLAIN: tuple[Any, ...] = (None, True, False, [], Pairs(), *_WRITTEN, *TEXTS, *TEXTS)


def _read(text: str) -> Any:
    return json.loads(text, object_pairs_hook=Pairs)


def _write(value: Any) -> str:
    if isinstance(value, Written):
        return str(value)
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{json.dumps(key)}:{_write(each)}" for key, each in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_write(each) for each in value) + "]"
    return json.dumps(value)


def _places(value: Any) -> list[tuple[Any, int]]:
    """Return every place inside as its container and number."""
    found: list[tuple[Any, int]] = []
    todo = [value]
    while todo:
        each = todo.pop()
        if isinstance(each, list):
            found += [(each, number) for number in range(len(each))]
            todo += [item[1] if isinstance(each, Pairs) else item for item in each]
    return found


def _put(place: tuple[Any, int], value: Any) -> None:
    container, number = place
    container[number] = (container[number][0], value) if isinstance(container, Pairs) else value


def _get(place: tuple[Any, int]) -> Any:
    container, number = place
    return container[number][1] if isinstance(container, Pairs) else container[number]


def _replace(dice: Random, place: tuple[Any, int]) -> None:
    _put(place, dice.choice(_PLAIN))


def _drop(_dice: Random, place: tuple[Any, int]) -> None:
    del place[0][place[1]]


def _double(dice: Random, place: tuple[Any, int]) -> None:
    container, number = place
    times = dice.choice((1, 1, 30, 2000))
    is_small = not isinstance(_get(place), list) and len(_write(_get(place))) < 300
    container[number:number] = [container[number]] * (times if is_small else 1)


def _rekey(dice: Random, place: tuple[Any, int]) -> None:
    container, number = place
    if isinstance(container, Pairs):
        key, value = container[number]
        again = key[:1].swapcase() + key[1:]
        container[number] = (dice.choice((*_KEYS, again, again, key.upper(), f"n{dice.randrange(10**9)}")), value)


def _add(dice: Random, place: tuple[Any, int]) -> None:
    container, number = place
    value = dice.choice(_PLAIN)
    container.insert(number, (dice.choice(_KEYS), value) if isinstance(container, Pairs) else value)


def _wrap(dice: Random, place: tuple[Any, int]) -> None:
    before, after = dice.choice((("[", "]"), (f"{{{json.dumps(dice.choice(_KEYS))}:", "}"), ("[{},", ",[]]")))
    depth = dice.choice((1, 1, 2, 30, 800, 5000))
    _put(place, Written(before * depth + _write(_get(place)) + after * depth))


def _in_text(_dice: Random, place: tuple[Any, int]) -> None:
    """Write a value as a text, a text as the first of a list."""
    value = _get(place)
    _put(place, [value] if isinstance(value, str) else str(value))


_MUTATIONS: tuple[Callable[[Random, tuple[Any, int]], None], ...] = (
    *(_replace, _replace, _replace, _drop, _double, _rekey, _rekey, _add, _add, _wrap, _in_text),
)


def damaged_object(dice: Random, text: str, other: str) -> str:
    """Return the document with a few of its parts changed; `other` is one to take parts from."""
    root = [_read(text)]
    for _ in range(dice.choice((1, 1, 2, 3, 5))):
        places = _places(root)
        if not places or len(places) > 20_000:
            break
        dice.choice(_MUTATIONS)(dice, dice.choice(places))
    if dice.random() < 0.1 and (places := _places(root)):
        _put(dice.choice(places), _read(other))
    return dice.choice(("", "", "", " ", "\ufeff", "\n\n")) + "".join(_write(each) for each in root)

"""REST replies, read strictly: a wrong type, a duplicate key or a NaN is an answer that cannot be read.

A number that is written another way (`7.0`, `"7"`) is still the number; codes and config fields may be written as
numbers and booleans.

Property names are the vendor's, or the same with a small first letter, which some JSON settings of .NET write.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeVar

from erpsyncd.domain.secrets import Secret
from erpsyncd.netserver.carriers import WHOLE, Carrier, Kind, Member, Unreadable
from erpsyncd.netserver.charsets import decoded
from erpsyncd.netserver.envelopes import INT_MAX, INT_MIN, LONG_MAX, LONG_MIN
from erpsyncd.netserver.failures import Fault, short_type
from erpsyncd.netserver.whole_answers import whole_document

T = TypeVar("T")

#: Members of the error objects that NetServer, Web API and ASP.NET Core write (domain.md §2.2), most telling first.
_ERROR_TEXTS = (("ErrorMessage",), ("ExceptionMessage",), ("Message", "MessageDetail"), ("title", "detail"))
_ERROR_TYPES = ("ErrorType", "ExceptionType")
_MAX_INNER = 20
#: More values than any answer of ours needs. Python spends up to 48 times the bytes that a small one takes on the wire.
MAX_VALUES = 250_000
_INT = re.compile(r"-?[0-9]{1,20}")


def parse_json(body: bytes, content_type: str = "") -> Any:
    """Return the document; fractions are `Decimal`, which keeps the way they were written.

    Raises:
        Unreadable: it is no JSON, too much of it, too deep, has a key twice, a NaN, or text that is no Unicode.
    """
    if sum(map(body.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise Unreadable(f"more than {MAX_VALUES} values")
    try:
        try:
            return _loaded(body)
        except UnicodeDecodeError:
            return _loaded(decoded(body, content_type) or "")
    except Unreadable:
        raise
    except (ValueError, ArithmeticError, RecursionError):  # its message and its `doc` quote the body
        raise Unreadable("this is not JSON") from None


def _loaded(text: bytes | str) -> Any:
    return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant, parse_float=Decimal)


def find_fault(document: Any, *, succeeded: bool) -> Fault | None:
    """Return what went wrong, if the document is one of the error objects.

    With a failure's status every readable text counts; with 2xx only what no carrier of ours looks like.
    """
    if not isinstance(document, dict):
        return None
    claims = any(_text(document, name) for name in (*_ERROR_TYPES, "ErrorMessage", "Message"))
    if not claims and _get(document, "Error") is not True and (succeeded or not _error_text(document)):
        return None
    types: list[str] = []
    text = ""
    for level in _inner_errors(document):  # the cause tells more than what was wrapped around it
        types += [found for name in _ERROR_TYPES if short_type(found := _text(level, name))][:1]
        text = _error_text(level) or text
    return Fault(exception_type=short_type(types[-1]) if types else "", text=text, types=tuple(types))


def _inner_errors(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    level: Any = document
    for _ in range(_MAX_INNER):
        if not isinstance(level, dict):
            return
        yield level
        level = _get(level, "InnerException")


def _error_text(document: dict[str, Any]) -> str:
    groups = ([text for name in names if (text := _text(document, name))] for names in _ERROR_TEXTS)
    return next((" ".join(texts) for texts in groups if texts), "")


def read_result(document: Any, carrier: Carrier[T]) -> T:
    """Return what an operation's reply holds; the document is the wrapper's one member.

    Raises:
        Unreadable: a member of it has the wrong type.
    """
    (member,) = carrier.members
    value = None if document is None else _member_reader(member)(document)
    return carrier.build({member.name: value})


@lru_cache(maxsize=64)
def _carrier_reader(carrier: Carrier[T]) -> Callable[[Any], T]:
    readers: list[tuple[str, Callable[[Any], Any]]] = []

    def read(document: Any) -> T:
        if not isinstance(document, dict):
            raise Unreadable(f"not a {carrier.name}")
        values = dict(carrier.defaults)
        for name, read_member in readers:
            value = _get(document, name)
            if value is not None:
                try:
                    values[name] = read_member(value)
                except Unreadable as problem:
                    raise Unreadable(f"{name}: {problem}") from None
        if carrier.kept_whole:
            values[WHOLE] = whole_document(document)
        return carrier.build(values)

    readers += [(member.name, _member_reader(member, read)) for member in carrier.members]
    return read


def _member_reader(member: Member, read_owner: Callable[[Any], Any] | None = None) -> Callable[[Any], Any]:
    """Return what reads a member; a list of carriers that are not said is of its owner's kind."""
    if member.of is None and member.kind is not Kind.CARRIERS:
        return _READERS[member.kind]
    read = read_owner if member.of is None else _carrier_reader(member.of)
    assert read is not None, "no operation answers with itself"
    if member.kind is Kind.CARRIER:
        return read
    return lambda value: tuple(read(each) for each in _array(value) if each is not None)


def _get(document: dict[str, Any], name: str) -> Any:
    small = name[0].lower() + name[1:]
    if small in document and name in document and small != name:
        raise Unreadable(f"{name} comes twice")
    return document.get(name, document.get(small))


def _text(document: dict[str, Any], name: str) -> str:
    value = document.get(name, document.get(name[0].lower() + name[1:]))
    return value.strip() if isinstance(value, str) else ""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise Unreadable("a key comes twice")
    return document


def _refuse_constant(name: str) -> Any:
    raise Unreadable(f"{name} is not a number")


def _array(value: Any) -> Iterable[Any]:
    if not isinstance(value, list):
        raise Unreadable("not a list")
    return value


def _read_int(value: Any) -> int:
    number = _read_long(value)
    if not INT_MIN <= number <= INT_MAX:
        raise Unreadable("not a 32-bit integer")
    return number


def _read_long(value: Any) -> int:
    """Return an integer, also one that is written as `7.0` or `"7"`."""
    if isinstance(value, str) and _INT.fullmatch(value) is not None:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not LONG_MIN <= value <= LONG_MAX:
        raise Unreadable("not an integer")
    if value != int(value):  # safe: between the bounds, so no exponent makes it long
        raise Unreadable("not an integer")
    return int(value)


def _read_bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Unreadable("neither true nor false")
    return value


def read_text(value: Any) -> str:
    """Return a string that a database and an encoder can take.

    Raises:
        Unreadable: it is none, or holds half a surrogate pair or a NUL.
    """
    if not isinstance(value, str):
        raise Unreadable("not a text")
    if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        raise Unreadable("half a surrogate pair")
    if "\x00" in value:
        raise Unreadable("a NUL")
    return value


def _read_code(value: Any) -> str:
    """Return a text, also one that is written as a number or a boolean."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | Decimal) else read_text(value)


def _read_dictionary(value: Any) -> dict[str, Secret]:
    if not isinstance(value, dict):
        raise Unreadable("not an object")
    return {read_text(key): Secret("" if each is None else _read_code(each)) for key, each in value.items()}


_READERS: dict[Kind, Callable[[Any], Any]] = {
    Kind.INT: _read_int,
    Kind.LONG: _read_long,
    Kind.BOOL: _read_bool,
    Kind.TEXT: read_text,
    Kind.CODE: _read_code,
    Kind.WORD: lambda value: read_text(value) if isinstance(value, str) else "",
    Kind.INTS: lambda value: tuple(_read_int(each) for each in _array(value) if each is not None),
    Kind.DICTIONARY: _read_dictionary,
}

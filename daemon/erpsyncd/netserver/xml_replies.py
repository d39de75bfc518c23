"""SOAP replies, read the way WCF writes them: any prefix, `i:nil`, unknown elements.

Elements are matched by namespace and local name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar

from erpsyncd.domain.secrets import Secret
from erpsyncd.netserver.carriers import Carrier, Kind, Member, Unreadable
from erpsyncd.netserver.envelopes import (
    ARRAYS,
    INT_MAX,
    INT_MIN,
    LONG_MAX,
    LONG_MIN,
    services_namespace,
)
from erpsyncd.netserver.xml_parsing import Element

T = TypeVar("T")
_Reader: TypeAlias = Callable[[Element], Any]

_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_INT = re.compile(r"[+-]?[0-9]{1,20}")
_TRUE, _FALSE = frozenset({"true", "1"}), frozenset({"false", "0"})
_SPACE = " \t\r\n"


def read_reply(envelope: Element, carrier: Carrier[T], version: int) -> T:
    """Return what the body's one element holds.

    Raises:
        Unreadable: it is another operation's reply, or a member of it cannot be read.
    """
    body = envelope.find(f"{{{namespace_of(envelope)}}}Body")
    wrapper, *others = body if body is not None and len(body) else (None,)
    if wrapper is None:
        raise Unreadable("its body is empty")
    if wrapper.tag != f"{{{services_namespace(version)}}}{carrier.name}":
        raise Unreadable(f"its body is not a {carrier.name} of Services{version}")
    if any(other.tag == wrapper.tag for other in others):
        raise Unreadable(f"its body holds more than one {carrier.name}")
    result: T = carrier_reader(carrier, version)(wrapper)
    return result


@lru_cache(maxsize=256)
def carrier_reader(carrier: Carrier[T], version: int) -> Callable[[Element], T]:
    """Return a function that reads one carrier of ServicesNN; unknown elements are passed over."""
    namespace = services_namespace(version)
    readers: dict[str, tuple[str, _Reader]] = {}

    def read(element: Element) -> T:
        values = dict(carrier.defaults)
        came: set[str] = set()
        for child in element:
            found = readers.get(child.tag)
            if found is None:
                continue
            name, read_member = found
            if name in came:  # two ids: which of them would be ours?
                raise Unreadable(f"{name} comes twice")
            came.add(name)
            if not is_nil(child):
                try:
                    values[name] = read_member(child)
                except Unreadable as problem:
                    raise Unreadable(f"{name}: {problem}") from None
        return carrier.build(values)

    for member in carrier.members:
        readers[f"{{{namespace}}}{member.name}"] = (member.name, _member_reader(member, carrier, version, read))
    return read


def _member_reader(member: Member, owner: Carrier[Any], version: int, read_owner: _Reader) -> _Reader:
    if member.kind is Kind.CARRIER and member.of is not None:
        return carrier_reader(member.of, version)
    if member.kind is Kind.CARRIERS:
        item = member.of or owner
        read_item = carrier_reader(item, version) if member.of is not None else read_owner
        tag = f"{{{services_namespace(version)}}}{item.name}"
        return lambda element: tuple(read_item(each) for each in element.iterchildren(tag) if not is_nil(each))
    if member.kind is Kind.DICTIONARY:
        return _dictionary_reader(services_namespace(version))
    return _READERS[member.kind]


def is_nil(element: Element) -> bool:
    """Whether an element says that it holds nothing."""
    nil = element.get(_NIL)
    return nil is not None and nil.strip(_SPACE) in _TRUE


def is_blank(element: Element) -> bool:
    """Whether an element is nil or holds no text."""
    return is_nil(element) or not (element.text or "").strip(_SPACE)


def _read_text(element: Element) -> str:
    return element.text or ""


def read_int(element: Element) -> int:
    """Return an xs:int.

    Raises:
        Unreadable: it is none.
    """
    value = _read_long(element)
    if not INT_MIN <= value <= INT_MAX:
        raise Unreadable("not a 32-bit integer")
    return value


def _read_long(element: Element) -> int:
    text = (element.text or "").strip(_SPACE)
    if _INT.fullmatch(text) is None or not LONG_MIN <= (value := int(text)) <= LONG_MAX:
        raise Unreadable("not an integer")
    return value


def read_bool(element: Element) -> bool:
    """Return an xs:boolean, of which "1" and "0" are two; .NET's own `True` counts, too.

    Raises:
        Unreadable: it is none.
    """
    text = (element.text or "").strip(_SPACE)
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise Unreadable("neither true nor false")


def _read_ints(element: Element) -> tuple[int, ...]:
    return tuple(read_int(each) for each in element.iterchildren(f"{{{ARRAYS}}}int") if not is_nil(each))


def _dictionary_reader(namespace: str) -> Callable[[Element], dict[str, Secret]]:
    pair, key_tag, value_tag = (f"{{{namespace}}}{name}" for name in ("StringKeyValuePair", "Key", "Value"))

    def read(element: Element) -> dict[str, Secret]:
        fields: dict[str, Secret] = {}
        for each in element.iterchildren(pair):
            if is_nil(each):
                continue
            texts = {child.tag: child.text for child in each}
            key = texts.get(key_tag) or ""
            if key in fields:
                raise Unreadable("a key comes twice")
            fields[key] = Secret(texts.get(value_tag) or "")
        return fields

    return read


_READERS: dict[Kind, _Reader] = {
    Kind.INT: read_int,
    Kind.LONG: _read_long,
    Kind.BOOL: read_bool,
    Kind.TEXT: _read_text,
    Kind.CODE: _read_text,
    Kind.WORD: lambda element: (element.text or "").strip(_SPACE),
    Kind.INTS: _read_ints,
}


def namespace_of(element: Element) -> str:
    """Return the namespace of an element's name."""
    return str(element.tag).partition("}")[0].lstrip("{")

"""SOAP replies, read the way WCF writes them: any prefix, `i:nil`, unknown elements.

Elements are matched by namespace and local name.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar

from erpsyncd.domain.secrets import Secret
from erpsyncd.netserver.carriers import WHOLE, Carrier, Kind, Member, Unreadable
from erpsyncd.netserver.envelopes import ARRAYS, services_namespace, services_tag
from erpsyncd.netserver.whole_answers import whole_element
from erpsyncd.netserver.xml_parsing import Envelope, Node
from erpsyncd.netserver.xml_values import NIL, SPACE, is_nil, read_bool, read_int, read_long

T = TypeVar("T")
_Reader: TypeAlias = Callable[[Node], Any]
_INT = f"{{{ARRAYS}}}int"


def read_reply(envelope: Envelope, carrier: Carrier[T], version: int) -> T:
    """Return what the body's one element holds.

    Raises:
        Unreadable: it is another operation's reply, or a member of it cannot be read.
    """
    if not envelope.body:
        raise Unreadable("its body is empty")
    wrapper, *others = envelope.body
    if wrapper.tag != services_tag(carrier.name, version):
        raise Unreadable(f"its body is not a {carrier.name} of Services{version}")
    if others and any(other.tag == wrapper.tag for other in others):
        raise Unreadable(f"its body holds more than one {carrier.name}")
    result: T = carrier_reader(carrier, version)(wrapper)
    return result


@lru_cache(maxsize=256)
def carrier_reader(carrier: Carrier[T], version: int) -> Callable[[Node], T]:
    """Return a function that reads one carrier of ServicesNN; unknown elements are passed over."""
    namespace = services_namespace(version)
    readers: dict[str, tuple[str, _Reader]] = {}
    defaults = carrier.defaults

    def read(element: Node) -> T:
        came: dict[str, Any] = {}
        for child in element:
            if (found := readers.get(child.tag)) is None:
                continue
            name, read_member = found
            if name in came:  # two ids: which of them would be ours?
                raise Unreadable(f"{name} comes twice")
            try:
                came[name] = read_member(child) if child.get(NIL) is None or not is_nil(child) else defaults[name]
            except Unreadable as problem:
                raise Unreadable(f"{name}: {problem}") from None
        if carrier.kept_whole:
            came[WHOLE] = whole_element(element)
        return carrier.build({**defaults, **came})

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
        return lambda element: tuple(read_item(each) for each in element if each.tag == tag and not is_nil(each))
    if member.kind is Kind.DICTIONARY:
        return _dictionary_reader(services_namespace(version))
    return _READERS[member.kind]


def _read_text(element: Node) -> str:
    return element.text or ""


def _read_ints(element: Node) -> tuple[int, ...]:
    return tuple([read_int(each) for each in element if each.tag == _INT and not is_nil(each)])


def _dictionary_reader(namespace: str) -> Callable[[Node], dict[str, Secret]]:
    pair, key_tag, value_tag = (f"{{{namespace}}}{name}" for name in ("StringKeyValuePair", "Key", "Value"))

    def read(element: Node) -> dict[str, Secret]:
        fields: dict[str, Secret] = {}
        for each in element:
            if each.tag != pair or is_nil(each):
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
    Kind.LONG: read_long,
    Kind.BOOL: read_bool,
    Kind.TEXT: _read_text,
    Kind.CODE: _read_text,
    Kind.WORD: lambda element: (element.text or "").strip(SPACE),
    Kind.INTS: _read_ints,
}

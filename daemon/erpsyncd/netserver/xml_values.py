"""Single values in XML: the types of XML Schema as .NET writes them, and its ways to say that there is none."""

from __future__ import annotations

import re

from erpsyncd.netserver.carriers import Unreadable
from erpsyncd.netserver.envelopes import INT_MAX, INT_MIN, LONG_MAX, LONG_MIN
from erpsyncd.netserver.xml_parsing import Node

NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_INT = re.compile(r"[+-]?[0-9]{1,20}")
_TRUE, _FALSE = frozenset({"true", "1"}), frozenset({"false", "0"})
#: As almost all are written.
_AS_WRITTEN = {"true": True, "false": False}
#: So many digits are always in range.
_SHORT = 9
#: What XML takes for blanks.
SPACE = " \t\r\n"


def is_nil(element: Node) -> bool:
    """Whether an element says that it holds nothing."""
    nil = element.get(NIL)
    return nil is not None and nil.strip(SPACE) in _TRUE


def is_blank(element: Node) -> bool:
    """Whether an element is nil or holds no text."""
    return is_nil(element) or not (element.text or "").strip(SPACE)


def read_int(element: Node) -> int:
    """Return an xs:int.

    Raises:
        Unreadable: it is none.
    """
    text = element.text
    if text is not None and len(text) <= _SHORT and text.isdecimal() and text.isascii():  # as almost all are written
        return int(text)
    value = read_long(element)
    if not INT_MIN <= value <= INT_MAX:
        raise Unreadable("not a 32-bit integer")
    return value


def read_long(element: Node) -> int:
    """Return an integer of up to 64 bits.

    Raises:
        Unreadable: it is none.
    """
    text = (element.text or "").strip(SPACE)
    if _INT.fullmatch(text) is None or not LONG_MIN <= (value := int(text)) <= LONG_MAX:
        raise Unreadable("not an integer")
    return value


def read_bool(element: Node) -> bool:
    """Return an xs:boolean, of which "1" and "0" are two; .NET's own `True` counts, too.

    Raises:
        Unreadable: it is none.
    """
    text = element.text or ""
    if (found := _AS_WRITTEN.get(text)) is not None:
        return found
    text = text.strip(SPACE).lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise Unreadable("neither true nor false")

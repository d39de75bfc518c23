"""Values as SuperOffice's CultureDataFormatter writes them: `[I:1]` and `1` are one number (domain.md §4.5).

Two texts without brackets are equal when they are the same text: `01` is a client's number, not 1.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TypeAlias

_ENCODED = re.compile(r"\[(I|F|DT|D|B):([^\[\]]*)\]")
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")
_MOMENT = re.compile(r"(\d{2}/\d{2}/\d{4}|\d{4}-\d{2}-\d{2})(?:[ T](\d{2}:\d{2}:\d{2})(?:\.(\d{1,7}))?)?")
#: A number that can be written out: a tenant may send an exponent of a billion.
_WRITTEN = re.compile(r"[+-]?[0-9]*\.?[0-9]*(?:[eE][+-]?[0-9]{1,3})?")
#: Of longer ones `Decimal` would round the last digits away; they are texts, such as account numbers.
_MOST_CHARACTERS = 28
_WORDS = {"true": Decimal(1), "false": Decimal(0)}

Decoded: TypeAlias = Decimal | tuple[datetime, str]
"""A number, booleans among them; or a moment with the fraction of its second, which is finer than Python's."""


def is_encoded(text: str) -> bool:
    """Say whether a text is written in brackets."""
    return _decoded_brackets(text) is not None


def same_value(one: str, other: str) -> bool:
    """Say whether two texts are one value: the same text, or one of them is encoded and they decode to the same."""
    if one == other:
        return True
    if not (is_encoded(one) or is_encoded(other)):
        return False
    decoded = decode(one)
    return decoded is not None and decoded == decode(other)


def decode(text: str) -> Decoded | None:
    """Return what a text stands for, in brackets or as plain as it can be meant; None for any other text."""
    found = _decoded_brackets(text)
    return _decoded_plain(text) if found is None else found


def canonical(text: str) -> str:
    """Return one text for all ways of writing a value, to know it again."""
    match decode(text):
        case None:
            return text
        case Decimal() as number:
            return f"{number.normalize():f}"
        case moment, fraction:
            return f"{moment:%Y-%m-%dT%H:%M:%S}.{fraction}"


def spellings(text: str) -> frozenset[str]:
    """Return the ways in which a value that comes back as this text may have been sent.

    They are for comparing with a fingerprint, of which the text is not known. A plain text may have been sent in
    brackets, an encoded one plain.
    """
    match decode(text):
        case None:
            return frozenset({text})
        case Decimal() as number:
            plain = f"{number.normalize():f}"
            ways = {text, plain, f"[F:{plain}]"}
            if "." not in plain:
                ways |= {f"{plain}.0", f"[I:{plain}]", f"[F:{plain}.0]"}
            if plain in ("0", "1") and (is_encoded(text) or text.lower() in _WORDS):
                word = "true" if plain == "1" else "false"
                ways |= {word, word.capitalize()}
            if not is_encoded(text):
                ways = {way for way in ways if is_encoded(way)} | {text}
            return frozenset(ways)
        case moment, fraction:
            day, time = f"{moment:%m/%d/%Y}", f"{moment:%H:%M:%S}"
            long = (fraction or "0").ljust(7, "0")
            encoded = {f"[DT:{day} {time}.{long}]", f"[DT:{day} {time}]", f"[D:{day}]"}
            if not is_encoded(text):
                return frozenset(encoded | {text})
            iso = f"{moment:%Y-%m-%d}"
            plain_ways = {f"{day} {time}", f"{iso}T{time}", f"{iso} {time}", f"{day} {time}.{long}", day, iso}
            return frozenset(encoded | plain_ways | {text})


def _decoded_brackets(text: str) -> Decoded | None:
    found = _ENCODED.fullmatch(text)
    if found is None:
        return None
    kind, inner = found[1], found[2].strip()
    if kind in ("I", "F", "B"):
        return _number(inner)
    return _moment(inner)


def _decoded_plain(text: str) -> Decoded | None:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    return _number(text) if _NUMBER.fullmatch(text) else _moment(text)


def _number(text: str) -> Decimal | None:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if len(text) > _MOST_CHARACTERS or _WRITTEN.fullmatch(text) is None:
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _moment(text: str) -> tuple[datetime, str] | None:
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    day = "%m/%d/%Y" if "/" in found[1] else "%Y-%m-%d"
    try:
        moment = datetime.strptime(f"{found[1]} {found[2] or '00:00:00'}", f"{day} %H:%M:%S")  # noqa: DTZ007 -- theirs have no zone
    except ValueError:
        return None
    return moment, (found[3] or "").rstrip("0")

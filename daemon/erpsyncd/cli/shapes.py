"""What the schemas of `schemas.py` are made of: texts, numbers, moments, and objects that have all of their members."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, TypeAlias

Schema: TypeAlias = dict[str, Any]

TEXT: Schema = {"type": "string"}
TRUTH: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "integer"}
COUNT: Schema = {"type": "integer", "minimum": 0}

#: Such as an error class: it is told apart by programs, and versions to come may have others.
WORD: Schema = {"type": "string", "pattern": "^[a-z]+(_[a-z]+)*$"}

#: Not every validator looks at formats, so the form stands in the pattern, too.
MOMENT: Schema = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?Z$",
}

#: An object of the vendor's: whatever his versions put into it.
FOREIGN: Schema = {"type": "object"}

#: What may be a secret, as it is shown: asterisks, or the reference where it is one.
HIDDEN: Schema = {"type": "string", "pattern": r"^\*\*\*$|@\{"}


def record(**members: Schema) -> Schema:
    """Return the schema of an object that has these members, all of them and no others."""
    return {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}


def open_to(given: Schema, **members: Schema) -> Schema:
    """Return the same schema, where an object may also have these members."""
    return given | {"properties": given["properties"] | members}


def mapping(values: Schema, names: Iterable[str] | None = None) -> Schema:
    """Return the schema of an object whose members are not known beforehand; their names are of these, if given."""
    known: Schema = {} if names is None else {"propertyNames": {"enum": [str(name) for name in names]}}
    return {"type": "object", "additionalProperties": values, **known}


def many(*items: Schema) -> Schema:
    """Return the schema of a list whose items are each of just one of these shapes."""
    return {"type": "array", "items": items[0] if len(items) == 1 else {"oneOf": list(items)}}


def many_or_one(given: Schema) -> Schema:
    """Return the schema of such a thing, or of a list of them."""
    return {"oneOf": [given, many(given)]}


def or_null(given: Schema) -> Schema:
    """Return the schema of the same, or of nothing."""
    match given:
        case {"enum": words}:
            return given | {"enum": [*words, None]}
        case {"type": str(kind)} if kind != "object":
            return given | {"type": [kind, "null"]}
        case _:
            return {"oneOf": [given, {"type": "null"}]}


def words(*given: type[StrEnum] | str) -> Schema:
    """Return the schema of one of these words, or of the words of an enumeration."""
    found: list[str] = []
    for word in given:
        found += [str(each) for each in word] if isinstance(word, type) else [word]
    return {"enum": found}


def told(what: str, given: Schema) -> Schema:
    """Return the same schema, with a word on where it comes from."""
    return {"description": what, **given}

"""`[[templates]]` of a document: one description that many connections share, each with values of its own.

They are filled in before anything is read, so that everything behind this module knows plain connections only. A value
is data, whatever it holds: `@{env:HOME}` given for a client's number arrives as these characters. Who may fill in a
number must not thereby choose which secret of the daemon's machine is sent to an ERP; references stand in the template
or in the connection's own fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from erpsyncd.domain.input_rules import near_miss, title_problem
from erpsyncd.errors import Problem
from erpsyncd.service.formats import Table
from erpsyncd.service.tables import TableReader, kind_of, shown

T = TypeVar("T")

#: What is given by name, with what is given by number instead; an entry's own takes the place of either.
NAMED = {
    "erp_connector": "erp_connector_id",
    "user_groups": "user_group_access_ids",
    "associates": "associate_access_ids",
}
#: What every template may use without being given it.
_OWN = ("tenant", "key")
_TOKEN = re.compile(r"\$\$\{|\$\{([^}]*)\}|\$\{|@@\{|@\{|\}")
_VALUE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
#: In a reference a value may be part of a name and nothing more: the template says where secrets lie.
_NOT_IN_A_REFERENCE = re.compile(r"[/{}]|\A\.")
_SECRETS = "config_fields"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """One `[[templates]]` entry."""

    name: str
    place: str
    fields: Mapping[str, Any]
    """A connection without its tenant, as it was written."""

    uses: frozenset[str]
    """The values that it has a place for."""


def read_blueprints(tables: list[TableReader], keys: list[str]) -> dict[str, Blueprint]:
    """Read the templates of all files of an import; `keys` are those of a connection."""
    found: dict[str, Blueprint] = {}
    for table in tables:
        blueprint = _read_blueprint(table, [key for key in keys if key != "tenant"])
        if blueprint.name in found:
            table.refuse("name", f"stands twice; the first is {found[blueprint.name].place}.name")
        elif blueprint.name:
            found[blueprint.name] = blueprint
    return found


def read_filled(
    entry: TableReader, blueprints: Mapping[str, Blueprint], keys: list[str], read: Callable[[TableReader], T]
) -> T:
    """Read a `[[connections]]` entry, filled in where it names a template.

    What could not be filled in is told as that, and not once more as missing.
    """
    if "template" not in entry:
        if "values" in entry:
            entry.refuse("values", "is of no use without a template")
        return read(entry.holding({key: value for key, value in entry.values.items() if key != "values"}))
    name = entry.text("template", title_problem)
    blueprint = blueprints.get(name)
    own = {key: value for key, value in entry.values.items() if key not in ("template", "values")}
    if blueprint is None:
        if name:
            entry.refuse("template", f"there is no template {name!r}{near_miss(name, blueprints)}")
        fields, unfilled = own, frozenset(keys) - own.keys()
    else:
        fields, unfilled = _filled(entry, blueprint, own)
    problems: list[str] = []
    origin = f"; by template {name!r}" if blueprint is not None else ""
    result = read(entry.holding(fields, problems, origin=origin))
    places = tuple(f"{entry.place}.{shown(key)}" for key in unfilled)
    entry.take(problem for problem in problems if not _is_about(problem, places))
    return result


def _is_about(problem: str, places: tuple[str, ...]) -> bool:
    place = problem.place if isinstance(problem, Problem) else problem
    return any(place == other or place.startswith((f"{other}.", f"{other}[")) for other in places)


def _read_blueprint(table: TableReader, keys: list[str]) -> Blueprint:
    name = table.text("name", title_problem)
    table.label = f" (template {name!r})" if name else ""
    table.refuse_unknown(("name", "connection"))
    connection = table.table("connection")
    fields: dict[str, Any] = {}
    if connection is not None:
        connection.refuse_unknown(keys)
        for one, other in NAMED.items():
            if one in connection and other in connection:
                connection.refuse(one, f"cannot go with {other}; give one of the two")
        fields = {key: value for key, value in connection.values.items() if key in keys}
        if _SECRETS in connection:
            secrets = connection.table(_SECRETS)
            fields[_SECRETS] = dict(secrets.values) if secrets is not None else {}
    uses = set()
    for where, text in _texts(fields):
        for used in _placeholders(text):
            if used is None or not _VALUE_NAME.fullmatch(used):
                table.refuse("connection", f"holds in {where} a ${{ that names no value; write $${{ for a literal ${{")
            else:
                uses.add(used)
    return Blueprint(name=name, place=table.place, fields=fields, uses=frozenset(uses))


def _filled(entry: TableReader, blueprint: Blueprint, own: dict[str, Any]) -> tuple[dict[str, Any], frozenset[str]]:
    """Return the entry's fields with the template's where it has none, and which of these could not be filled in."""
    taken = {key: value for key, value in blueprint.fields.items() if key not in own and not _is_given(key, own)}
    if isinstance(given := own.get(_SECRETS), dict):
        taken[_SECRETS] = {key: each for key, each in blueprint.fields.get(_SECRETS, {}).items() if key not in given}
    filling = _filling(entry, blueprint)
    values = filling.values
    if isinstance(tenant := own.get("tenant"), str):
        values["tenant"] = tenant
    if isinstance(key := own.get("key", filling.fill("key", taken.get("key"))), str):
        values["key"] = key
    filled = {name: key if name == "key" else filling.fill(name, value) for name, value in taken.items()}
    if isinstance(given, dict):
        secrets = Table({**filled.pop(_SECRETS), **given})
        secrets.duplicates = given.duplicates if isinstance(given, Table) else ()
        own = {**own, _SECRETS: secrets}
    return {**filled, **own}, frozenset(filling.unfilled)


def _is_given(key: str, own: Mapping[str, Any]) -> bool:
    """Say whether the entry gives the same thing in its other form."""
    return any({one, other} == {key, given} for one, other in NAMED.items() for given in own)


def _filling(entry: TableReader, blueprint: Blueprint) -> _Filling:
    """Return what fills the template in, once the given values were looked at."""
    table = entry.table("values") if "values" in entry else None
    filling = _Filling(
        entry=entry, blueprint=blueprint, given=table, is_read="values" not in entry or table is not None
    )
    for name, value in table.values.items() if table is not None else ():
        assert table is not None, "what is empty has no items"
        if name in _OWN:
            table.refuse(name, f"is the connection's own {name}, which a template knows without being told")
        elif name not in blueprint.uses:
            hint = near_miss(name, blueprint.uses.difference(_OWN))
            table.refuse(name, f"is not used by template {blueprint.name!r}{hint}")
        elif not isinstance(value, str | int | float | list):
            filling.refuse(name, f"must be a text, a number, true or false, or a list, not {kind_of(value)}")
        else:
            filling.values[name] = value
    return filling


@dataclass(kw_only=True)
class _Filling:
    """One entry's values on their way into the template."""

    entry: TableReader
    blueprint: Blueprint
    given: TableReader | None
    is_read: bool
    """Whether the values could be looked at, so that one which is not there is lacking."""

    values: dict[str, Any] = field(default_factory=dict)
    unfilled: set[str] = field(default_factory=set)
    """The entry's keys that lack something."""

    _told: set[str] = field(default_factory=set)

    def fill(self, where: str, value: Any) -> Any:
        """Return a field, or a part of one, with values in their places."""
        match value:
            case str():
                return self._text(where, value)
            case list():
                return [self.fill(where, item) for item in value]
            case dict():
                return {key: self.fill(f"{where}.{shown(key)}", item) for key, item in value.items()}
            case _:
                return value

    def _text(self, where: str, text: str) -> Any:
        whole = _TOKEN.fullmatch(text)
        if whole is not None and whole.group(1) is not None:
            value = self._value(where, whole.group(1))
            return _literal(where, value) if isinstance(value, str) else value
        out, end, in_reference, tail = "", 0, False, ""
        for token in _TOKEN.finditer(text):
            before, end = text[end : token.start()], token.end()
            out, tail = _joined(where, out, before), "" if before else tail
            if token.group(1) is not None:
                tail = token.group(1)
                out = _joined(where, out, self._piece(where, tail, in_reference=in_reference))
                continue
            if token.group() == "@{" and tail and out.endswith("@") and _in_secrets(where):
                self.refuse(tail, f"must not end in @ before a reference ({where})", where)
            in_reference = token.group() == "@{" or (in_reference and token.group() != "}")
            out, tail = out + token.group().replace("$${", "${"), ""
        return _joined(where, out, text[end:])

    def _piece(self, where: str, name: str, *, in_reference: bool) -> str:
        value = self._value(where, name)
        if value is None:
            return ""
        if isinstance(value, bool) or not isinstance(value, str | int):
            self.refuse(name, f"must be a text or a whole number to stand inside of {where}", where)
            return ""
        text = str(value)
        if not (in_reference and _in_secrets(where)):
            return _literal(where, text)
        if _NOT_IN_A_REFERENCE.search(text):
            self.refuse(
                name, f"stands in a reference ({where}), where it must not begin with a dot or hold /, {{ or }}", where
            )
        return text

    def _value(self, where: str, name: str) -> Any:
        if name in self.values:
            return self.values[name]
        self.unfilled.add(where.partition(".")[0])
        if self.is_read and name not in self._told and name not in _OWN and _VALUE_NAME.fullmatch(name):
            template = f"template {self.blueprint.name!r} ({self.blueprint.place})"
            self.entry.refuse("values", f"lacks {name!r}, which {template} uses in {where}")
        self._told.add(name)
        return None

    def refuse(self, name: str, reason: str, where: str = "") -> None:
        """Note once that a value is wrong."""
        self.unfilled.add(where.partition(".")[0])
        if name not in self._told:
            (self.entry if name in _OWN or self.given is None else self.given).refuse(name, reason)
        self._told.add(name)


def _in_secrets(where: str) -> bool:
    return where.startswith(f"{_SECRETS}.")


def _joined(where: str, left: str, right: str) -> str:
    """Put two pieces together so that no reference comes to be between them."""
    escape = "@" if left.endswith("@") and right.startswith("{") and _in_secrets(where) else ""
    return f"{left}{escape}{right}"


def _literal(where: str, text: str) -> str:
    """Return a value as the document's rules read just this value. Only config fields know references."""
    return text.replace("@{", "@@{") if _in_secrets(where) else text


def _texts(value: Any, where: str = "") -> Iterator[tuple[str, str]]:
    match value:
        case str():
            yield where, value
        case list():
            for item in value:
                yield from _texts(item, where)
        case dict():
            for key, item in value.items():
                yield from _texts(item, f"{where}.{shown(key)}" if where else shown(key))
        case _:
            return


def _placeholders(text: str) -> Iterator[str | None]:
    """Return the names in a text; None for a beginning without an end."""
    for token in _TOKEN.finditer(text):
        if token.group().startswith("${"):
            yield token.group(1)

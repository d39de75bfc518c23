"""Reading one table of a document field by field, noting every problem with its place.

Own small functions rather than a schema library, because each problem must be listed with its place, none may
repeat a value (they hold passwords; libraries attach the input to their errors), and what is allowed depends on
other fields (the kind of auth, `state = "absent"`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date, datetime, time
from typing import Any

from erpsyncd.domain.connections import MAX_CONFIG_KEY, MAX_CONFIG_VALUE
from erpsyncd.domain.input_rules import NearMisses, line_problem, near_miss, text_problem, title_problem
from erpsyncd.domain.secrets import Template, parse_template
from erpsyncd.errors import Problem
from erpsyncd.service.formats import Table, Unclear

#: Widest whole number that the remote's `xs:int` holds.
MAX_INT = 2**31 - 1

#: Calls per second that mean something; outside, a wait would never end or be none.
_SLOWEST, _FASTEST = 0.001, 1_000_000

_BARE_KEY = re.compile(r"[\w-]{1,60}", re.ASCII)
_EMPTY = Template(("",))


class TableReader:
    """One table with its place. A field that is wrong becomes a problem and reads as something harmless."""

    def __init__(self, values: object, place: str, problems: list[str], *, label: str = "") -> None:
        #: Where it stands, as `acme.toml: tenants[1]`; `acme.toml: ` for the whole file.
        self.place = place
        #: Goes after every problem, to say which entry it is: ` (acme)`.
        self.label = label
        #: Stands in the label too, to say where values are from that do not stand there: `; by template 'visma'`.
        self.origin = ""
        #: Whether it is a table at all; if not, that is noted and there is nothing to read.
        self.is_table = isinstance(values, dict)
        self._problems = problems
        self._values: Mapping[str, Any] = values if isinstance(values, dict) else {}
        if not self.is_table:
            self._note(place, f"must be a table, not {kind_of(values)}")
        for key in values.duplicates if isinstance(values, Table) else ():
            self.refuse(key, "stands twice")

    @property
    def values(self) -> Mapping[str, Any]:
        """What stands in it, as it was written."""
        return self._values

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def holding(self, values: object, problems: list[str] | None = None, *, origin: str = "") -> TableReader:
        """Return a reader of other values at the same place; `origin` says in each problem where they are from."""
        reader = TableReader(values, self.place, self._problems if problems is None else problems)
        reader.origin = origin
        return reader

    def take(self, problems: Iterable[str]) -> None:
        """Note what another reader found."""
        self._problems.extend(problems)

    def refuse(self, key: str, reason: str) -> None:
        """Note that a field is wrong."""
        self._note(self._at(key), reason)

    def _note(self, place: str, reason: str) -> None:
        self._problems.append(Problem(place, f"{reason}{self.label}"))

    def _at(self, key: str) -> str:
        return f"{self.place}{'' if self.place.endswith(': ') else '.'}{shown(key)}"

    def refuse_unknown(self, known: Collection[str]) -> None:
        """Note every key that means nothing here."""
        hints = NearMisses(known)
        for key in self._values:
            if key not in known:
                self.refuse(key, f"is not known{hints.of(key)}")

    def text(
        self,
        key: str,
        rule: Callable[[str], str | None] = text_problem,
        *,
        default: str | None = None,
        longest: int | None = None,
    ) -> str:
        """Return a text that follows a rule; without a default it is required."""
        value = self._present(key, default)
        if value is None:
            return default or ""
        if not isinstance(value, str):
            self.refuse(key, f"must be a text, not {kind_of(value)}{_quote_it(value)}")
            return default or ""
        if longest is not None and len(value) > longest:
            self.refuse(key, f"must not be longer than {longest} characters, but has {len(value)}")
        problem = rule(value)
        if problem:
            self.refuse(key, problem)
        return value

    def optional_text(self, key: str, rule: Callable[[str], str | None]) -> str | None:
        """Return a text, or None where the key is not given."""
        return self.text(key, rule) if key in self._values else None

    def choice(self, key: str, choices: Collection[str], *, default: str | None = None) -> str | None:
        """Return one of several words; None where it is none of them, or missing."""
        value = self._present(key, default)
        if value is None:
            return default
        if isinstance(value, str) and value in choices:
            return value
        hint = near_miss(value, choices) if isinstance(value, str) else f", not {kind_of(value)}"
        self.refuse(key, f"must be {' or '.join(json.dumps(word) for word in choices)}{hint}")
        return None

    def whole(self, key: str, low: int, high: int = MAX_INT, *, default: int | None = None) -> int:
        """Return a whole number from `low` to `high`; without a default it is required."""
        value = self._present(key, default)
        if value is None:
            return default or 0
        problem = _whole_problem(value, low, high)
        if problem:
            self.refuse(key, problem)
            return default or 0
        return int(value)

    def rate(self, key: str, *, default: float) -> float:
        """Return a number of calls per second."""
        value = self._present(key, default)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.refuse(key, f"must be a number, not {kind_of(value)}")
        elif not _SLOWEST <= value <= _FASTEST:
            self.refuse(key, f"must be a number from {_SLOWEST} to {_FASTEST}")
        else:
            return float(value)
        return default

    def truth(self, key: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self._present(key, default)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        self.refuse(key, f"must be true or false, not {kind_of(value)}")
        return default

    def ids(self, key: str) -> tuple[int, ...]:
        """Return a list of ids; repeated ones once, in the order given."""
        value = self._present(key, ())
        if value is None:
            return ()
        if not isinstance(value, list):
            self.refuse(key, f"must be a list of whole numbers, not {kind_of(value)}")
            return ()
        problems = {f"{key}[{number}]": _whole_problem(item, 1, MAX_INT) for number, item in enumerate(value, 1)}
        for place, problem in problems.items():
            if problem:
                self._note(f"{self.place}.{place}", problem)
        return () if any(problems.values()) else tuple(dict.fromkeys(value))

    def names(self, key: str, *, longest: int) -> tuple[str, ...]:
        """Return a list of names; repeated ones once, in the order given."""
        value = self._present(key, ())
        if value is None or value == ():
            return ()
        if not isinstance(value, list):
            self.refuse(key, f"must be a list of names, not {kind_of(value)}")
            return ()
        noted = len(self._problems)
        for number, item in enumerate(value, 1):
            if problem := _name_problem(item, longest):
                self._note(f"{self.place}.{key}[{number}]", problem)
        return () if len(self._problems) > noted else tuple(dict.fromkeys(value))

    def template(self, key: str, rule: Callable[[str], str | None] = line_problem) -> Template:
        """Return a required secret, on one line unless the rule says otherwise: plain text, references, or both."""
        text = self.text(key, rule)
        if self._values.get(key) == "":
            self.refuse(key, "must not be empty")
        return self._parse(key, text)

    def optional_template(self, key: str, rule: Callable[[Template], str | None]) -> Template | None:
        """Return a secret that follows a rule; None where the key is not given, or is wrong, which is noted."""
        if key not in self._values:
            return None
        noted = len(self._problems)
        template = self.template(key)
        if len(self._problems) == noted and (problem := rule(template)):
            self.refuse(key, problem)
        return template if len(self._problems) == noted else None

    def templates(self) -> dict[str, Template]:
        """Return the whole table as config fields."""
        return {name: self._config_value(name) for name in self._values}

    def _config_value(self, name: str) -> Template:
        if not 1 <= len(name) <= MAX_CONFIG_KEY:
            self.refuse(name, f"a key must have 1 to {MAX_CONFIG_KEY} characters, not {len(name)}")
        problem = line_problem(name)
        if problem:
            self.refuse(name, f"a key {problem}")
        template = self._parse(name, self.text(name))
        length = sum(len(part) for part in template.parts if isinstance(part, str))
        if length > MAX_CONFIG_VALUE:
            self.refuse(name, f"must not be longer than {MAX_CONFIG_VALUE} characters, but has {length}")
        return template

    def _parse(self, key: str, text: str) -> Template:
        try:
            return parse_template(text)
        except ValueError as exc:
            self.refuse(key, str(exc))
            return _EMPTY

    def table(self, key: str) -> TableReader | None:
        """Return the reader of a required table inside this one; None where there is none, which is noted."""
        if key not in self._values:
            self.refuse(key, "is missing")
            return None
        inner = TableReader(self._values[key], self._at(key), self._problems, label=self.label)
        return inner if inner.is_table else None

    def tables(self, key: str) -> list[TableReader]:
        """Return a reader for each entry of a list of tables, counted from 1."""
        value = self._values.get(key, [])
        if not isinstance(value, list):
            self.refuse(key, f"must be a list of tables ([[{key}]]), not {kind_of(value)}")
            return []
        place = self._at(key)
        readers = [TableReader(item, f"{place}[{number}]", self._problems) for number, item in enumerate(value, 1)]
        return [reader for reader in readers if reader.is_table]

    def _present(self, key: str, default: object) -> Any:
        """Return the value given, or None where there is none, which is a problem unless there is a default."""
        if key not in self._values:
            if default is None:
                self.refuse(key, "is missing")
            return None
        value = self._values[key]
        return Unclear("nothing (null)") if value is None else value


def shown(key: str) -> str:
    """Return a key as a place shows it; an unusual one is quoted and cut."""
    return key if _BARE_KEY.fullmatch(key) else json.dumps(key[:60])


def kind_of(value: object) -> str:
    """Say what a value is, without saying its value."""
    kinds: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (bool, "true or false"),
        ((int, float), "a number"),
        (str, "a text"),
        (list, "a list"),
        (dict, "a table"),
        ((date, datetime, time), "a date"),
    )
    if isinstance(value, Unclear):
        return value.kind
    return next((word for kind, word in kinds if isinstance(value, kind)), "nothing (null)")


def _quote_it(value: object) -> str:
    return "" if isinstance(value, list | dict) else "; put it in quotes"


def _name_problem(value: object, longest: int) -> str | None:
    if not isinstance(value, str):
        return f"must be a text, not {kind_of(value)}{_quote_it(value)}"
    if len(value) > longest:
        return f"must not be longer than {longest} characters, but has {len(value)}"
    return title_problem(value)


def _whole_problem(value: object, low: int, high: int) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return f"must be a whole number, not {'one with a fraction' if isinstance(value, float) else kind_of(value)}"
    if value < low:
        return f"must be at least {low}"
    return f"must be at most {high}" if value > high else None

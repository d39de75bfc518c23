"""Writes docs/reference/tables.md from the store's tables: `make reference`."""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import Column, Table

from erpsyncd.store import tables

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "tables.md"
_TABLE = re.compile(r"(?P<comment>(?:^#:? .*\n)*)^(?P<name>\w+) = Table\(", re.MULTILINE)

INTRODUCTION = """\
# Tables

<!-- Written by `make reference` from the store's tables. -->

Operators may read them; nobody but erpsyncd may write to them. Times are in UTC. What is `{"sealed": …}` is encrypted,
bound to its place. `runs`, `outcomes`, `checks` and `changes` name tenants and connections by text: history outlives
what it tells of. `erpsyncd db check` looks through all of it.
"""


def page() -> str:
    """Return the page."""
    source = Path(tables.__file__).read_text(encoding="utf-8")
    comments = {found["name"]: found["comment"] for found in _TABLE.finditer(source)}
    return "\n".join(
        (INTRODUCTION, *(_table(table, comments[table.name]) for table in tables.metadata.tables.values()))
    )


def _table(table: Table, comment: str) -> str:
    told = re.sub(r"^#:? ", "", comment, flags=re.MULTILINE).replace("\n", " ").strip()
    rows = "".join(f"| `{column.name}` | {_type(column)} | {_facts(column)} |\n" for column in table.columns)
    lead = f"{told}\n\n" if told else ""
    return f"## {table.name}\n\n{lead}| Column | Type | |\n| --- | --- | --- |\n{rows}"


def _type(column: Column[object]) -> str:
    return type(column.type).__name__


def _facts(column: Column[object]) -> str:
    facts = ["key"] if column.primary_key else []
    facts += [f"of `{reference.column.table.name}`" for reference in column.foreign_keys]
    facts += ["may be empty"] if column.nullable else []
    return ", ".join(facts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

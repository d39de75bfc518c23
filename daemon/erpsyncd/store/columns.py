"""Column types: what a value looks like in a row. Nothing outside `store/` sees one."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

#: A row's own number. SQLite numbers rows by itself only where the type is exactly INTEGER.
RowId: TypeEngine[int] = BigInteger().with_variant(Integer(), "sqlite")

#: JSON as text on both databases, because it keeps the order of config fields; PostgreSQL's jsonb does not.
Json: TypeEngine[Any] = JSON(none_as_null=True)

#: PostgreSQL cannot hold NUL, and nobody can encode half a surrogate pair; a REST answer may carry either.
_UNSTORABLE = re.compile("[\u0000\ud800-\udfff]")


def storable(text: str) -> str:
    """Return a text from outside with what no database can hold replaced by U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)


def storable_value(value: Any) -> Any:
    """Return a value of JSON from outside with the same replaced in its texts and names."""
    match value:
        case str():
            return storable(value)
        case list():
            return [storable_value(each) for each in value]
        case dict():
            return {storable(name): storable_value(each) for name, each in value.items()}
        case _:
            return value


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. SQLite forgets offsets, so they are settled here and nowhere else."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 -- SQLAlchemy's signature
        """Convert to UTC.

        Raises:
            ValueError: the moment has no offset, so that nobody can tell which moment it is.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone; the store takes aware datetimes only")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 -- SQLAlchemy's signature
        """Give a moment its UTC back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class ForeignText(TypeDecorator[str]):
    """Text that somebody else wrote: an error, an explanation, a table's name."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 -- SQLAlchemy's signature
        """Replace what cannot be stored."""
        return None if value is None else storable(value)

"""What commands write as JSON, held against the schemas that `erpsyncd schema` prints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from jsonschema import Draft202012Validator

from commands import Erpsyncd


@dataclass
class Shapes:
    """The printed schemas, and what was held against them."""

    erpsyncd: Erpsyncd
    schemas: dict[str, Any] = field(default_factory=dict)
    seen: list[tuple[str, Any]] = field(default_factory=list)

    def check(self, kind: str, written: Any) -> None:
        """Raise unless this is of the kind."""
        self.schema(kind).validate(written)
        assert written.get("kind", kind) == kind
        self.seen.append((kind, written))

    def takes(self, kind: str, written: Any) -> bool:
        is_valid: bool = self.schema(kind).is_valid(written)
        return is_valid

    def schema(self, kind: str) -> Any:
        if kind not in self.schemas:
            self.schemas[kind] = self.erpsyncd("schema", kind).json
        return Draft202012Validator(self.schemas[kind])

    def unseen_items(self) -> set[tuple[str, str]]:
        """Return the kinds of which one shape that an item can have was never written, with what that shape is."""
        shapes = {
            (kind, shape["description"]): Draft202012Validator(shape)
            for kind, schema in self.schemas.items()
            for shape in schema["properties"].get("items", {}).get("items", {}).get("oneOf", ())
        }
        items = [(kind, item) for kind, written in self.seen for item in written.get("items", ())]
        return {
            key for key, shape in shapes.items() if not any(key[0] == kind and shape.is_valid(i) for kind, i in items)
        }


#: Members that hold what a tenant has written: it may be anything.
FOREIGN = {"response"}


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of ours inside a value, itself among them, so that it can be changed in place."""
    if isinstance(value, dict):
        yield value
        value = [member for name, member in value.items() if name not in FOREIGN]
    inner = value if isinstance(value, list) else ()
    for each in list(inner):
        yield from objects(each)

"""One drift for a person, wherever its field is shown."""

from __future__ import annotations

import json
from collections.abc import Iterator

from erpsyncd.cli.layout import local, one_line
from erpsyncd.domain.drift import DecisionKind, DriftKind, drift_in_words
from erpsyncd.store import DriftView


def drift_lines(one: DriftView) -> Iterator[str]:
    """Return one drift with its values and what was decided, for a person."""
    what = drift_in_words(one.field, DriftKind(one.kind))
    values = "" if one.observed is None else f": {_value(one.desired)} -> {_value(one.observed)}"
    yield f"{one_line(what)}{values}"  # a config field's name is the tenant's
    if one.ignored:
        until = f" until {local(one.until)}" if one.until else ""
        yield f"  ignored{until}: {one.reason}"
    elif one.decision == DecisionKind.ENFORCE:
        yield f"  the next pass pushes ours over it: {one.reason}"
    elif one.stubborn:
        yield f"  stubborn ({one.reason}): it came back, and is not pushed again; adopt it or ignore it"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return json.dumps(value, ensure_ascii=False)

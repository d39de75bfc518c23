"""The table of docs/explanation/performance.md: `python -m benchmarks.table` makes it of benchmarks.json."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def as_table(document: Mapping[str, Any]) -> str:
    """Return what was measured as a Markdown table."""
    head = "| figure | against | must be | is | erpsyncd | the other | stub busy |\n|---|---|---|---|---|---|---|\n"
    return head + "".join(_line(figure) for figure in document["figures"])


def _line(figure: Mapping[str, Any]) -> str:
    busy = max(figure["stub_busy"])
    verdict = "" if figure["verdict"] == "ok" else f" ({figure['verdict']})"
    return (
        f"| {figure['name']} | {figure['against']} | {figure['bound']} "
        f"| **{figure['ratio']:.2f} x**{verdict} | {figure['ours']} | {figure['theirs']} "
        f"| {f'{busy:.0%}' if busy else ''} |\n"
    )


if __name__ == "__main__":
    sys.stdout.write(as_table(json.loads(Path("benchmarks.json").read_text(encoding="utf-8"))))

"""The table of docs/explanation/performance.md: `python -m benchmarks.table` puts it there from benchmarks.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "performance.md"
_BEGIN, _END = "<!-- figures -->", "<!-- /figures -->"


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


def put_into(page: str, table: str) -> str:
    """Return the page with the table between its two marks."""
    before, _, rest = page.partition(_BEGIN)
    return f"{before}{_BEGIN}\n{table}{_END}{rest.partition(_END)[2]}"


if __name__ == "__main__":
    measured = json.loads(Path("benchmarks.json").read_text(encoding="utf-8"))
    _PAGE.write_text(put_into(_PAGE.read_text(encoding="utf-8"), as_table(measured)), encoding="utf-8")

"""`make bench`: measures every figure, prints a table, writes `benchmarks.json`, and fails where one is not reached."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

from benchmarks.imports import IMPORT
from benchmarks.measuring import Measured, measure
from benchmarks.status import STATUS

FIGURES = (IMPORT, STATUS)


def main() -> int:
    """Measure what the arguments name, or everything."""
    wanted = [figure for figure in FIGURES if not sys.argv[1:] or any(word in figure.name for word in sys.argv[1:])]
    results = []
    for figure in wanted:
        results.append(measure(figure))
        sys.stdout.write(_line(results[-1]) + "\n")
        sys.stdout.flush()
    Path("benchmarks.json").write_text(json.dumps(_document(results), indent=2) + "\n", encoding="utf-8")
    return 0 if all(result.is_good for result in results) else 1


def _line(result: Measured) -> str:
    figure = result.figure
    verdict = "ok" if result.is_good else "TOO SLOW"
    spread = f"{min(result.ratios):.2f} to {max(result.ratios):.2f}"
    return (
        f"{verdict:8}  {result.ratio:5.2f} x (at most {figure.most:g}; {spread})  {figure.name}\n"
        f"{'':21}against: {figure.against}"
    )


def _document(results: list[Measured]) -> dict[str, object]:
    return {
        "python": platform.python_version(),
        "figures": [
            {
                "name": result.figure.name,
                "against": result.figure.against,
                "most": result.figure.most,
                "ratio": round(result.ratio, 3),
                "ratios": [round(ratio, 3) for ratio in result.ratios],
                "seconds": round(result.seconds, 4),
            }
            for result in results
        ],
    }


if __name__ == "__main__":
    sys.exit(main())

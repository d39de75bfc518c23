"""`make bench`: measures every figure, prints a table, writes `benchmarks.json`, and fails where one is missed."""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
from pathlib import Path

from benchmarks.figures import FIGURES
from benchmarks.measuring import Figure, Measured, measure
from benchmarks.table import as_table


def main() -> int:
    """Measure what the arguments name, by any part of its name, or everything."""
    wanted = [figure for figure in FIGURES if not sys.argv[1:] or any(word in figure.name for word in sys.argv[1:])]
    if not wanted:
        names = "\n".join(f"  {figure.name}" for figure in FIGURES)
        sys.stderr.write(f"none of the figures has {' or '.join(sys.argv[1:])} in its name:\n{names}\n")
        return 2
    results = []
    for figure in wanted:
        results.append(_measured(figure))
        document = _document(results)
        Path("benchmarks.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write("\n" + as_table(_document(results)))
    return 0 if all(result.is_good for result in results) else 1


def _measured(figure: Figure) -> Measured:
    result = measure(figure)
    ours, theirs = result.values
    spread = f"{min(result.ratios):.2f} to {max(result.ratios):.2f}"
    busy = ", ".join(f"{share:.0%}" for share in result.stub_busy)
    sys.stdout.write(
        f"{result.verdict.upper():13} {result.ratio:6.2f} x ({figure.bound}; {spread})  {figure.name}\n"
        f"{'':24}{ours}, against {theirs}: {figure.against}\n"
        + (f"{'':24}the stub was busy {busy} of the time\n" if max(result.stub_busy) else "")
    )
    sys.stdout.flush()
    return result


def _document(results: list[Measured]) -> dict[str, object]:
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "figures": [
            {
                "name": result.figure.name,
                "against": result.figure.against,
                "bound": result.figure.bound,
                "ratio": round(result.ratio, 3),
                "verdict": result.verdict,
                "ratios": [round(ratio, 3) for ratio in result.ratios],
                "ours": result.values[0],
                "theirs": result.values[1],
                "stub_busy": [round(share, 3) for share in result.stub_busy],
            }
            for result in results
        ],
    }


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # a store of a million connections does not stay behind
    sys.exit(main())

"""`python -m benchmarks.peak FILE pass|import`: says in the end how much memory this process had at most.

It imports nothing by itself that the program does not. `pass` is `erpsyncd --run-once`; `import` imports the modules
that standard input names, in their order.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from pathlib import Path
from typing import Any


def _make_pass() -> None:
    from erpsyncd.__main__ import main  # noqa: PLC0415 -- the other side imports what the program imports

    sys.argv = ["erpsyncd", "--run-once"]
    with contextlib.suppress(SystemExit):
        main()


def _import_all() -> None:
    absent: Any = None
    for line in sys.stdin.read().splitlines():
        name, _, is_absent = line.partition(" ")
        if is_absent:  # the program keeps some from being imported
            sys.modules.setdefault(name, absent)
        else:
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def _peak_bytes() -> int:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    return int(status["VmHWM"].split()[0]) * 1024


def _main(file: Path, what: str) -> None:
    if what == "pass":
        _make_pass()
    else:
        _import_all()
    modules = [name if module is not None else f"{name} absent" for name, module in _loaded()]
    file.write_text(json.dumps({"peak": _peak_bytes(), "modules": modules}), encoding="utf-8")


def _loaded() -> list[tuple[str, Any]]:
    return list(sys.modules.items())


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2])

"""`python -m erpsyncd`, and the console script."""

from __future__ import annotations

import gc
import sys
from typing import Any

#: How many objects are made before Python looks for cycles among them. With its own 700 it does so hundreds of times
#: while modules are loaded, which takes a tenth of a start, and finds nothing. Who opens the store looks more often.
_OBJECTS_WHILE_LOADING = 500_000


def main() -> None:
    """Run the command line and end the process with its exit code."""
    gc.set_threshold(_OBJECTS_WHILE_LOADING)
    # structlog and httpx import these wherever they are installed, which costs 60 ms; where somebody watches,
    # cli/progress.py lets rich in again.
    not_there: Any = None
    for name in ("rich", "pygments"):
        sys.modules.setdefault(name, not_there)
    from erpsyncd.cli.streams import prepare_streams  # noqa: PLC0415 -- as below

    # Before anything else is opened, which would be taken for a standard stream that is closed.
    prepare_streams()
    from erpsyncd.cli.main import run  # noqa: PLC0415 -- `--version` must not wait for what it does not need

    code = run(sys.argv[1:])
    # The process ends: Python would look through every object once more for cycles, a tenth of a pass with nothing to
    # do. What had to be closed is closed.
    gc.freeze()
    sys.exit(code)


if __name__ == "__main__":
    main()

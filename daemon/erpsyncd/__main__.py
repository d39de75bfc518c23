"""`python -m erpsyncd`, and the console script."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and end the process with its exit code."""
    from erpsyncd.cli.main import run  # noqa: PLC0415 -- `--version` must not wait for what it does not need

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()

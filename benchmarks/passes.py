"""One pass as `erpsyncd --run-once` makes it, in this process and without its start."""

from __future__ import annotations

import io
from contextlib import redirect_stderr
from pathlib import Path

from erpsyncd import bootstrap
from erpsyncd.domain.results import RunReport, Status
from erpsyncd.service.policy import RunOptions

CHECKS_OFF = {"ERPSYNCD__CHECKS__ENABLED": "false"}
"""Otherwise the settings are those that erpsyncd comes with, the log's level with them."""


def make_pass(directory: Path, **settings: str) -> RunReport:
    """Make one pass over every tenant of a directory's store; what it logs is written and thrown away.

    Settings are given by their names in the environment. Raises `AssertionError` where a connection failed.
    """
    environ = {"ERPSYNCD__STATE__DIRECTORY": str(directory), **CHECKS_OFF, **settings}
    with redirect_stderr(_Nowhere()):
        report = bootstrap.run_once(bootstrap.start(None, environ, {}), RunOptions(trigger="run-once"), environ)
    errors = [outcome.error for tenant in report.tenants for outcome in tenant.outcomes if outcome.error]
    assert report.exit_code == 0, f"the pass was no success: {errors[:3]}"
    return report


def created(report: RunReport) -> int:
    """Return how many connections a pass created."""
    return report.counts[Status.CREATED]


class _Nowhere(io.TextIOBase):
    """Where a log costs nothing to write; making its text costs what it costs."""

    def write(self, text: str, /) -> int:
        """Forget it."""
        return len(text)

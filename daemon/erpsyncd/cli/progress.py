"""How a run goes on, for who waits for it at a terminal: one line on stderr, gone when the run ends.

rich draws it, and is imported only where there is a terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from erpsyncd.cli.output import printable
from erpsyncd.domain.results import Outcome, Status

if TYPE_CHECKING:
    from erpsyncd.cli.options import Invocation
    from erpsyncd.domain.ports import Progress
    from erpsyncd.settings import Settings

#: So much of a tenant's name; with the counts and the bar it fits into 80 columns.
_LONGEST_NAME = 20


@contextmanager
def shown_progress(invocation: Invocation, settings: Settings) -> Iterator[Progress | None]:
    """Show how a run goes on, if stderr is a terminal that people read; else None stands for nobody.

    Log lines go above it. Of those at the level that nobody chose, only warnings and errors are written: the
    report tells the rest.
    """
    machine = invocation.as_json or settings.log.format == "json"
    if machine or invocation.has_dumb_terminal or not sys.stderr.isatty():
        yield None
        return
    from erpsyncd.logs import configure_logging  # noqa: PLC0415 -- what only terminals need waits for one

    _let_rich_in()
    line = ProgressLine(in_colour=invocation.in_colour)
    level = "warning" if settings.log.level == "info" and invocation.log_level is None else settings.log.level
    line.start()
    try:
        # sys.stderr is the line's now: what is written there scrolls by above it.
        configure_logging(level=level, format=settings.log.format, in_colour=invocation.in_colour)
        yield line
    finally:
        line.stop()
        configure_logging(level=settings.log.level, format=settings.log.format, in_colour=invocation.in_colour)


def _let_rich_in() -> None:
    """Undo what `__main__` did to keep it out."""
    found: object = sys.modules.get("rich", sys)
    if found is None:
        del sys.modules["rich"]


class ProgressLine:
    """`erpsyncd.domain.ports.Progress` as a line with a bar."""

    def __init__(self, *, in_colour: bool) -> None:
        from rich.console import Console  # noqa: PLC0415 -- see the module's docstring
        from rich.progress import BarColumn, TextColumn  # noqa: PLC0415 -- as above
        from rich.progress import Progress as Line  # noqa: PLC0415 -- as above

        self._line = Line(
            TextColumn("{task.fields[counts]}", markup=False),
            BarColumn(bar_width=24, complete_style="green", finished_style="green"),
            TextColumn("{task.description}", markup=False),
            console=Console(stderr=True, color_system="auto" if in_colour else None),
            transient=True,
            refresh_per_second=4,
            redirect_stdout=False,
        )
        self._task = self._line.add_task("", total=1, counts="starting")
        self._tenants = 0
        self._finished = 0
        self._failed = 0
        self._parts: dict[str, _Part] = {}

    def start(self) -> None:
        """Begin to show it."""
        self._line.start()

    def stop(self) -> None:
        """Take it away."""
        self._line.stop()

    def run_started(self, tenants: int) -> None:
        """See the port."""
        self._tenants = tenants
        self._show()

    def tenant_started(self, tenant: str) -> None:
        """See the port."""
        self._parts[tenant] = _Part()
        self._show()

    def connections_due(self, tenant: str, count: int) -> None:
        """See the port."""
        self._parts[tenant].due = count

    def outcome_reported(self, outcome: Outcome) -> None:
        """See the port."""
        self._failed += outcome.status in (Status.FAILED, Status.IN_DOUBT)
        self._parts[outcome.tenant].reported += 1
        self._show()

    def tenant_finished(self, tenant: str) -> None:
        """See the port."""
        del self._parts[tenant]
        self._finished += 1
        self._show()

    def _show(self) -> None:
        """Show the newest tenant that is being worked on, and how far all of them are."""
        counts = f"{self._finished}/{self._tenants} tenants" + (f", {self._failed} failed" if self._failed else "")
        newest = printable(next(reversed(self._parts), ""))
        shown = newest if len(newest) <= _LONGEST_NAME else f"{newest[: _LONGEST_NAME - 1]}…"
        completed = self._finished + sum(part.done for part in self._parts.values())
        self._line.update(self._task, description=shown, counts=counts, total=self._tenants, completed=completed)


@dataclass
class _Part:
    """One tenant that is being worked on."""

    due: int = 0
    reported: int = 0

    @property
    def done(self) -> float:
        return min(1.0, self.reported / self.due) if self.due else 0.0

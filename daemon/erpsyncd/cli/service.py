"""The two things that erpsyncd does without a command: one pass, or the daemon."""

from __future__ import annotations

import faulthandler
from typing import TYPE_CHECKING

from erpsyncd import bootstrap
from erpsyncd.cli.opening import settings_of
from erpsyncd.cli.output import write_json, write_text
from erpsyncd.cli.progress import shown_progress
from erpsyncd.cli.reports import report_as_json, report_as_text
from erpsyncd.cli.streams import ending_with
from erpsyncd.service.policy import RunOptions
from erpsyncd.settings import Settings, load_settings

if TYPE_CHECKING:
    from erpsyncd.cli.options import Invocation
    from erpsyncd.domain.results import RunReport
    from erpsyncd.domain.selection import Selection


def run_once(
    invocation: Invocation, *, selection: Selection, scheduled: bool, dry_run: bool, force: frozenset[str]
) -> int:
    """Make one pass, show its report, and return its exit code."""
    options = RunOptions(
        trigger="run-once",
        dry_run=dry_run,
        scheduled=scheduled,
        check_always=not scheduled,
        force=force,
        selection=selection,
    )
    report = make_run(invocation, options)
    with ending_with(report.exit_code):
        show(invocation, report)
    return report.exit_code


def make_run(invocation: Invocation, options: RunOptions, settings: Settings | None = None) -> RunReport:
    """Make one pass; who waits for it at a terminal sees how it goes on. Settings are read unless they are given."""
    settings = settings or settings_of(invocation)
    with shown_progress(invocation, settings) as progress:
        return bootstrap.run_once(settings, options, invocation.environ, progress)


def run_daemon(invocation: Invocation) -> int:
    """Run the daemon in the foreground until it is told to stop."""
    # Where the watchdog ends it (SIGABRT), the log then has the line at which every thread stood still; no values.
    faulthandler.enable()

    def read_again() -> Settings:
        return load_settings(invocation.config, invocation.environ, invocation.overrides())

    return bootstrap.run_daemon(settings_of(invocation), invocation.environ, read_again)


def show(invocation: Invocation, report: RunReport) -> None:
    """Write a run report to stdout."""
    if invocation.as_json:
        write_json("run_report", report_as_json(report))
    else:
        write_text(report_as_text(report))

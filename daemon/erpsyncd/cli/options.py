"""The options that every command takes, before or after its name."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from erpsyncd.cli.output import OutputFormat
from erpsyncd.domain.selection import parse_selection

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Invocation:
    """What was asked for on this command line, gathered while click reads it."""

    config: Path | None = None
    output: OutputFormat = OutputFormat.TEXT
    log_format: str | None = None
    log_level: str | None = None
    debug: bool = False
    metrics_file: Path | None = None
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def as_json(self) -> bool:
        """Whether results are wanted as JSON."""
        return self.output is OutputFormat.JSON

    @property
    def has_dumb_terminal(self) -> bool:
        """Whether a terminal, if there is one, only understands text."""
        return self.environ.get("TERM", "dumb") in {"", "dumb", "unknown"}

    @property
    def in_colour(self) -> bool:
        """Whether a terminal, if there is one, may be sent colours (no-color.org)."""
        return not self.environ.get("NO_COLOR") and not self.has_dumb_terminal

    def overrides(self) -> dict[str, str]:
        """Return the settings that the command line overrides, by path."""
        named = {"log.format": self.log_format, "log.level": self.log_level}
        # A setting's path is absolute: it must not depend on where a process was started. A command line may.
        named["web.textfile"] = None if self.metrics_file is None else str(self.metrics_file.absolute())
        return {path: value for path, value in named.items() if value is not None}


pass_invocation = click.make_pass_decorator(Invocation)


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Keep an option that was given; the one nearer to the end of the line wins."""
    given = context.get_parameter_source(parameter.name or "") is not click.core.ParameterSource.DEFAULT
    if given and value is not None:
        setattr(context.find_object(Invocation), parameter.name or "", value)
    return value


def _remembered(*names: str, **attributes: Any) -> Callable[[F], F]:
    return click.option(*names, expose_value=False, callback=_remember, **attributes)


_OPTIONS = (
    _remembered(
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Settings (or ERPSYNCD_CONFIG). [/etc/erpsyncd/erpsyncd.toml]",
    ),
    _remembered("--output", type=click.Choice(OutputFormat, case_sensitive=False), help="Form of results. [text]"),
    _remembered("--log-format", type=click.Choice(["auto", "console", "json", "journal"]), help="Form of logs."),
    _remembered("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="How much is logged."),
    _remembered("--debug", is_flag=True, help="With an error, show what led to it."),
)


def common_options(command: F) -> F:
    """Give a command the options that all commands share."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def selection_options(command: F) -> F:
    """Give a command `--only` and `--exclude`, which reach it as its `selection`."""

    @functools.wraps(command)
    def selecting(*arguments: Any, only: tuple[str, ...], exclude: tuple[str, ...], **options: Any) -> Any:
        return command(*arguments, selection=parse_selection(only, exclude), **options)

    selected: Any = selecting
    for name, sense in (("--exclude", "Not these, whatever --only says."), ("--only", "Only these; * ? [] are globs.")):
        selected = click.option(name, metavar="TENANT[/KEY]", multiple=True, help=sense)(selected)
    return cast("F", selected)


def output_named_in(arguments: list[str]) -> OutputFormat:
    """Guess the output format of a command line that cannot be read, so that its error has the right form."""
    wanted = "--output=json" in arguments or "--output json" in " ".join(arguments)
    return OutputFormat.JSON if wanted else OutputFormat.TEXT


def environment() -> dict[str, str]:
    """Return the process's environment; nothing else reads it."""
    return dict(os.environ)

"""Groups of commands: they take the options of every command, and say in one way which command they lack."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from erpsyncd.cli.options import common_options
from erpsyncd.domain.unknown_names import meant


class Group(click.Group):
    """A group that suggests the command that was meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that was named."""
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(f"there is no command {args[0]!r}{meant(args[0], known)}", ctx)
        return super().resolve_command(ctx, args)


def command_group(described: Callable[[], None]) -> Group:
    """Make a group of a function that only describes it. Without a command it says which ones there are."""

    # click's own answer would be the whole help, also where a program asked for JSON.
    @click.group(cls=Group, invoke_without_command=True, subcommand_metavar="COMMAND [ARGS]...")
    @common_options
    @click.pass_context
    @functools.wraps(described)
    def group(ctx: click.Context) -> None:
        if ctx.invoked_subcommand is None:
            known = ", ".join(made.list_commands(ctx))
            raise click.UsageError(f"{ctx.info_name} needs a command: {known}", ctx)

    made: Group = group
    return made


class DefaultGroup(Group):
    """A group that is a command itself: what names none of its commands is meant for one of them."""

    def __init__(self, *arguments: Any, default: str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the name of that command before what is meant for it."""
        if not ctx.resilient_parsing and not {"--help", "-h"} & set(args[:1]) and not self._names_command(args):
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def _names_command(self, args: list[str]) -> bool:
        """Say whether the first word that is no option, nor what one takes, is a command of ours."""
        taking = {
            name
            for command in (self, self.commands[self.default])
            for parameter in command.params
            if isinstance(parameter, click.Option) and not parameter.is_flag
            for name in parameter.opts
        }
        words = iter(args)
        for word in words:
            if not word.startswith("-"):
                return word in self.commands
            if word in taking:
                next(words, None)
        return False

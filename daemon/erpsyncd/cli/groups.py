"""Groups of commands: they take the options of every command, and say in one way which command they lack."""

from __future__ import annotations

import functools
from collections.abc import Callable

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

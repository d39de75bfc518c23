"""The command `erpsyncd` itself: the daemon, one pass, and the way to every other command."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from erpsyncd import __version__
from erpsyncd.cli.command_table import COMMANDS
from erpsyncd.cli.completion import TenantName, completing_tenants
from erpsyncd.cli.groups import Group
from erpsyncd.cli.options import (
    Invocation,
    common_options,
    environment,
    output_named_in,
    pass_invocation,
    selection_options,
)
from erpsyncd.cli.output import write_causes, write_error, write_json, write_text
from erpsyncd.cli.streams import ending_with
from erpsyncd.domain.selection import Selection
from erpsyncd.errors import Crashed, DaemonError, Interrupted, OutputLost, UsageError


class _Commands(Group):
    """The group of all commands, each of which is imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        place, _ = COMMANDS[cmd_name]
        module, _, name = place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return completing_tenants(command) if ctx.resilient_parsing else command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what each command is for."""
        click.Group(commands=[command for _, command in _stand_ins()]).format_commands(ctx, formatter)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands that begin like that, then what else may come here."""
        begun = [
            CompletionItem(name, help=command.get_short_help_str())
            for name, command in _stand_ins()
            if name.startswith(incomplete)
        ]
        return begun + click.Command.shell_complete(self, ctx, incomplete)


def _stand_ins() -> list[tuple[str, click.Command]]:
    """Return what has the name and the help of each command, without importing any."""
    return [(name, click.Command(name, help=summary)) for name, (_, summary) in sorted(COMMANDS.items())]


@click.group(cls=_Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="erpsyncd", message="%(prog)s %(version)s")
@click.option("--run-once", is_flag=True, help="Make one pass over every tenant, then exit.")
@selection_options
@click.option("--scheduled", is_flag=True, help="With --run-once: leave alone what waits in backoff or is parked.")
@click.option("--dry-run", is_flag=True, help="With --run-once: say what would be done; change nothing.")
@click.option(
    "--force",
    metavar="TENANT",
    multiple=True,
    type=TenantName(),
    help="With --run-once: lift this tenant's safety limits.",
)
@click.option(
    "--metrics-file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --run-once: write the store's metrics here, for Prometheus.",
)
@common_options
@click.pass_context
def cli(
    ctx: click.Context,
    *,
    run_once: bool,
    selection: Selection,
    scheduled: bool,
    dry_run: bool,
    force: tuple[str, ...],
    metrics_file: Path | None,
) -> int:
    """Keep the ERP connections of SuperOffice CRM as described.

    Without a command, runs the daemon in the foreground.

    \b
    Examples:
      erpsyncd import acme.toml
      erpsyncd plan
      erpsyncd --run-once
    """
    given = {"--run-once": run_once, "--scheduled": scheduled, "--dry-run": dry_run, "--force": bool(force)}
    given |= {
        "--only": bool(selection.only),
        "--exclude": bool(selection.exclude),
        "--metrics-file": bool(metrics_file),
    }
    if ctx.invoked_subcommand is not None:
        for name, is_given in given.items():
            if is_given:
                where = "after the command" if name in {"--only", "--exclude"} else "without a command"
                raise click.UsageError(f"{name} goes {where}", ctx)
        return 0
    if not run_once and any(given.values()):
        name = next(name for name, is_given in given.items() if is_given)
        raise click.UsageError(f"{name} goes with --run-once", ctx)
    from erpsyncd.cli import service  # noqa: PLC0415 -- only these two need what it imports

    invocation = ctx.ensure_object(Invocation)
    invocation.metrics_file = metrics_file
    if run_once:
        return service.run_once(
            invocation, selection=selection, scheduled=scheduled, dry_run=dry_run, force=frozenset(force)
        )
    return service.run_daemon(invocation)


@click.command()
@common_options
@pass_invocation
def version(invocation: Invocation) -> None:
    """Say which version this is.

    \b
    Example:
      erpsyncd version
    """
    if invocation.as_json:
        write_json("version", {"erpsyncd": __version__})
    else:
        write_text(f"erpsyncd {__version__}")


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code (design.md §7)."""
    invocation = Invocation(environ=environment())
    try:
        result = cli.main(
            args=arguments,
            prog_name="erpsyncd",
            standalone_mode=False,
            obj=invocation,
            color=None if invocation.in_colour else False,
        )
        code = result if isinstance(result, int) else 0
        with ending_with(code):
            return code
    except click.exceptions.Exit as exc:
        return exc.exit_code
    except (click.Abort, KeyboardInterrupt):
        write_error(Interrupted("interrupted"), invocation.output)
        return Interrupted.exit_code
    except BrokenPipeError:
        # Whoever read our output has enough; say nothing more, also not at exit.
        sys.stdout = None  # Python checks for this when it flushes at exit
        return 1
    except OutputLost as exc:
        sys.stdout = None  # as above
        return _fail(exc, invocation, arguments)
    except Exception as exc:  # noqa: BLE001 -- a defect, too, ends in the form that errors have
        return _fail(exc, invocation, arguments)


def _fail(error: Exception, invocation: Invocation, arguments: list[str]) -> int:
    """Show an error, with `--debug` what led to it, and return its exit code. A defect is always shown whole."""
    output = invocation.output
    match error:
        case DaemonError():
            shown = error
        case click.ClickException():
            shown, output = _usage_error(error), output_named_in(arguments)
        case _:
            name = type(error).__name__
            shown = Crashed(f"a defect ended this command ({name}); please report it with what stands above")
    if invocation.debug or isinstance(shown, Crashed):
        write_causes(error)
    write_error(shown, output, to_journal=_stderr_is_the_journal(invocation))
    return shown.exit_code


def _stderr_is_the_journal(invocation: Invocation) -> bool:
    """Whether systemd put stderr into its journal, as it does for its units."""
    stream = invocation.environ.get("JOURNAL_STREAM")
    if not stream:
        return False
    from erpsyncd.journal import is_journal  # noqa: PLC0415 -- most processes are nobody's unit

    return is_journal(2, stream)


def _usage_error(error: click.ClickException) -> UsageError:
    context = error.ctx if isinstance(error, click.UsageError) else None
    where = f" (see: {context.command_path} --help)" if context else ""
    return UsageError(f"{error.format_message().rstrip('.')}{_as_two_words(error)}{where}")


def _as_two_words(error: click.ClickException) -> str:
    """Return what to do where a connection was given as results name it."""
    if isinstance(error, click.MissingParameter) and error.ctx is not None and error.param is not None:
        tenant, slash, key = str(error.ctx.params.get("tenant")).partition("/")
        if error.param.name == "key" and slash:
            return f"; give it as two words: {tenant} {key}"
    return ""

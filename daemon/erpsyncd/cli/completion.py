"""`erpsyncd completion`, and the names of tenants for shells that complete them."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem, get_completion_class
from click.types import StringParamType

from erpsyncd.cli.options import Invocation, common_options, pass_invocation
from erpsyncd.cli.output import write_json, write_text

#: click asks the program itself for what comes next when this stands in its environment.
_VARIABLE = "_ERPSYNCD_COMPLETE"


class TenantName(StringParamType):
    """A tenant's name, which shells can complete from the store."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the names that begin like that. Where there is no store to ask, nobody is told: a key was pressed."""
        del param
        from erpsyncd.settings import load_settings  # noqa: PLC0415 -- only for this
        from erpsyncd.state_directory import become_owner  # noqa: PLC0415 -- as above
        from erpsyncd.validation import stored_tenants  # noqa: PLC0415 -- as above

        invocation = ctx.find_object(Invocation) or Invocation()
        try:
            settings = load_settings(invocation.config, invocation.environ, {})
            become_owner(settings.state_directory, invocation.environ)
            names = stored_tenants(settings)
        except Exception:  # noqa: BLE001 -- as the docstring says
            return []
        return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]


def completing_tenants(command: click.Command) -> click.Command:
    """Return the same command, whose parameters that name tenants complete them."""
    for parameter in command.params:
        if "TENANT" in (parameter.metavar or (parameter.name or "").upper()):
            parameter.type = TenantName()
    if isinstance(command, click.Group):
        for each in command.commands.values():
            completing_tenants(each)
    return command


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common_options
@pass_invocation
def completion(invocation: Invocation, shell: str) -> None:
    """Print what makes a shell complete commands, options and tenants.

    \b
    Examples:
      erpsyncd completion bash > /etc/bash_completion.d/erpsyncd
      erpsyncd completion zsh > ~/.zfunc/_erpsyncd
      erpsyncd completion fish > ~/.config/fish/completions/erpsyncd.fish
    """
    root = click.get_current_context().find_root()
    found = get_completion_class(shell)
    assert found is not None, "the three are click's own"
    complete = found(root.command, {}, "erpsyncd", _VARIABLE)
    # Not `source()`: for bash it would look which version is installed here, where the script may not be used.
    script = complete.source_template % complete.source_vars()
    if invocation.as_json:
        write_json("completion", {"shell": shell, "script": script})
    else:
        write_text(script.strip())

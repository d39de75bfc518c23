"""`erpsyncd config`: the settings."""

from __future__ import annotations

from erpsyncd.cli.groups import command_group
from erpsyncd.cli.opening import settings_of
from erpsyncd.cli.options import Invocation, common_options, pass_invocation
from erpsyncd.cli.output import as_json, table, write_json, write_text
from erpsyncd.setting_reference import settings_in_force
from erpsyncd.store.addresses import without_password


@command_group
def config() -> None:
    """Look at the settings.

    \b
    Example:
      erpsyncd config show
    """


@config.command()
@common_options
@pass_invocation
def show(invocation: Invocation) -> None:
    """Show every setting with its value in force and where it comes from.

    Passwords are left out. What a setting means stands in the JSON output, and
    in erpsyncd.toml.

    \b
    Examples:
      erpsyncd config show
      erpsyncd config show --config ./erpsyncd.toml --output json
    """
    settings = settings_of(invocation)
    items = settings_in_force(settings, without_password=without_password)
    if invocation.as_json:
        file = str(settings.file) if settings.file else None
        write_json("config", {"file": file, "items": [as_json(item) for item in items]})
        return
    write_text(table(("SETTING", "VALUE", "FROM"), ((item.name, item.value, item.source) for item in items)))


@config.command()
@common_options
@pass_invocation
def check(invocation: Invocation) -> None:
    """Read the settings, as a start or a reload would, and say whether they can be used.

    Ends with 78 and every problem where they cannot. `systemctl reload` asks
    this first, so that a bad file never reaches the daemon.

    \b
    Examples:
      erpsyncd config check
      erpsyncd config check --config ./erpsyncd.toml
    """
    settings = settings_of(invocation)
    file = str(settings.file) if settings.file else None
    if invocation.as_json:
        write_json("config_check", {"file": file, "warnings": list(settings.warnings)})
        return
    write_text(f"The settings can be used: {file or 'no file; defaults and the environment'}.")

"""`erpsyncd db`: the store itself."""

from __future__ import annotations

import click

from erpsyncd import bootstrap
from erpsyncd.cli.opening import settings_of, store_of
from erpsyncd.cli.options import Invocation, common_options, pass_invocation
from erpsyncd.cli.output import write_json, write_text


@click.group()
def db() -> None:
    """Look after the store."""


@db.command()
@common_options
@pass_invocation
def upgrade(invocation: Invocation) -> None:
    """Bring the store's tables to this version.

    SQLite stores are upgraded by themselves. With PostgreSQL, stop all nodes first.

    \b
    Example:
      ERPSYNCD__STORE__URL=postgresql://erpsyncd@db/erpsyncd erpsyncd db upgrade
    """
    settings = settings_of(invocation)
    done = bootstrap.upgrade(settings)
    if invocation.as_json:
        write_json("db_upgrade", {"upgraded": done})
    else:
        write_text("The store was upgraded." if done else "The store is up to date.")


@db.command()
@common_options
@pass_invocation
def check(invocation: Invocation) -> None:
    """Check that the store can be used: reachable, up to date, and with its key.

    \b
    Example:
      erpsyncd db check
    """
    with store_of(invocation) as store:
        store.unlock()
    if invocation.as_json:
        write_json("db_check", {"ok": True})
    else:
        write_text("The store is up to date and its key is here.")

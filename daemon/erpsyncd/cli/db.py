"""`erpsyncd db`: the store itself."""

from __future__ import annotations

import click

from erpsyncd import bootstrap
from erpsyncd.cli.opening import settings_of, store_of
from erpsyncd.cli.options import Invocation, common_options, pass_invocation
from erpsyncd.cli.output import cut, write_json, write_text

#: So many problems of one kind are shown.
_MOST_LINES = 50


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
def check(invocation: Invocation) -> int:
    """Look through the whole store: is it whole, and does everything in it open?

    It must be reachable, up to date and with its key, else the exit code is 78. The file, the
    links between rows, every sealed value and the counts are looked at; 1 where one is wrong.

    \b
    Example:
      erpsyncd db check
    """
    with store_of(invocation) as store:
        examined = store.examine()
        place = store.place
    is_ok = all(one.is_ok for one in examined)
    if invocation.as_json:
        items = [{"check": one.name, "ok": one.is_ok, "problems": one.problems} for one in examined]
        write_json("db_check", {"ok": is_ok, "items": items})
    else:
        for one in examined:
            write_text("\n".join(f"{one.name}: {line}" for line in cut(one.problems or ("ok",), _MOST_LINES)))
        write_text(f"The store {place} is {'whole, up to date, and its key is here' if is_ok else 'damaged'}.")
    return 0 if is_ok else 1

"""`erpsyncd db`: the store itself."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from erpsyncd import bootstrap
from erpsyncd.cli.groups import command_group
from erpsyncd.cli.opening import settings_of, store_of
from erpsyncd.cli.options import Invocation, common_options, pass_invocation
from erpsyncd.cli.output import cut, table, write_json, write_note, write_text
from erpsyncd.store.addresses import holds_password, read_url

#: So many problems of one kind are shown.
_MOST_LINES = 50


@command_group
def db() -> None:
    """Look after the store.

    \b
    Example:
      erpsyncd db check
    """


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


@db.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@common_options
@pass_invocation
def backup(invocation: Invocation, file: Path, *, force: bool) -> None:
    """Write the store as it is now to FILE, while erpsyncd may go on working.

    FILE is whole: it was looked through before it got its name. Only its owner can read it. Its
    secrets are encrypted, and the key is not in it: keep a copy of the key somewhere else.
    A PostgreSQL server makes its own backups; the error says which command to run.

    \b
    Examples:
      erpsyncd db backup /var/backups/erpsyncd.db
      erpsyncd db backup --force /var/backups/erpsyncd.db
    """
    settings = settings_of(invocation)
    made = bootstrap.back_up(settings, file, replace=force)
    if invocation.as_json:
        keys = {"key_id": made.key_id, "key_file": str(settings.key_path)}
        write_json("db_backup", {"file": str(made.file), "bytes": made.size, **keys})
        return
    write_text(f"The store is in {made.file} ({made.size} bytes), whole.")
    if made.key_id is not None:
        write_text(
            f"The key is not in it: {made.key_id}, in {settings.key_path}. Without it nobody can use the backup."
        )


@db.command()
@click.argument("url")
@common_options
@pass_invocation
def copy(invocation: Invocation, url: str) -> None:
    """Copy the whole store, history and secrets included, into an empty one at URL.

    From SQLite to PostgreSQL or back. Stop erpsyncd first. Secrets stay encrypted as they are, so
    the new store needs the same key file. - reads URL from stdin, where no process list shows it.

    \b
    Examples:
      erpsyncd db copy postgresql://erpsyncd@db/erpsyncd
      erpsyncd db copy sqlite:////var/lib/erpsyncd/erpsyncd.db
    """
    target = read_url(sys.stdin.readline().strip() if url == "-" else url, "URL")
    if url != "-" and holds_password(target):
        write_note(
            "erpsyncd: warning: the process list shows the password in URL; keep it in ~/.pgpass or PGPASSWORD, or "
            "write - and give URL on stdin"
        )
    settings = settings_of(invocation)
    with bootstrap.opened_store(settings) as store:
        copy = store.copy_to(target)
    if invocation.as_json:
        keys = {"key_id": copy.key_id, "key_file": str(settings.key_path)}
        write_json("db_copy", {"place": copy.place, **keys, "items": copy.tables})
        return
    write_text(table(("TABLE", "ROWS"), ((one.table, str(one.rows)) for one in copy.tables)))
    write_text(f"Everything is in {copy.place}. Set store.url to it, and do not start erpsyncd on the old store again.")
    if copy.key_id is not None:
        write_text(f"Its secrets open with the same key only: {copy.key_id}, in {settings.key_path}.")

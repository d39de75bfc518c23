"""The state directory: made where it is missing. Root works in it as the user whose it is, and leaves nothing there."""

from __future__ import annotations

import os
import pwd
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from erpsyncd.errors import ConfigurationError
from erpsyncd.files import file_error


@dataclass(frozen=True, slots=True, kw_only=True)
class _User:
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    name: str
    """As `sudo` and `chown` take it."""


def prepare(directory: Path) -> None:
    """Make the state directory, closed to others, where it is not there yet.

    Raises:
        ConfigurationError: it cannot be made, or belongs to somebody else.
        StoreError: there is no room for it.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        sentence = f"the state directory {directory} cannot be made"
        raise file_error(sentence, exc, remedy="set state.directory or run as the service's user") from exc
    refuse_another_users(directory)


def refuse_another_users(directory: Path) -> None:
    """Refuse, as root, to work in a state directory of somebody else.

    Raises:
        ConfigurationError: with the command to run instead.
    """
    owner = _other_owner(directory)
    if owner is not None:
        # Root's files in there would be closed to the service.
        raise _refusal(directory, owner)


def become_owner(directory: Path, environ: dict[str, str]) -> None:
    """As root, become the user whose state directory this is, for good; as anybody else, stay who one is.

    To be called before anything is opened that the service would open too. In `environ` HOME, USER and LOGNAME become
    that user's, and STATE_DIRECTORY says which directory it was, because another user's default is another one.

    Raises:
        ConfigurationError: it cannot be done here; with the command to run instead.
    """
    owner = _other_owner(directory)
    if owner is None:
        return
    program = _program()
    try:
        os.setgroups(owner.groups)
        os.setegid(owner.gid)
        os.seteuid(owner.uid)
        closed = next((place for place in program if not _may_import_from(place)), None)
        if closed is not None:
            # Half of the program would be missing: it is read when it is needed.
            _become_root_again()
            raise _refusal(directory, owner, f"which cannot read the program in {closed}")
        os.setresgid(owner.gid, owner.gid, owner.gid)
        os.setresuid(owner.uid, owner.uid, owner.uid)
    except OSError as exc:
        raise _refusal(directory, owner, f"and this process may not become that user: {exc.strerror}") from exc
    told = {"HOME": owner.home, "USER": owner.name, "LOGNAME": owner.name, "STATE_DIRECTORY": str(directory)}
    environ |= told
    os.environ |= told  # libpq looks for its files there


def _other_owner(directory: Path) -> _User | None:
    """Return whose directory it is, if we are root and it is not root's."""
    if os.geteuid() != 0 or not directory.is_dir():
        return None
    found = directory.stat()
    if found.st_uid == 0:
        return None
    try:
        entry = pwd.getpwuid(found.st_uid)
    except KeyError:
        return _User(uid=found.st_uid, gid=found.st_gid, groups=(found.st_gid,), home="/", name=f"#{found.st_uid}")
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return _User(uid=entry.pw_uid, gid=entry.pw_gid, groups=groups, home=entry.pw_dir, name=entry.pw_name)


def _program() -> tuple[Path, ...]:
    """Return the directories that hold this program: those of every module that it has loaded so far."""
    files = {file for module in sys.modules.values() if (file := getattr(module, "__file__", None))}
    return tuple(sorted({Path(file).parent for file in files if Path(file).exists()}))


def _may_import_from(directory: Path) -> bool:
    return os.access(directory, os.R_OK | os.X_OK, effective_ids=True)


def _become_root_again() -> None:
    os.seteuid(0)
    os.setegid(0)
    os.setgroups([0])


def _refusal(directory: Path, owner: _User, why: str = "") -> ConfigurationError:
    # Without the directory named, sudo would hand the command over to a store in that user's home, which nobody
    # else ever looks at.
    told = f"STATE_DIRECTORY={directory}"
    command = shlex.join(["sudo", "-u", owner.name, "env", told, "erpsyncd", *sys.argv[1:]])
    reason = f", {why}" if why else ""
    return ConfigurationError(f"the state directory {directory} belongs to {owner.name}{reason}; run: {command}")

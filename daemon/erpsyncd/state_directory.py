"""The state directory: made where it is missing, and left alone by root where it is somebody else's."""

from __future__ import annotations

import os
import pwd
import shlex
import sys
from pathlib import Path

from erpsyncd.errors import ConfigurationError
from erpsyncd.files import file_error


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
    owner = directory.stat().st_uid if directory.is_dir() else os.geteuid()
    if os.geteuid() == 0 and owner != 0:
        # Root's files in there would be closed to the service. Without the directory named, sudo would hand the
        # command over to a store in that user's home, which nobody else ever looks at.
        name = user_name(owner)
        told = f"STATE_DIRECTORY={directory}"
        command = shlex.join(["sudo", "-u", name, "env", told, "erpsyncd", *sys.argv[1:]])
        raise ConfigurationError(f"the state directory {directory} belongs to {name}; run: {command}")


def user_name(uid: int) -> str:
    """Return the name of a user; of one without a name its number, as `sudo` and `chown` take it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"

"""`erpsyncd-admin`: an administrator's command with what the service has: its user, credentials and environment.

A command line of root's has no credentials: systemd gives them to units only. So the command becomes one, with
systemd-run, and gets the properties that decide what a unit can know. What the unit is guarded with is left out,
because an administrator may want a file of his own read or written.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from erpsyncd.errors import ConfigurationError, DaemonError, UsageError

_UNIT = "erpsyncd.service"
_USAGE = f"""Usage: erpsyncd-admin [--unit=UNIT] COMMAND [ARGUMENTS]...

Run an erpsyncd command as the service would: as its user, with its credentials,
its environment and its state directory. Needs root, and systemd.

UNIT is whose they are: {_UNIT}, or erpsyncd-once.service.
Files are read and written as that user; stdin and stdout are yours.

Examples:
  erpsyncd-admin plan
  erpsyncd-admin doctor acme
  erpsyncd-admin import - < acme.toml
"""
#: What the unit's object on the bus is asked for; their types stand in org.freedesktop.systemd1(5).
_PROPERTIES = (
    "ExecStart",
    "User",
    "Group",
    "StateDirectory",
    "ConfigurationDirectory",
    "LoadCredential",
    "LoadCredentialEncrypted",
    "SetCredential",
    "SetCredentialEncrypted",
    "Environment",
    "EnvironmentFiles",
)
#: What of the administrator's own environment changes how results look, and nothing else.
_LOOKS = ("TERM", "NO_COLOR", "COLORTERM", "LANG", "LC_ALL", "COLUMNS")


@dataclass(frozen=True, slots=True, kw_only=True)
class TransientUnit:
    """What systemd-run is asked for."""

    words: tuple[str, ...]
    environ: Mapping[str, str]
    """What it has to find in its own environment: values are not for the process list."""


def main() -> None:
    """Become `systemd-run` with the command, or end with what is in the way."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in {"-h", "--help"}:
        sys.stdout.write(_USAGE)
        sys.exit(0 if arguments else UsageError.exit_code)
    try:
        unit = arguments.pop(0).removeprefix("--unit=") if arguments[0].startswith("--unit=") else _UNIT
        if os.geteuid() != 0:
            raise UsageError("only root can give a command the service's credentials; run it with sudo")
        properties = unit_properties(unit)
        sources = credential_sources(unit, properties)
        asked = transient_unit(properties, sources, arguments, os.environ, directory=_directory())
    except DaemonError as exc:
        sys.stderr.write(f"erpsyncd-admin: {exc}\n")
        sys.exit(exc.exit_code)
    os.execvpe(asked.words[0], asked.words, {**os.environ, **asked.environ})  # noqa: S606 -- no shell is wanted


def unit_properties(unit: str) -> dict[str, Any]:
    """Return what systemd knows of a unit, drop-ins and all, as it stands on the bus.

    Raises:
        ConfigurationError: systemd does not answer, or has no such unit.
    """
    path = "/org/freedesktop/systemd1/unit/" + "".join(_escaped(character) for character in unit)
    call = ["busctl", "--json=short", "get-property", "org.freedesktop.systemd1", path]
    try:
        done = subprocess.run(  # noqa: S603 -- a path of our making, no shell
            [*call, "org.freedesktop.systemd1.Service", *_PROPERTIES], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as exc:
        reason = exc.stderr.strip() if isinstance(exc, subprocess.CalledProcessError) else exc.strerror
        raise ConfigurationError(f"systemd cannot be asked about {unit}: {reason}") from exc
    found = dict(zip(_PROPERTIES, (json.loads(line)["data"] for line in done.stdout.splitlines()), strict=True))
    if not found["ExecStart"]:
        raise ConfigurationError(f"systemd has no unit {unit}; see: systemctl list-unit-files 'erpsyncd*'")
    return found


def credential_sources(unit: str, properties: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the lines that give a command the unit's credentials.

    A value of `SetCredential=` goes by a file in memory that `systemd-run` inherits: not by the process list.

    Raises:
        ConfigurationError: a file is not there. systemd would say 243 and not which.
    """
    literal = {name: bytes(value) for name, value in properties["SetCredential"]}
    sealed = {name: bytes(value) for name, value in properties["SetCredentialEncrypted"]}
    lines, loaded = [], set()
    for kind in ("LoadCredential", "LoadCredentialEncrypted"):
        for name, path in properties[kind]:
            # One that is no path is looked for in the credstores, and may be absent.
            if not path.startswith("/") or os.path.lexists(path):
                lines.append(f"{kind}={name}:{path}")
                loaded.add(name)
            elif name not in literal | sealed:
                raise ConfigurationError(f"the credential {name} of {unit} cannot be loaded: there is no {path}")
    lines += [f"SetCredentialEncrypted={name}:{_base64(value)}" for name, value in sealed.items()]
    in_memory = {name: value for name, value in literal.items() if name not in loaded}
    return (*lines, *(f"LoadCredential={name}:{_in_memory(value)}" for name, value in in_memory.items()))


def transient_unit(
    properties: Mapping[str, Any],
    credentials: Sequence[str],
    arguments: Sequence[str],
    environ: Mapping[str, str],
    *,
    directory: str,
) -> TransientUnit:
    """Return the unit that runs a command with the properties of another one.

    Args:
        properties: as `unit_properties` returns them.
        credentials: as `credential_sources` returns them.
        arguments: the command line after `erpsyncd`.
        environ: the administrator's environment.
        directory: where relative paths begin, where the service's user may go there.
    """
    given = {name: environ[name] for name in _LOOKS if name in environ}
    given |= dict(line.split("=", 1) for line in properties["Environment"])
    wanted = [
        f"User={properties['User']}",
        f"Group={properties['Group']}",
        "UMask=0077",
        "NoNewPrivileges=yes",
        "LimitCORE=0",
        f"WorkingDirectory=-{directory}",
        *(f"StateDirectory={name}" for name in properties["StateDirectory"]),
        "StateDirectoryMode=0700",
        *(f"ConfigurationDirectory={name}" for name in properties["ConfigurationDirectory"]),
        "ConfigurationDirectoryMode=0750",
        *credentials,
        *(
            f"EnvironmentFile={'-' if absent_is_fine else ''}{path}"
            for path, absent_is_fine in properties["EnvironmentFiles"]
        ),
    ]
    program = properties["ExecStart"][0][0]
    options = ("--quiet", "--collect", "--wait", "--pty", "--pipe", "--service-type=exec")
    told = (f"--property={property_}" for property_ in wanted)
    names = (f"--setenv={name}" for name in given)
    return TransientUnit(words=("systemd-run", *options, *told, *names, "--", program, *arguments), environ=given)


def _escaped(character: str) -> str:
    """Return a character of a unit's name as object paths on the bus have it."""
    plain = character.isascii() and character.isalnum()
    return character if plain else "".join(f"_{byte:02x}" for byte in character.encode())


def _base64(sealed: bytes) -> str:
    return base64.b64encode(sealed).decode()


def _in_memory(value: bytes) -> str:
    """Return the path of a file that lives as long as this process, under whatever program."""
    descriptor = os.memfd_create("credential", 0)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(value)
    return f"/proc/{os.getpid()}/fd/{descriptor}"


def _directory() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it was removed under this shell
        return "/"


if __name__ == "__main__":
    main()

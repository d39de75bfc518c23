"""`erpsyncd-admin`: what it asks systemd-run for, from what systemd says of the service's unit."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from erpsyncd.admin import credential_sources, transient_unit
from erpsyncd.errors import ConfigurationError

PROPERTIES: dict[str, Any] = {
    "ExecStart": [["/usr/bin/erpsyncd", ["/usr/bin/erpsyncd"], False, 0, 0, 0, 0, 0, 0, 0]],
    "User": "erpsyncd",
    "Group": "erpsyncd",
    "StateDirectory": ["erpsyncd"],
    "ConfigurationDirectory": ["erpsyncd"],
    "LoadCredential": [["acme", "acme"]],
    "LoadCredentialEncrypted": [["erpsyncd.key", "/etc/hostname"]],
    "SetCredential": [],
    "SetCredentialEncrypted": [["sealed", [1, 2, 255]]],
    "Environment": ["ERPSYNCD__STORE__URL=postgresql://u:canary@db/x", "EMPTY="],
    "EnvironmentFiles": [["/etc/default/erpsyncd", True], ["/etc/needed", False]],
}


def test_a_command_gets_what_the_unit_has() -> None:
    """User, directories, credentials and environment; then the unit's own program with the arguments as they are."""
    environ = {"TERM": "xterm", "HOME": "/root"}
    asked = transient_unit(PROPERTIES, ["LoadCredential=a:b"], ["plan", "--only", "a b"], environ, directory="/srv/x")
    properties = {word.removeprefix("--property=") for word in asked.words if word.startswith("--property=")}

    assert ("systemd-run", ("--", "/usr/bin/erpsyncd", "plan", "--only", "a b")) == (asked.words[0], asked.words[-5:])
    assert {"--wait", "--pipe", "--pty", "--collect"} <= set(asked.words)
    assert {
        "User=erpsyncd",
        "Group=erpsyncd",
        "StateDirectory=erpsyncd",
        "ConfigurationDirectory=erpsyncd",
        "WorkingDirectory=-/srv/x",
        "LoadCredential=a:b",
        "EnvironmentFile=-/etc/default/erpsyncd",
        "EnvironmentFile=/etc/needed",
    } <= properties


def test_values_of_the_environment_stay_out_of_the_process_list() -> None:
    """systemd-run finds them in its environment by name; of the administrator's own only looks go on."""
    asked = transient_unit(PROPERTIES, [], ["plan"], {"TERM": "xterm", "HOME": "/root"}, directory="/")

    assert "canary" not in " ".join(asked.words)
    assert {"--setenv=ERPSYNCD__STORE__URL", "--setenv=EMPTY", "--setenv=TERM"} <= set(asked.words)
    expected = {"ERPSYNCD__STORE__URL": "postgresql://u:canary@db/x", "EMPTY": "", "TERM": "xterm"}
    assert expected == dict(asked.environ)


def test_credentials_come_from_where_the_unit_has_them(tmp_path: Path) -> None:
    """Files by their paths, and names that systemd looks for itself; what is sealed as it is."""
    (tmp_path / "there").touch()
    given = [["acme", f"{tmp_path}/there"], ["by-name", "by-name"]]

    assert (
        f"LoadCredential=acme:{tmp_path}/there",
        "LoadCredential=by-name:by-name",
        "LoadCredentialEncrypted=erpsyncd.key:/etc/hostname",
        "SetCredentialEncrypted=sealed:AQL/",
    ) == credential_sources("erpsyncd.service", PROPERTIES | {"LoadCredential": given})


def test_a_value_in_the_unit_goes_by_memory() -> None:
    """Nobody sees it in the process list; a file of the same name goes before it, where there is one."""
    given = PROPERTIES | {
        "SetCredential": [["plain", list(b"canary\n%x\0")], ["kept", list(b"1")], ["acme", list(b"no")]],
        "LoadCredential": [["acme", "/etc/hostname"], ["kept", "/nowhere"]],
        "LoadCredentialEncrypted": [],
        "SetCredentialEncrypted": [],
    }

    acme, plain, kept = credential_sources("erpsyncd.service", given)

    assert "LoadCredential=acme:/etc/hostname" == acme
    values = {line.partition(":")[0]: Path(line.partition(":")[2]).read_bytes() for line in (plain, kept)}
    assert {"LoadCredential=plain": b"canary\n%x\0", "LoadCredential=kept": b"1"} == values


def test_a_credential_whose_file_is_gone_is_named() -> None:
    """systemd ends a unit with 243 then, and systemd-run says nothing."""
    given = PROPERTIES | {"LoadCredential": [["acme", "/nowhere/acme"]]}

    with pytest.raises(
        ConfigurationError,
        match=r"the credential acme of erpsyncd\.service cannot be loaded: there is no /nowhere/acme",
    ):
        credential_sources("erpsyncd.service", given)


@pytest.fixture
def bus(tmp_path: Path) -> Path:
    """A directory of programs: a busctl that knows one unit, and a systemd-run that shows its arguments."""
    lines = "\n".join(json.dumps({"type": "?", "data": PROPERTIES[name]}) for name in PROPERTIES)
    absent = "\n".join(json.dumps({"type": "?", "data": []}) for _ in PROPERTIES)
    _program(
        tmp_path / "busctl",
        f"case $4 in *erpsyncd_2eservice) cat <<'EOF'\n{lines}\nEOF\n;; *once*) cat <<'EOF'\n{absent}\nEOF\n;; "
        "*) echo 'no bus' >&2; exit 1;; esac",
    )
    _program(tmp_path / "systemd-run", 'for word; do echo "$word"; done; echo "$ERPSYNCD__STORE__URL"')
    return tmp_path


def _program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def admin(bus: Path, *arguments: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if "COV" in name}
    return subprocess.run(
        [*before, sys.executable, "-m", "erpsyncd.admin", *arguments],
        env=kept | {"PATH": f"{bus}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who alone is let on")


@needs_root
def test_it_becomes_systemd_run(bus: Path) -> None:
    """What systemd says of the unit goes on; the values by way of the environment."""
    done = admin(bus, "doctor", "acme")

    lines = done.stdout.splitlines()
    assert (0, ["/usr/bin/erpsyncd", "doctor", "acme", "postgresql://u:canary@db/x"]) == (done.returncode, lines[-4:])
    assert "--property=LoadCredential=acme:acme" in lines


@needs_root
@pytest.mark.parametrize(
    ("unit", "reason"),
    [
        ("erpsyncd-once.service", "systemd has no unit erpsyncd-once.service; see: systemctl list-unit-files"),
        ("other.service", "systemd cannot be asked about other.service: no bus"),
    ],
)
def test_a_unit_that_is_not_there_is_named(bus: Path, unit: str, reason: str) -> None:
    """With 78, and nothing is run."""
    done = admin(bus, f"--unit={unit}", "plan")

    assert (78, "") == (done.returncode, done.stdout)
    assert reason in done.stderr


@needs_root
def test_a_machine_without_systemd_says_so(bus: Path) -> None:
    """The program that would be asked is named by what failed."""
    (bus / "busctl").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "erpsyncd.admin", "plan"],
        env={"PATH": str(bus)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (78, True) == (
        done.returncode,
        "systemd cannot be asked about erpsyncd.service: No such file" in done.stderr,
    )


def test_help_and_usage(bus: Path) -> None:
    """Without a command it says how it is used."""
    assert (0, True) == ((told := admin(bus, "--help")).returncode, "erpsyncd-admin plan" in told.stdout)
    assert 2 == admin(bus).returncode
    assert all(len(line) <= 80 for line in told.stdout.splitlines())

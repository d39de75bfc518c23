"""The units are understood by the systemd that reads them, and guarded as well as a service like this can be."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "systemd"
SERVICES = ["erpsyncd.service", "erpsyncd-once.service"]
#: What `systemd-analyze security` may find at most, of 10. What is left: it talks to networks, and to any address.
EXPOSURE = 1.4


def _analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("systemd-analyze is missing in CI")
        pytest.skip("needs systemd-analyze; install the package systemd")
    return found


def test_units_verify_without_a_word(tmp_path: Path) -> None:
    """A copy whose paths point at an installed script makes `systemd-analyze verify` say nothing."""
    names = [path.name for path in UNITS.iterdir() if path.suffix in {".service", ".timer"}]
    for name in names:
        text = (UNITS / name).read_text().replace("/usr/bin/erpsyncd", str(Path(sys.executable).with_name("erpsyncd")))
        (tmp_path / name).write_text(text)

    done = subprocess.run(
        [_analyze(), "verify", "--man=no", *(str(tmp_path / name) for name in names)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert {*SERVICES, "erpsyncd-once.timer"} == set(names)
    assert ("", "", 0) == (done.stdout, done.stderr, done.returncode)


def test_verify_does_complain(tmp_path: Path) -> None:
    """The check above can fail: a unit with a misspelt line is told off."""
    unit = tmp_path / "erpsyncd.service"
    unit.write_text((UNITS / "erpsyncd.service").read_text().replace("NoNewPrivileges", "NoNewPrivilege"))

    done = subprocess.run([_analyze(), "verify", str(unit)], capture_output=True, text=True, check=False)

    assert "NoNewPrivilege" in done.stderr


def _exposure(unit: Path) -> float:
    words = [_analyze(), "security", "--offline=true", "--no-pager", str(unit)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found, done.stderr
    return float(found.group(1))


@pytest.mark.parametrize("unit", SERVICES)
def test_units_are_guarded(unit: str) -> None:
    """`systemd-analyze security` finds little that could still be taken away."""
    assert _exposure(UNITS / unit) <= EXPOSURE


def test_the_measure_does_measure(tmp_path: Path) -> None:
    """A unit that may do a little more is above the threshold."""
    unit = tmp_path / "erpsyncd.service"
    text = (UNITS / "erpsyncd.service").read_text()
    unit.write_text(text.replace("SystemCallFilter", "#SystemCallFilter").replace("CapabilityBounding", "#Capability"))

    assert _exposure(unit) > EXPOSURE


def test_both_services_are_guarded_alike() -> None:
    """What is forbidden to one mode is forbidden to the other."""
    guards = [(UNITS / unit).read_text().partition("\nNoNewPrivileges=yes\n")[2] for unit in SERVICES]

    assert guards[0].partition("\n\n[Install]")[0] == guards[1].rstrip()


@pytest.mark.parametrize("unit", SERVICES)
def test_both_services_live_in_the_same_places(unit: str) -> None:
    """One user, one state directory closed to others, and no core that would hold secrets."""
    lines = set((UNITS / unit).read_text().splitlines())

    assert {"User=erpsyncd", "Group=erpsyncd", "UMask=0077", "LimitCORE=0"} <= lines
    assert {"StateDirectory=erpsyncd", "StateDirectoryMode=0700", "ConfigurationDirectory=erpsyncd"} <= lines


def test_the_daemon_is_watched_and_not_started_in_vain() -> None:
    """Bad usage, refused credentials and bad settings are final; a reload asks first whether settings can be used."""
    lines = (UNITS / "erpsyncd.service").read_text().splitlines()

    assert {"Type=notify", "Restart=on-failure", "RestartPreventExitStatus=2 77 78", "WatchdogSec=5min"} <= set(lines)
    reload = ["ExecReload=/usr/bin/erpsyncd config check", "ExecReload=/bin/kill -HUP $MAINPID"]
    assert reload == [line for line in lines if line.startswith("ExecReload")]


def test_the_timer_makes_up_for_what_was_missed() -> None:
    """And many machines do not call at the same second."""
    lines = set((UNITS / "erpsyncd-once.timer").read_text().splitlines())

    assert {"Persistent=yes", "RandomizedDelaySec=2min", "Unit=erpsyncd-once.service"} <= lines


def test_the_example_of_credentials_is_a_drop_in(tmp_path: Path) -> None:
    """With every line of it in force, systemd understands it."""
    text = (UNITS / "credentials.conf").read_text()
    for unit in SERVICES:
        place = tmp_path / f"{unit}.d"
        place.mkdir()
        (place / "credentials.conf").write_text(re.sub(r"^#(Load|Set)", r"\1", text, flags=re.MULTILINE))
        program = str(Path(sys.executable).with_name("erpsyncd"))
        (tmp_path / unit).write_text((UNITS / unit).read_text().replace("/usr/bin/erpsyncd", program))
    words = [_analyze(), "verify", "--man=no", *(str(tmp_path / unit) for unit in SERVICES)]

    done = subprocess.run(words, capture_output=True, text=True, check=False)

    assert 3 == text.count("\n#LoadCredential")
    assert ("", "", 0) == (done.stdout, done.stderr, done.returncode)

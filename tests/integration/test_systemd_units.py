"""The units are understood by the systemd that reads them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "systemd"


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
        [_analyze(), "verify", *(str(tmp_path / name) for name in names)], capture_output=True, text=True, check=False
    )

    assert {"erpsyncd.service", "erpsyncd-once.service", "erpsyncd-once.timer"} == set(names)
    assert ("", "", 0) == (done.stdout, done.stderr, done.returncode)


def test_verify_does_complain(tmp_path: Path) -> None:
    """The check above can fail: a unit with a misspelt line is told off."""
    unit = tmp_path / "erpsyncd.service"
    unit.write_text((UNITS / "erpsyncd.service").read_text().replace("NoNewPrivileges", "NoNewPrivilege"))

    done = subprocess.run([_analyze(), "verify", str(unit)], capture_output=True, text=True, check=False)

    assert "NoNewPrivilege" in done.stderr


@pytest.mark.parametrize("unit", ["erpsyncd.service", "erpsyncd-once.service"])
def test_failures_that_starting_again_cannot_mend_are_final(unit: str) -> None:
    """Bad usage, refused credentials and bad configuration do not restart the daemon; secrets come as credentials."""
    text = (UNITS / unit).read_text()

    assert ("RestartPreventExitStatus=2 77 78" in text) == (unit == "erpsyncd.service")
    assert "LoadCredential=" in text
    assert "StateDirectory=erpsyncd" in text

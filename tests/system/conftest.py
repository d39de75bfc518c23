"""The package, built once, and one machine that it is installed on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from machine import CannotBoot, Machine, why_not

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Debian package of this tree; ERPSYNCD_DEB names one that was built before."""
    built = os.environ.get("ERPSYNCD_DEB")
    if built:
        return Path(built)
    if os.geteuid() != 0:
        pytest.skip("only root's files may be packed without more tools")
    place = tmp_path_factory.mktemp("package")
    environ = os.environ | {"DEB_COMPRESSION": "-Znone"}
    done = subprocess.run(
        [str(ROOT / "packaging" / "deb" / "make-package"), str(place)],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    return Path(done.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def older_package(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same package under a lower version, to upgrade from."""
    place = tmp_path_factory.mktemp("older")
    subprocess.run(["dpkg-deb", "--raw-extract", str(package), str(place / "tree")], check=True)
    control = place / "tree" / "DEBIAN" / "control"
    lines = control.read_text().splitlines()
    control.write_text("".join(f"{'Version: 0.0.1' if line.startswith('Version:') else line}\n" for line in lines))
    build = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(place / "tree"), str(place / "older.deb")]
    subprocess.run(build, check=True, capture_output=True)
    return place / "older.deb"


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine that has just been booted; skipped, with the reason, where none can be."""
    missing = why_not()
    if missing:
        pytest.skip(missing)
    try:
        with Machine(tmp_path_factory.mktemp("machine") / "root") as booted:
            yield booted
    except CannotBoot as exc:
        pytest.skip(f"systemd-nspawn does not boot here: {exc}")

"""The wheel carries everything that the program needs at run time."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNITS = {
    path.name for path in (ROOT / "systemd").iterdir() if path.suffix in {".service", ".timer", ".sysusers", ".conf"}
}


def _copied_to(place: Path) -> Path:
    leave = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "tests")
    return shutil.copytree(ROOT, place / "source", ignore=leave)


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the sources, unpacked."""
    place = tmp_path_factory.mktemp("wheel")
    source = _copied_to(place)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--wheel-dir", str(place), str(source)], check=True, capture_output=True)
    (wheel,) = place.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place / "unpacked")
    return place / "unpacked"


def test_the_wheel_upgrades_a_store_by_itself(unpacked: Path, tmp_path: Path) -> None:
    """Migrations are found where the wheel put them, away from any source tree."""
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(unpacked), "ERPSYNCD__STATE__DIRECTORY": str(tmp_path)}

    where = "import erpsyncd, erpsyncd.migrations as m; print(erpsyncd.__file__, *m.__path__)"
    found = subprocess.run([sys.executable, "-c", where], env=environ, check=True, capture_output=True, text=True)
    subprocess.run([sys.executable, "-m", "erpsyncd", "db", "upgrade"], env=environ, check=True, cwd=tmp_path)

    assert all(path.startswith(str(unpacked)) for path in found.stdout.split())
    connection = sqlite3.connect(tmp_path / "erpsyncd.db")
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    assert {"alembic_version", "tenants", "connections", "runs"} <= tables


def test_the_wheel_holds_what_it_should(unpacked: Path) -> None:
    """Data files are in, tests and contracts are not, and no top-level module but ours is installed."""
    top = {path.name for path in unpacked.iterdir() if not path.name.endswith(".dist-info")}

    assert {"erpsyncd"} == top
    assert (unpacked / "erpsyncd" / "py.typed").is_file()
    assert (unpacked / "erpsyncd" / "config" / "demo" / "tenants.toml").is_file()
    assert list((unpacked / "erpsyncd" / "migrations" / "versions").glob("0001*.py"))
    assert (unpacked / "erpsyncd" / "config" / "erpsyncd.toml").is_file()
    assert UNITS <= {path.name for path in (unpacked / "erpsyncd" / "systemd").iterdir()}
    assert [] == list(unpacked.rglob("*.wsdl"))


def test_the_source_distribution_holds_what_a_build_needs(tmp_path: Path) -> None:
    """Whoever has only this can build the wheel and the Debian package, and read the manual."""
    source = _copied_to(tmp_path)
    make = "from setuptools.build_meta import build_sdist; import sys; print(build_sdist(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", make, str(tmp_path)], check=True, capture_output=True, cwd=source)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}

    assert {f"systemd/{name}" for name in UNITS} <= names
    assert {"config/erpsyncd.toml", "config/demo/tenants.toml", "migrations/env.py", "man/erpsyncd.1"} <= names
    assert {"packaging/deb/make-package", "packaging/deb/postinst", "constraints.txt", "LICENSE", "Makefile"} <= names
    assert any(name.startswith("migrations/versions/0001") for name in names)

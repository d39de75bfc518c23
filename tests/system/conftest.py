"""The package, built once, and one machine that it is installed on, ready to serve."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from machine import CannotBoot, Machine, why_not
from server_support import DROP_IN, ONCE, QUICK, TIMER, UNIT, ask

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


@pytest.fixture(scope="session")
def server(machine: Machine, older_package: Path) -> Iterator[Machine]:
    """A machine with the package, credentials, and a tenant on loopback; nothing is imported or started yet."""
    machine.put("/srv/older.deb", older_package.read_bytes())
    machine.run("dpkg", "--install", "/srv/older.deb")
    machine.put("/root/acme-password", b"sandbox", mode=0o600)
    machine.shell("umask 077; mkdir -p /etc/credstore.encrypted")
    seal = ("systemd-creds", "encrypt", "--name=acme-visma", "-", "/etc/credstore.encrypted/acme-visma")
    machine.run(*seal, stdin="sealed canary")
    for unit in (UNIT, ONCE):
        machine.put(f"/etc/systemd/system/{unit}.d/credentials.conf", DROP_IN.encode())
    machine.put(f"/etc/systemd/system/{UNIT}.d/quick.conf", QUICK.encode())
    machine.run("systemctl", "daemon-reload")
    machine.run("systemd-run", "--unit=tenant", "--uid=nobody", "/usr/bin/erpsyncd", "sandbox", "--port", "8700")
    machine.until(lambda: "x" if ask(machine, "GET", "state") is not None else "", "the stand-in tenant")
    yield machine
    machine.run("systemctl", "stop", "tenant", UNIT, TIMER, ONCE, code=None)

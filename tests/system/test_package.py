"""The Debian package, looked at from outside: what is in it, whose it is, and that nothing tells where it was made."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

#: Who builds it, as Debian's own tools take it from his environment.
MAINTAINER = (
    f"{os.environ.get('DEBFULLNAME', 'Whoever built this package')} <{os.environ.get('DEBEMAIL', 'root@localhost')}>"
)


def _told(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def contents(package: Path) -> dict[str, str]:
    """Each path of the package with its mode and its owner."""
    found = {}
    for line in _told("dpkg-deb", "--contents", str(package)).splitlines():
        mode, owner, _, _, _, path = line.split(maxsplit=5)
        found[path.partition(" -> ")[0].removeprefix(".").rstrip("/")] = f"{mode} {owner}"
    return found


def test_everything_is_where_debian_looks_for_it(contents: dict[str, str]) -> None:
    """Units, user, manual page, completion, commands, examples; the settings closed to others."""
    assert "-rw-r----- root/root" == contents["/etc/erpsyncd/erpsyncd.toml"]
    assert "drwxr-x--- root/root" == contents["/etc/erpsyncd"]
    for path in (
        "/usr/lib/systemd/system/erpsyncd.service",
        "/usr/lib/systemd/system/erpsyncd-once.service",
        "/usr/lib/systemd/system/erpsyncd-once.timer",
        "/usr/lib/sysusers.d/erpsyncd.conf",
        "/usr/share/man/man1/erpsyncd.1.gz",
        "/usr/share/bash-completion/completions/erpsyncd",
        "/usr/share/doc/erpsyncd/copyright",
        "/usr/share/doc/erpsyncd/changelog.gz",
        "/usr/share/doc/erpsyncd/examples/credentials.conf",
        "/usr/share/doc/erpsyncd/examples/example.toml",
    ):
        assert "-rw-r--r-- root/root" == contents[path], path
    for command in ("erpsyncd", "erpsyncd-admin"):
        assert contents[f"/usr/bin/{command}"].startswith("lrwxrwxrwx")
        assert "-rwxr-xr-x root/root" == contents[f"/opt/erpsyncd/bin/{command}"]


def test_nothing_is_writable_for_others_or_of_nobody(contents: dict[str, str]) -> None:
    """All of it is root's, nothing runs with more rights than its caller, and no tests or caches came along."""
    odd = [
        path
        for path, entry in contents.items()
        if not re.fullmatch(r"(d|-|l)r[w-](x|-)(r[w-](x|-)|---){2} root/root", entry)
    ]
    writable = [path for path, entry in contents.items() if entry[0] != "l" and "w" in entry[5:10]]

    assert ([], []) == (odd, writable)
    assert [] == [path for path in contents if "/erpsyncd/tests" in path or path.endswith((".wsdl", "direct_url.json"))]
    assert {"erpsyncd", "erpsyncd-admin"} <= {
        Path(path).name for path in contents if path.startswith("/opt/erpsyncd/bin/")
    }
    assert not any(path.startswith("/opt/erpsyncd/bin/pip") for path in contents)


def test_the_package_says_what_it_needs(package: Path) -> None:
    """Its version is the wheel's, its Python is the one that its modules were compiled for."""
    control = _told("dpkg-deb", "--field", str(package))
    fields = dict(line.split(": ", 1) for line in control.splitlines() if not line.startswith(" "))

    assert MAINTAINER == fields["Maintainer"]
    assert ("erpsyncd", "net", "optional") == (fields["Package"], fields["Section"], fields["Priority"])
    assert re.search(r"python3 \(>= 3\.\d+~\), python3 \(<< 3\.\d+~\).*systemd \(>= 250\)", fields["Depends"])
    assert int(fields["Installed-Size"]) > 1024
    assert "/etc/erpsyncd/erpsyncd.toml" == _told("dpkg-deb", "--info", str(package), "conffiles").strip()
    for script in ("preinst", "postinst", "prerm", "postrm"):
        text = _told("dpkg-deb", "--info", str(package), script)
        assert text.startswith("#!/bin/sh\nset -e\n"), script
        subprocess.run(["sh", "-n"], input=text, text=True, check=True)


def test_the_environment_was_made_for_its_place(package: Path, tmp_path: Path) -> None:
    """Commands name /opt/erpsyncd and the system's Python; the modules are compiled, as nobody may do it there."""
    subprocess.run(["dpkg-deb", "--extract", str(package), str(tmp_path)], check=True)
    home = tmp_path / "opt" / "erpsyncd"
    (site,) = home.glob("lib/python3.*/site-packages")

    assert "#!/opt/erpsyncd/bin/python" == (home / "bin" / "erpsyncd").read_text().splitlines()[0]
    assert "home = /usr/bin" in (home / "pyvenv.cfg").read_text()
    assert list((site / "erpsyncd" / "__pycache__").glob("bootstrap.cpython-*.pyc"))
    assert list((site / "erpsyncd" / "migrations" / "versions").glob("0001*.py"))
    assert (site / "psycopg").is_dir()

"""A machine with a real systemd, booted over what is installed here; whatever is done to it is gone afterwards.

systemd-nspawn runs it on an overlay whose upper layer is memory, in a mount namespace of its own: neither this
system's files nor its own systemd, if it has one, are touched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

PATIENCE = 60.0
"""Seconds after which a wait is given up."""

_PAUSE = 0.1
_ENVIRON = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}
#: Mounts that end with this process, then what boots. Everything that this system would start by itself is left out.
_BOOT = r"""
set -e
mount -t tmpfs -o mode=0755 tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
cd "$1/root"
rm -rf etc/systemd/system/multi-user.target.wants etc/systemd/system/timers.target.wants
rm -rf etc/systemd/system/*.service.d var/log/journal opt/erpsyncd etc/erpsyncd var/lib/erpsyncd usr/bin/erpsyncd*
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
            postgresql.service man-db.timer systemd-logind.service getty.target; do
    ln -sfn /dev/null "etc/systemd/system/$unit"
done
exec systemd-nspawn --quiet --directory="$1/root" --boot --private-network --register=no --keep-unit \
    --console=pipe --link-journal=no --kill-signal=SIGRTMIN+4 systemd.unit=multi-user.target
"""


class CannotBoot(Exception):
    """This system cannot boot another one; the reason is a sentence."""


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    stdout: str
    stderr: str


@dataclass
class Machine:
    """A booted machine; a context that ends with its power off."""

    directory: Path
    _nspawn: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _init: int = field(default=0, init=False)

    def __enter__(self) -> Self:
        missing = why_not()
        if missing:
            raise CannotBoot(missing)
        self.directory.mkdir()
        console = self.directory.with_suffix(".console").open("wb")
        self._nspawn = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "bash", "-c", _BOOT, "bash", str(self.directory)],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
        )
        console.close()
        try:
            self._wait_for_boot()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def run(self, *words: str, stdin: str | None = None, code: int | None = 0, **environ: str) -> Done:
        """Run a command as root inside; where `code` is a number it has to end with that."""
        enter = ["nsenter", f"--target={self._init}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]
        variables = (f"{name}={value}" for name, value in (_ENVIRON | environ).items())
        done = subprocess.run(
            [*enter, "env", "--chdir=/root", "-i", *variables, *words],
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=5 * PATIENCE,
            check=False,
        )
        if code is not None and code != done.returncode:
            told = subprocess.run([*enter, "journalctl", "--no-pager", "--lines=40"], capture_output=True, check=False)
            journal = told.stdout.decode(errors="replace")
            raise AssertionError(f"{words} ended with {done.returncode}: {done.stdout} {done.stderr}\n{journal}")
        return Done(done.returncode, done.stdout, done.stderr)

    def put(self, place: str, content: bytes, *, mode: int = 0o644) -> None:
        """Write a file inside, as root's."""
        path = Path(f"/proc/{self._init}/root{place}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)

    def shell(self, script: str, *, code: int | None = 0, stdin: str | None = None) -> Done:
        return self.run("bash", "-ec", script, code=code, stdin=stdin)

    def property(self, unit: str, name: str) -> str:
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).stdout.strip()

    def wait_for(self, unit: str, name: str, *expected: str) -> str:
        """Wait until a property of a unit is one of these; return it."""

        def read() -> str:
            return found if (found := self.property(unit, name)) in expected else ""

        return self.until(read, f"{name} of {unit} to be {expected}")

    def journal(self, unit: str) -> str:
        return self.run("journalctl", "--no-pager", "--output=short-monotonic", f"--unit={unit}").stdout

    def wait_for_line(self, unit: str, text: str, *, times: int = 1) -> None:
        self.until(lambda: "x" if self.journal(unit).count(text) >= times else "", f"{text!r} in the journal of {unit}")

    def until(self, answer: Callable[[], str], what: str) -> str:
        deadline = time.monotonic() + PATIENCE
        while not (found := answer()):
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            time.sleep(_PAUSE)
        return found

    def _wait_for_boot(self) -> None:
        assert self._nspawn is not None
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self._nspawn.poll() is not None:
                raise CannotBoot(f"systemd-nspawn ended: {self._last_words()}")
            self._init = self._init or _init_below(self._nspawn.pid)
            if self._init and self._is_up():
                return
            time.sleep(_PAUSE)
        raise CannotBoot(f"it did not come up in {PATIENCE:.0f} s: {self._last_words()}")

    def _is_up(self) -> bool:
        try:
            state = self.run("systemctl", "is-system-running", code=None).stdout.strip()
        except subprocess.TimeoutExpired:
            return False
        return state in {"running", "degraded"}

    def _last_words(self) -> str:
        return self.directory.with_suffix(".console").read_text(errors="replace")[-500:].strip()

    def _end(self) -> None:
        assert self._nspawn is not None
        if self._nspawn.poll() is None:
            self._nspawn.terminate()
            try:
                self._nspawn.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._nspawn.kill()
                self._nspawn.wait()


def why_not() -> str:
    """Return why no machine can be booted here; empty where nothing speaks against it."""
    if os.geteuid() != 0:
        return "only root can boot a machine"
    missing = [name for name in ("systemd-nspawn", "unshare", "nsenter", "dpkg-deb") if shutil.which(name) is None]
    if missing:
        return f"needs {', '.join(missing)}; install: systemd-container util-linux dpkg"
    if not Path("/lib/systemd/systemd").exists():
        return "needs systemd; install: systemd systemd-sysv dbus"
    if not Path("/usr/bin/python3").exists():
        return "needs the system's Python; install: python3-venv"
    return ""


def _init_below(pid: int) -> int:
    """Return the child that is the first process of processes of its own; 0 while there is none."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ours = Path("/proc/self/ns/pid").readlink()
        return next((int(child) for child in children if Path(f"/proc/{child}/ns/pid").readlink() != ours), 0)
    except FileNotFoundError:
        return 0

"""The installed command as a subprocess, the way its users run it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COMMAND = str(Path(sys.executable).with_name("erpsyncd"))
PATIENCE = 60.0
"""Seconds after which a test gives up on an event; nothing here takes a second."""

Invoke = Callable[..., tuple[int, str, str]]
"""A command line in this process: its code, stdout and stderr."""


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    @property
    def error(self) -> Any:
        return json.loads(self.stderr.splitlines()[-1])


@dataclass
class Erpsyncd:
    """Commands on one store."""

    directory: Path
    store_url: str = ""
    environ: dict[str, str] = field(default_factory=dict)
    program: tuple[str, ...] = (COMMAND,)
    """What is run; something before the command may limit what it can do."""

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME"} or "COV" in name}
        store = {"ERPSYNCD__STORE__URL": self.store_url} if self.store_url else {}
        state = {"ERPSYNCD__STATE__DIRECTORY": str(self.directory / "state")}
        return kept | state | store | self.environ

    def __call__(self, *arguments: str, stdin: str | None = None) -> Result:
        done = subprocess.run(
            [*self.program, *arguments],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            cwd=self.directory,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.write_text(text)
        return path

    def load(self, text: str, *arguments: str) -> Result:
        return self("import", "-", "--output", "json", *arguments, stdin=text)

    def run_once(self, *arguments: str) -> Result:
        return self("--run-once", "--output", "json", *arguments)

    def listed(self, noun: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self(noun, "list", "--output", "json").json["items"]
        return items

    @contextmanager
    def daemon(self, *arguments: str, program: tuple[str, ...] = ()) -> Iterator[Daemon]:
        process = subprocess.Popen(
            [*(program or self.program), "--log-format", "json", *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.directory,
        )
        daemon = Daemon(process)
        try:
            yield daemon
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()


@dataclass
class Daemon:
    """A daemon in the foreground, and what it logs."""

    process: subprocess.Popen[bytes]
    lines: list[dict[str, Any]] = field(default_factory=list)
    """What `wait_for` has not gone past yet."""

    log: list[dict[str, Any]] = field(default_factory=list)
    """Everything that was read."""

    _rest: bytes = b""

    def wait_for(self, event: str, **members: Any) -> dict[str, Any]:
        """Return the next log line of this event, having read everything before it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            for index, line in enumerate(self.lines):
                if line["event"] == event and members.items() <= line.items():
                    del self.lines[: index + 1]
                    return line
            self._read(deadline, event)

    def wait_until_seen(self, event: str) -> dict[str, Any]:
        """Return the first log line of this event since the start, passed by or not."""
        deadline = time.monotonic() + PATIENCE
        while not (found := [line for line in self.log if line["event"] == event]):
            self._read(deadline, event)
        return found[0]

    def next_of(self, *events: str) -> dict[str, Any] | None:
        """Return the next log line of one of these events; None once it ended without one."""
        deadline = time.monotonic() + PATIENCE
        while True:
            for index, line in enumerate(self.lines):
                if line["event"] in events:
                    del self.lines[: index + 1]
                    return line
            if not self._read_on(deadline, " or ".join(events)):
                return None

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Return its exit code, once it ended."""
        return self.process.wait(PATIENCE)

    def _read(self, deadline: float, event: str) -> None:
        if not self._read_on(deadline, event):
            raise AssertionError(f"it ended without {event}: {self.lines[-5:]} {self._rest!r}")

    def _read_on(self, deadline: float, event: str) -> bool:
        """Read what it logged meanwhile; False at the end."""
        assert self.process.stderr is not None
        ready, _, _ = select.select([self.process.stderr], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise AssertionError(f"no {event} in {PATIENCE} s; last lines: {self.lines[-5:]}")
        chunk = os.read(self.process.stderr.fileno(), 65536)
        if not chunk:
            return False
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        read = [json.loads(line) for line in whole]
        self.lines += read
        self.log += read
        return True


def document(
    url: str, protocol: str, connections: str, *, name: str = "acme", extra: str = "", password: str = "sandbox"
) -> str:
    return f"""
[[tenants]]
name = "{name}"
url = "{url}/{name}"
protocol = "{protocol}"
{extra}
[tenants.auth]
kind = "password"
username = "sandbox"
password = "{password}"
{connections}
"""


def connection(key: str, *, tenant: str = "acme", state: str = "present", **fields: Any) -> str:
    given: dict[str, Any] = {"erp_connector_id": 1, "display_name": f"Name of {key}"} | fields
    config: dict[str, str] = given.pop("config_fields", {"Client": "F0001", "Password": "erp password"})
    lines = [f"{name} = {json.dumps(value)}" for name, value in given.items()]
    secrets = [f"{name} = {json.dumps(value)}" for name, value in config.items()]
    head = f'[[connections]]\ntenant = "{tenant}"\nkey = "{key}"\nstate = "{state}"\n'
    return "\n" + head + "\n".join(lines) + "\n[connections.config_fields]\n" + "\n".join(secrets) + "\n"

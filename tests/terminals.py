"""The installed command on a pseudo-terminal, the way people run it."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from commands import COMMAND, PATIENCE, Erpsyncd

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
#: What sets colours, boldness and the like.
STYLE = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Terminal:
    """What a command wrote to its terminal until now."""

    process: subprocess.Popen[bytes]
    _end: int
    raw: str = ""

    @property
    def lines(self) -> list[str]:
        """Everything that ever stood in a line, without what moves the cursor or sets colours."""
        return [line.rstrip() for line in re.split(r"[\r\n]+", _CONTROL.sub("", self.raw))]

    def wait_for(self, text: str) -> None:
        """Return once this was written."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.raw:
            assert self._read(deadline), f"it ended without {text!r}: {self.raw!r}"

    def end(self) -> int:
        """Return the exit code, once everything was read."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        return self.process.wait(PATIENCE)

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._end], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"nothing more in {PATIENCE} s: {self.raw!r}"
        try:
            chunk = os.read(self._end, 65536)
        except OSError:  # the other end is closed
            return False
        self.raw += chunk.decode()
        return bool(chunk)


@contextmanager
def on_terminal(
    erpsyncd: Erpsyncd, *arguments: str, columns: int = 80, stdout: int | None = None, **environ: str
) -> Iterator[Terminal]:
    """Start a command with everything on a terminal, or with its results going to `stdout`."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    process = subprocess.Popen(
        [COMMAND, *arguments],
        env=erpsyncd.environment | {"TERM": "xterm-256color"} | environ,
        stdin=theirs,
        stdout=theirs if stdout is None else stdout,
        stderr=theirs,
        cwd=erpsyncd.directory,
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(ours)

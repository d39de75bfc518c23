"""Runs the tutorial as a reader would, and writes what came of it into the page: `make reference`, or as a script.

A block `console` holds command lines, each with its output; `console other` is for the other terminal; a block with a
file's name after its language is that file. Times, GUIDs and the port are written as the page has them.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from commands import COMMAND, PATIENCE

PAGE = Path(__file__).parents[1] / "docs" / "tutorial" / "first-connection.md"

_BLOCK = re.compile(r"^```(?P<language>\w+)(?: (?P<name>[\w.]+))?\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_PORT = "8700"
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SECONDS = re.compile(r"took \d+ seconds?")


def rendered(page: str) -> str:
    """Return the page with the output that its commands have now."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        blocks = list(_BLOCK.finditer(page))
        with _other_terminal() as port:
            for block in blocks:
                if block["language"] == "toml":
                    # The reader has changed into the directory that the tutorial makes by then.
                    there = directory / "erpsyncd-tutorial"
                    there.mkdir(exist_ok=True)
                    (there / block["name"]).write_text(block["body"].replace(_PORT, port), encoding="utf-8")
            commands = [
                [line[2:] for line in block["body"].splitlines() if line.startswith("$ ")]
                for block in blocks
                if block["language"] == "console" and not block["name"]
            ]
            outputs = iter(_type(commands, directory, port))
    return _BLOCK.sub(lambda block: _with_outputs(block, outputs), page)


def _with_outputs(block: re.Match[str], outputs: Iterator[str]) -> str:
    if block["language"] != "console" or block["name"]:
        return block[0]
    return f"```console\n{next(outputs)}```"


@contextmanager
def _other_terminal() -> Iterator[str]:
    """Run the sandbox on a free port."""
    with subprocess.Popen([COMMAND, "sandbox", "--port", "0"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r":(\d+)/", process.stdout.readline())
            assert found is not None
            yield found[1]
        finally:
            process.send_signal(signal.SIGTERM)


def _type(blocks: list[list[str]], directory: Path, port: str) -> list[str]:
    """Type all commands into one shell; return each block as it looks on the screen."""
    lines = [f"{command} 2>>errors; seen=$?; printf '\\0'; (exit $seen)" for block in blocks for command in block]
    # mkdir in the tutorial meets the directory that its file was put into.
    script = "\n".join(lines).replace("mkdir erpsyncd-tutorial", "mkdir -p erpsyncd-tutorial")
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=directory,
        env=_environment(),
        stdout=subprocess.PIPE,
        text=True,
        timeout=PATIENCE * 5,
        check=True,
    )
    shown = iter(done.stdout.replace(port, _PORT).split("\0"))
    return ["".join(f"$ {command}\n{_settled(next(shown))}" for command in block) for block in blocks]


def _environment() -> Mapping[str, str]:
    path = f"{Path(COMMAND).parent}:{os.environ['PATH']}"
    kept = {
        name: os.environ[name]
        for name in ("HOME", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
        if name in os.environ
    }
    return {"PATH": path, "LANG": "C.UTF-8", "TZ": "UTC", **kept}


def _settled(output: str) -> str:
    output = _TIME.sub("2026-12-01 12:00:00", output)
    output = _GUID.sub("503ab99b-85bb-4c65-8d85-0160900313a6", output)
    return _SECONDS.sub("took 0 seconds", output)


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.exit(0)

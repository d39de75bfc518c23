"""Thousands of passes in one process: what it holds at the end is what it held when it was warm.

The bounds are on numbers that do not depend on how fast the machine is; no time is asserted.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

from commands import Erpsyncd, connection, document
from erpsyncd.sandbox import SandboxServer

DRIVER = Path(__file__).with_name("driver.py")
SAMPLES = 20
MIB = 1024 * 1024

#: The passes of `make soak`.
LONG = int(os.environ.get("ERPSYNCD_SOAK_PASSES", "20000"))

#: By how much each may be more in the last quarter than in the second one, when the process was warm.
GROWTH = {"memory": 6 * MIB, "files": 4, "threads": 2, "database": MIB}


def test_a_daemon_does_not_grow(sandbox: SandboxServer, tmp_path: Path) -> None:
    """The short form, with each change."""
    soak(sandbox, tmp_path, 300)


@pytest.mark.soak
def test_a_daemon_does_not_grow_in_days(sandbox: SandboxServer, tmp_path: Path) -> None:
    """The long form: as many passes as in 200 days at one each quarter of an hour."""
    soak(sandbox, tmp_path, LONG)


@pytest.mark.parametrize(
    ("leak", "found"),
    [
        ({}, []),
        ({"memory": 1024}, ["memory"]),
        ({"database": 128}, ["database"]),
        ({"files": 0.001}, ["files"]),
        ({"threads": 0.001}, ["threads"]),
    ],
)
def test_what_stays_of_each_pass_is_found_out(leak: dict[str, float], found: list[str]) -> None:
    """A KiB of memory, a row, or one open file in a thousand passes, under all that is moving anyway."""
    moving = random.Random(7)
    samples = [
        {
            "passes": passes,
            "memory": int(90 * MIB + moving.randrange(2 * MIB) + leak.get("memory", 0) * passes),
            "files": int(18 + moving.randrange(3) + leak.get("files", 0) * passes),
            "threads": int(11 + moving.randrange(2) + leak.get("threads", 0) * passes),
            "database": int(4 * MIB + moving.randrange(MIB // 2) + leak.get("database", 0) * passes),
        }
        for passes in range(1000, 20_001, 1000)
    ]

    assert found == too_much(samples)


def soak(sandbox: SandboxServer, directory: Path, passes: int) -> None:
    command = Erpsyncd(
        directory,
        environ={
            "ERPSYNCD__WEB__LISTEN": f"unix:{directory}/web.sock",
            "ERPSYNCD__WEB__TEXTFILE": f"{directory}/erpsyncd.prom",
            "ERPSYNCD__BREAKER__FAILURES": "1000000000",
            "ERPSYNCD__REMOTE__ATTEMPTS": "1",
            "ERPSYNCD__SCHEDULE__QUOTE_CHECK": "1s",
            "ERPSYNCD__BACKOFF__FIRST": "0.01s",
            "ERPSYNCD__BACKOFF__LONGEST": "0.1s",
            "MALLOC_ARENA_MAX": "2",  # as the units have it
        },
    )
    missing = connection("missing", config_fields={"Password": "@{env:NOT_HERE}"})
    quick = "calls_per_second = 1000"
    loaded = command.load(
        document(sandbox.url, "soap", connection("a") + connection("b") + missing, extra=quick)
        + document(sandbox.url, "rest", connection("a", tenant="shy"), name="shy", extra=quick)
        + document("http://127.0.0.1:9", "rest", connection("a", tenant="away"), name="away", extra=quick)
    )
    assert 0 == loaded.code

    done = subprocess.run(
        [sys.executable, str(DRIVER), str(passes), str(SAMPLES)],
        env=command.environment | {"PYTHONPATH": str(DRIVER.parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    )

    samples = [json.loads(line) for line in done.stdout.splitlines()]
    show(samples)
    assert (0, SAMPLES, passes) == (done.returncode, len(samples), samples[-1]["passes"])
    assert all(sample["ready"] for sample in samples)
    assert {"acme": 2, "shy": 1} == {name: len(sandbox.tenant(name).connections) for name in ("acme", "shy")}
    assert passes // 10 * 0.5 < sandbox.counts("acme")["SaveConnection"] <= passes // 10 + 2
    assert [] == too_much(samples)


def too_much(samples: list[dict[str, int]]) -> list[str]:
    """Return what there was more of in the last quarter than in the second one, by more than it may."""
    quarter = len(samples) // 4
    warm, last = samples[quarter : 2 * quarter], samples[-quarter:]
    grown = {name: median(s[name] for s in last) - median(s[name] for s in warm) for name in GROWTH}
    return [name for name, growth in grown.items() if growth > GROWTH[name]]


def show(samples: list[dict[str, int]]) -> None:
    """Print the numbers, for who runs it with -s."""
    lines = ["\n  passes  memory MiB  files  threads  database KiB"]
    for s in samples[:: max(1, len(samples) // 10)] + samples[-1:]:
        memory, database = s["memory"] / MIB, s["database"] / 1024
        lines.append(f"{s['passes']:8}  {memory:10.1f}  {s['files']:5}  {s['threads']:7}  {database:12.0f}")
    sys.stdout.write("\n".join(lines) + "\n")

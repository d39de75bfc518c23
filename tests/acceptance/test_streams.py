"""Standard streams that are closed or full: the work is done all the same, and the exit code tells of it."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from commands import COMMAND, PATIENCE, Erpsyncd, Result, connection, document
from in_process import InProcess

#: Nothing listens there, so that a pass ends with 75.
URL = "http://127.0.0.1:9"
FULL = "stdout cannot be written: No space left on device"


@pytest.fixture
def described(tmp_path: Path, logging_restored: None) -> Erpsyncd:
    """A tenant that cannot be reached; what is not redirected runs in this process."""
    erpsyncd = InProcess(tmp_path, environ={"ERPSYNCD__REMOTE__ATTEMPTS": "1"})
    assert 0 == erpsyncd.load(document(URL, "rest", connection("a"))).code
    return erpsyncd


def redirected(erpsyncd: Erpsyncd, line: str) -> Result:
    """Run a command line as a shell would, redirections and all."""
    done = subprocess.run(
        ["/bin/sh", "-c", f"exec {shlex.quote(COMMAND)} {line}"],
        env=erpsyncd.environment,
        cwd=erpsyncd.directory,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    "line",
    ["tenants list", "tenants list --output json", "--help", "--version", "export", "changes export --format csv"],
)
def test_a_full_stdout_is_told_in_one_line(described: Erpsyncd, line: str) -> None:
    """Whoever writes it: the one line on stderr says so, with 1, and Python adds nothing at its exit."""
    lost = redirected(described, f"{line} >/dev/full")

    told = lost.error["error"] if "json" in line else lost.stderr.removeprefix("erpsyncd: ").removesuffix("\n")
    assert (1, FULL, 1) == (lost.code, told, len(lost.stderr.splitlines()))


def test_more_than_a_buffer_holds_is_told_in_one_line(described: Erpsyncd) -> None:
    """The error comes while it is written, and no second one at the end."""
    many = "".join(connection(f"c{number}") for number in range(200))
    assert 0 == described.load(document(URL, "rest", many)).code

    lost = redirected(described, "connections list --output json >/dev/full")

    assert (1, FULL, 1) == (lost.code, lost.error["error"], len(lost.stderr.splitlines()))


@pytest.mark.parametrize("line", ["--run-once", "plan"])
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_run_whose_report_is_lost_keeps_its_code(described: Erpsyncd, line: str, form: str) -> None:
    """It was made and is recorded; that its report is lost is said beside its own code."""
    whole = described(*line.split(), "--output", form)

    lost = redirected(described, f"{line} --output {form} >/dev/full")

    assert 0 != whole.code == lost.code
    assert FULL in lost.stderr.splitlines()[-1]
    assert "Traceback" not in lost.stderr
    assert form == "text" or lost.code == lost.error["exit_code"]
    assert line != "--run-once" or [75, 75] == [run["exit_code"] for run in described.listed("runs")]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("tenants list >&-", 0),
        ("tenants list 2>&- >/dev/null", 0),
        ("tenants list <&- >&- 2>&-", 0),
        ("--run-once --output json >&-", 75),
        ("--run-once 2>&-", 75),
        ("nope 2>&-", 2),
        ("import - <&- 2>&-", 78),
    ],
)
def test_a_closed_stream_is_as_good_as_dev_null(described: Erpsyncd, line: str, code: int) -> None:
    """What is written there is lost without a word, what is read there is empty, and the command does its work."""
    done = redirected(described, line)

    assert (code, False) == (done.code, "Traceback" in done.stderr), done.stderr
    assert ("--run-once" in line) == (1 == len(described.listed("runs")))


def test_nothing_is_read_from_a_closed_stdin(described: Erpsyncd) -> None:
    """It is an empty document, as from /dev/null."""
    closed, empty = redirected(described, "import - <&-"), redirected(described, "import - </dev/null")

    assert empty == closed


def test_a_pipe_that_nobody_reads_ends_without_a_word(described: Erpsyncd) -> None:
    """Whoever read it has enough."""
    with subprocess.Popen(
        [COMMAND, "tenants", "list"], env=described.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        told = process.stderr.read()

    assert (1, b"") == (process.returncode, told)

"""The command on a pseudo-terminal and in a pipe: a bar and colours on the first, plain lines in the second."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from commands import PATIENCE, Erpsyncd, connection, document
from erpsyncd.sandbox import Hang, Rule, SandboxServer
from in_process import InProcess
from terminals import STYLE, on_terminal

BAR = "━"


@pytest.fixture
def loaded(tmp_path: Path, sandbox: SandboxServer, logging_restored: None) -> Erpsyncd:
    """A store with a tenant that works, and one where nobody answers, for commands on a terminal."""
    erpsyncd = InProcess(tmp_path, environ={"ERPSYNCD__REMOTE__ATTEMPTS": "1"})
    erpsyncd.load(document(sandbox.url, "soap", connection("a") + connection("b")))
    erpsyncd.load(document("http://127.0.0.1:9", "rest", connection("c", tenant="nowhere"), name="nowhere"))
    return erpsyncd


def test_a_terminal_sees_a_run_go_on(loaded: Erpsyncd, sandbox: SandboxServer) -> None:
    """While calls hang the bar says how far it is; failures stand above it; at the end only the report is left."""
    hang = Hang()
    sandbox.add_faults(Rule(action=hang, operation="SaveConnection", times=1))

    with on_terminal(loaded, "--run-once") as terminal:
        assert hang.reached.wait(PATIENCE)
        terminal.wait_for("1/2 tenants, ")
        terminal.wait_for(" acme")
        hang.release.set()
        code = terminal.end()

    assert 3 == code
    frames = [line for line in terminal.lines if BAR in line]
    assert any(line.startswith("1/2 tenants, ") and line.endswith(f"{BAR} acme") for line in frames)
    assert any(line.startswith("2/2 tenants, ") for line in frames)
    assert [False] == [line in frames for line in terminal.lines if "connection.failed" in line]
    assert "connection.applied" not in terminal.raw
    rest = terminal.raw.rpartition(BAR)[2]
    assert "\x1b[?25h" in rest  # the cursor is shown again
    assert "\x1b[32mcreated\x1b[0m  create  acme/a" in rest
    assert "\x1b[31mfailed\x1b[0m" in rest
    assert "Run 1 partial: 2 created, " in rest


def test_what_a_terminal_sees_is_as_wide_as_it_is(loaded: Erpsyncd) -> None:
    """Bar, log lines, reports, plans and lists keep to its width."""
    for arguments, columns in ((("plan",), 50), (("--run-once",), 80), (("connections", "list"), 80)):
        with on_terminal(loaded, *arguments, columns=columns) as terminal:
            terminal.end()

        assert columns >= max(map(len, terminal.lines)), arguments
        assert "nowhere" in terminal.raw


def test_no_color_means_no_colours(loaded: Erpsyncd) -> None:
    """The bar moves without them; neither it nor logs nor the report have any."""
    with on_terminal(loaded, "--run-once", NO_COLOR="1") as terminal:
        code = terminal.end()

    assert 3 == code
    assert "2/2 tenants" in terminal.raw
    assert "connection.failed" in terminal.raw
    assert None is STYLE.search(terminal.raw)


def test_a_dumb_terminal_gets_lines(loaded: Erpsyncd) -> None:
    """No bar, nothing that moves the cursor, and the log as it is elsewhere."""
    with on_terminal(loaded, "plan", TERM="dumb") as terminal:
        code = terminal.end()

    assert 3 == code
    assert "\x1b" not in terminal.raw
    assert BAR not in terminal.raw
    assert "run.started" in terminal.raw
    assert "1 not planned" in terminal.raw


@pytest.mark.parametrize("arguments", [("--output", "json"), ("--log-format", "json")])
def test_programs_on_a_terminal_get_no_bar(loaded: Erpsyncd, arguments: tuple[str, ...]) -> None:
    """Who asks for JSON is no person who waits."""
    with on_terminal(loaded, "plan", *arguments) as terminal:
        terminal.end()

    assert BAR not in terminal.raw
    assert "run.started" in terminal.raw


def test_a_level_that_was_asked_for_is_kept_beside_the_bar(loaded: Erpsyncd) -> None:
    """Log lines scroll by above it."""
    with on_terminal(loaded, "plan", "--only", "acme", "--log-level", "info") as terminal:
        code = terminal.end()

    assert 0 == code
    assert "connection.planned" in terminal.raw
    assert any(line.startswith("1/1 tenants ") and BAR in line for line in terminal.lines)


def test_results_in_a_pipe_are_plain_beside_a_bar(loaded: Erpsyncd, tmp_path: Path) -> None:
    """With only stderr on a terminal the bar is seen, and the pipe gets the plain report."""
    reading, writing = os.pipe()
    with on_terminal(loaded, "plan", "--only", "acme", stdout=writing) as terminal:
        os.close(writing)
        code = terminal.end()
    with os.fdopen(reading) as pipe:
        text = pipe.read()

    assert 0 == code
    assert BAR in terminal.raw
    assert "+ create acme/a" not in terminal.raw
    assert '+ create acme/a "Name of a" (connector 1)' == text.splitlines()[0]


def test_a_pipe_sees_plain_lines(loaded: Erpsyncd) -> None:
    """No bar, no control character, no broken line, whatever the environment says of terminals."""
    loaded.environ |= {"TERM": "xterm-256color", "COLUMNS": "40", "FORCE_COLOR": "1"}

    installed = Erpsyncd(loaded.directory, environ=loaded.environ)
    for arguments in (("plan",), ("--run-once",), ("connections", "list")):
        piped = installed(*arguments)
        text = piped.stdout + piped.stderr

        assert BAR not in text
        assert "\x1b" not in text
        assert "\r" not in text
    assert 4 == len(loaded("connections", "list").stdout.splitlines())

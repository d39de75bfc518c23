"""The manual page and the pages about commands, settings and JSON are what the program says of itself."""

from __future__ import annotations

import shutil
import subprocess

import pytest

import command_pages
import json_pages
import setting_pages
from erpsyncd import errors
from erpsyncd.cli.main import run
from erpsyncd.cli.schemas import KINDS
from erpsyncd.setting_sections import setting_types

COMMANDS = list(command_pages.walk())


def test_the_manual_page_is_up_to_date() -> None:
    """After a change of the commands: make reference."""

    assert command_pages.man_page() == command_pages.MAN_PAGE.read_text(encoding="utf-8")


def test_the_page_about_commands_is_up_to_date() -> None:
    """After a change of the commands: make reference."""

    assert command_pages.page() == command_pages.PAGE.read_text(encoding="utf-8")


def test_the_page_about_settings_is_up_to_date() -> None:
    """After a change of the settings: make reference. Every setting is on it."""
    page = setting_pages.page()

    assert page == setting_pages.PAGE.read_text(encoding="utf-8")
    assert list(setting_types()) == [line[4:] for line in page.splitlines() if line.startswith("### ")]


def test_the_page_about_json_is_up_to_date() -> None:
    """After a change of the schemas: make reference. Every kind is on it."""
    page = json_pages.page()

    assert page == json_pages.PAGE.read_text(encoding="utf-8")
    assert sorted(KINDS) == [line[3:] for line in page.splitlines() if line.startswith("## ")]


def test_the_manual_page_has_every_command() -> None:
    """Also those inside of others, each with what it is for."""
    described = [command_pages.describe(words) for words in COMMANDS]

    page = command_pages.man_page().replace("\\-", "-")
    assert len(COMMANDS) > len({words[0] for words in COMMANDS if words})
    assert [] == [each.path for each in described if each.usage not in page or not each.paragraphs]


@pytest.mark.skipif(not shutil.which("groff"), reason="needs groff, which formats manual pages: apt install groff")
def test_the_manual_page_can_be_formatted() -> None:
    """groff has nothing to complain about, and its output says what the source says."""
    plain = ["groff", "-man", "-Tutf8", "-P-c", "-P-b", "-P-u", "-ww", str(command_pages.MAN_PAGE)]
    done = subprocess.run(plain, capture_output=True, text=True, check=True)

    assert "" == done.stderr
    assert "EXIT STATUS" in done.stdout


def test_text_cannot_steer_the_formatter() -> None:
    """A line that begins with a dot is no request, and a backslash no escape."""

    assert ["\\&.x\\-y", "\\&'z", "a\\eb"] == [command_pages._roff(text) for text in (".x-y", "'z", "a\\b")]


def test_every_exit_code_of_an_error_is_explained() -> None:
    """The table has the codes of all errors, of runs that went wrong in part, and of success."""
    raised = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "exit_code")}

    assert raised | {0, 3} <= set(command_pages.EXIT_CODES)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_fits_a_terminal_and_has_an_example(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every help text is at most 80 columns wide, and shows how the command is called."""
    monkeypatch.setenv("COLUMNS", "200")

    code = run([*words, "--help"])

    out = capsys.readouterr().out
    assert (0, True) == (code, 80 >= max(map(len, out.splitlines())))
    assert out.startswith(f"Usage: {' '.join(('erpsyncd', *words))}")
    examples = command_pages.describe(words).examples
    assert examples
    assert all(example in out for example in examples)
    assert any(" ".join(("erpsyncd", *words)) in example for example in examples)

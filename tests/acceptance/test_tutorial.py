"""The tutorial says what its reader will see."""

from __future__ import annotations

from tutorial_page import PAGE, rendered


def test_every_output_is_what_the_command_writes() -> None:
    """After a change of what a command writes: make reference."""
    page = PAGE.read_text(encoding="utf-8")

    assert rendered(page) == page

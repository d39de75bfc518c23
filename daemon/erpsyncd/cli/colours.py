"""Colours for the words by which good news is told from bad, on terminals that may have them."""

from __future__ import annotations

import re
from typing import TextIO

import click

_GREEN, _YELLOW, _RED = 32, 33, 31

_OF_WORD = {
    **dict.fromkeys(("created", "updated", "deleted", "ok", "in_sync", "+ create"), _GREEN),
    **dict.fromkeys(("skipped", "partial", "parked", "paused", "drifted", "incomplete", "~ update"), _YELLOW),
    **dict.fromkeys(("failed", "in_doubt", "interrupted", "refused", "missing", "replaced", "- delete", "!"), _RED),
}
#: One of them as a cell of a table, or as the beginning of a line.
_WORD = re.compile(
    r"(?m)(?:^|(?<=  ))(?:{words})(?=  |$)|^(?:\+ create|~ update|- delete|!)(?= )".replace(
        "{words}", "|".join(map(re.escape, _OF_WORD))
    )
)


def painted(text: str, stream: TextIO) -> str:
    """Return the text with its words of state in colour, if the stream is a terminal that may be sent colours."""
    context = click.get_current_context(silent=True)
    if not stream.isatty() or (context is not None and context.color is False):
        return text
    return _WORD.sub(lambda found: f"\x1b[{_OF_WORD[found.group()]}m{found.group()}\x1b[0m", text)

"""Text that fits a terminal of 80 columns: paragraphs, facts under their labels, and what is too long."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import datetime

from erpsyncd.cli.output import printable

WIDTH = 80


def one_line(text: str) -> str:
    """Return a text from anywhere as one line that cannot steer a terminal."""
    return " ".join(printable(text).split())


def paragraph(text: str, *, first: str = "", rest: str = "") -> str:
    """Return a text in lines that fit, the first and the others indented as given."""
    return textwrap.fill(one_line(text), WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Return values beside their labels, each in as many lines as it takes."""
    width = max(len(label) for label, _ in pairs) + 2
    return "\n".join(
        paragraph(value or "-", first=f"{label}:".ljust(width), rest=" " * width) for label, value in pairs
    )


def cut(text: str, width: int) -> str:
    """Return the text, with its end left out where it is longer than that."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def local(moment: datetime) -> str:
    """Return a moment in the time of the person who reads it."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"

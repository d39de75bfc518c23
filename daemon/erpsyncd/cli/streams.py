"""The standard streams: each is there, and what stdout does not take is an error with a sentence of its own."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from erpsyncd.errors import OutputLost

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Stdout(io.BufferedWriter):
    """Stdout's buffer, where every write comes by, also click's and csv's.

    Not what is below it: a signal that comes between its write and the return would have all of it written twice.
    """

    def write(self, data: ReadableBuffer, /) -> int:
        with _losses_told():
            return super().write(data)

    def flush(self) -> None:
        with _losses_told():
            super().flush()


@contextmanager
def _losses_told() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise  # whoever read it has enough, which is no error
    except OSError as exc:
        raise OutputLost(f"stdout cannot be written: {exc.strerror}") from exc


def prepare_streams() -> None:
    """Open what is closed of stdin, stdout and stderr on /dev/null, and watch what becomes of stdout."""
    for number in range(3):
        _open_if_closed(number)
    # Python has none of those that were closed when it began.
    sys.stdin = sys.stdin or _text(io.BufferedReader(io.FileIO(0, "r", closefd=False)))
    sys.stderr = sys.stderr or _text(io.BufferedWriter(io.FileIO(2, "w", closefd=False)))
    sys.stdout = _text(_Stdout(io.FileIO(1, "w", closefd=False)), like=sys.stdout)


@contextmanager
def ending_with(code: int) -> Iterator[None]:
    """Let what is written meanwhile arrive. If it cannot, the command still ends with this code, unless that is 0.

    Raises:
        OutputLost: stdout took not all of it.
    """
    try:
        yield
        sys.stdout.flush()
    except OutputLost as exc:
        raise OutputLost(str(exc), exit_code=code or exc.exit_code) from exc


def _open_if_closed(number: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        # The lowest number that is free is this one, as those below it are open by now.
        os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 -- it has no name


def _text(buffer: io.BufferedReader | io.BufferedWriter, like: TextIO | None = None) -> TextIO:
    if like is None:
        return io.TextIOWrapper(buffer, encoding="utf-8")
    return io.TextIOWrapper(buffer, encoding=like.encoding, errors=like.errors, line_buffering=like.isatty())

"""The command line in this process: the same words, codes and output, without the start of a program for each."""

from __future__ import annotations

import io
import os
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest.mock import patch

from commands import Erpsyncd, Result
from erpsyncd.cli.main import run


@dataclass
class InProcess(Erpsyncd):
    """Commands on one store, quickly."""

    def __call__(self, *arguments: str, stdin: str | None = None) -> Result:
        given, stdout = (io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8") for text in (stdin or "", ""))
        with (
            patch.dict(os.environ, self.environment, clear=True),
            patch("sys.stdin", given),
            redirect_stdout(stdout),
            redirect_stderr(io.StringIO()) as stderr,
        ):
            code = run(list(arguments))
        # As bytes, because an export writes those.
        stdout.flush()
        written = stdout.detach()
        return Result(code, written.getvalue().decode(), stderr.getvalue())

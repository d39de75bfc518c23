"""Metrics in a file, for the node exporter's textfile collector."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from erpsyncd.errors import DaemonError
from erpsyncd.files import file_error

#: Everybody may read it, as the node exporter is somebody else.
_MODE = 0o644


def write_textfile(path: Path, content: bytes) -> None:
    """Put metrics into a file, which is whole at every moment.

    Raises:
        DaemonError: it cannot be written.
    """
    # The collector reads *.prom only, so it never sees this one.
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), _MODE)  # the umask of a service is 077
                file.write(content)
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
    except OSError as exc:
        raise _unwritten(path, exc) from exc


def _unwritten(path: Path, error: OSError) -> DaemonError:
    return file_error(f"the metrics file {path} cannot be written", error)

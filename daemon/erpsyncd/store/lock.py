"""The process lock: one process at a time makes writing passes over a SQLite store."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from erpsyncd.errors import RunInProgress
from erpsyncd.files import file_error

#: `is_held` takes the lock for an instant; who wants it for good tries again for this long.
_PATIENCE_SECONDS = 0.2
_PAUSE_SECONDS = 0.02


class ProcessLock:
    """A lock on `{database}.lock`. The file stays: to delete it would let two processes lock two files."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(f"{database.name}.lock")
        self._database = database
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Take the lock; say whether it is new to this object, which may hold it already.

        Raises:
            RunInProgress: another process holds it.
            ConfigurationError: the lock file cannot be opened.
            StoreError: there is no room for the lock file.
        """
        if self._descriptor is not None:
            if self._is_at_its_path(self._descriptor):
                return False
            # Somebody moved it away with the store: whoever locks the file that is there now would not see ours.
            self.release()
        descriptor = self._open()
        if not _lock_patiently(descriptor):
            error = self._in_progress(descriptor)
            os.close(descriptor)
            raise error
        _note(descriptor, f"{os.getpid()}\n")
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give the lock back, if it is held. The end of the process does so too."""
        if self._descriptor is not None:
            _note(self._descriptor, "")
            os.close(self._descriptor)
            self._descriptor = None

    def is_ours(self) -> bool:
        """Say whether this object holds it, at the path where others look for it."""
        return self._descriptor is not None and self._is_at_its_path(self._descriptor)

    def is_held(self) -> bool:
        """Say whether any process holds it now, this one or another."""
        if not self.path.exists():
            return False
        descriptor = self._open()
        try:
            return not _lock(descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)

    def holder(self) -> int | None:
        """Return the process that holds it now, if one does and left its number."""
        if not self.is_held():
            return None
        descriptor = self._open()
        try:
            number = _noted(descriptor)
        finally:
            os.close(descriptor)
        return int(number) if number.isdecimal() else None

    def _is_at_its_path(self, descriptor: int) -> bool:
        held = os.fstat(descriptor)
        try:
            return os.path.samestat(held, self.path.stat())
        except FileNotFoundError:
            return False

    def _in_progress(self, descriptor: int) -> RunInProgress:
        holder = _noted(descriptor)
        return RunInProgress(
            f"another erpsyncd process{f' (pid {holder})' if holder else ''} works on the store {self._database}; "
            "stop it, or let it do the work"
        )

    def _open(self) -> int:
        try:
            return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as exc:
            raise file_error(f"the lock file {self.path} cannot be opened", exc) from exc


def _note(descriptor: int, text: str) -> None:
    """Write who holds the lock, for others to read; where the disk is full they are not told."""
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)


def _noted(descriptor: int) -> str:
    return os.pread(descriptor, 32, 0).decode(errors="replace").strip()


def _lock_patiently(descriptor: int) -> bool:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not _lock(descriptor, fcntl.LOCK_EX):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_PAUSE_SECONDS)
    return True


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

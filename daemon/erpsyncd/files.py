"""Reading files that operators name: a wrong path costs neither a hang nor the memory. And what failed, in words."""

from __future__ import annotations

import errno
import os
import pwd
import stat
from pathlib import Path

from erpsyncd.errors import ConfigurationError, DaemonError, StoreError

#: More than any bundle of certificates has: those of all public authorities together are a quarter of it.
MAX_PEM_BYTES = 1024 * 1024


#: What a file system says when there is no room, and what else it says that may be different the next time.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_PASSING = _FULL | {errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR}


class FileUnreadable(Exception):
    """A file cannot be read; the reason is a phrase that goes after what it is, such as `cannot be read: …`."""


def read_regular_file(path: Path, *, max_bytes: int) -> bytes:
    """Return what a file holds.

    Raises:
        FileUnreadable: there is no such file, it is not ours to read, no regular one, or larger than that.
    """
    try:
        # without O_NONBLOCK the opening of a named pipe would wait for its writer
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        raise FileUnreadable(f"cannot be read: {_reason(exc)}") from None
    except ValueError:
        raise FileUnreadable("cannot be read: its path cannot be one") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileUnreadable("cannot be read: it is not a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(max_bytes + 1)
    except OSError as exc:
        raise FileUnreadable(f"cannot be read: {_reason(exc)}") from None
    finally:
        os.close(descriptor)
    if len(content) > max_bytes:
        raise FileUnreadable(f"cannot be read: it is larger than {max_bytes // 1024} KiB")
    return content


def user_name(uid: int) -> str:
    """Return the name of a user; of one without a name its number, as `sudo` and `chown` take it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"


def is_missing(path: Path) -> bool:
    """Whether there is nothing at a path. What may not be looked at counts as there: opening it says what is wrong."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def file_error(
    sentence: str, error: OSError, *, remedy: str = "look at the owner and the mode of its directory"
) -> DaemonError:
    """Return the error for a file that cannot be made or written: a failure if it may pass, else configuration."""
    words = f"{sentence}: {error.strerror}"
    if error.errno == errno.EACCES:
        # Root's commands act as the service, so it is not always who one thinks.
        words += f" for the user {user_name(os.geteuid())}"
    if error.errno in _FULL:
        return StoreError(f"{words}; make room, or look for a quota or a limit on the size of files")
    return StoreError(words) if error.errno in _PASSING else ConfigurationError(f"{words}; {remedy}")


def _reason(exc: OSError) -> str:
    reason = exc.strerror or type(exc).__name__
    return reason[:1].lower() + reason[1:]

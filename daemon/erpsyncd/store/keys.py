"""The key file: which keys there are, and that nobody else can read them.

One key per line, base64 of 32 bytes. The first is the current one; the others still open what was sealed
under them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from erpsyncd.errors import ConfigurationError
from erpsyncd.files import file_error

KEY_BYTES = 32

#: The name of the key file that erpsyncd makes itself, in the state directory.
KEY_FILE = "erpsyncd.key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An encryption key. Its id says which one it is without saying anything about it."""

    id: str
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRing:
    """The keys of one key file."""

    current: Key
    others: tuple[Key, ...] = ()

    def get(self, key_id: str) -> Key | None:
        """Return the key of this id, if it is here."""
        return next((key for key in (self.current, *self.others) if key.id == key_id), None)


def make_key(value: bytes) -> Key:
    """Return the key with its id."""
    return Key(id=hashlib.sha256(b"erpsyncd key id:" + value).hexdigest()[:16], value=value)


def read_key_ring(path: Path) -> KeyRing:
    """Read a key file.

    Raises:
        ConfigurationError: it cannot be read, others can read it, or a line of it is not a key. No message
            repeats what stands in it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as exc:
        raise ConfigurationError(f"the key file {path} cannot be read: {exc.strerror}") from exc
    with os.fdopen(descriptor, "rb") as file:
        _refuse_if_readable_by_others(path, os.fstat(file.fileno()))
        lines = file.read(1 << 16).splitlines()
    keys = tuple(_read_key(line, f"{path} line {number}") for number, line in enumerate(lines, start=1))
    if not keys:
        raise ConfigurationError(f"the key file {path} is empty; restore it from where you keep your keys")
    return KeyRing(current=keys[0], others=keys[1:])


def create_key_file(path: Path) -> KeyRing:
    """Make a key file with one new key; where another process was quicker, read its one.

    Raises:
        ConfigurationError: it cannot be written.
        StoreError: there is no room for it.
    """
    line = base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n"
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        try:
            _write_durably(draft, line)
            with suppress(FileExistsError):
                # A link appears whole or not at all and, like O_EXCL, never in another file's place.
                os.link(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        _sync_directory(path.parent)
    except OSError as exc:
        raise file_error(f"the key file {path} cannot be written", exc) from exc
    return read_key_ring(path)


def _read_key(line: bytes, place: str) -> Key:
    try:
        value = base64.b64decode(line, validate=True)
    except binascii.Error:
        value = b""
    if len(value) != KEY_BYTES:
        raise ConfigurationError(f"{place}: not a key; each line has to be base64 of {KEY_BYTES} bytes")
    return make_key(value)


def _refuse_if_readable_by_others(path: Path, status: os.stat_result) -> None:
    """Refuse a key that group or others may touch, except where systemd vouches for it.

    Where it can, systemd hands out a credential as root's file with an access control list for the service's
    user, whose mask shows up as group bits; its directory is closed to everybody else.
    """
    resolved = path.resolve().parts
    if resolved[1:2] == ("run",) and "credentials" in resolved:
        return
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise ConfigurationError(f"the key file {path} is open to other users; run: chmod 600 {path}")


def _write_durably(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

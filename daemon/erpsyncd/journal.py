"""systemd's journal, written to in its own protocol: one datagram for each event, a field for each member.

The format is systemd's "Native Journal Protocol". What goes in here was redacted before: this module only writes.
"""

from __future__ import annotations

import array
import errno
import fcntl
import json
import os
import re
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from uuid import UUID, uuid5

SOCKET = Path("/run/systemd/journal/socket")
IDENTIFIER = "erpsyncd"

#: The identifiers of events (MESSAGE_ID) are made of this one and the event's name. It never changes.
_NAMESPACE = UUID("6b3a1f0e-9d42-4c57-8e10-5d2f7c9be4a1")
_EVENT = re.compile(r"[a-z_]+\.[a-z_]+")

#: syslog(3): 3 is an error, 4 a warning, 6 informational, 7 debug.
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}

#: journald's limit for a field's name.
_MAX_NAME = 64
#: More than any event has; a longer value is cut.
_MAX_VALUE = 256 * 1024

#: So long is waited for a journal that takes nothing. The event goes to stderr then.
_PATIENCE_SECONDS = 0.25

_SEALS = fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


def is_journal(descriptor: int, journal_stream: str | None) -> bool:
    """Say whether a stream goes to the journal: systemd names it in `JOURNAL_STREAM`, as device:inode.

    A child with another stderr inherits the variable too, so the stream itself is looked at (systemd.exec(5)).
    """
    if not journal_stream:
        return False
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return journal_stream == f"{status.st_dev}:{status.st_ino}"


def message_id(event: str) -> str:
    """Return an event's MESSAGE_ID, 32 hexadecimal digits: the same for ever, on every machine."""
    return uuid5(_NAMESPACE, event).hex


def fields_of(event: Mapping[str, object]) -> dict[str, str]:
    """Return an event's journal fields. Members are `ERPSYNCD_…`; lists and objects among them are JSON."""
    name, level = str(event.get("event", "")), str(event.get("level", "info"))
    members = {key: value for key, value in event.items() if key not in {"event", "level", "timestamp"}}
    fields = {"MESSAGE": _message(name, members), "PRIORITY": str(_PRIORITIES.get(level, 6))}
    fields |= {"SYSLOG_IDENTIFIER": IDENTIFIER}
    # Lines of libraries, which have their logger's name with them, are no events.
    if "logger" not in members and _EVENT.fullmatch(name):
        fields |= {"MESSAGE_ID": message_id(name), "ERPSYNCD_EVENT": name}
    return fields | {_field_name(key): _text(value) for key, value in members.items() if value is not None}


def encoded(fields: Mapping[str, str]) -> bytes:
    """Return the datagram. A value of several lines goes with its length before it: no line of it is a field."""
    return b"".join(_encoded(name, value) for name, value in fields.items())


class Journal:
    """The way to the journal; one socket, made when it is first needed, and anew after a failure."""

    def __init__(self, path: Path = SOCKET) -> None:
        self._path = path
        self._socket: socket.socket | None = None

    def send(self, event: Mapping[str, object]) -> None:
        """Hand over one event.

        Raises:
            OSError: the journal is not there, or takes nothing just now.
        """
        datagram = encoded(fields_of(event))
        try:
            self._send(datagram)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, datagram: bytes) -> None:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.settimeout(_PATIENCE_SECONDS)
            self._socket.connect(str(self._path))
        try:
            self._socket.send(datagram)
        except OSError as exc:
            if not _is_too_large(exc):
                raise
            _send_as_file(self._socket, datagram)


def _is_too_large(error: OSError) -> bool:
    return error.errno in {errno.EMSGSIZE, errno.ENOBUFS}


def _send_as_file(way: socket.socket, datagram: bytes) -> None:
    """Send what is too large for a datagram as a sealed file in memory."""
    descriptor = os.memfd_create("erpsyncd-event", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        file.write(datagram)
        fcntl.fcntl(descriptor, *_SEALS)
        # The journal looks at the file only where the datagram itself is empty.
        way.sendmsg([], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))])


def _encoded(name: str, value: str) -> bytes:
    content = value.encode(errors="replace")[:_MAX_VALUE]
    if b"\n" not in content:
        return name.encode() + b"=" + content + b"\n"
    return name.encode() + b"\n" + len(content).to_bytes(8, "little") + content + b"\n"


def _field_name(member: str) -> str:
    name = "run" if member == "run_id" else member
    return ("ERPSYNCD_" + re.sub(r"[^A-Z0-9]", "_", name.upper()))[:_MAX_NAME]


def _message(name: str, members: Mapping[str, object]) -> str:
    """Return the line that `journalctl` shows: the event with its members; a traceback stands below."""
    told = {key: value for key, value in members.items() if key not in {"exception", "logger"} and value is not None}
    line = " ".join((name, *(f"{key}={_shown(value)}" for key, value in told.items())))
    below: Iterable[str] = [str(members["exception"])] if members.get("exception") else []
    return "\n".join((line, *below))


def _shown(value: object) -> str:
    plain = not isinstance(value, str) or re.fullmatch(r'[^\s"=]+', value)
    return _text(value) if plain else json.dumps(value, ensure_ascii=False)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

"""Tell systemd how the service is doing (sd_notify(3)); silent where nobody listens."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

#: So long systemd waits for the next word of an upgrade, and so many seconds pass from one to the next.
_PATIENCE = timedelta(seconds=60)
_WORD_EVERY = 5.0


@dataclass(frozen=True, slots=True)
class Notifier:
    """Sends state lines to the socket that `NOTIFY_SOCKET` named; without one it does nothing."""

    address: str | None = None

    def ready(self, status: str) -> None:
        """Say that the service works, or works again after a reload."""
        self._send(f"READY=1\nSTATUS={_line(status)}")

    def status(self, status: str) -> None:
        """Show one line in `systemctl status`."""
        self._send(f"STATUS={_line(status)}")

    def reloading(self) -> None:
        """Say that the settings are being read again; `ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def alive(self) -> None:
        """Give the watchdog its sign of life."""
        self._send("WATCHDOG=1")

    def upgrading(self) -> Callable[[], None]:
        """Return what an upgrade of the store calls while it moves: systemd then waits on.

        Its words are few however often it is called. An upgrade that stands still calls nothing, and is ended.
        """
        last_word = -_WORD_EVERY

        def moves() -> None:
            nonlocal last_word
            now = time.monotonic()
            if now - last_word >= _WORD_EVERY:
                last_word = now
                self._send(f"EXTEND_TIMEOUT_USEC={_microseconds(_PATIENCE)}\nSTATUS=upgrading the store")

        return moves

    def stopping(self, within: timedelta) -> None:
        """Say that the service is about to end, and how long calls in flight are given for it."""
        extended = _microseconds(within + _PATIENCE)
        self._send(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={extended}\nSTATUS=waiting for calls in flight")

    def _send(self, message: str) -> None:
        if not self.address:
            return
        # A leading @ names a socket in the abstract namespace, whose real name starts with NUL.
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        # Nothing that systemd does or does not hear may end a pass.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out,
        ):
            out.connect(address)
            out.sendall(message.encode())


def _microseconds(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)


def _line(text: str) -> str:
    return " ".join(text.split())

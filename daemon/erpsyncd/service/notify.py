"""Tell systemd how the service is doing (sd_notify(3)); silent where nobody listens."""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import dataclass


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

    def stopping(self) -> None:
        """Say that the service is about to end."""
        self._send("STOPPING=1\nSTATUS=waiting for calls in flight")

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


def _line(text: str) -> str:
    return " ".join(text.split())

"""With what the other side of a connection showed itself."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate that was accepted, and over which version of TLS."""

    tls_version: str
    """As OpenSSL names it, such as `TLSv1.3`."""

    expires_at: datetime


def certificate_shown(session: ssl.SSLObject | None) -> Certificate | None:
    """Return what was shown in a TLS session; None where there is no session, as over plain http."""
    shown = session.getpeercert() if session is not None else None
    if session is None or not shown:
        return None
    seconds = ssl.cert_time_to_seconds(str(shown["notAfter"]))
    return Certificate(tls_version=session.version() or "", expires_at=datetime.fromtimestamp(seconds, UTC))

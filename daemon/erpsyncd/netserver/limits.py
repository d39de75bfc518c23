"""What one call may cost, in time, bytes and attempts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteLimits:
    """The bounds of every call to every tenant."""

    deadline_seconds: float = 120.0
    """How long one attempt may take from connecting to the last byte. Waiting for one's turn is not counted."""

    connect_seconds: float = 15.0
    """How long connecting, TLS included, may take; part of the deadline."""

    max_body_bytes: int = 8 * 1024 * 1024
    """The largest reply that is read, before and after decompression."""

    max_connections: int = 4
    """Connections to one tenant at a time. The vendor allows ten calls per second anyway."""

    attempts: int = 3
    """How often a call is tried in all, where repeating may help and cannot harm."""

    wait_initial_seconds: float = 0.5
    """The pause before the second attempt, without its jitter; it doubles with each further attempt."""

    wait_jitter_seconds: float = 0.5
    """At most so much is added to a pause, at random, so that many tenants do not come back at once."""

    wait_max_seconds: float = 10.0
    """The longest pause that we choose ourselves."""

    retry_after_max_seconds: float = 30.0
    """The longest pause that a tenant may ask for (Retry-After); for more, the call is given up at once."""

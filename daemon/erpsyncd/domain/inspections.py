"""What is seen of a tenant from outside."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """Who answered at a tenant's address."""

    date: datetime | None
    """What its clock says, to the second; None where it did not say."""

    tls_version: str = ""
    """Such as `TLSv1.3`; empty over plain http."""

    certificate_expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractReport:
    """What one agent says of itself, against what we send to it."""

    agent: str
    operations: int
    """How many of its operations we use."""

    not_compared: str = ""
    """Why there was nothing to compare with; empty where there was."""

    mismatches: tuple[str, ...] = ()

"""What is said about a name that nothing has: the one that was meant, or where to look."""

from __future__ import annotations

from collections.abc import Iterable

from erpsyncd.domain.input_rules import closest
from erpsyncd.errors import UsageError


def no_such_tenant(name: str, known: Iterable[str]) -> UsageError:
    """Return the error for a tenant that the store does not have."""
    return UsageError(f"there is no tenant {name!r}{meant(name, known, otherwise='; see: erpsyncd tenants list')}")


def no_such_connection(tenant: str, key: str, known: Iterable[str]) -> UsageError:
    """Return the error for a connection that a tenant does not have."""
    hint = meant(key, known, otherwise="; see: erpsyncd connections list")
    return UsageError(f"tenant {tenant!r} has no connection {key!r}{hint}")


def meant(word: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """Return the end of a sentence about an unknown word: the known one that it resembles, or something else."""
    found = closest(word, known)
    return otherwise if found is None else f"; did you mean {found!r}?"

"""What `erpsyncd doctor` finds: one line each, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from erpsyncd.errors import ConfigurationError, DaemonError


class Result(StrEnum):
    """How a check went."""

    OK = "ok"
    NOTE = "note"
    """Nothing is wrong, but something could not be looked at, or is worth knowing."""

    WARNING = "warning"
    """It works, and may not for long."""

    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check and how it went."""

    check: str
    result: Result
    detail: str
    remedy: str = ""
    """What to do, in words; empty where there is nothing to do."""

    tenant: str | None = None
    """None for what is about this machine."""

    @property
    def scope(self) -> str:
        """`local` or `tenant`."""
        return "local" if self.tenant is None else "tenant"


def finding_from(
    error: DaemonError, check: str, *, otherwise: str, tenant: str | None = None, result: Result = Result.FAILED
) -> Finding:
    """Return the finding for an error; what to do is the end of its sentence, or `otherwise`."""
    detail, _, remedy = (error.args[0] if error.args else str(error)).partition("; ")
    return Finding(check=check, result=result, detail=detail, remedy=remedy or otherwise, tenant=tenant)


def exit_code(findings: Iterable[Finding]) -> int:
    """Return 0 if nothing failed, 78 if something of this machine did, 1 if it was tenants only."""
    scopes = {finding.scope for finding in findings if finding.result is Result.FAILED}
    if "local" in scopes:
        return ConfigurationError.exit_code
    return DaemonError.exit_code if scopes else 0

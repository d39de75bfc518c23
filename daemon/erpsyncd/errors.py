"""Every error that erpsyncd raises on purpose, as one tree.

DaemonError
├─ ConfigurationError     bad settings, bad documents, a wrong key: exit 78
├─ UsageError             a command line that cannot be meant: exit 2
├─ StoreError             the local store failed; ends the run
│  └─ StoreOutdated          a newer version upgraded it meanwhile: exit 78
├─ RunInProgress          another process holds the store: exit 75
├─ RunInterrupted         a run was cut off by a signal: exit 75
├─ Interrupted            somebody ended a command with Ctrl-C: exit 130
├─ OutputLost             stdout does not take the result
├─ NotLookedAt            a tenant could not be asked what it has
├─ TenantLeased           another process works on this tenant
├─ TenantParked           this tenant failed too often in a row
├─ Crashed                a defect ended one tenant's pass
├─ LeaseLost              another process works on this tenant now; this one writes nothing more
├─ UnsafePlan             a safety limit; ends the pass over that tenant before any write
├─ Unauthorized           the tenant refused the credentials; ends the pass over that tenant
└─ ConnectionFailed       ends one connection: becomes an Outcome
   ├─ NotTried               the pass over its tenant ended before its turn
   ├─ SecretMissing          a reference cannot be resolved here
   ├─ SecretUnusable         what a reference resolves to cannot be sent
   ├─ CarefulSaveFailed      a connector refused, or a step failed; what stands in the tenant is part of the message
   ├─ NameUnknown            a name is in no list of the tenant
   ├─ NameAmbiguous          a name stands for several things there
   ├─ NameTaken              two connections turn out to be of one connector and name
   ├─ ConnectorMoved         a connector's name stands for another one than was pushed
   ├─ Undecided              replaced, missing, exists: an operator has to decide
   ├─ NotAdopted             what a tenant shows cannot become what is described
   └─ RemoteError(operation)
      ├─ TenantNotRunning       the vendor says that the tenant does not run: nothing has failed
      ├─ TemporaryRemoteError   the same call may work later
      │  ├─ RemoteUnreachable      never left (connect, TLS, pool, proxy or local protocol failure)
      │  │  └─ ProxyUnauthorized      the tenant's proxy refused its credentials; ends the pass over that tenant
      │  ├─ RemoteUnavailable      answered "not now" (408, 429, 500 without a reason, 503)
      │  ├─ ClockSkewed            the login service refused the time in our signature: a clock is wrong
      │  └─ OutcomeUnknown         left, no answer (deadline, broken connection, 502, 504)
      └─ PermanentRemoteError   the same call will fail again
         ├─ RemoteFault            SOAP fault, Succeeded=false, an error object
         ├─ RemoteForbidden        403 after a fresh login: this operation is not granted
         ├─ RemoteNotFound         404, 421: wrong address; the message names the setting
         │  └─ Misdirected            421: the tenant is served elsewhere
         ├─ UntrustedAddress       a tenant's state names an address that credentials are not sent to
         ├─ RemoteRejected         any other 3xx or 4xx
         └─ MalformedResponse      an answer that cannot be read

Two axes that are never mixed: the class says whether repeating *helps*; `Effect` says whether the call may
have *worked*, which decides whether repeating *harms* (design.md §5.1).
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Self

#: What WCF calls it that an agent has no such operation; the `exception_type` of such a fault.
NOT_HERE_FAULT = "ActionNotSupported"


class Effect(StrEnum):
    """What a failed call may have done to the tenant."""

    NEVER_SENT = "never_sent"
    """Connect, TLS, pool, proxy or local protocol failure: nothing arrived."""

    REFUSED = "refused"
    """Turned away before any work: 401, 403, 404, 421, 429, an authentication fault."""

    UNCERTAIN = "uncertain"
    """Everything else: a create may have happened."""


class Problem(str):
    """One thing that is wrong with what somebody wrote: a line for people, its two parts for programs."""

    __slots__ = ("place", "reason")
    place: str
    reason: str

    def __new__(cls, place: str, reason: str) -> Self:
        """Return the line."""
        line = super().__new__(cls, f"{place}: {reason}")
        line.place, line.reason = place, reason
        return line


class DaemonError(Exception):
    """Something erpsyncd knows how to explain."""

    exit_code: int = 1
    error_class: ClassVar[str] = "error"


class ConfigurationError(DaemonError):
    """Settings, a document, a key or a database that cannot be used as they are."""

    exit_code = 78
    error_class = "configuration"

    def __init__(self, message: str, *, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        #: One line for each problem, with its place; empty where the message says it all.
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join((super().__str__(), *(f"  {problem}" for problem in self.problems)))


class UsageError(DaemonError):
    """A command line that cannot be meant."""

    exit_code = 2
    error_class = "usage"


class StoreError(DaemonError):
    """The local store failed."""

    error_class = "store"


class StoreOutdated(StoreError):
    """Another process upgraded the store; this version must not write to it any more."""

    exit_code = 78
    error_class = "configuration"


class RunInProgress(DaemonError):
    """Another process holds the store for writing."""

    exit_code = 75
    error_class = "run_in_progress"


class RunInterrupted(DaemonError):
    """A run was cut off; what was under way is settled by the next one."""

    exit_code = 75
    error_class = "interrupted"


class Interrupted(DaemonError):
    """Somebody ended a command with Ctrl-C."""

    exit_code = 130
    error_class = "interrupted"


class OutputLost(DaemonError):
    """Stdout does not take the result of a command; what the command did is done."""

    error_class = "output_lost"

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        #: What the command ends with; 1 only where it has no worse to tell.
        self.exit_code = exit_code


class NotLookedAt(DaemonError):
    """A tenant could not be asked what it has, for a reason of its own."""

    error_class = "not_looked_at"

    def __init__(self, message: str, *, exit_code: int) -> None:
        super().__init__(message)
        #: What a run ends with that fails for this reason.
        self.exit_code = exit_code


class TenantLeased(DaemonError):
    """Another process is working on this tenant."""

    exit_code = 75
    error_class = "leased"


class Unsettled(DaemonError):
    """An earlier write is still open, so that what it was made for must stay as it is; the next pass settles it."""

    exit_code = 75
    error_class = "unsettled"


class TenantParked(DaemonError):
    """This tenant failed too often in a row and is left alone for a while."""

    exit_code = 75
    error_class = "parked"


class Crashed(DaemonError):
    """A defect in erpsyncd ended the pass over one tenant; the others go on."""

    error_class = "internal"


class LeaseLost(DaemonError):
    """Another process works on this tenant now; this one must write nothing more about it."""

    exit_code = 75
    error_class = "lease_lost"


class UnsafePlan(DaemonError):
    """The plan would do more than the safety limits allow without being told so."""

    exit_code = 6
    error_class = "unsafe_plan"


class Unauthorized(DaemonError):
    """The tenant refused the credentials."""

    exit_code = 77
    error_class = "unauthorized"


class ConnectionFailed(DaemonError):
    """One connection cannot be brought to its desired state; its neighbours can."""

    error_class = "failed"


class NotTried(ConnectionFailed):
    """The pass over this connection's tenant ended before its turn; nothing was sent."""

    error_class = "not_tried"


class SecretMissing(ConnectionFailed):
    """A reference of this connection cannot be resolved here."""

    error_class = "secret_missing"


class SecretUnknown(SecretMissing):
    """A value of this connection was never given to this store; it waits for an import."""


class SecretUnusable(ConnectionFailed):
    """What a reference resolves to cannot be sent to a tenant."""

    error_class = "secret_unusable"


class NameUnknown(ConnectionFailed):
    """A connector, group or associate that is given by name is not in the tenant's list."""

    error_class = "name_unknown"


class NameAmbiguous(ConnectionFailed):
    """A name stands for several things in the tenant's list."""

    error_class = "name_ambiguous"


class NameTaken(ConnectionFailed):
    """A connector's name stands for one with which another connection has the same display name."""

    error_class = "name_taken"


class ConnectorMoved(ConnectionFailed):
    """A connector's name stands for another connector than the one that this connection was pushed with."""

    error_class = "connector_moved"


class Undecided(ConnectionFailed):
    """The tenant holds something that erpsyncd must not touch without an operator's decision.

    `reason` is `exists`, `replaced` or `missing` and becomes the outcome's error class.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class NotAdopted(ConnectionFailed):
    """What a tenant shows cannot become what is described; the message says what to do instead."""

    error_class = "not_adopted"


class CarefulSaveFailed(ConnectionFailed):
    """A careful save did not come to its end. The message says at which step, and what stands in the tenant now.

    `reason` becomes the outcome's error class: `test_refused`, `not_as_saved`, `not_restored`, or that of a call
    that failed while the old state could be kept.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class RemoteError(ConnectionFailed):
    """A call to the tenant failed. `str()` is one sentence for a person; bodies are never part of it."""

    error_class = "remote"
    default_effect: ClassVar[Effect] = Effect.UNCERTAIN

    def __init__(self, operation: str, message: str, *, effect: Effect | None = None) -> None:
        super().__init__(f"{operation}: {message}")
        #: The vendor's name of the operation, such as `SaveConnection`.
        self.operation = operation
        #: What the call may have done.
        self.effect = effect or self.default_effect


class TenantNotRunning(RemoteError):
    """The vendor says that the tenant does not run now. What was called for it waits, and has not failed."""

    exit_code = 75
    error_class = "parked"

    def __init__(
        self, operation: str, message: str, *, effect: Effect | None = None, needs_operator: bool = False
    ) -> None:
        super().__init__(operation, message, effect=effect)
        #: Whether that does not end by itself.
        self.needs_operator = needs_operator


class TemporaryRemoteError(RemoteError):
    """The same call may work later."""

    exit_code = 75

    def __init__(
        self, operation: str, message: str, *, effect: Effect | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(operation, message, effect=effect)
        #: Seconds the tenant asked us to wait (Retry-After), if it did.
        self.retry_after = retry_after


class RemoteUnreachable(TemporaryRemoteError):
    """The call never left."""

    error_class = "unreachable"
    default_effect = Effect.NEVER_SENT


class ProxyUnauthorized(RemoteUnreachable):
    """The proxy before the tenant refused its credentials. Repeating that soon and often can lock an account."""


class RemoteUnavailable(TemporaryRemoteError):
    """The tenant answered "not now"."""

    error_class = "unavailable"


class ClockSkewed(TemporaryRemoteError):
    """The login service refused the time that we signed, or gave what is not valid by this machine's clock.

    No "no" to the credentials: they are good again as soon as the clock is, and nothing in the store would change
    then. So the next pass tries again; one attempt each, because a clock does not get right within seconds.
    """

    error_class = "clock_skew"
    default_effect: ClassVar[Effect] = Effect.NEVER_SENT


class OutcomeUnknown(TemporaryRemoteError):
    """The call left and no answer came back."""

    error_class = "outcome_unknown"


class PermanentRemoteError(RemoteError):
    """The same call will fail again until somebody changes something."""


class RemoteFault(PermanentRemoteError):
    """The tenant says that the operation failed: SOAP fault, Succeeded=false or an error object."""

    error_class = "fault"

    def __init__(self, operation: str, message: str, *, exception_type: str = "", effect: Effect | None = None) -> None:
        super().__init__(operation, message, effect=effect)
        #: The .NET type name without its namespace, such as `SoNotFoundException`; empty where none came.
        self.exception_type = exception_type.rpartition(".")[2]


class RemoteForbidden(PermanentRemoteError):
    """This operation is not granted to these credentials."""

    error_class = "forbidden"
    default_effect = Effect.REFUSED


class RemoteNotFound(PermanentRemoteError):
    """There is no such address at the tenant."""

    error_class = "not_found"
    default_effect = Effect.REFUSED


class Misdirected(RemoteNotFound):
    """The tenant is not served at this host."""


class UntrustedAddress(PermanentRemoteError):
    """A tenant's state names an address outside of its environment; nothing was sent there."""

    error_class = "untrusted_address"
    default_effect = Effect.NEVER_SENT


class RemoteRejected(PermanentRemoteError):
    """The tenant turned the request down with a status that repeating will not change."""

    error_class = "rejected"


class MalformedResponse(PermanentRemoteError):
    """The answer cannot be read, or answers another question."""

    error_class = "malformed"

"""How one tenant of the sandbox behaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from erpsyncd.sandbox.states import SandboxState

ALL_SERVICES = frozenset(range(83, 89))


class ConfigReading(StrEnum):
    """How config values come back when a connection is read; how they are stored is `ConfigKeeping`."""

    CLEAR = "clear"
    MASKED = "masked"
    BLANK = "blank"
    WORD = "word"
    """One text that is no row of signs, in the place of each value."""

    PARTLY = "partly"
    """Values of fields that are called like a password have their middle hidden, the others are clear."""

    WITHOUT = "without"
    """No config fields at all."""


class ConfigKeeping(StrEnum):
    """What becomes of config values when they are saved."""

    AS_SENT = "as_sent"
    ENCODED = "encoded"
    """Numbers and booleans as CultureDataFormatter writes them: `[I:1]`."""

    TRIMMED = "trimmed"
    """Without blanks around them, and in capitals: as a connector that puts in order what it is given."""

    COMPLETED = "completed"
    """With a field of the server's own where nobody gave it."""

    COUNTED = "counted"
    """With the number of the save at the end: never twice the same."""


class RestErrors(StrEnum):
    """What REST answers when an operation raises. The sources know all three."""

    STATUS = "status"
    """500 with `{"Error", "ErrorType", "ErrorMessage", "ErrorSource"}`."""

    OBJECT = "object"
    """200 with `{"Message", "MessageDetail"}`."""

    NULL = "null"
    """200 with `null`."""


class Absent(StrEnum):
    """What SOAP GetConnection says about an id that was never there."""

    NIL = "nil"
    EXCEPTION = "exception"


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConnector:
    """An installed ERP connector."""

    name: str
    url: str = "app://sandbox"
    mandatory_keys: frozenset[str] = frozenset()
    """Config fields without which this connector refuses to be tested or saved."""
    up: bool = True
    """A connector that is down makes every save and test of its connections fail."""
    refused_values: frozenset[str] = frozenset()
    """Config values, in any field, with which a test says no; such a connection can be saved all the same."""


def _connectors() -> Mapping[int, SandboxConnector]:
    return {1: SandboxConnector(name="Visma"), 2: SandboxConnector(name="File")}


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxTenant:
    """The settings of one installation. Give a changed copy to `TenantState.configure` to change a running one."""

    users: Mapping[str, str] = field(default_factory=lambda: {"sandbox": "sandbox"}, repr=False)
    """Passwords by user name; names do not care about case."""

    bearer_tokens: frozenset[str] = field(default=frozenset(), repr=False)
    """Access tokens that REST takes as Bearer and Services86 and newer in the place of a ticket."""

    application_token: str | None = field(default=None, repr=False)
    """Checked on every call where it is set (Online), ignored where it is None (onsite)."""

    connectors: Mapping[int, SandboxConnector] = field(default_factory=_connectors)
    user_groups: Mapping[int, str] = field(default_factory=lambda: {1: "Sales", 2: "Support", 3: "Finance"})
    associates: Mapping[int, str] = field(default_factory=lambda: {1: "sandbox", 2: "reader"})
    headings: Mapping[int, frozenset[int]] = field(default_factory=dict)
    """Associates by the user group that the list shows them under, though a flat one was asked for."""

    deleted_items: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """What the lists (`erpconnectors`, `usergroup`, `associate`) show as deleted."""

    list_addresses: bool = True
    """Whether REST has lists at addresses of their own, beside the MDO agent."""

    services: frozenset[int] = ALL_SERVICES
    """The ServicesNN that exist here; current installations have nothing below 84."""

    newer_services88: bool = False
    """Services88 as it is since 2023: with GetAllConnections and PluginResponse.Status."""

    wrap_exceptions: bool = True
    """SOAP errors as 200 with `Succeeded=false` and `ExceptionInfo`; False makes them 500 with a soap:Fault."""

    rest_errors: RestErrors = RestErrors.STATUS
    config_reading: ConfigReading = ConfigReading.CLEAR
    config_keeping: ConfigKeeping = ConfigKeeping.AS_SENT
    unknown_id: Absent = Absent.NIL
    deleted_readable: bool = True
    """GetConnection of a deleted connection gives the row with Deleted=true; False treats it as an unknown id."""

    startup_errors: tuple[Mapping[str, Any], ...] = ()
    """What GetConnectionStartupErrors tells beside the connectors that are down: members of PluginResponses."""

    sync_all: Mapping[str, Any] = field(default_factory=dict)
    """Members of SyncAll's PluginResponse that are to be others than usual."""

    lacks: frozenset[str] = frozenset()
    """Operations that this installation does not have."""

    ticket_seconds: float = 6 * 3600.0
    """How long a ticket lives after its last use."""

    ticket_uses: int | None = None
    """How many calls a ticket is good for; None = no limit."""

    lock_after: int | None = None
    """Wrong passwords in a row that lock an account for good; None = never."""

    config_tests_refused: int = 0
    """So many next answers of TestConnectionByConfig are "no"; `TenantState.configure` sets it anew."""

    id_tests_refused: int = 0
    """The same for TestConnectionById."""

    config_locked_while_active: bool = False
    """A save that changes connector or config fields of an active connection is refused, as the vendor's own screen
    does; it has to be made inactive first."""

    mapped: frozenset[int] | None = None
    """The connections that have mappings, without which none can be made active; None = that does not matter."""

    cursor_every: int = 3
    """The sync engine moves MostRecentTimestamp before every Nth read of a connection, and after every save."""

    online: SandboxState = field(default_factory=SandboxState)
    """What the state service says of it, where it lives and whether it runs (Online)."""

    def __post_init__(self) -> None:
        if self.cursor_every < 1:
            raise ValueError(f"cursor_every must be at least 1, not {self.cursor_every}")
        if not self.services <= ALL_SERVICES:
            raise ValueError(f"services must be within 83 to 88, not {sorted(self.services)}")

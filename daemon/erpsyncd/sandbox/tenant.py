"""One installation at work: its options, rows, sessions, and what each operation does with them."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from erpsyncd.sandbox.changes import ChangeLog
from erpsyncd.sandbox.config_values import kept, readable
from erpsyncd.sandbox.connections import ConnectionTable, CursorRewind, SandboxConnection, guid_text, plain
from erpsyncd.sandbox.guards import accepts, check_connector, check_save
from erpsyncd.sandbox.lists import list_item, name_list
from erpsyncd.sandbox.options import Absent, SandboxTenant
from erpsyncd.sandbox.plugin import startup_errors, sync_all
from erpsyncd.sandbox.problems import NotFoundProblem, Problem, SessionProblem
from erpsyncd.sandbox.sessions import Sessions

Arguments = Mapping[str, Any]
_TABLE_RIGHT = {"Mask": "Select Update Insert Delete", "Reason": ""}


class TenantState:
    """The state of one tenant. Every public method takes the lock; answers are values of the reader's own."""

    def __init__(
        self, name: str, options: SandboxTenant, *, seed: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self._options = options
        self._lock = threading.RLock()
        self._changes = ChangeLog()
        # Two generators: how often somebody logs in must not change the GUIDs of a repeated run.
        self._table = ConnectionTable(random.Random(f"{seed}/{name}/guids"), self._changes)  # noqa: S311  # repeatable on purpose
        self._sessions = Sessions(random.Random(f"{seed}/{name}/tickets"), clock)  # noqa: S311  # repeatable on purpose
        self._answers = 0
        self._saves = 0
        self._turns = itertools.count()

    # What tests and the control surface look at and change.

    @property
    def options(self) -> SandboxTenant:
        """How this tenant behaves now."""
        return self._options

    def configure(self, **changes: Any) -> None:
        """Change options while the server runs, by their names in `SandboxTenant`."""
        with self._lock:
            self._options = replace(self._options, **changes)

    @property
    def connections(self) -> dict[int, SandboxConnection]:
        """All rows by id, the deleted ones too, as they are now."""
        with self._lock:
            return dict(self._table.rows)

    @property
    def rewinds(self) -> tuple[CursorRewind, ...]:
        """The saves that sent a stale or blank cursor."""
        with self._lock:
            return tuple(self._table.rewinds)

    @property
    def saves(self) -> tuple[SandboxConnection, ...]:
        """What each save wrote, oldest first."""
        with self._lock:
            return tuple(self._table.saves)

    @property
    def cursor_rewinds(self) -> int:
        """How many saves sent a stale or blank cursor."""
        return len(self.rewinds)

    @property
    def logins(self) -> tuple[int, int]:
        """How many logins were granted and refused."""
        with self._lock:
            return self._sessions.logins.granted, self._sessions.logins.refused

    def add(self, **fields: Any) -> SandboxConnection:
        """Create a row as an administrator would, by the names in `SandboxConnection`, and return it."""
        with self._lock:
            last = max(self._table.rows, default=0)
            row = SandboxConnection(**{"erp_connection_id": last + 1, "guid": self._table.new_guid(), **fields})
            self._table.put(row)
            return row

    def edit(self, erp_connection_id: int, **changes: Any) -> SandboxConnection:
        """Change a row behind the client's back and return it; `guid=` makes it another object with the same id."""
        with self._lock:
            row = replace(self._table.row(erp_connection_id), **changes)
            self._table.put(row)
            return row

    def forget(self, erp_connection_id: int) -> None:
        """Remove a row for good, as a restored backup would."""
        with self._lock:
            self._table.forget(erp_connection_id)

    def expire_tickets(self) -> int:
        """Revoke every ticket and return how many there were."""
        with self._lock:
            return self._sessions.revoke_all()

    def issue_ticket(self, user: str = "sandbox") -> str:
        """Return a valid ticket without a login."""
        with self._lock:
            return self._sessions.issue(self._options, user)

    def issue_access_token(self, seconds: float) -> str:
        """Return a valid access token without a login."""
        with self._lock:
            return self._sessions.issue_access_token(self.name, seconds)

    def to_json(self) -> dict[str, Any]:
        """Return everything there is to see, config values included: this is a sandbox."""
        with self._lock:
            granted, refused = self.logins
            return {
                "connections": [plain(row) for row in self._table.rows.values()],
                "cursor_rewinds": self.cursor_rewinds,
                "logins": {"granted": granted, "refused": refused},
            }

    def next_turn(self) -> int:
        """Return a number that says in which style the next reply is written."""
        return next(self._turns)

    # Who is calling.

    def check_application_token(self, token: str | None) -> None:
        """Raise `SessionProblem` where this tenant wants another application token."""
        wanted = self._options.application_token
        if wanted is not None and token != wanted:
            raise SessionProblem("Authentication failed! The application token is missing or not accepted.")

    def check_ticket(self, ticket: str | None, *, access_token: bool = False) -> None:
        """Raise `SessionProblem` unless *ticket* is valid; with *access_token* a bearer token counts too."""
        with self._lock:
            if access_token and self._sessions.is_access_token(self._options, ticket or ""):
                return
            self._sessions.check_ticket(self._options, ticket or "")

    def check_access_token(self, token: str) -> None:
        """Raise `SessionProblem` unless *token* is valid."""
        with self._lock:
            if not self._sessions.is_access_token(self._options, token):
                raise SessionProblem

    def check_password(self, user: str, password: str) -> None:
        """Raise `SessionProblem` unless these open the door. A ticket may stand in for a user, with no password."""
        with self._lock:
            if user.startswith("7T:") and not password:
                self._sessions.check_ticket(self._options, user)
            elif not self._sessions.is_password(self._options, user, password):
                self._sessions.logins.refused += 1
                raise SessionProblem("Authentication failed! Wrong user name or password.")

    # The operations.

    def perform(self, operation: str, arguments: Arguments) -> dict[str, Any]:
        """Do what an operation says and return the members of its reply; raises `Problem`."""
        with self._lock:
            return self._HANDLERS[operation](self, arguments)

    def _authenticate(self, arguments: Arguments) -> dict[str, Any]:
        user = arguments["UserName"] or ""
        ticket = self._sessions.login(self._options, user, arguments["Password"] or "")
        if ticket is None:
            return {"Response": None, "Credentials": None, "AuthenticationSucceeded": False}
        return {"Response": _principal(user), "Credentials": {"Ticket": ticket}, "AuthenticationSucceeded": True}

    def _save_connection(self, arguments: Arguments) -> dict[str, Any]:
        if arguments["Connection"] is None:
            raise Problem("SoInvalidArgumentException", "Connection must not be null.")
        sent = SandboxConnection.from_carrier(arguments["Connection"])
        if sent.erp_connection_id:
            self._table.row(sent.erp_connection_id)
        check_connector(self._options, sent.erp_connector_id, sent.config_fields)
        check_save(self._options, self._table.rows.get(sent.erp_connection_id), sent)
        self._saves += 1
        keeping = self._options.config_keeping
        sent = replace(sent, config_fields=kept(sent.config_fields, keeping, self._saves))
        return {"Response": self._shown(self._table.save(sent))}

    def _get_connection(self, arguments: Arguments) -> dict[str, Any]:
        identity = arguments["ErpConnectionId"]
        row = self._table.rows.get(identity)
        if row is None or (row.deleted and not self._options.deleted_readable):
            if self._options.unknown_id is Absent.EXCEPTION:
                raise NotFoundProblem("ErpConnection", identity)
            return {"Response": None}
        carrier = self._shown(self._table.read(identity, cursor_every=self._options.cursor_every))
        return {"Response": {**carrier, "TableRight": _TABLE_RIGHT}}

    def _delete_connection(self, arguments: Arguments) -> dict[str, Any]:
        self._table.delete(arguments["ErpConnectionId"])
        return {}

    def _get_config_fields(self, arguments: Arguments) -> dict[str, Any]:
        row = self._table.row(arguments["ErpConnectionId"])
        return {"Response": readable(row.config_fields, self._options.config_reading)}

    def _test_by_id(self, arguments: Arguments) -> dict[str, Any]:
        row = self._table.row(arguments["ErpConnectionId"])
        if self._is_refused("id_tests_refused"):
            return {"Response": False}
        return {"Response": not row.deleted and accepts(self._options, row.erp_connector_id, row.config_fields)}

    def _test_by_config(self, arguments: Arguments) -> dict[str, Any]:
        if self._is_refused("config_tests_refused"):
            return {"Response": False}
        # The parameter is called ErpConnectionId and means the connector's id.
        return {"Response": accepts(self._options, arguments["ErpConnectionId"], arguments["ConfigFields"] or {})}

    def _get_all_connections(self, arguments: Arguments) -> dict[str, Any]:
        rows = [row for row in self._table.rows.values() if arguments["IncludeDeleted"] or not row.deleted]
        # From the archive: it knows neither config fields nor access ids.
        unknown = {"ConfigFields": None, "UserGroupAccessIds": None, "AssociateAccessIds": None}
        return {"Response": [{**self._shown(row), **unknown} for row in rows]}

    def _has_connections(self, _arguments: Arguments) -> dict[str, Any]:
        is_ok = any(row.active and not row.deleted for row in self._table.rows.values())
        members: dict[str, Any] = {"TableRight": None, "FieldProperties": None, "IsOk": is_ok}
        members["UserExplanation"] = "" if is_ok else 'US:"No connections are available";NO:"Ingen tilkoblinger"'
        members["TechExplanation"] = "" if is_ok else "There is no active connection for this user."
        members["ErrorCode"] = "" if is_ok else "NO_CONNECTIONS"
        members |= self._changes.take()
        members["Status"] = "Ok" if is_ok else "Error"
        return {"Response": members}

    def _startup_errors(self, _arguments: Arguments) -> dict[str, Any]:
        return {"Response": startup_errors(self._table.rows.values(), self._options)}

    def _sync_all(self, _arguments: Arguments) -> dict[str, Any]:
        return {"Response": sync_all(self._table, self._options)}

    def _get_list(self, arguments: Arguments) -> dict[str, Any]:
        options = self._options
        match (arguments["Name"] or "").casefold():
            case "erpconnections":
                live = [row for row in self._table.rows.values() if not row.deleted]
                items = [list_item(row.erp_connection_id, row.display_name, self._guid(row)) for row in live]
            case "erpconnectors" | "usergroup" | "associate" as name:
                items = name_list(options, name)
            case unknown:
                raise Problem("SoInvalidArgumentException", f"There is no MDO provider named '{unknown}'.")
        return {"Response": items}

    _HANDLERS: Mapping[str, Callable[[TenantState, Arguments], dict[str, Any]]] = {
        "AuthenticateUsernamePassword": _authenticate,
        "SaveConnection": _save_connection,
        "GetConnection": _get_connection,
        "DeleteConnection": _delete_connection,
        "GetErpConnectionConfigFields": _get_config_fields,
        "TestConnectionById": _test_by_id,
        "TestConnectionByConfig": _test_by_config,
        "GetAllConnections": _get_all_connections,
        "HasConnections": _has_connections,
        "GetConnectionStartupErrors": _startup_errors,
        "SyncAll": _sync_all,
        "GetList": _get_list,
    }

    def _shown(self, row: SandboxConnection) -> dict[str, Any]:
        self._answers += 1
        return row.to_carrier(upper_guid=self._answers % 2 == 0, reading=self._options.config_reading)

    def _guid(self, row: SandboxConnection) -> str:
        self._answers += 1
        return guid_text(row.guid, upper=self._answers % 2 == 0)

    def _is_refused(self, counter: str) -> bool:
        """Count one refusal down; say whether it was one."""
        left: int = getattr(self._options, counter)
        if left:
            self.configure(**{counter: left - 1})
        return left > 0


def _principal(user: str) -> dict[str, Any]:
    numbers = "AssociateId PersonId CountryId HomeCountryId ContactId GroupId BusinessId CategoryId ContactOwner RoleId"
    texts = {"RoleName": "User level 0", "RoleDescription": "", "FullName": user, "EMailAddress": ""}
    nothing = ("Licenses", "FunctionRights", "ProvidedCredentials", "SecondaryGroups", "DatabaseContextIdentifier")
    return {
        "UserType": "InternalAssociate",
        "Associate": user,
        **dict.fromkeys(numbers.split(), 1),
        "IsPerson": True,
        **texts,
        "RoleType": "Employee",
        "EjUserId": 0,
        "EjAccessLevel": 0,
        "EjUserStatus": "StatusNone",
        **dict.fromkeys(nothing),
    }

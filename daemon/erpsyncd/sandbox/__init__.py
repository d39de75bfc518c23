"""A stand-in NetServer on loopback, for rehearsals, the demo and tests.

    with SandboxServer(tenants={"acme": SandboxTenant(wrap_exceptions=False)}) as server:
        tenant_url = server.url + "/acme"

It shares no code with the client side of erpsyncd, so that the two cannot share a mistake, and it is strict
where the real one is nasty: a misplaced element is dropped without a word.
"""

from erpsyncd.sandbox.connections import CursorRewind, SandboxConnection
from erpsyncd.sandbox.faults import Action, Answer, Drop, Hang, Raise, Rule, When
from erpsyncd.sandbox.journal import Call, Peaks
from erpsyncd.sandbox.online_keys import LoginKey
from erpsyncd.sandbox.online_login import AuthorizeErrorCode, LoginService, SandboxApplication
from erpsyncd.sandbox.options import Absent, ConfigReading, RestErrors, SandboxConnector, SandboxTenant
from erpsyncd.sandbox.server import SandboxServer
from erpsyncd.sandbox.states import SandboxState
from erpsyncd.sandbox.tenant import TenantState

__all__ = [
    "Absent",
    "Action",
    "Answer",
    "AuthorizeErrorCode",
    "Call",
    "ConfigReading",
    "CursorRewind",
    "Drop",
    "Hang",
    "LoginKey",
    "LoginService",
    "Peaks",
    "Raise",
    "RestErrors",
    "Rule",
    "SandboxApplication",
    "SandboxConnection",
    "SandboxConnector",
    "SandboxServer",
    "SandboxState",
    "SandboxTenant",
    "TenantState",
    "When",
]

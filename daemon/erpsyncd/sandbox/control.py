"""The control surface under `/_sandbox`: what other processes may see and change."""

from __future__ import annotations

import json
from typing import Any

from erpsyncd.sandbox.connections import plain
from erpsyncd.sandbox.dispatch import RESERVED, Dispatcher
from erpsyncd.sandbox.edits import edit
from erpsyncd.sandbox.faults import rule_from_json
from erpsyncd.sandbox.messages import Reply, Request, json_reply
from erpsyncd.sandbox.problems import NotFoundProblem
from erpsyncd.sandbox.states import changed_state

PREFIX = f"/{RESERVED}/"


def answer(dispatcher: Dispatcher, request: Request) -> Reply:
    """Answer one request to the control surface; these are not in the journal."""
    match request.method, request.path.removeprefix(PREFIX):
        case "GET", "state":
            return json_reply(state(dispatcher, request.parameter("tenant")))
        case "GET", "calls":
            return json_reply({"calls": _calls(dispatcher, request)})
        case "POST", name if name in _POSTS:
            return _POSTS[name](dispatcher, request)
        case "DELETE", "faults":
            dispatcher.faults.clear()
            return Reply(status=204)
        case _:
            return json_reply({"error": f"there is no {request.method} {request.path}"}, 404)


def state(dispatcher: Dispatcher, only: str = "") -> dict[str, Any]:
    """Return the JSON of `/_sandbox/state`, of one tenant where it is named."""
    tenants: dict[str, Any] = {}
    for tenant in dispatcher.tenants.all():
        if only.lower() in ("", tenant.name):
            peaks = dispatcher.journal.peaks(tenant.name)
            tenants[tenant.name] = {
                **tenant.to_json(),
                "calls": dispatcher.journal.counts(tenant.name),
                "peaks": {
                    "calls_per_second": peaks.calls_per_second,
                    "running": peaks.running,
                    "open_connections": peaks.open_connections,
                },
            }
    return {"tenants": tenants}


def _calls(dispatcher: Dispatcher, request: Request) -> list[dict[str, Any]]:
    """List calls, of one tenant or one operation where the query says so."""
    calls = dispatcher.journal.calls(
        request.parameter("tenant").lower() or None, request.parameter("operation") or None
    )
    return [{name: getattr(call, name) for name in type(call).__slots__} for call in calls]


def _expire_tickets(dispatcher: Dispatcher, request: Request) -> Reply:
    try:
        document = json.loads(request.body) if request.body else {}
        only = str(document.get("tenant", "")).lower()
    except (ValueError, AttributeError) as exc:
        return json_reply({"error": f"the body is no JSON object: {exc}"}, 400)
    expired = {tenant.name: tenant.expire_tickets() for tenant in dispatcher.tenants.all() if only in ("", tenant.name)}
    return json_reply({"expired": expired})


def _change_state(dispatcher: Dispatcher, request: Request) -> Reply:
    """Change what is said of a tenant, and whether it runs; members that are not named stay as they are."""
    try:
        document = json.loads(request.body or b"{}")
        tenant = dispatcher.tenants.find(str(document["tenant"]))
        if tenant is None:
            return json_reply({"error": f"there is no tenant {document['tenant']}"}, 404)
        tenant.configure(online=changed_state(tenant.options.online, request.body))
    except (ValueError, LookupError, TypeError) as exc:
        return json_reply({"error": f"the body does not say which state which tenant has: {exc}"}, 400)
    return Reply(status=204)


def _add_faults(dispatcher: Dispatcher, request: Request) -> Reply:
    """Take one rule or a list of them; all or none."""
    try:
        document = json.loads(request.body)
        rules = [rule_from_json(entry) for entry in (document if isinstance(document, list) else [document])]
    except ValueError as exc:
        return json_reply({"error": str(exc)}, 400)
    dispatcher.faults.add(*rules)
    return json_reply({"rules": len(rules)}, 201)


def _edit(dispatcher: Dispatcher, request: Request) -> Reply:
    """Do what somebody in the CRM would: add a connection, change it, or remove it for good."""
    try:
        document = json.loads(request.body)
        tenant = dispatcher.tenants.find(str(document["tenant"]))
        if tenant is None:
            return json_reply({"error": f"there is no tenant {document['tenant']}"}, 404)
        row = edit(tenant, document)
    except (ValueError, LookupError, TypeError) as exc:
        return json_reply({"error": f"the body does not say what becomes of which connection: {exc}"}, 400)
    except NotFoundProblem as exc:
        return json_reply({"error": str(exc)}, 404)
    return Reply(status=204) if row is None else json_reply(plain(row))


_POSTS = {
    "expire-tickets": _expire_tickets,
    "tenant-state": _change_state,
    "connections": _edit,
    "faults": _add_faults,
}

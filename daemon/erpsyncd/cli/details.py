"""One connection and one tenant as `show` writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from erpsyncd.cli.drift_lines import drift_lines
from erpsyncd.cli.layout import WIDTH, cut, facts, local, one_line
from erpsyncd.cli.output import as_json, table
from erpsyncd.domain.connections import State
from erpsyncd.domain.explanations import in_language
from erpsyncd.domain.standing import state_in_words
from erpsyncd.domain.tenants import DriftPolicy, rest_base, soap_base
from erpsyncd.store.details import ConnectionDetail, PastOutcome, TenantDetail
from erpsyncd.store.views import ConnectionView


def detail_as_json(detail: ConnectionDetail | TenantDetail) -> dict[str, Any]:
    """Return the members that a list shows, and the others beside them."""
    members = as_json(detail)
    return as_json(members.pop("view")) | members


def connection_as_text(detail: ConnectionDetail) -> str:
    """Return a connection for a person: how it stands, how it is described, what became of it."""
    view = detail.view
    parts = [
        one_line(f"{view.tenant}/{view.key}: {state_in_words(State(view.state))}"),
        facts(list(_standing(detail))),
        facts(list(_description(detail))),
    ]
    if detail.drift:
        parts.append("\n".join(("Drift:", *(f"  {line}" for one in detail.drift for line in drift_lines(one)))))
    if detail.history:
        parts.append("\n".join(_history(detail.history)))
    return "\n\n".join(parts)


def tenant_as_text(detail: TenantDetail) -> str:
    """Return a tenant for a person: where it is, who we are there, how it stands."""
    view = detail.view
    check = detail.last_check
    why = in_language(check.user_explanation, detail.language) if check else ""
    answer = (
        f"{'yes' if check.is_ok else 'no'}, {local(check.last_at)}{f'. {why}' if why else ''}" if check else "never"
    )
    pairs = [
        ("State", _tenant_state(detail)),
        *_online(detail),
        *([("Address", view.url)] if view.url else []),
        ("Called at", _called_at(detail)),
        *([("Quote", f"Services{detail.quote_services}")] if view.protocol == "soap" else []),
        ("Rate", f"{detail.calls_per_second:g} calls per second"),
        ("Logs in by", f"{detail.auth_kind}: {_fields(detail.auth_fields)}"),
        *(
            (label, text)
            for label, text in (
                ("Language", detail.language),
                ("Time zone", detail.time_zone),
                ("Saves", "carefully" if detail.careful else None),
                ("Drift", "is undone" if detail.drift == DriftPolicy.ENFORCE else None),
                ("After saves", "SyncAll" if detail.sync_all_after_save else None),
                ("Trusts", detail.ca_file),
                ("Certificate", detail.client_certificate),
                ("Key", detail.client_key),
                ("Proxy", detail.proxy),
            )
            if text
        ),
        ("Connections", ", ".join(f"{n} {state.replace('_', ' ')}" for state, n in detail.counts.items() if n)),
        ("HasConnections", answer),
        ("Worked on by", _lease(detail)),
    ]
    return f"{one_line(view.name)}\n\n{facts(pairs)}"


def _online(detail: TenantDetail) -> Iterator[tuple[str, str]]:
    """Yield who a tenant is at Online, and what was last said of it there."""
    view = detail.view
    if detail.environment is None:
        return
    yield "Online", f"{detail.environment}, {detail.context}"
    until = f", good until {local(view.tenant_state_until)}" if view.tenant_state_until else ""
    at = f", at {view.endpoint}" if view.endpoint else ""
    yield "Said to be", f"{view.tenant_state}{at}{until}" if view.tenant_state else "not asked yet"


def _called_at(detail: TenantDetail) -> str:
    view = detail.view
    online = detail.environment is not None
    if view.protocol == "soap":
        address = detail.soap_url or (view.endpoint if online else None) or view.url
        base = soap_base(address, overridden=detail.soap_url is not None) if address else ""
        called = f"{base}/Services{detail.erpsync_services}"
    else:
        address = detail.rest_url or (detail.api if online else None) or view.url
        called = rest_base(address) if address else ""
    return f"{called} ({view.protocol})" if address else f"where its environment says ({view.protocol})"


def _standing(detail: ConnectionDetail) -> Iterator[tuple[str, str]]:
    view = detail.view
    yield "State", f"{view.state} since {local(detail.since)}"
    yield (
        "In the tenant",
        f"{view.erp_connection_id} ({view.connection_id or 'GUID not known'})"
        if (view.erp_connection_id)
        else "not known there",
    )
    if detail.open_intent is not None:
        intent = detail.open_intent
        yield "On its way", f"{intent.kind}, sent {local(intent.sent_at)} by run {intent.run_id}"
    if view.attempts:
        yield "Attempts", str(view.attempts)
    if view.next_attempt_at is not None:
        yield "Next try", local(view.next_attempt_at)
    if view.error:
        yield "Error", f"{view.error_class}: {view.error}" if view.error_class else view.error


def _description(detail: ConnectionDetail) -> Iterator[tuple[str, str]]:
    view = detail.view
    yield "Wanted", "present" if view.present else "absent"
    yield "Connector", _connector(view)
    yield "Name", view.display_name
    yield "Description", detail.display_description
    yield "Active", "yes" if view.active else "no"
    yield "Open to", "everybody" if detail.all_access else "those named"
    yield "Groups", _named(detail.user_groups, detail.user_group_access_ids)
    yield "Associates", _named(detail.associates, detail.associate_access_ids)
    yield "Config fields", _fields(detail.config_fields)


def _connector(view: ConnectionView) -> str:
    if view.erp_connector is None:
        return str(view.erp_connector_id)
    return f"{view.erp_connector} ({view.erp_connector_id or 'not looked up yet'})"


def _named(names: Sequence[str], ids: Sequence[int]) -> str:
    """Return who may use it; what is given by name with the ids that the names stood for last."""
    numbers = ", ".join(map(str, ids))
    return f"{', '.join(names)} ({numbers or 'not looked up yet'})" if names else numbers


def _fields(fields: Mapping[str, str]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in fields.items())


def _history(history: Sequence[PastOutcome]) -> Iterator[str]:
    rows = (
        (
            past.recorded_at,
            past.run_id,
            past.status,
            past.change,
            f"{past.error_class}: {past.error}" if past.error_class else ", ".join(past.fields),
        )
        for past in history
    )
    for line in table(("WHEN", "RUN", "OUTCOME", "CHANGE", "WHY"), rows).splitlines():
        yield cut(line, WIDTH)


def _tenant_state(detail: TenantDetail) -> str:
    view = detail.view
    if view.state == "parked" and view.is_running is False:
        until = f", asked again from {local(view.parked_until)}" if view.parked_until else ""
        return f"parked: the vendor says {view.tenant_state}{until}"
    if view.state == "parked" and view.parked_until is not None:
        return f"parked until {local(view.parked_until)}, after {view.transient_failures} failures in a row"
    return {"refused": "refused: the credentials are not tried again until they change"}.get(view.state, view.state)


def _lease(detail: TenantDetail) -> str:
    if detail.lease_owner is None or detail.lease_until is None:
        return "nobody"
    return f"{detail.lease_owner}, until {local(detail.lease_until)}"

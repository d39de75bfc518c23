"""What JSON objects are put together from: see `schemas`."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeAlias

from erpsyncd.domain.connections import State
from erpsyncd.domain.documents import ItemChange
from erpsyncd.domain.items import Severity
from erpsyncd.domain.results import ChangeKind, RunStatus, Status
from erpsyncd.domain.tenants import Protocol

Schema: TypeAlias = dict[str, Any]

TEXT: Schema = {"type": "string"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
TRUTH: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "integer"}
NUMBER_OR_NULL: Schema = {"type": ["integer", "null"]}
COUNT: Schema = {"type": "integer", "minimum": 0}
MOMENT: Schema = {"type": "string", "format": "date-time"}
MOMENT_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}


def record(**members: Schema) -> Schema:
    """Return the shape of an object with just these members."""
    return {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}


def many(*items: Schema) -> Schema:
    """Return the shape of a list, each item of which has one of these shapes."""
    return {"type": "array", "items": items[0] if len(items) == 1 else {"oneOf": list(items)}}


def words(*known: type[StrEnum] | str | None) -> Schema:
    """Return the shape of one of these words, or of the words of an enumeration."""
    found: list[str | None] = []
    for word in known:
        found += [str(each) for each in word] if isinstance(word, type) else [word]
    return {"enum": found}


ANYTHING: Schema = {}
TENANT_STATE = words("active", "paused", "parked", "refused", "incomplete")
TEXTS_BY_NAME: Schema = {"type": "object", "additionalProperties": TEXT}
COUNTS: Schema = {"type": "object", "additionalProperties": COUNT}
COUNTS_BY_STATE: Schema = {
    "type": "object",
    "propertyNames": words(State),
    "additionalProperties": COUNT,
}

CHECK: dict[str, Schema] = {
    "tenant": TEXT,
    "run_id": COUNT,
    "is_ok": TRUTH,
    "user_explanation": TEXT,
    "tech_explanation": TEXT,
    "error_code": TEXT,
    "first_at": MOMENT,
    "last_at": MOMENT,
    "times": COUNT,
}
OUTCOME: dict[str, Schema] = {
    "tenant": TEXT,
    "key": TEXT_OR_NULL,
    "change": words(ChangeKind, None),
    "status": words(Status),
    "error_class": TEXT_OR_NULL,
    "error": TEXT_OR_NULL,
    "fields": many(TEXT),
}
RUN: dict[str, Schema] = {
    "run_id": COUNT,
    "trigger": TEXT,
    "dry_run": TRUTH,
    "status": words(RunStatus, "running", "interrupted"),
    "exit_code": NUMBER_OR_NULL,
    "counts": COUNTS,
    "changed_records": COUNT,
    "problems": many(TEXT),
    "started_at": MOMENT,
    "finished_at": MOMENT_OR_NULL,
}
CHECK_OF_LIST: dict[str, Schema] = CHECK | {"operation": TEXT, "status": TEXT, "changed_records": COUNT}
TENANT: dict[str, Schema] = {
    "name": TEXT,
    "url": TEXT,
    "protocol": words(Protocol),
    "state": TENANT_STATE,
    "paused": TRUTH,
    "parked_until": MOMENT_OR_NULL,
    "transient_failures": COUNT,
    "refused": TRUTH,
    "connections": COUNT,
    "in_sync": COUNT,
    "last_checked_at": MOMENT_OR_NULL,
}
CONNECTION: dict[str, Schema] = {
    "tenant": TEXT,
    "key": TEXT,
    "state": words(State),
    "present": TRUTH,
    "erp_connection_id": NUMBER_OR_NULL,
    "connection_id": TEXT_OR_NULL,
    "erp_connector_id": COUNT,
    "display_name": TEXT,
    "active": TRUTH,
    "attempts": COUNT,
    "next_attempt_at": MOMENT_OR_NULL,
    "error_class": TEXT_OR_NULL,
    "error": TEXT_OR_NULL,
    "updated_at": MOMENT,
}

FIELD_CHANGE = record(name=TEXT, old=ANYTHING, new=ANYTHING)
FIELD_EDIT = record(name=TEXT, change=words(ItemChange), old=ANYTHING, new=ANYTHING)
IMPORT_ITEM = record(
    change=words(ItemChange), tenant=TEXT, key=TEXT_OR_NULL, fields=many(FIELD_EDIT), incomplete=many(TEXT)
)
TENANT_DETAIL: dict[str, Schema] = TENANT | {
    "soap_url": TEXT_OR_NULL,
    "rest_url": TEXT_OR_NULL,
    "erpsync_services": COUNT,
    "quote_services": COUNT,
    "calls_per_second": {"type": "number"},
    "auth_kind": TEXT,
    "auth_fields": TEXTS_BY_NAME,
    "ca_file": TEXT_OR_NULL,
    "client_certificate": TEXT_OR_NULL,
    "client_key": TEXT_OR_NULL,
    "proxy": TEXT_OR_NULL,
    "lease_owner": TEXT_OR_NULL,
    "lease_until": MOMENT_OR_NULL,
    "counts": COUNTS_BY_STATE,
    "last_check": {"oneOf": [{"type": "null"}, record(**CHECK_OF_LIST)]},
    "created_at": MOMENT,
    "updated_at": MOMENT,
}
CONNECTION_DETAIL: dict[str, Schema] = CONNECTION | {
    "since": MOMENT,
    "display_description": TEXT,
    "all_access": TRUTH,
    "user_group_access_ids": many(NUMBER),
    "associate_access_ids": many(NUMBER),
    "config_fields": TEXTS_BY_NAME,
    "revision": COUNT,
    "created_at": MOMENT,
    "open_intent": {"oneOf": [{"type": "null"}, record(kind=words(ChangeKind), run_id=COUNT, sent_at=MOMENT)]},
    "history": many(
        record(
            run_id=COUNT,
            recorded_at=MOMENT,
            status=words(Status),
            change=words(ChangeKind, None),
            error_class=TEXT_OR_NULL,
            error=TEXT_OR_NULL,
            fields=many(TEXT),
        )
    ),
}
ADOPTED = record(
    tenant=TEXT,
    key=TEXT_OR_NULL,
    state=words(State, None),
    erp_connection_id=NUMBER,
    display_name=TEXT,
    connection_id=TEXT_OR_NULL,
    erp_connector_id=NUMBER_OR_NULL,
    active={"type": ["boolean", "null"]},
    hidden=many(TEXT),
    error_class=TEXT_OR_NULL,
    error=TEXT_OR_NULL,
    attempts=COUNT,
    next_attempt_at=MOMENT_OR_NULL,
    adopted=TRUTH,
)
STEP = record(name=TEXT, is_ok={"type": ["boolean", "null"]}, what=TEXT, error_class=TEXT_OR_NULL, do=TEXT_OR_NULL)
ATTENTION = record(
    severity=words(Severity),
    reason=TEXT,
    what=TEXT,
    do=TEXT,
    tenant=TEXT_OR_NULL,
    key=TEXT_OR_NULL,
    until=MOMENT_OR_NULL,
)
STANDING = record(
    name=TEXT,
    state=TENANT_STATE,
    parked_until=MOMENT_OR_NULL,
    transient_failures=COUNT,
    quote_is_ok={"type": ["boolean", "null"]},
    counts=COUNTS_BY_STATE,
)
LAST_RUN = record(
    run_id=COUNT,
    trigger=TEXT,
    status=words(RunStatus, "running", "interrupted"),
    started_at=MOMENT,
    finished_at=MOMENT_OR_NULL,
    problems=many(TEXT),
)

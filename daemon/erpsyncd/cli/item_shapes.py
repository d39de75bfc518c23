"""The shapes of what stands in lists: tenants, connections, runs and what they did, imports, the import document."""

from __future__ import annotations

from dataclasses import fields

from erpsyncd.cli.shapes import (
    COUNT,
    FOREIGN,
    HIDDEN,
    MOMENT,
    NUMBER,
    TEXT,
    TRUTH,
    WORD,
    Schema,
    many,
    many_or_one,
    mapping,
    open_to,
    or_null,
    record,
    told,
    words,
)
from erpsyncd.domain.connections import CONFIG_PREFIX, ConnectionSpec, ConnectionTemplate, State
from erpsyncd.domain.documents import ItemChange
from erpsyncd.domain.drift import DecisionKind, DriftKind
from erpsyncd.domain.field_changes import SecretChange
from erpsyncd.domain.items import Severity
from erpsyncd.domain.results import ChangeKind, RecordChange, RunStatus, Status
from erpsyncd.domain.tenants import AUTH_FIELDS, AuthKind, DriftPolicy, Environment, Protocol, TenantSpec
from erpsyncd.service.description import OPTIONAL

_IDS = many(NUMBER)
_PLAIN: Schema = {"type": ["string", "number", "boolean", "array", "null"], "items": {"type": ["number", "string"]}}
_NOTHING: Schema = {"const": None}
_CONFIG_FIELD: Schema = {"type": "string", "pattern": rf"^{CONFIG_PREFIX.replace('.', '[.]')}"}

# What happened -------------------------------------------------------------------------------------------------

_FAILURE = {"error_class": or_null(WORD), "error": or_null(TEXT)}
_RESULT = {"change": or_null(words(ChangeKind)), "status": words(Status), **_FAILURE, "fields": many(TEXT)}
_OUTCOME = {"tenant": TEXT, "key": or_null(TEXT), **_RESULT}
_CHECK = {
    "tenant": TEXT,
    "run_id": COUNT,
    "operation": TEXT,
    "is_ok": TRUTH,
    "user_explanation": TEXT,
    "tech_explanation": TEXT,
    "error_code": TEXT,
    "first_at": MOMENT,
    "last_at": MOMENT,
    "times": COUNT,
}
CHECK = record(check_id=COUNT, **_CHECK, status=TEXT, changed_records=COUNT)
#: An answer as it came is the vendor's: its members are what his versions make of it.
CHECK_DETAIL = record(**CHECK["properties"], response=or_null(many_or_one(FOREIGN)))

#: The fields of a connection that are no secrets.
_PLAIN_FIELDS = [field.name for field in fields(ConnectionSpec) if field.name != "config_fields"]
_FIELD_CHANGES = many(
    told("of what is no secret", record(name=words(*_PLAIN_FIELDS), old=_PLAIN, new=_PLAIN, names=many(TEXT))),
    told("of a secret", record(name=_CONFIG_FIELD, old=_NOTHING, new=words(SecretChange), names={"const": []})),
)
REPORT = {
    "run_id": COUNT,
    "status": words(RunStatus),
    "dry_run": TRUTH,
    "counts": record(**{str(status): COUNT for status in Status}),
    "outcomes": many(record(**_OUTCOME, field_changes=_FIELD_CHANGES)),
    "checks": many(record(**_CHECK)),
    "changed_records": COUNT,
}

_TRIGGER = words("run-once", "plan", "reconcile", "quote_check", "drift")
_RUN_STATUS = words(RunStatus, "running", "interrupted")
RUN = record(
    run_id=COUNT,
    trigger=_TRIGGER,
    dry_run=TRUTH,
    status=_RUN_STATUS,
    exit_code={"enum": [0, 1, 3, 6, 75, 77, None]},
    counts=mapping(COUNT, Status),
    changed_records=COUNT,
    problems=many(TEXT),
    started_at=MOMENT,
    finished_at=or_null(MOMENT),
)
RUN_WITH_OUTCOMES = record(**RUN["properties"], outcomes=many(record(**_OUTCOME, recorded_at=MOMENT)))
LAST_RUN = record(
    run_id=COUNT,
    trigger=_TRIGGER,
    status=_RUN_STATUS,
    started_at=MOMENT,
    finished_at=or_null(MOMENT),
    problems=many(TEXT),
)
CHANGED_RECORD = {
    "recorded_at": MOMENT,
    "tenant": TEXT,
    "run_id": COUNT,
    "operation": TEXT,
    "change": words(RecordChange),
    "table_name": TEXT,
    "record_id": NUMBER,
}

# Tenants -------------------------------------------------------------------------------------------------------

_TENANT_STATE = words("active", "paused", "incomplete", "refused", "parked")
_REPORTED = {"tenant_state": or_null(TEXT), "is_running": or_null(TRUTH), "tenant_state_until": or_null(MOMENT)}
TENANT = record(
    name=TEXT,
    url=TEXT,
    protocol=words(Protocol),
    state=_TENANT_STATE,
    paused=TRUTH,
    parked_until=or_null(MOMENT),
    transient_failures=COUNT,
    refused=TRUTH,
    connections=COUNT,
    in_sync=COUNT,
    last_checked_at=or_null(MOMENT),
    **_REPORTED,
    endpoint=or_null(TEXT),
)
COUNTS = record(**{str(state): COUNT for state in State})
_AUTH_FIELDS = {name for known in AUTH_FIELDS.values() for names in known for name in names}
TENANT_DETAIL = record(
    **TENANT["properties"],
    soap_url=or_null(TEXT),
    rest_url=or_null(TEXT),
    erpsync_services=COUNT,
    quote_services=COUNT,
    calls_per_second={"type": "number", "exclusiveMinimum": 0},
    auth_kind=words(AuthKind),
    auth_fields=mapping(HIDDEN, sorted(_AUTH_FIELDS)),
    environment=or_null(words(Environment)),
    context=or_null(TEXT),
    api=or_null(TEXT),
    language=or_null(TEXT),
    time_zone=or_null(TEXT),
    careful=TRUTH,
    drift=words(DriftPolicy),
    sync_all_after_save=TRUTH,
    ca_file=or_null(TEXT),
    client_certificate=or_null(TEXT),
    client_key=or_null(TEXT),
    proxy=or_null(HIDDEN),
    lease_owner=or_null(TEXT),
    lease_until=or_null(MOMENT),
    counts=COUNTS,
    last_check=or_null(CHECK),
    created_at=MOMENT,
    updated_at=MOMENT,
)
STANDING = record(
    name=TEXT,
    state=_TENANT_STATE,
    parked_until=or_null(MOMENT),
    transient_failures=COUNT,
    logs_in_online=TRUTH,
    quote_is_ok=or_null(TRUTH),
    quote_reason=TEXT,
    **_REPORTED,
    counts=mapping(COUNT, State),
)
ATTENTION = record(
    severity=words(Severity),
    reason=WORD,
    what=TEXT,
    do=TEXT,
    tenant=or_null(TEXT),
    key=or_null(TEXT),
    until=or_null(MOMENT),
)
STEP = record(name=TEXT, is_ok=or_null(TRUTH), what=TEXT, error_class=or_null(WORD), do=or_null(TEXT))

# Connections ---------------------------------------------------------------------------------------------------

CONNECTION = record(
    tenant=TEXT,
    key=TEXT,
    state=words(State),
    present=TRUTH,
    erp_connection_id=or_null(NUMBER),
    connection_id=or_null(TEXT),
    erp_connector_id=NUMBER,
    erp_connector=or_null(TEXT),
    display_name=TEXT,
    active=TRUTH,
    attempts=COUNT,
    next_attempt_at=or_null(MOMENT),
    **_FAILURE,
    updated_at=MOMENT,
)
_DRIFT = {
    "tenant": TEXT,
    "key": TEXT,
    "kind": words(DriftKind),
    "first_seen_at": MOMENT,
    "last_seen_at": MOMENT,
    "ignored": TRUTH,
    "stubborn": TRUTH,
    "decision": or_null(words(DecisionKind)),
    "reason": or_null(TEXT),
    "decided_at": or_null(MOMENT),
    "until": or_null(MOMENT),
}
_DRIFT_OF_PLAIN = record(field=words(*_PLAIN_FIELDS), desired=_PLAIN, observed=_PLAIN, **_DRIFT)
_DRIFT_OF_SECRET = record(field=_CONFIG_FIELD, desired=_NOTHING, observed=_NOTHING, **_DRIFT)
_DRIFT_OF_WHOLE = record(field={"const": ""}, desired=_NOTHING, observed=_NOTHING, **_DRIFT)
DECIDED = record(tenant=TEXT, key=TEXT, field=TEXT, decision=words("enforce", "ignore", "adopt"))
NOT_LOOKED_AT = record(tenant=TEXT, key=or_null(TEXT), error_class=WORD, error=TEXT)
DRIFTS = many(
    told("of what is no secret", _DRIFT_OF_PLAIN),
    told("of a secret", _DRIFT_OF_SECRET),
    told("of the connection as a whole", _DRIFT_OF_WHOLE),
)
CONNECTION_DETAIL = record(
    **CONNECTION["properties"],
    since=MOMENT,
    display_description=TEXT,
    all_access=TRUTH,
    user_group_access_ids=_IDS,
    user_groups=many(TEXT),
    associate_access_ids=_IDS,
    associates=many(TEXT),
    config_fields=mapping(HIDDEN),
    revision=COUNT,
    created_at=MOMENT,
    open_intent=or_null(record(kind=words(ChangeKind), run_id=COUNT, sent_at=MOMENT)),
    drift=DRIFTS,
    history=many(record(run_id=COUNT, recorded_at=MOMENT, **_RESULT)),
)
ADOPTED = record(
    tenant=TEXT,
    key=or_null(TEXT),
    state=or_null(words(State.IN_SYNC, State.INCOMPLETE)),
    erp_connection_id=NUMBER,
    connection_id=or_null(TEXT),
    erp_connector_id=or_null(NUMBER),
    display_name=TEXT,
    active=or_null(TRUTH),
    hidden=many(TEXT),
    **_FAILURE,
    attempts={"const": 0},
    next_attempt_at=_NOTHING,
    adopted=TRUTH,
)

# Documents -----------------------------------------------------------------------------------------------------

_DESCRIBED = sorted({field.name for kind in (TenantSpec, ConnectionTemplate) for field in fields(kind)})
_EDITED = [name for name in _DESCRIBED if name not in {"auth", "config_fields", "proxy"}]
_SECRETS = ["proxy", *(f"auth.{name}" for name in sorted(_AUTH_FIELDS))]
_EDIT = many(
    told(
        "of what is no secret",
        record(name=words(*_EDITED, "auth.kind", "state"), change=words(ItemChange), old=_PLAIN, new=_PLAIN),
    ),
    told(
        "of a secret",
        record(name={"anyOf": [words(*_SECRETS), _CONFIG_FIELD]}, change=words(ItemChange), old=_NOTHING, new=_NOTHING),
    ),
)
IMPORT = {
    "added": COUNT,
    "changed": COUNT,
    "unchanged": COUNT,
    "removed": COUNT,
    "items": many(
        record(change=words(ItemChange), tenant=TEXT, key=or_null(TEXT), fields=_EDIT, incomplete=many(TEXT))
    ),
}
_AUTH = [
    told(
        str(kind),
        open_to(record(kind={"const": str(kind)}, **dict.fromkeys(required, TEXT)), **dict.fromkeys(optional, TEXT)),
    )
    for kind, (required, optional) in AUTH_FIELDS.items()
]
DOCUMENT_TENANT = open_to(
    record(
        name=TEXT,
        protocol=words(Protocol),
        erpsync_services=COUNT,
        quote_services=COUNT,
        calls_per_second={"type": "number", "exclusiveMinimum": 0},
        careful=TRUTH,
        drift=words(DriftPolicy),
        sync_all_after_save=TRUTH,
        auth={"oneOf": _AUTH},
    ),
    environment=words(Environment),
    **dict.fromkeys((name for name in OPTIONAL if name != "environment"), TEXT),
)
#: Each of what can be named is there in one of its two forms.
DOCUMENT_CONNECTION = open_to(
    record(
        tenant=TEXT,
        key=TEXT,
        display_name=TEXT,
        display_description=TEXT,
        active=TRUTH,
        all_access=TRUTH,
        state={"const": "present"},
        config_fields=mapping(TEXT),
    ),
    erp_connector_id=NUMBER,
    erp_connector=TEXT,
    user_group_access_ids=_IDS,
    user_groups=many(TEXT),
    associate_access_ids=_IDS,
    associates=many(TEXT),
)

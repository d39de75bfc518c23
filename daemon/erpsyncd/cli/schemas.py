"""The shape of every JSON object that a command writes, one entry for each kind (design.md §7).

They are as strict as the program: a member that stands here is written, one that is written stands here. A later
version may add members, so read with `erpsyncd schema KIND` of the version that wrote.
"""

from __future__ import annotations

from erpsyncd.cli.output import JSON_VERSION
from erpsyncd.cli.shapes import (
    ADOPTED,
    ATTENTION,
    CHECK,
    CHECK_OF_LIST,
    CONNECTION,
    CONNECTION_DETAIL,
    COUNT,
    COUNTS_BY_STATE,
    FIELD_CHANGE,
    IMPORT_ITEM,
    LAST_RUN,
    MOMENT,
    NUMBER,
    NUMBER_OR_NULL,
    OUTCOME,
    RUN,
    STANDING,
    STEP,
    TENANT,
    TENANT_DETAIL,
    TEXT,
    TEXT_OR_NULL,
    TRUTH,
    Schema,
    many,
    record,
    words,
)
from erpsyncd.domain.findings import Result
from erpsyncd.domain.results import RecordChange, RunStatus, Status

_DIALECT = "https://json-schema.org/draft/2020-12/schema"

#: Kind → what it is, and its members beside `version` and `kind`.
KINDS: dict[str, tuple[str, dict[str, Schema]]] = {
    "changes": (
        "Records that tenants said were changed, newest first.",
        {
            "items": many(
                record(
                    tenant=TEXT,
                    run_id=COUNT,
                    operation=TEXT,
                    change=words(RecordChange),
                    table_name=TEXT,
                    record_id=NUMBER,
                    recorded_at=MOMENT,
                )
            )
        },
    ),
    "checks": (
        "Answers to HasConnections, newest first; equal ones in a row are one.",
        {"items": many(record(**CHECK_OF_LIST))},
    ),
    "completion": ("What makes a shell complete.", {"shell": words("bash", "zsh", "fish"), "script": TEXT}),
    "config": (
        "Every setting with its value in force and where it comes from.",
        {
            "file": TEXT_OR_NULL,
            "items": many(
                record(name=TEXT, value={"type": ["string", "integer", "boolean"]}, source=TEXT, description=TEXT)
            ),
        },
    ),
    "connections": (
        "Connections by tenant and key; a command that changed one names it alone.",
        {
            "items": many(
                record(**CONNECTION),
                record(**CONNECTION_DETAIL),
                ADOPTED,
                record(tenant=TEXT, key=TEXT),
                record(tenant=TEXT, key=TEXT, old_key=TEXT),
                record(tenant=TEXT, key=TEXT, erp_connection_id=NUMBER_OR_NULL),
            )
        },
    ),
    "db_check": (
        "Whether the store is whole, by what was looked at.",
        {"ok": TRUTH, "items": many(record(check=TEXT, ok=TRUTH, problems=many(TEXT)))},
    ),
    "db_copy": (
        "The store that everything was copied to.",
        {
            "place": TEXT,
            "key_id": TEXT_OR_NULL,
            "key_file": TEXT,
            "items": many(record(table=TEXT, rows=COUNT)),
        },
    ),
    "db_upgrade": ("Whether there was anything to upgrade.", {"upgraded": TRUTH}),
    "doctor": (
        "What was looked at, here and at tenants, and how it went.",
        {
            "items": many(
                record(
                    scope=words("local", "tenant"),
                    tenant=TEXT_OR_NULL,
                    check=TEXT,
                    result=words(Result),
                    detail=TEXT,
                    remedy=TEXT,
                )
            )
        },
    ),
    "error": (
        "Why a command failed; the last line on stderr.",
        {"error_class": TEXT, "exit_code": COUNT, "error": TEXT, "problems": many(TEXT)},
    ),
    "import_report": (
        "What an import changed.",
        {
            "added": COUNT,
            "changed": COUNT,
            "unchanged": COUNT,
            "removed": COUNT,
            "items": many(IMPORT_ITEM),
        },
    ),
    "run_report": (
        "What one pass did, or would do; printed whatever the exit code.",
        {
            "run_id": COUNT,
            "status": words(RunStatus),
            "dry_run": TRUTH,
            "counts": record(**{str(status): COUNT for status in Status}),
            "outcomes": many(record(**OUTCOME, field_changes=many(FIELD_CHANGE))),
            "checks": many(record(**CHECK)),
            "changed_records": COUNT,
        },
    ),
    "runs": (
        "Passes, newest first; one that was asked for has its outcomes.",
        {"items": many(record(**RUN), record(**RUN, outcomes=many(record(**OUTCOME, recorded_at=MOMENT))))},
    ),
    "sandbox": ("Where the stand-in NetServer listens.", {"url": TEXT}),
    "schemas": (
        "The kinds of objects that there are.",
        {"items": many(record(name=TEXT, description=TEXT))},
    ),
    "status": (
        "Whether everything is all right, and if not, what is to be done.",
        {
            "overall": words("ok", "attention"),
            "items": many(ATTENTION),
            "counts": COUNTS_BY_STATE,
            "tenants": many(STANDING),
            "last_run": {"oneOf": [{"type": "null"}, LAST_RUN]},
            "daemon": record(running=TRUTH, pid=NUMBER_OR_NULL),
        },
    ),
    "tenants": (
        "Tenants by name; a command that changed one names it alone.",
        {
            "items": many(
                record(**TENANT),
                record(**TENANT_DETAIL),
                record(name=TEXT),
                record(name=TEXT, changed=TRUTH),
                record(name=TEXT, old_name=TEXT),
                record(name=TEXT, ok=TRUTH, steps=many(STEP)),
            )
        },
    ),
    "validate": (
        "What is wrong with documents, and what is only doubtful.",
        {"items": many(record(result=words("problem", "warning"), place=TEXT, reason=TEXT))},
    ),
    "version": ("Which version this is.", {"erpsyncd": TEXT}),
}


def schema_of(kind: str) -> Schema:
    """Return the JSON Schema of one kind."""
    description, members = KINDS[kind]
    own: dict[str, Schema] = {"version": {"const": JSON_VERSION}, "kind": {"const": kind}}
    return {"$schema": _DIALECT, "title": kind, "description": description, **record(**own, **members)}

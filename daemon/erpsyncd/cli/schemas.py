"""The shape of every JSON object that a command writes, one entry for each kind (design.md §7).

They are as strict as the program: a member that stands here is written, one that is written stands here. A later
version may add members, so read with `erpsyncd schema KIND` of the version that wrote.
"""

from __future__ import annotations

from dataclasses import dataclass

from erpsyncd.cli.item_shapes import (
    ADOPTED,
    ATTENTION,
    CHANGED_RECORD,
    CHECK,
    CHECK_DETAIL,
    CONNECTION,
    CONNECTION_DETAIL,
    COUNTS,
    DECIDED,
    DOCUMENT_CONNECTION,
    DOCUMENT_TENANT,
    DRIFTS,
    IMPORT,
    LAST_RUN,
    NOT_LOOKED_AT,
    REPORT,
    RUN,
    RUN_WITH_OUTCOMES,
    STANDING,
    STEP,
    TENANT,
    TENANT_DETAIL,
)
from erpsyncd.cli.output import JSON_VERSION
from erpsyncd.cli.shapes import COUNT, NUMBER, TEXT, TRUTH, WORD, Schema, many, or_null, record, told, words
from erpsyncd.domain.findings import Result
from erpsyncd.domain.results import RunStatus

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of object."""

    description: str
    members: dict[str, Schema]
    """Those beside `version` and `kind`."""

    is_line: bool = False
    """Whether it is one of many lines, which say neither version nor kind."""


KINDS: dict[str, Kind] = {
    "changed_record": Kind(
        description="A line of changes export, and of changes follow with --output json.",
        members=CHANGED_RECORD,
        is_line=True,
    ),
    "changes": Kind(
        description="Records that tenants said were changed, newest first.",
        members={"items": many(record(**CHANGED_RECORD))},
    ),
    "checks": Kind(
        description="Answers to HasConnections and what is asked beside it, newest first; equal ones in a row are one.",
        members={"items": many(told("list", CHECK), told("show", CHECK_DETAIL))},
    ),
    "completion": Kind(
        description="What makes a shell complete.", members={"shell": words("bash", "zsh", "fish"), "script": TEXT}
    ),
    "config": Kind(
        description="Every setting with its value in force and where it comes from.",
        members={
            "file": or_null(TEXT),
            "items": many(
                record(name=TEXT, value={"type": ["string", "integer", "boolean"]}, source=TEXT, description=TEXT)
            ),
        },
    ),
    "config_check": Kind(
        description="That the settings can be used, and what is doubtful about them.",
        members={"file": or_null(TEXT), "warnings": many(TEXT)},
    ),
    "connections": Kind(
        description="Connections by tenant and key; a command that changed one names it alone.",
        members={
            "items": many(
                told("list", CONNECTION),
                told("show", CONNECTION_DETAIL),
                told("adopt", ADOPTED),
                told(
                    "resolve, or adopt with the key of one",
                    record(tenant=TEXT, key=TEXT, erp_connection_id=or_null(NUMBER)),
                ),
                told("rename", record(tenant=TEXT, key=TEXT, old_key=TEXT)),
                told("remove", record(tenant=TEXT, key=TEXT)),
            )
        },
    ),
    "db_check": Kind(
        description="What was looked at in the store, and what is wrong with it.",
        members={"ok": TRUTH, "items": many(record(check=TEXT, ok=TRUTH, problems=many(TEXT)))},
    ),
    "db_backup": Kind(
        description="Where the backup is, and which key opens it.",
        members={"file": TEXT, "bytes": COUNT, "key_id": or_null(TEXT), "key_file": TEXT},
    ),
    "db_copy": Kind(
        description="Where the store was copied to, and which key opens both.",
        members={
            "place": TEXT,
            "key_id": or_null(TEXT),
            "key_file": TEXT,
            "items": many(record(table=WORD, rows=COUNT)),
        },
    ),
    "db_upgrade": Kind(description="Whether there was anything to upgrade.", members={"upgraded": TRUTH}),
    "demo": Kind(
        description="What the demo imported, and its two passes.",
        members={"import": record(**IMPORT), "runs": many(record(**REPORT))},
    ),
    "doctor": Kind(
        description="What was looked at, here and at tenants, and how it went.",
        members={
            "items": many(
                record(
                    scope=words("local", "tenant"),
                    tenant=or_null(TEXT),
                    check=TEXT,
                    result=words(Result),
                    detail=TEXT,
                    remedy=TEXT,
                )
            )
        },
    ),
    "document": Kind(
        description="An export; it can be imported.",
        members={"tenants": many(DOCUMENT_TENANT), "connections": many(DOCUMENT_CONNECTION)},
    ),
    "drift": Kind(
        description="What tenants have otherwise than it was pushed, by tenant, key and field; and how the look went.",
        members={
            "run_id": COUNT,
            "status": words(RunStatus),
            "as_pushed": COUNT,
            "items": DRIFTS,
            "failures": many(NOT_LOOKED_AT),
        },
    ),
    "drift_decision": Kind(
        description="What was decided about drift, field by field.", members={"items": many(DECIDED)}
    ),
    "error": Kind(
        description="Why a command failed; the last line on stderr, with nothing on stdout.",
        members={
            "error_class": WORD,
            "exit_code": {"enum": [1, 2, 6, 75, 77, 78, 130]},
            "error": TEXT,
            "problems": many(TEXT),
        },
    ),
    "import_report": Kind(description="What an import changed, or would change.", members=IMPORT),
    "run_report": Kind(description="What one pass did or would do; printed whatever the exit code.", members=REPORT),
    "runs": Kind(
        description="Passes, newest first; one that was asked for has its outcomes.",
        members={"items": many(told("list", RUN), told("show", RUN_WITH_OUTCOMES))},
    ),
    "sandbox": Kind(
        description="Where the stand-in NetServer listens.",
        members={"url": {"type": "string", "pattern": "^http://127[.]0[.]0[.]1:[0-9]+$"}},
    ),
    "schemas": Kind(
        description="The kinds of objects that there are.",
        members={"items": many(record(name=WORD, description=TEXT))},
    ),
    "status": Kind(
        description="Whether everything is all right; what needs somebody, most urgent first.",
        members={
            "overall": words("ok", "attention"),
            "items": many(ATTENTION),
            "counts": COUNTS,
            "tenants": many(STANDING),
            "last_run": or_null(LAST_RUN),
            "daemon": record(running=TRUTH, pid=or_null(COUNT)),
        },
    ),
    "tenants": Kind(
        description="Tenants by name; a command that changed one names it alone.",
        members={
            "items": many(
                told("list", TENANT),
                told("show", TENANT_DETAIL),
                told("test", record(name=TEXT, ok=TRUTH, steps=many(STEP))),
                told("add, edit", record(name=TEXT, changed=TRUTH)),
                told("rename", record(name=TEXT, old_name=TEXT)),
                told("pause, resume, remove", record(name=TEXT)),
            )
        },
    ),
    "validate": Kind(
        description="What is wrong with documents, and what is only doubtful.",
        members={"items": many(record(result=words("problem", "warning"), place=TEXT, reason=TEXT))},
    ),
    "version": Kind(description="Which version this is.", members={"erpsyncd": TEXT}),
}


def schema_of(name: str) -> Schema:
    """Return the JSON Schema of one kind."""
    kind = KINDS[name]
    head: dict[str, Schema] = {} if kind.is_line else {"version": {"const": JSON_VERSION}, "kind": {"const": name}}
    return {"$schema": _DIALECT, "title": name, "description": kind.description, **record(**head, **kind.members)}

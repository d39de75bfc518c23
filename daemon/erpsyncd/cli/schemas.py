"""The shape of every JSON object that a command writes, one entry for each kind (design.md §7).

They are as strict as the program: a member that stands here is written, one that is written stands here. A later
version may add members, so read with `erpsyncd schema KIND` of the version that wrote.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeAlias

from erpsyncd.cli.output import JSON_VERSION
from erpsyncd.domain.connections import State
from erpsyncd.domain.findings import Result
from erpsyncd.domain.results import ChangeKind, RecordChange, RunStatus, Status
from erpsyncd.domain.tenants import Protocol

Schema: TypeAlias = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"

_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_TRUTH: Schema = {"type": "boolean"}
_NUMBER: Schema = {"type": "integer"}
_NUMBER_OR_NULL: Schema = {"type": ["integer", "null"]}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_MOMENT: Schema = {"type": "string", "format": "date-time"}
_MOMENT_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}


def _object(**members: Schema) -> Schema:
    return {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}


def _list(*items: Schema) -> Schema:
    return {"type": "array", "items": items[0] if len(items) == 1 else {"oneOf": list(items)}}


def _words(*words: type[StrEnum] | str | None) -> Schema:
    """Return the schema of one of these words, or of the words of an enumeration."""
    found: list[str | None] = []
    for word in words:
        found += [str(each) for each in word] if isinstance(word, type) else [word]
    return {"enum": found}


_CHECK = {
    "tenant": _TEXT,
    "run_id": _COUNT,
    "is_ok": _TRUTH,
    "user_explanation": _TEXT,
    "tech_explanation": _TEXT,
    "error_code": _TEXT,
    "first_at": _MOMENT,
    "last_at": _MOMENT,
    "times": _COUNT,
}
_OUTCOME = {
    "tenant": _TEXT,
    "key": _TEXT_OR_NULL,
    "change": _words(ChangeKind, None),
    "status": _words(Status),
    "error_class": _TEXT_OR_NULL,
    "error": _TEXT_OR_NULL,
    "fields": _list(_TEXT),
}
_RUN = {
    "run_id": _COUNT,
    "trigger": _TEXT,
    "dry_run": _TRUTH,
    "status": _words(RunStatus, "running", "interrupted"),
    "exit_code": _NUMBER_OR_NULL,
    "counts": {"type": "object", "additionalProperties": _COUNT},
    "changed_records": _COUNT,
    "problems": _list(_TEXT),
    "started_at": _MOMENT,
    "finished_at": _MOMENT_OR_NULL,
}
_TENANT = _object(
    name=_TEXT,
    url=_TEXT,
    protocol=_words(Protocol),
    state=_words("active", "paused", "parked", "refused"),
    paused=_TRUTH,
    parked_until=_MOMENT_OR_NULL,
    transient_failures=_COUNT,
    refused=_TRUTH,
    connections=_COUNT,
    in_sync=_COUNT,
    last_checked_at=_MOMENT_OR_NULL,
)
_CONNECTION = _object(
    tenant=_TEXT,
    key=_TEXT,
    state=_words(State),
    present=_TRUTH,
    erp_connection_id=_NUMBER_OR_NULL,
    connection_id=_TEXT_OR_NULL,
    erp_connector_id=_COUNT,
    display_name=_TEXT,
    active=_TRUTH,
    attempts=_COUNT,
    next_attempt_at=_MOMENT_OR_NULL,
    error_class=_TEXT_OR_NULL,
    error=_TEXT_OR_NULL,
    updated_at=_MOMENT,
)
_DECIDED = _object(tenant=_TEXT, key=_TEXT, erp_connection_id=_NUMBER_OR_NULL)

#: Kind → what it is, and its members beside `version` and `kind`.
KINDS: dict[str, tuple[str, dict[str, Schema]]] = {
    "changes": (
        "Records that tenants said were changed, newest first.",
        {
            "items": _list(
                _object(
                    tenant=_TEXT,
                    run_id=_COUNT,
                    operation=_TEXT,
                    change=_words(RecordChange),
                    table_name=_TEXT,
                    record_id=_NUMBER,
                    recorded_at=_MOMENT,
                )
            )
        },
    ),
    "checks": (
        "Answers to HasConnections, newest first; equal ones in a row are one.",
        {"items": _list(_object(**_CHECK, operation=_TEXT, status=_TEXT, changed_records=_COUNT))},
    ),
    "completion": ("What makes a shell complete.", {"shell": _words("bash", "zsh", "fish"), "script": _TEXT}),
    "config": (
        "Every setting with its value in force and where it comes from.",
        {
            "file": _TEXT_OR_NULL,
            "items": _list(
                _object(name=_TEXT, value={"type": ["string", "integer", "boolean"]}, source=_TEXT, description=_TEXT)
            ),
        },
    ),
    "connections": (
        "Connections by tenant and key; a command that changed one names it alone.",
        {"items": _list(_CONNECTION, _object(tenant=_TEXT, key=_TEXT), _DECIDED)},
    ),
    "db_check": ("That the store can be used.", {"ok": {"const": True}}),
    "db_upgrade": ("Whether there was anything to upgrade.", {"upgraded": _TRUTH}),
    "doctor": (
        "What was looked at, here and at tenants, and how it went.",
        {
            "items": _list(
                _object(
                    scope=_words("local", "tenant"),
                    tenant=_TEXT_OR_NULL,
                    check=_TEXT,
                    result=_words(Result),
                    detail=_TEXT,
                    remedy=_TEXT,
                )
            )
        },
    ),
    "error": (
        "Why a command failed; the last line on stderr.",
        {"error_class": _TEXT, "exit_code": _COUNT, "error": _TEXT, "problems": _list(_TEXT)},
    ),
    "import_report": (
        "What an import changed.",
        {"added": _COUNT, "changed": _COUNT, "unchanged": _COUNT, "removed": _COUNT},
    ),
    "run_report": (
        "What one pass did; printed whatever the exit code.",
        {
            "run_id": _COUNT,
            "status": _words(RunStatus),
            "dry_run": _TRUTH,
            "counts": _object(**{str(status): _COUNT for status in Status}),
            "outcomes": _list(_object(**_OUTCOME)),
            "checks": _list(_object(**_CHECK)),
            "changed_records": _COUNT,
        },
    ),
    "runs": (
        "Passes, newest first; one that was asked for has its outcomes.",
        {"items": _list(_object(**_RUN), _object(**_RUN, outcomes=_list(_object(**_OUTCOME, recorded_at=_MOMENT))))},
    ),
    "sandbox": ("Where the stand-in NetServer listens.", {"url": _TEXT}),
    "schemas": (
        "The kinds of objects that there are.",
        {"items": _list(_object(name=_TEXT, description=_TEXT))},
    ),
    "tenants": (
        "Tenants by name; a command that changed one names it alone.",
        {"items": _list(_TENANT, _object(name=_TEXT))},
    ),
    "validate": (
        "What is wrong with documents, and what is only doubtful.",
        {"items": _list(_object(result=_words("problem", "warning"), place=_TEXT, reason=_TEXT))},
    ),
    "version": ("Which version this is.", {"erpsyncd": _TEXT}),
}


def schema_of(kind: str) -> Schema:
    """Return the JSON Schema of one kind."""
    description, members = KINDS[kind]
    own: dict[str, Schema] = {"version": {"const": JSON_VERSION}, "kind": {"const": kind}}
    return {"$schema": _DIALECT, "title": kind, "description": description, **_object(**own, **members)}

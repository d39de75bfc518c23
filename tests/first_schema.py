"""A store as the first release left it: its schema, a row or more in each of its tables, and its way of sealing.

Nothing of the program writes here. What is sealed, and how, stands in this file a second time: a program that read
only what it seals itself would find no fault with a changed form.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, MetaData, Table, insert, select, text

from erpsyncd.store import schema
from erpsyncd.store.addresses import read_url
from erpsyncd.store.engine import make_engine, to_write

REVISION = "0001"
KEY = bytes(range(32))
KEY_ID = hashlib.sha256(b"erpsyncd key id:" + KEY).hexdigest()[:16]
NOW = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)
LATER = NOW + timedelta(hours=3)
GUID = "0F8FAD5B-D9CB-469F-A165-70867728950E"

Rows = dict[str, list[dict[str, Any]]]


def seal(value: str | bytes, *place: str) -> str:
    """Seal a value as the first release did."""
    nonce = hashlib.sha256(json.dumps(place).encode()).digest()[:12]
    plain = value if isinstance(value, bytes) else value.encode()
    sealed = AESGCM(KEY).encrypt(nonce, plain, json.dumps(["erpsyncd", "v1", *place]).encode())
    return f"v1:{KEY_ID}:{base64.b64encode(nonce + sealed).decode()}"


def make_first_store(url: str, directory: Path) -> Rows:
    """Make the store and its key file; return its rows, as `read_rows` does."""
    key_file = directory / "erpsyncd.key"
    key_file.touch(mode=0o600)
    key_file.write_bytes(base64.b64encode(KEY) + b"\n")
    with at_work(url) as connection:
        schema.migrate(connection, "upgrade", REVISION)
        for table in _tables(connection):
            connection.execute(insert(table), _ROWS[table.name])
            if connection.dialect.name == "postgresql" and "id" in table.c and table.name != "store_metadata":
                highest = f"SELECT max(id) FROM {table.name}"
                connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), ({highest}))"))
        return _rows(connection)


def migrate(url: str, direction: str, target: str) -> None:
    with at_work(url) as connection:
        schema.migrate(connection, direction, target)


def read_rows(url: str) -> Rows:
    """Return every row of every table that the first release had, with the columns that it had."""
    with at_work(url) as connection:
        return _rows(connection)


@contextmanager
def at_work(url: str) -> Iterator[Connection]:
    engine = make_engine(read_url(url), foreign_keys=False)
    try:
        with to_write(engine).begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _tables(connection: Connection) -> list[Table]:
    found = MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name in _ROWS]


def _rows(connection: Connection) -> Rows:
    return {
        table.name: [
            {name: _same(value) for name, value in row.items() if name in _ROWS[table.name][0]}
            for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()
        ]
        for table in _tables(connection)
    }


def _same(value: object) -> object:
    """Return a value as both databases have it."""
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


def _tenant(number: int, name: str, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "name": name,
        "url": f"https://{name}.example/crm",
        "soap_url": None,
        "rest_url": None,
        "protocol": "soap",
        "erpsync_services": 86,
        "quote_services": 83,
        "calls_per_second": 10.0,
        "auth_kind": "password",
        "auth_fields": {
            "username": {"reference": "sync"},
            "password": {"sealed": seal("Pa\u00dfwort \u2603", "auth", name, "password")},
        },
        "paused": False,
        "parked_until": None,
        "transient_failures": 0,
        "refused_auth": None,
        "last_checked_at": None,
        "connection_count": 0,
        "lease_owner": None,
        "lease_until": None,
        "lease_fence": 0,
        "created_at": NOW,
        "updated_at": LATER,
    } | more


def _connection(number: int, key: str, state: str, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "tenant_id": 3,
        "key": key,
        "present": True,
        "erp_connector_id": 1,
        "display_name": f"Name of {key}",
        "display_description": "",
        "active": True,
        "all_access": False,
        "user_group_access_ids": [1, 3],
        "associate_access_ids": [],
        "config_fields": {
            "Zebra": {"sealed": seal("erp secret", "config_fields", "acme", key, "Zebra")},
            "Alpha": {"reference": "x@{env:ERP_ALPHA}"},
        },
        "revision": 1,
        "erp_connection_id": None,
        "connection_id": None,
        "applied": {},
        "state": state,
        "attempts": 0,
        "next_attempt_at": None,
        "error_class": None,
        "error": None,
        "created_at": NOW,
        "updated_at": LATER,
    } | more


def _intent(number: int, connection: int, kind: str, listing: int | None) -> dict[str, Any]:
    return {
        "id": number,
        "tenant_id": 3,
        "connection_id": connection,
        "run_id": 41,
        "kind": kind,
        "erp_connector_id": 1,
        "display_name": "as it was sent",
        "listing_id": listing,
        "sent_at": NOW,
    }


def _run(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "trigger": "reconcile",
        "dry_run": False,
        "status": "partial",
        "exit_code": 3,
        "counts": {"created": 1, "failed": 1},
        "changed_records": 2,
        "problems": ["why"],
        "started_at": NOW,
        "finished_at": LATER,
    } | more


_IN_SYNC = {"erp_connection_id": 2**40, "connection_id": GUID, "applied": {"display_name": "fingerprint"}}
_FAILED = {"attempts": 4, "next_attempt_at": LATER, "error_class": "fault", "error": "the ERP said no: \u2603"}

#: In each table of the first schema what each of its columns can mean.
_ROWS: Rows = {
    "store_metadata": [
        {"id": 1, "key_id": KEY_ID, "fingerprint_key": seal(KEY[::-1], "fingerprint_key"), "created_at": NOW}
    ],
    "tenants": [
        _tenant(3, "acme", connection_count=6, lease_fence=17, last_checked_at=NOW, transient_failures=2),
        _tenant(
            9,
            "shy",
            rest_url="https://rest.example/v",
            soap_url="https://soap.example/v",
            protocol="rest",
            erpsync_services=88,
            quote_services=84,
            calls_per_second=0.5,
            auth_kind="bearer",
            auth_fields={"token": {"reference": "@{systemd:shy-token}"}},
            paused=True,
            parked_until=LATER,
            refused_auth="fingerprint of what was refused",
        ),
    ],
    "connections": [
        _connection(11, "new", "pending"),
        _connection(12, "kept", "in_sync", **_IN_SYNC, revision=5, all_access=True, associate_access_ids=[7]),
        _connection(13, "broken", "failed", **_FAILED, active=False, display_description="\u00d8ltank"),
        _connection(14, "gone", "deleted", present=False, display_name="Name of kept", user_group_access_ids=[]),
        _connection(15, "lost", "in_doubt", error_class="unknown_outcome", error="two look like it"),
        _connection(16, "flying", "in_flight", **_IN_SYNC | {"erp_connection_id": 5}),
    ],
    "secret_references": [
        {"id": 5, "tenant_id": 3, "reference": "@{env:ERP_ALPHA}", "fingerprint": "of its value"},
        {"id": 6, "tenant_id": 9, "reference": "@{systemd:shy-token}", "fingerprint": None},
    ],
    "connection_references": [{"connection_id": number, "reference_id": 5} for number in range(11, 17)],
    "listings": [{"id": 2, "tenant_id": 3, "digest": "of 4 and 9", "ids": [4, 9]}],
    "intents": [_intent(21, 15, "create", 2), _intent(22, 16, "update", None)],
    "runs": [
        _run(40),
        _run(41, status=None, exit_code=None, finished_at=None, counts={}, problems=[], changed_records=0),
        _run(42, trigger="cli", dry_run=True, status="ok", exit_code=0, problems=[]),
    ],
    "outcomes": [
        {
            "id": number,
            "run_id": 40,
            "tenant": "acme",
            "key": key,
            "change": "create",
            "status": status,
            "error_class": error and "fault",
            "error": error,
            "fields": ["display_name"],
            "recorded_at": NOW,
        }
        for number, key, status, error in ((1, "kept", "created", None), (2, "broken", "failed", "the ERP said no"))
    ],
    "checks": [
        {
            "id": 4,
            "run_id": 40,
            "tenant": "acme",
            "operation": "HasConnections",
            "is_ok": False,
            "user_explanation": "ask again",
            "tech_explanation": "0x80 \u2603",
            "error_code": "E1",
            "status": "",
            "changed_records": 2,
            "first_at": NOW,
            "last_at": LATER,
            "times": 9,
        }
    ],
    "changes": [
        {
            "id": 8,
            "run_id": 40,
            "tenant": "acme",
            "operation": "HasConnections",
            "change": "updated",
            "table_name": "erpconnection",
            "record_id": 2**40,
            "recorded_at": NOW,
        }
    ],
}

"""TestConnectionByConfig and TestConnectionById: bare booleans, and everything that is none."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.tenants import Protocol
from erpsyncd.errors import MalformedResponse, RemoteFault
from netserver_support import NIL, Wire, answer, opened, soap_body, tenant_spec

OPERATIONS = ("TestConnectionByConfig", "TestConnectionById")
CONFIG = {"Password": Secret("placeholder-secret")}


def soap(inner: str, operation: str) -> httpx.Response:
    return answer(soap_body(operation, inner))


async def both(protocol: Protocol, said: dict[str, Any]) -> tuple[bool, bool]:
    async with opened(Wire(**said), tenant_spec(protocol)) as api:
        return await api.test_connection_by_config(2, CONFIG), await api.test_connection_by_id(7)


@pytest.mark.parametrize(
    ("inner", "body", "expected"),
    [
        ("<Response>true</Response>", b"true", True),
        ("<Response>1</Response>", b" true\r\n", True),
        ("<Response>false</Response>", b"false", False),
        ("<Response> 0 </Response>", b"\xef\xbb\xbffalse", False),
    ],
)
async def test_yes_and_no_are_values(inner: str, body: bytes, *, expected: bool) -> None:
    """A connector that says no has answered the question."""
    assert (expected, expected) == await both(Protocol.SOAP, {name: soap(inner, name) for name in OPERATIONS})
    assert (expected, expected) == await both(Protocol.REST, dict.fromkeys(OPERATIONS, answer(body)))


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("protocol", "said"),
    [
        (Protocol.SOAP, ""),
        (Protocol.SOAP, f"<Response {NIL}/>"),
        (Protocol.SOAP, "<Response>perhaps</Response>"),
        (Protocol.REST, b"null"),
        (Protocol.REST, b""),
        (Protocol.REST, b'"true"'),
        (Protocol.REST, b"1"),
        (Protocol.REST, b'{"Response": true}'),
    ],
)
async def test_nothing_is_neither(protocol: Protocol, said: Any, operation: str) -> None:
    """An answer without the answer passes for neither a yes nor a no."""
    yes = {name: soap("<Response>true</Response>", name) for name in OPERATIONS}
    if protocol is Protocol.REST:
        yes = {name: answer(b"true") for name in OPERATIONS}
    spoiled = soap(said, operation) if protocol is Protocol.SOAP else answer(said)

    with pytest.raises(MalformedResponse, match=operation):
        await both(protocol, yes | {operation: spoiled})


async def test_what_was_tested_does_not_come_back() -> None:
    """A fault that repeats a config value is freed of it."""
    fault = answer({"ErrorMessage": "cannot log in with placeholder-secret"}, 500)

    with pytest.raises(RemoteFault, match=r"log in with \*\*\*") as caught:
        await both(Protocol.REST, {"TestConnectionByConfig": fault})

    assert "placeholder-secret" not in str(caught.value)

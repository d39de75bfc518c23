"""Commands that look after the store as a whole, in this process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from commands import Invoke, connection, document


@pytest.fixture
def loaded(invoke: Invoke, tmp_path: Path) -> Invoke:
    """A store with a tenant and a connection."""
    path = tmp_path / "acme.toml"
    path.write_text(document("http://127.0.0.1:9", "soap", connection("a")))
    assert 0 == invoke("import", str(path))[0]
    return invoke


def test_renaming_says_what_to_do_next(loaded: Invoke) -> None:
    """The documents have to follow; JSON has both names."""
    assert "acme/a is acme/b now; call it so in your documents" in loaded("connections", "rename", "acme", "a", "b")[1]
    assert "acme is new now; call it so in your documents" in loaded("tenants", "rename", "acme", "new")[1]
    assert [{"tenant": "new", "key": "c", "old_key": "b"}] == json.loads(
        loaded("connections", "rename", "new", "b", "c", "--output", "json")[1]
    )["items"]
    assert [{"name": "acme", "old_name": "new"}] == json.loads(
        loaded("tenants", "rename", "new", "acme", "--output", "json")[1]
    )["items"]
    code, out, err = loaded("connections", "rename", "acme", "c", "x/y")
    assert (2, "", True) == (code, out, 'the new key must not contain "/"' in err)

"""Commands that look after the store as a whole, in this process."""

from __future__ import annotations

import io
import json
import sys
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


def test_a_copy_says_what_arrived_and_where_the_key_is(loaded: Invoke, tmp_path: Path) -> None:
    """The key is not in it, so people are told which one it needs."""
    code, out, err = loaded("db", "copy", f"sqlite:///{tmp_path}/copy.db")

    assert (0, "") == (code, err)
    assert {"tenants 1", "connections 1", "runs 0"} <= {" ".join(line.split()) for line in out.splitlines()}
    assert f"Everything is in {tmp_path}/copy.db. Set store.url to it" in out
    assert f"{tmp_path}/state/erpsyncd.key." in out
    report = json.loads(loaded("db", "copy", f"sqlite:///{tmp_path}/second.db", "--output", "json")[1])
    assert ("db_copy", f"{tmp_path}/second.db") == (report["kind"], report["place"])
    assert f"same key only: {report['key_id']}, in {report['key_file']}." in out
    assert {"table": "tenants", "rows": 1} in report["items"]


def test_a_copy_of_nothing_has_no_key(invoke: Invoke, tmp_path: Path) -> None:
    """An empty store was never encrypted."""
    code, out, _ = invoke("db", "copy", f"sqlite:///{tmp_path}/copy.db")

    assert (0, False) == (code, "same key" in out)


def test_the_url_can_come_from_stdin(loaded: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no process list shows it."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"sqlite:///{tmp_path}/copy.db\n"))

    assert 0 == loaded("db", "copy", "-")[0]
    assert (tmp_path / "copy.db").exists()


def test_a_password_on_the_command_line_is_warned_about(loaded: Invoke) -> None:
    """And repeated nowhere; what is no URL is called by its name."""
    for url in ("postgresql://u:canary-7d1f@127.0.0.1:9/x", "postgresql://u@127.0.0.1:9/x?password=canary-7d1f"):
        code, out, err = loaded("db", "copy", url)

        assert (1, "") == (code, out)
        assert "the process list shows the password in URL" in err
        assert "canary" not in err
    code, _, err = loaded("db", "copy", "nonsense")
    assert (78, True) == (code, err.startswith("erpsyncd: URL cannot be read; write sqlite:"))
    assert loaded("db", "copy", "sqlite://")[2].startswith("erpsyncd: URL must name a file that stays")
    assert loaded("db", "copy", "sqlite:////x?a=b")[2].startswith("erpsyncd: URL: a SQLite store takes no options")
    assert loaded("db", "copy", "mysql://x/y")[2].startswith("erpsyncd: URL: erpsyncd cannot keep its store in")

"""Documents written as TOML, YAML and JSON, and read again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erpsyncd.domain.input_rules import line_problem, text_problem
from erpsyncd.service.formats import read_content
from erpsyncd.service.layouts import Lists, write_json, write_toml, write_yaml

COMMENT = ("one", "two")

WRITTEN = {
    "toml": lambda lists: write_toml(lists, comment=COMMENT),
    "yaml": lambda lists: write_yaml(lists, comment=COMMENT),
    "json": lambda lists: write_json(lists, about={"version": 1}),
}

#: As far as a document allows them, see `domain/input_rules.py`.
TEXTS = st.text(max_size=40).filter(lambda text: text_problem(text) is None)
KEYS = st.text(min_size=1, max_size=40).filter(lambda text: line_problem(text) is None)
VALUES = (
    TEXTS
    | st.booleans()
    | st.integers(0, 2**31 - 1)
    | st.floats(0.001, 1_000_000)
    | st.lists(st.integers(1, 2**31 - 1), max_size=3)
)
ENTRIES = st.fixed_dictionaries(
    {"name": TEXTS, "value": VALUES, "auth": st.dictionaries(KEYS, TEXTS, max_size=3)},
    optional={"config_fields": st.dictionaries(KEYS, VALUES, max_size=4)},
)


def read_again(layout: str, lists: Lists) -> Any:
    text = WRITTEN[layout](lists)
    found: Any = read_content(f"x.{layout}", text.encode())
    assert all(char == "\n" or char.isprintable() for char in text)
    if layout == "json":
        assert 1 == found.pop("version")
    return found


@pytest.mark.parametrize("layout", WRITTEN)
@given(entries=st.lists(ENTRIES, max_size=3))
def test_everything_reads_as_it_was(layout: str, entries: list[Any]) -> None:
    """Whatever a document may hold; nothing that is written can steer a terminal."""
    lists = {"tenants": entries, "connections": []}

    assert lists == read_again(layout, lists)


@pytest.mark.parametrize("layout", WRITTEN)
@pytest.mark.parametrize(
    "text",
    [
        "", " ", " x ", "\"'\\", "\n", "a\r\nb\n", "\t", "\x7f", "\x85\x9b31m", "\u2028\u2029\u200e\u202e",
        "\U0001f600\U000e0001",
        "@@{x", "@{stored}", "# no comment", "~", "null", "yes", "0x1F", "1:30", "2026-01-01", "<<", "=",
        "*a", "&a", "!a", "- a", "a: b",
        "'''", '"""', "\\u0041", "é☃", "\ue000",
    ],
)  # fmt: skip
def test_odd_texts_read_as_they_were(layout: str, text: str) -> None:
    """As values, and as keys where a key may be so."""
    key = text if text and line_problem(text) is None else "key"
    lists: Lists = {"tenants": [{"text": text, "config_fields": {key: text}}], "connections": []}

    assert lists == read_again(layout, lists)


@pytest.mark.parametrize("layout", WRITTEN)
@pytest.mark.parametrize("char", ["\xa0", "\U0010ffff", '"', "x"])
def test_the_longest_keys_read_as_they_were(layout: str, char: str) -> None:
    """YAML takes keys of more than 1,024 characters only when it is told before."""
    lists = {"tenants": [{"config_fields": {char * 254: "x", "a": "b", char * 253: "y"}}], "connections": []}

    assert lists == read_again(layout, lists)


LISTS: Lists = {
    "tenants": [{"name": "a", "calls_per_second": 10.0, "auth": {"kind": "ticket"}}],
    "connections": [
        {"key": "x", "active": True, "all_access": False, "ids": [1, 3], "none": [], "config_fields": {}},
        {"key": "y", "rate": 2.5, "config_fields": {"Client": 'F"1', "a b": "c"}},
    ],
}


def test_toml_looks_like_what_people_write() -> None:
    """As in the example of the documentation."""
    assert (
        write_toml(LISTS, comment=COMMENT)
        == """\
# one
# two

[[tenants]]
name = "a"
calls_per_second = 10
[tenants.auth]
kind = "ticket"

[[connections]]
key = "x"
active = true
all_access = false
ids = [1, 3]
none = []
[connections.config_fields]

[[connections]]
key = "y"
rate = 2.5
[connections.config_fields]
Client = "F\\"1"
"a b" = "c"
"""
    )


def test_yaml_looks_like_what_people_write() -> None:
    """Keys that are ours stand bare, others are quoted."""
    assert (
        write_yaml(LISTS, comment=COMMENT)
        == """\
# one
# two
tenants:
  - name: "a"
    calls_per_second: 10
    auth:
      "kind": "ticket"
connections:
  - key: "x"
    active: true
    all_access: false
    ids: [1, 3]
    none: []
    config_fields: {}
  - key: "y"
    rate: 2.5
    config_fields:
      "Client": "F\\"1"
      "a b": "c"
"""
    )

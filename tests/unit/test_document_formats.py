"""TOML, YAML and JSON as documents, and what their parsers make of odd input."""

from __future__ import annotations

from datetime import date

import pytest
import yaml

from erpsyncd.domain.secrets import Template
from erpsyncd.errors import ConfigurationError
from erpsyncd.service.document import read_documents
from erpsyncd.service.formats import MAX_BYTES, Unclear, Unreadable, read_content
from erpsyncd.service.tables import kind_of
from processor_time import processor_time

CANARY = "canary-7d1f"


def problems_in(content: str | bytes, name: str = "x.toml") -> list[str]:
    """Return what is wrong with a file; none of it shows a secret."""
    with pytest.raises(ConfigurationError, match="cannot be imported") as caught:
        read_documents([(name, content.encode() if isinstance(content, str) else content)])
    assert CANARY not in str(caught.value)
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("x.toml", "", "is empty: it has neither [[tenants]] nor [[connections]]"),
        ("-", "", "is empty: it has neither [[tenants]] nor [[connections]]"),
        ("x.yaml", "# nothing", "is empty: it has neither [[tenants]] nor [[connections]]"),
        ("x.json", "[]", "must hold [[tenants]] and [[connections]], not a list"),
        ("x.yaml", "tenants", "must hold [[tenants]] and [[connections]], not a text"),
        ("x.toml", f'a = 1\nb = "{CANARY}', "line 2 (its end): is not valid TOML: "),
        ("x.toml", f"a = {CANARY}", "line 1, column 5: is not valid TOML: "),
        ("x.toml", "a = 1\na = 2\n", "line 2, column 6: is not valid TOML: Cannot overwrite a value"),
        ("x.toml", "a = " + "[" * 5000, "is nested too deeply"),
        ("x.toml", "a = " + "9" * 5000, "is not valid TOML: it holds a number of too many digits"),
        ("x.json", '{"a": 1,}', "line 1, column "),
        ("x.json", f'{{"a":\n {CANARY}}}', "line 2, column 2: is not valid JSON: Expecting value"),
        ("x.json", "[" * 100_000, "is nested too deeply"),
        ("x.json", "9" * 5000, "is not valid JSON: it holds a number of too many digits"),
        ("x.json", '{"tenants": [], "tenants": []}', "tenants: stands twice"),
        ("x.yaml", "tenants: []\ntenants: []", "tenants: stands twice"),
        ("x.yaml", f"a: b\nc: {CANARY}: d", "line 2, column "),
        (
            "x.yaml",
            f"a: *{CANARY}",
            'line 1, column 4: uses an alias that is not defined; quote a text that begins with "*"',
        ),
        ("x.yaml", f"a: !{CANARY} x", 'line 1, column 4: uses a tag; quote a text that begins with "!"'),
        ("x.yaml", f"a: !{CANARY}!b x", "line 1, column 4: is not valid YAML: found undefined tag handle"),
        ("x.yaml", f"a: !{CANARY} [x]", 'line 1, column 4: uses a tag; quote a text that begins with "!"'),
        ("x.yaml", "a: !!python/object/apply:os.system [x]", "line 1, column 4: uses a tag"),
        ("x.yaml", "a: &a [*a]", "line 1, column 8: uses an alias that is not defined"),
        ("x.yaml", "a: &a {}\nb: {<<: *a}", "line 2, column 5: merge keys (<<) are not supported; write the keys out"),
        (
            "x.yaml",
            "a: &a [" + "x, " * 9 + "]\nb: [" + "*a, " * 1001 + "]",
            "line 2, column 4005: uses more than 1000 aliases",
        ),
        (
            "x.yaml",
            "a: &a [" + "x, " * 1000 + "]\nb: [" + "*a, " * 100 + "]",
            "line 2, column 401: repeats more than 100000 values by aliases",
        ),
        (
            "x.yaml",
            "a: &a [" + "x, " * 99 + "]\nb: &b [" + "*a, " * 99 + "]\nc: [" + "*b, " * 10 + "]",
            "line 3, column 41: repeats more than 100000 values by aliases",
        ),
        ("x.yaml", "[" * 200_000, "line 1, column 34: is nested too deeply"),
        ("x.yaml", "{" * 200_000, "line 1, column 2: a key must be a plain text"),
        ("x.yaml", "? [a]\n: b", "line 1, column 3: a key must be a plain text"),
        ("x.yaml", "a: 1\n---\nb: 2", "line 2, column 1: holds a second YAML document (---)"),
        ("x.yaml", "a: 1\nb: \x01", "line 2: is not valid YAML: it holds a character that YAML does not allow"),
        ("-", f"{{{CANARY}", "line 1, column 2: is not valid JSON: "),
        ("-", f"[[tenants]]\nname = {CANARY}", "line 2, column 8: is not valid TOML: "),
        ("-", f"tenants:\n- name: [{CANARY}", "line 3, column 1: is not valid YAML: did not find expected ',' or ']'"),
        ("-", "just words", "line 1, column 6: is not valid TOML: "),
    ],
)
def test_broken_files(name: str, content: str, problem: str) -> None:
    """Each says where it breaks; nothing crashes, nothing of the content is repeated."""
    assert problems_in(content, name)[0].startswith(f"{name}: {problem}")


def test_bytes_that_are_no_text() -> None:
    """The line is told; a byte order mark does no harm."""
    assert problems_in(b"# ok\na = '\xff'") == ["x.toml: line 2: is not UTF-8"]
    assert read_content("x.json", b"\xef\xbb\xbf{}") == {}


def test_too_large_files() -> None:
    """They are refused before they are parsed."""
    assert problems_in(b"#" * (MAX_BYTES + 1)) == ["x.toml: is larger than 64 MiB"]


def test_empty_lines_are_passed_over_once() -> None:
    """To find out what a text without a name is takes linear time."""
    with processor_time(5):
        assert problems_in("\n" * 300_000 + "x", "-")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("no", "not true or false; put it in quotes"),
        ("2026-01-31", "not a date; put it in quotes"),
        ("1234", "not a number; put it in quotes"),
        ("1.10", "not a number; put it in quotes"),
        ("0012", "not a number in a YAML notation (octal, hexadecimal, 1:30, 1_000); put it in quotes"),
        ("12:30", "not a number in a YAML notation (octal, hexadecimal, 1:30, 1_000); put it in quotes"),
        ("1:30.5", "not a number in a YAML notation (1:30.0, 1_000.0, .inf); put it in quotes"),
        ("~", "not nothing (null); put it in quotes"),
        ("", "not nothing (null); put it in quotes"),
        ("[a]", "not a list"),
        ("{a: b}", "not a table"),
    ],
)
def test_what_yaml_guesses_is_said(value: str, problem: str) -> None:
    """A password that YAML reads as something else is refused with the advice to quote it, and read when quoted."""
    text = "connections:\n- {{tenant: a, key: b, erp_connector_id: 1, display_name: c, config_fields: {{P: {}}}}}\n"

    assert problems_in(text.format(value), "x.yaml") == [
        f"x.yaml: connections[1].config_fields.P: must be a text, {problem} (a/b)"
    ]
    [found] = read_documents([("x.yaml", text.format(f"'{value}'").encode())]).connections
    assert found.template.config_fields == {"P": Template((value,))}


def test_what_yaml_may_share() -> None:
    """Anchors and aliases are fine in moderation, and so are explicit tags of plain values."""
    text = "a: &a {x: !!str 1, y: !!int '2'}\nb: *a\nc: &c text\nd: [*c, =, <<, 1e3, -7]\ne: !!map {}\nno: 1\n"

    assert read_content("x.yaml", text.encode()) == {
        "a": {"x": "1", "y": 2},
        "b": {"x": "1", "y": 2},
        "c": "text",
        "d": ["text", "=", "<<", "1e3", -7],
        "e": {},
        "no": 1,
    }


def test_yaml_without_the_c_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML is built without libyaml on some machines; it reads the same, and its longer messages are cut."""
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)

    assert read_content("x.yaml", b"a: [1, no, x]") == {"a": [1, False, "x"]}
    with pytest.raises(Unreadable, match="…") as caught:
        read_content("x.yaml", f"a: !{CANARY}!b x".encode())
    assert CANARY not in str(caught.value)


def test_every_kind_of_value_has_a_name() -> None:
    """Messages name kinds, never values."""
    values: list[object] = [None, True, 1, 1.5, "x", [], {}, date(2026, 1, 1), Unclear("a thing")]

    assert [kind_of(value) for value in values] == [
        "nothing (null)",
        "true or false",
        "a number",
        "a number",
        "a text",
        "a list",
        "a table",
        "a date",
        "a thing",
    ]

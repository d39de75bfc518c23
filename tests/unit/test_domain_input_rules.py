"""Rules for what people write."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from erpsyncd.domain import input_rules
from erpsyncd.domain.input_rules import (
    NearMisses,
    is_loopback,
    line_problem,
    name_problem,
    near_miss,
    text_problem,
    title_problem,
    url_problem,
)


@pytest.mark.parametrize(
    "url",
    [
        "https://crm.example",
        "https://crm.example:8443/Cust12345/",
        "https://[2001:db8::1]/x",
        "https://bücher.example",
        "http://127.0.0.1:8700/demo",
        "http://127.1.2.3",
        "http://[::1]:80",
        "http://localhost",
    ],
)
def test_good_addresses(url: str) -> None:
    """Https anywhere, http on this machine."""
    assert url_problem(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "crm.example",
        "ftp://crm.example",
        "https://",
        "https:///path",
        "https://:443",
        "https://crm.example:0",
        "https://crm.example:99999",
        "https://...",
        "https://crm..example",
        "https://crm.example:x",
        "https://[::1",
        "https://crm.example/?wsdl",
        "https://crm.example?",
        "https://crm.example/#",
        "https://user@crm.example",
        "https://user:canary@crm.example",
        "https://crm.example/a b",
        "https://crm.example\n",
        "https://crm.example/\x00",
        "https://crm.example\\@evil.example",
        "http://crm.example",
        "http://10.0.0.1",
        "http://localhost.example",
        "http://127.0.0.1.example",
        "http://128.0.0.1",
        "http://0.0.0.0",
    ],
)
def test_bad_addresses(url: str) -> None:
    """Anything that is no plain address is refused, without being repeated."""
    problem = url_problem(url)

    assert problem
    assert "canary" not in problem


def test_loopback() -> None:
    """Names that only resolve to this machine do not count."""
    assert is_loopback("127.0.0.1")
    assert not is_loopback("my.localhost")


@pytest.mark.parametrize("name", ["acme", "Åcme (Norge) #1", "a" * 127, "@x", "."])
def test_good_names(name: str) -> None:
    """Nearly everything can be a name."""
    assert name_problem(name) is None


@pytest.mark.parametrize(
    "name", ["", "a/b", " a", "a ", "a\tb", "a\nb", "a\u200bb", "a\u00a0b", "a\u2028b", "\ud800", "a" * 128, "\ufeffa"]
)
def test_bad_names(name: str) -> None:
    """What cannot be seen, split or told apart is no name."""
    assert name_problem(name)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (text_problem, "a\x00"),
        (text_problem, "\x1b[1m"),
        (text_problem, "\ud800"),
        (text_problem, "\ufffe"),
        (line_problem, "a\nb"),
        (line_problem, "a\x85b"),
        (line_problem, "\uffff"),
        (title_problem, ""),
        (title_problem, " \t"),
        (title_problem, " a"),
        (title_problem, "a\rb"),
    ],
)
def test_bad_texts(rule: Callable[[str], str | None], text: str) -> None:
    """Each rule refuses its characters."""
    assert rule(text)


@pytest.mark.parametrize("text", ["", "a\nb\tc\r", "\U0001f600", "\x7f\x85", "<&>"])
def test_good_texts(text: str) -> None:
    """Line breaks and everything that can be escaped is text."""
    assert text_problem(text) is None


def test_a_place_in_the_text_is_told() -> None:
    """The message says which character, by number and code."""
    assert text_problem("ab\x01") == "must not contain U+0001 (character 3): XML cannot carry it"


@given(st.text(max_size=20))
def test_text_is_refused_exactly_where_xml_refuses_it(text: str) -> None:
    """The rule agrees with an XML library."""
    element = etree.Element("x")
    try:
        element.text = text
    except ValueError:
        assert text_problem(text)
    else:
        assert text_problem(text) is None or "\ufffe" in text or "\uffff" in text


def test_near_misses() -> None:
    """A typing error gets a suggestion, something else none."""
    assert near_miss("pasword", ["password", "username"]) == '; did you mean "password"?'
    assert near_miss("x", ["password"]) == ""


def test_many_misses_get_a_hundred_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand connections of unknown tenants are refused at once; equal ones all get the hint of the first."""
    asked: list[str] = []

    def counted(word: str, known: Iterable[str]) -> str:
        asked.append(word)
        return near_miss(word, known)

    monkeypatch.setattr(input_rules, "near_miss", counted)
    misses = NearMisses(["customer"])

    assert ['; did you mean "customer"?'] * 3 == [misses.of("custmer") for _ in range(3)]
    assert ["custmer"] == asked
    assert {"", '; did you mean "customer"?'} >= {misses.of(f"{number}customer") for number in range(10_000)}
    assert 100 == len(asked)
    assert '; did you mean "customer"?' == misses.of("custmer")

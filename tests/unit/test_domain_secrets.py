"""Secrets, references and templates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erpsyncd.domain.secrets import WITHHELD, Reference, Scheme, Secret, Template, parse_template

CANARY = "canary-7d1f"


def test_secret_hides_its_value() -> None:
    """A secret prints as nothing useful, in any of the usual ways."""
    secret = Secret(CANARY)

    assert CANARY not in f"{secret} {secret!r} {[secret]} {secret!s}"
    assert CANARY == secret.reveal()


def test_template_hides_its_text() -> None:
    """A template may hold a password in clear, so its repr does not show it."""
    assert CANARY not in repr(parse_template(CANARY))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ("",)),
        ("plain", ("plain",)),
        ("@{env:A}", (Reference(Scheme.ENV, "A"),)),
        ("@{file:/a b/c}", (Reference(Scheme.FILE, "/a b/c"),)),
        ("@{systemd:acme-visma}", (Reference(Scheme.SYSTEMD, "acme-visma"),)),
        ("x@{env:A}y@{env:B}", ("x", Reference(Scheme.ENV, "A"), "y", Reference(Scheme.ENV, "B"))),
        ("@@{env:A}", ("@{env:A}",)),
        ("@@@{", ("@@{",)),
        ("a@b", ("a@b",)),
        ("{env:A}", ("{env:A}",)),
        ("@", ("@",)),
        ("@{env:A:B}", (Reference(Scheme.ENV, "A:B"),)),
    ],
)
def test_templates_are_read(text: str, parts: tuple[str | Reference, ...]) -> None:
    """References are found among literal text, and @@{ is a literal @{."""
    assert parts == parse_template(text).parts


@pytest.mark.parametrize(
    "text",
    [
        f"@{{{CANARY}",
        f"@{{{CANARY}}}",
        f"@{{vault:{CANARY}}}",
        f"{CANARY}@{{env:}}",
        f"{CANARY}@{{}}",
        f"@{{file:{CANARY}}}",
        f"@{{systemd:../{CANARY}}}",
        f"{CANARY}@{{systemd:..}}",
        f"@{{ENV:{CANARY}}}",
    ],
)
def test_bad_references_are_refused_without_being_repeated(text: str) -> None:
    """What looks like a broken reference may be a password, so the message does not show it."""
    with pytest.raises(ValueError, match="reference") as caught:
        parse_template(text)

    assert CANARY not in str(caught.value)


def test_a_value_may_be_left_to_the_store() -> None:
    """As a whole only; written with one more @ it is a text like any other."""
    withheld = parse_template("@{stored}")

    assert (WITHHELD, True, "@{stored}") == (withheld, withheld.is_withheld, withheld.source())
    assert (frozenset(), False, None) == (withheld.references, withheld.holds_secret_text, withheld.damage)
    with pytest.raises(KeyError):
        withheld.resolve({})
    assert ("@{stored}",) == parse_template("@@{stored}").parts
    assert "@@{stored}" == parse_template("@@{stored}").source()
    for mixed in (f"{CANARY}@{{stored}}", f"@{{stored}}{CANARY}", "@{stored}@{stored}"):
        with pytest.raises(ValueError, match="stands for a whole value") as caught:
            parse_template(mixed)
        assert CANARY not in str(caught.value)


@given(st.text(alphabet="ab@{}:/\n", max_size=12))
def test_any_text_survives_as_a_literal(text: str) -> None:
    """The source of a literal reads as the same literal again."""
    template = Template((text,))

    assert template.parts == parse_template(template.source()).parts


@given(st.text(alphabet="a@{}env:X", max_size=16))
def test_source_reads_as_the_same_template(text: str) -> None:
    """Whatever can be read is written back such that it reads the same."""
    try:
        template = parse_template(text)
    except ValueError:
        return

    assert template == parse_template(template.source())


def test_references_are_resolved_in_place() -> None:
    """Each reference is replaced where it stands; literal text stays."""
    template = parse_template("u=@{env:U};p=@{env:P}")
    values = {Reference(Scheme.ENV, "U"): Secret("me"), Reference(Scheme.ENV, "P"): Secret("@{env:U}")}

    assert template.resolve(values).reveal() == "u=me;p=@{env:U}"


def test_a_missing_reference_is_named() -> None:
    """The KeyError of an unresolved template is the reference."""
    with pytest.raises(KeyError) as caught:
        parse_template("@{env:U}").resolve({})

    assert caught.value.args == (Reference(Scheme.ENV, "U"),)


def test_literal_text_is_known_as_secret() -> None:
    """Only values with literal text need to be encrypted at rest."""
    assert parse_template("pw").holds_secret_text
    assert parse_template("x@{env:A}").holds_secret_text
    assert not parse_template("@{env:A}").holds_secret_text
    assert not parse_template("").holds_secret_text


def test_references_of_a_template() -> None:
    """A template names the references it needs, each once."""
    assert parse_template("@{env:A}@{env:A}x").references == {Reference(Scheme.ENV, "A")}

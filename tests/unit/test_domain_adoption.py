"""Under which key something is taken over, and what is not."""

from __future__ import annotations

import pytest

from erpsyncd.domain.adoption import KnownConnection, conflict, hidden_fields, key_for
from erpsyncd.domain.input_rules import name_problem
from erpsyncd.domain.secrets import Secret
from factories import make_erp_connection


@pytest.mark.parametrize(
    ("display_name", "key"),
    [
        ("Visma Norway", "visma-norway"),
        ("  Visma  (Norge) / 2 ", "visma-norge-2"),
        ("Año Café", "ano-cafe"),
        ('US:"Norway";NO:"Norge"', "norway"),
        ("株式会社", "connection"),
        ("--", "connection"),
    ],
)
def test_a_key_says_what_the_name_says(display_name: str, key: str) -> None:
    """In small letters, digits and hyphens."""
    assert key == key_for(display_name, ())


def test_a_key_is_had_by_nobody_else() -> None:
    """Further ones are numbered, and none is too long."""
    taken = {"visma", "visma-2", "visma-4"}

    assert "visma-3" == key_for("Visma", taken)
    assert "sap" == key_for("SAP", taken)
    for name in ("n" * 300, ("n" * 118) + "-" + "n" * 100):
        assert name_problem(key_for(name, {key_for(name, ())})) is None


@pytest.mark.parametrize("value", ["", "  ", "********", "*", "•••", "●", "xxxx", "####", "Server=a;Password=***;B=1"])
def test_what_a_tenant_hides(value: str) -> None:
    """A mask, or nothing: neither may be saved again."""
    spec = make_erp_connection(config_fields={"Client": Secret("F0001"), "Password": Secret(value)}).spec

    assert ("Password",) == hidden_fields(spec)


@pytest.mark.parametrize("value", ["F0001", "0000", "x1", "a*b", "**a", "pass word", "****1"[3:]])
def test_what_is_shown(value: str) -> None:
    """A value that only has such signs in it is one."""
    assert not Secret(value).looks_hidden


def test_another_one_of_this_connector_and_name() -> None:
    """In any language: it is that one already, it may be, or nobody could tell the two apart."""
    spec = make_erp_connection(display_name='US:"Norway";NO:"Norge"').spec

    def known(**more: object) -> KnownConnection:
        given: dict[str, object] = {"key": "no", "erp_connector_id": 1, "display_name": "Norge"} | more
        return KnownConnection(**given)  # type: ignore[arg-type]

    def reason(**more: object) -> str | None:
        return conflict(spec, "acme", 7, [known(display_name="Sverige"), known(**more)])

    assert (None, None) == (reason(erp_connector_id=2), reason(display_name="Danmark"))
    assert "to take it over as that: erpsyncd connections adopt acme --id 7 --key no" in str(reason())
    assert "give one of the two another name" in str(reason(erp_connection_id=9))
    assert "the next pass settles that" in str(reason(is_unanswered=True))

"""Templates of the import document: filled in exactly, and every way of getting it wrong has its place and reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erpsyncd.domain.documents import Document, DocumentConnection
from erpsyncd.domain.secrets import Template, parse_template
from erpsyncd.errors import ConfigurationError
from erpsyncd.service.document import read_documents

CANARY = "canary-7d1f"

TOML = """
[[templates]]
name = "visma"
[templates.connection]
key = "visma"
erp_connector = "Visma"
display_name = "Visma ${country}"
active = "${active}"
user_groups = ["${group}", "Support"]
associates = "${people}"
[templates.connection.config_fields]
Client = "${client}"
Price = "5 $${client} for $5"
Password = "@{file:/etc/erpsyncd/${tenant}.${key}.${number}}"

[[connections]]
tenant = "acme"
template = "visma"
values = { country = "Norway", active = false, group = "Sales", people = ["SAL0"], client = "F0001", number = 7 }
"""

YAML = """
templates:
  - name: visma
    connection:
      key: visma
      erp_connector: Visma
      display_name: Visma ${country}
      active: ${active}
      user_groups: ["${group}", Support]
      associates: ${people}
      config_fields:
        Client: ${client}
        Price: 5 $${client} for $5
        Password: "@{file:/etc/erpsyncd/${tenant}.${key}.${number}}"
connections:
  - tenant: acme
    template: visma
    values: {country: Norway, active: false, group: Sales, people: [SAL0], client: F0001, number: 7}
"""


def template(name: str = "visma", **fields: Any) -> dict[str, Any]:
    """Return a template; a change to None leaves a field out."""
    base = {"key": "visma", "erp_connector": "Visma", "display_name": "Visma ${country}"}
    return {"name": name, "connection": {key: value for key, value in (base | fields).items() if value is not None}}


def entry(**fields: Any) -> dict[str, Any]:
    """Return a connection by that template."""
    return {"tenant": "acme", "template": "visma", "values": {"country": "Norway"}} | fields


def document(*connections: dict[str, Any], templates: list[Any] | None = None) -> bytes:
    return json.dumps({"templates": templates or [template()], "connections": connections}).encode()


def read(*connections: dict[str, Any], templates: list[Any] | None = None) -> tuple[DocumentConnection, ...]:
    return read_documents([("a.json", document(*connections, templates=templates))]).connections


def problems(*connections: dict[str, Any], templates: list[Any] | None = None) -> list[str]:
    """Return what is wrong; no secret is told."""
    with pytest.raises(ConfigurationError) as caught:
        read(*connections, templates=templates)
    assert CANARY not in str(caught.value)
    return list(caught.value.problems)


@pytest.mark.parametrize(("name", "content"), [("a.toml", TOML), ("a.yaml", YAML)])
def test_filled_in(name: str, content: str) -> None:
    """Values stand where they are named; one that is the whole text keeps its type; tenant and key are known."""
    (found,) = read_documents([(name, content.encode())]).connections

    assert ("acme", "visma", True) == (found.tenant, found.key, found.present)
    filled = found.template
    assert ("Visma", "Visma Norway", False) == (filled.erp_connector, filled.display_name, filled.active)
    assert (("Sales", "Support"), ("SAL0",)) == (filled.user_groups, filled.associates)
    assert {
        "Client": Template(("F0001",)),
        "Price": Template(("5 ${client} for $5",)),
        "Password": parse_template("@{file:/etc/erpsyncd/acme.visma.7}"),
    } == dict(filled.config_fields)


def test_one_template_many_tenants_two_files() -> None:
    """A template may stand in another file than what it is for; it need not be used."""
    shared = json.dumps({"templates": [template(), template("unused")]}).encode()
    others = json.dumps({"connections": [entry(tenant=name, values={"country": name}) for name in "abc"]}).encode()

    found = read_documents([("b.json", others), ("a.json", shared)])

    assert [("a", "Visma a"), ("b", "Visma b"), ("c", "Visma c")] == [
        (one.tenant, one.template.display_name) for one in found.connections
    ]
    assert Document() == read_documents([("a.json", shared)])


def test_an_entrys_own_fields_go_first() -> None:
    """Fields one by one, config fields too, as they are written; an id takes the place of a name and vice versa."""
    shared = template(user_group_access_ids=[1], config_fields={"A": "a ${country}", "B": "b"})
    (found,) = read(
        entry(
            key="other",
            erp_connector_id=4,
            user_groups=["Sales"],
            active=False,
            config_fields={"B": "own ${country}", "C": "@{env:X}"},
        ),
        templates=[shared],
    )

    filled = found.template
    assert ("other", 4, None, False) == (found.key, filled.erp_connector_id, filled.erp_connector, filled.active)
    assert ((), ("Sales",)) == (filled.user_group_access_ids, filled.user_groups)
    assert {
        "A": Template(("a Norway",)),
        "B": Template(("own ${country}",)),
        "C": parse_template("@{env:X}"),
    } == dict(filled.config_fields)


def test_what_is_overridden_needs_no_value() -> None:
    """A value is needed for what is left of the template only; given for the rest it is no mistake either."""
    (without,) = read(entry(display_name="Mine", values={}))
    (beside,) = read(entry(display_name="Mine"))

    assert without == beside
    assert "Mine" == without.template.display_name


def test_a_connection_without_a_template_takes_everything_literally() -> None:
    """A dollar sign means something in templates only."""
    (found,) = read(
        {"tenant": "a", "key": "k", "erp_connector_id": 1, "display_name": "${x}", "config_fields": {"P": "${"}}
    )

    assert ("${x}", {"P": Template(("${",))}) == (found.template.display_name, dict(found.template.config_fields))


@pytest.mark.parametrize(
    "text", ["@{env:HOME}", "a@{env:HOME}b", "@{stored}", "@@{env:HOME}", "@{", "}", "${country}", "@@"]
)
def test_a_value_cannot_bring_in_a_reference(text: str) -> None:
    """What is given for a client's number arrives as it is, whatever it looks like."""
    shared = template(config_fields={"Whole": "${client}", "Part": "<${client}>"})
    (found,) = read(entry(values={"country": "Norway", "client": text}), templates=[shared])

    assert {"Whole": Template((text,)), "Part": Template((f"<{text}>",))} == dict(found.template.config_fields)


def test_no_reference_comes_to_be_where_pieces_meet() -> None:
    """A value cannot complete what the template has begun, nor begin what the template completes."""
    shared = template(
        config_fields={"A": "${at}{env:HOME}", "B": "@${brace}env:HOME}", "C": "@@${brace}", "D": "${at}${brace}"}
    )
    values = {"country": "Norway", "at": "x@", "brace": "{"}

    (found,) = read(entry(values=values), templates=[shared])

    assert {
        "A": Template(("x@{env:HOME}",)),
        "B": Template(("@{env:HOME}",)),
        "C": Template(("@@{",)),
        "D": Template(("x@{",)),
    } == dict(found.template.config_fields)
    wrong = problems(entry(values=values), templates=[template(config_fields={"A": "${at}@{env:X}${brace}"})])
    assert ["a.json: connections[1].values.at: must not end in @ before a reference (config_fields.A)"] == wrong


@pytest.mark.parametrize("value", ["a/b", "../x", "..", ".", "x}@{env:HOME", "{", "/etc/shadow"])
def test_a_value_in_a_reference_is_part_of_a_name(value: str) -> None:
    """The template says where secrets lie; a value cannot lead elsewhere."""
    shared = template(config_fields={"P": "a}@{file:/etc/erpsyncd/${name}}"})

    (wrong,) = problems(entry(values={"country": "N", "name": value}), templates=[shared])
    assert wrong.startswith("a.json: connections[1].values.name: stands in a reference (config_fields.P), where")
    (found,) = read(entry(values={"country": "N", "name": "acme-1.visma"}), templates=[shared])
    assert parse_template("a}@{file:/etc/erpsyncd/acme-1.visma}") == found.template.config_fields["P"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"template": "vsma"}, ["template: there is no template 'vsma'; did you mean \"visma\"?"]),
        ({"template": 7}, ["template: must be a text, not a number; put it in quotes"]),
        (
            {"values": {}},
            ["values: lacks 'country', which template 'visma' (a.json: templates[1]) uses in display_name"],
        ),
        (
            {"values": {"country": "N", "contry": CANARY}},
            ["values.contry: is not used by template 'visma'; did you mean \"country\"?"],
        ),
        (
            {"values": {"country": "N", "tenant": CANARY}},
            ["values.tenant: is the connection's own tenant, which a template knows without being told"],
        ),
        (
            {"values": {"country": {"x": CANARY}}},
            ["values.country: must be a text, a number, true or false, or a list, not a table"],
        ),
        (
            {"values": {"country": True}},
            ["values.country: must be a text or a whole number to stand inside of display_name"],
        ),
        ({"values": [CANARY]}, ["values: must be a table, not a list"]),
        (
            {"values": {"country": "x" * 300}},
            [
                "display_name: must not be longer than 254 characters, but has 306 (acme/visma; by template 'visma')",
            ],
        ),
        ({"colour": 1}, ["colour: is not known (acme/visma; by template 'visma')"]),
        (
            {"erp_connector": "A", "erp_connector_id": 1},
            ["erp_connector: cannot go with erp_connector_id; give one of the two (acme/visma; by template 'visma')"],
        ),
    ],
)
def test_what_is_wrong_with_an_entry(given: dict[str, Any], expected: list[str]) -> None:
    """Each mistake is told once, with its place; what could not be filled in is not called missing beside that."""
    found = problems(entry() | given)

    assert [f"a.json: connections[1].{problem}" for problem in expected] == [
        problem for problem in found if "values: is missing" not in problem
    ]


def test_values_without_a_template() -> None:
    """They are told to be of no use."""
    found = problems({"tenant": "a", "key": "k", "erp_connector_id": 1, "display_name": "x", "values": {}})

    assert ["a.json: connections[1].values: is of no use without a template"] == found


@pytest.mark.parametrize(
    ("templates", "expected"),
    [
        (
            [template(), template()],
            ["templates[2].name: stands twice; the first is a.json: templates[1].name (template 'visma')"],
        ),
        ([{"name": "visma"}], ["templates[1].connection: is missing (template 'visma')"]),
        (
            [{"name": "visma", "connection": 7}],
            ["templates[1].connection: must be a table, not a number (template 'visma')"],
        ),
        ([template(tenant="acme")], ["templates[1].connection.tenant: is not known (template 'visma')"]),
        (
            [template(activ=True)],
            ["templates[1].connection.activ: is not known; did you mean \"active\"? (template 'visma')"],
        ),
        ([template() | {"values": {}}], ["templates[1].values: is not known (template 'visma')"]),
        (
            [template(erp_connector_id=1)],
            [
                f"templates[1].connection.{name}: cannot go with {name}_id; give one of the two (template 'visma')"
                for name in ("erp_connector",)
            ],
        ),
        (
            [template(config_fields={"P": "${", "Q": "${a b}", "R": "${}"})],
            [
                f"templates[1].connection: holds in config_fields.{name} a ${{ that names no value; write $${{ for a "
                "literal ${ (template 'visma')"
                for name in "PQR"
            ],
        ),
        (
            [template(config_fields=[CANARY])],
            ["templates[1].connection.config_fields: must be a table, not a list (template 'visma')"],
        ),
    ],
)
def test_what_is_wrong_with_a_template(templates: list[Any], expected: list[str]) -> None:
    """It is told at the template, once, whether it is used or not."""
    assert [f"a.json: {problem}" for problem in expected] == problems(templates=templates)


def test_problems_of_every_entry_are_listed() -> None:
    """One document, all that is wrong with it at once."""
    found = problems(entry(values={}), entry(template="x"), entry(tenant="b", values={"country": "N", "more": 1}))

    assert 3 == len(found)
    assert ["connections[1]", "connections[2]", "connections[3]"] == [problem[8:22] for problem in found]


def test_keys_that_stand_twice() -> None:
    """They are found in templates, values and config fields as everywhere."""
    content = (
        '{"templates":[{"name":"visma","connection":{"key":"k","key":"k","erp_connector_id":1,"display_name":"${a}",'
        '"config_fields":{"P":"x","P":"x"}}}],"connections":[{"tenant":"t","template":"visma","values":{"a":"x","a":"x"},'
        '"config_fields":{"Q":"x","Q":"x"}}]}'
    )
    with pytest.raises(ConfigurationError) as caught:
        read_documents([("a.json", content.encode())])

    assert [
        "a.json: templates[1].connection.key",
        "a.json: templates[1].connection.config_fields.P",
        "a.json: connections[1].values.a",
        "a.json: connections[1].config_fields.Q",
    ] == [str(problem).partition(": stands twice")[0] for problem in caught.value.problems]


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["${a}", "x ${a}", "$${", "${", "@{env:X}", "@{${a}}", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "a",
                    "name",
                    "connection",
                    "key",
                    "tenant",
                    "template",
                    "values",
                    "config_fields",
                    "display_name",
                    "erp_connector",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(templates=st.lists(ANYTHING, max_size=3), connections=st.lists(ANYTHING, max_size=3))
def test_any_document_is_read_or_refused(templates: list[Any], connections: list[Any]) -> None:
    """Whatever stands where, the answer is a document or a list of problems."""
    content = json.dumps({"templates": templates, "connections": connections}).encode()
    found = Document()
    problems: tuple[str, ...] = ("none",)
    try:
        found = read_documents([("a.json", content)])
    except ConfigurationError as exc:
        problems = exc.problems

    assert ((), True) == (found.tenants, bool(problems))


@given(
    before=st.sampled_from(["", "@", "@@", "a", "}"]),
    after=st.sampled_from(["", "{", "{env:X}", "}", "@"]),
    text=st.text("@{}$ae:", max_size=6),
)
def test_any_value_arrives_as_it_is(before: str, after: str, text: str) -> None:
    """Whatever a value holds and stands between, the config field holds just that, and refers to nothing."""
    shared = template(display_name="x", config_fields={"P": f"{before}${{client}}{after}"})
    (found,) = read(entry(values={"client": text}), templates=[shared])

    assert Template((f"{before}{text}{after}",)) == found.template.config_fields["P"]

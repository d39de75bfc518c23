"""One description for many tenants: a template, and names in the place of ids that differ from tenant to tenant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from commands import Erpsyncd
from erpsyncd.sandbox import SandboxConnector, SandboxServer, SandboxTenant

OLD = {"ERPSYNCD__SCHEDULE__LISTS": "0.001"}


def installation(first: int, **more: Any) -> SandboxTenant:
    """One with ids of its own for the same names."""
    connectors = {first: SandboxConnector(name="Visma", url=f"app://{first}"), first + 1: SandboxConnector(name="File")}
    groups = {first + 2: 'US:"Sales";NO:"Salg"', first + 3: "Support"}
    return SandboxTenant(connectors=connectors, user_groups=groups, associates={first + 4: "SAL0"}, **more)


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    tenants = {
        "acme": installation(1),
        "beta": installation(20, headings={22: frozenset({24})}),
        "gamma": installation(300, list_addresses=False),
    }
    with SandboxServer(tenants=tenants) as running:
        yield running


def document(server: SandboxServer, protocols: dict[str, str]) -> str:
    """The tenants, the template, and what each tenant makes of it."""
    auth = '[tenants.auth]\nkind = "password"\nusername = "sandbox"\npassword = "sandbox"\n'
    tenants = "".join(
        f'[[tenants]]\nname = "{name}"\nurl = "{server.tenant_url(name)}"\nprotocol = "{protocol}"\n{auth}'
        for name, protocol in protocols.items()
    )
    template = """
[[templates]]
name = "visma"
[templates.connection]
key = "visma"
erp_connector = "Visma"
display_name = "Visma ${country}"
user_groups = ["Sales", "Support"]
associates = ["sal0"]
[templates.connection.config_fields]
Client = "${client}"
Password = "@{env:VISMA_${tenant}}"
"""
    return tenants + template + "".join(entry(name) for name in protocols)


def entry(tenant: str, **fields: str) -> str:
    own = "".join(f"{name} = {value}\n" for name, value in fields.items())
    values = f'values = {{ country = "in {tenant}", client = "F-{tenant}" }}'
    return f'[[connections]]\ntenant = "{tenant}"\ntemplate = "visma"\n{values}\n{own}'


def saves(server: SandboxServer) -> int:
    return sum(call.operation == "SaveConnection" for call in server.calls)


def lists_read(server: SandboxServer, tenant: str) -> int:
    """How many lists of names were read there; `erpconnections` is none of them."""
    return sum(call.operation == "GetList" and call.worked and call.tenant == tenant for call in server.calls)


PROTOCOLS = {"acme": "soap", "beta": "rest", "gamma": "rest"}


def converged(erpsyncd: Erpsyncd, server: SandboxServer) -> str:
    """Bring all three to where they should be; return their document."""
    erpsyncd.environ |= {f"VISMA_{name}": f"secret of {name}" for name in PROTOCOLS}
    text = document(server, PROTOCOLS)
    loaded = erpsyncd.load(text)
    assert (0, 6) == (loaded.code, loaded.json["added"]), loaded.stderr
    first = erpsyncd.run_once()
    assert (0, 3) == (first.code, first.json["counts"]["created"]), first.stdout
    return text


def test_one_document_for_three_tenants(quick: Erpsyncd, server: SandboxServer) -> None:
    """Each gets its own ids; another process saves nothing and reads no list within its lifetime."""
    text = converged(quick, server)

    for name, first in (("acme", 1), ("beta", 20), ("gamma", 300)):
        (made,) = server.tenant(name).connections.values()
        assert (first, (first + 2, first + 3), (first + 4,)) == (
            made.erp_connector_id,
            tuple(made.user_group_access_ids),
            tuple(made.associate_access_ids),
        )
        assert {"Client": f"F-{name}", "Password": f"secret of {name}"} == dict(made.config_fields)
        assert f"Visma in {name}" == made.display_name
    # Over SOAP the connections are a list of the same kind.
    assert (4, 3, 3) == tuple(lists_read(server, name) for name in PROTOCOLS)

    assert (0, 6) == (quick.load(text).code, quick.load(text).json["unchanged"])
    again = Erpsyncd(quick.directory, quick.store_url, quick.environ).run_once()
    assert (0, []) == (again.code, again.json["outcomes"])
    assert (3, 3) == (saves(server), lists_read(server, "beta"))

    (shown,) = quick("connections", "show", "beta", "visma", "--output", "json").json["items"]
    assert ("Visma", 20, ["Sales", "Support"], [22, 23], ["sal0"]) == tuple(
        shown[name]
        for name in ("erp_connector", "erp_connector_id", "user_groups", "user_group_access_ids", "associates")
    )
    assert "Visma (20)" in quick("connections", "show", "beta", "visma").stdout

    quick.load(text.replace('"Sales", "Support"', '"Sales"'))
    plan = quick("plan", "--only", "beta").stdout
    assert 'user_group_access_ids: -23 (for "Sales")' in plan


def test_exported_and_given_by_ids(quick: Erpsyncd, server: SandboxServer) -> None:
    """An export has the names; to go over to ids and back saves nothing."""
    converged(quick, server)
    exported = quick("export").stdout
    assert 3 == exported.count('user_groups = ["Sales", "Support"]')
    assert "templates" not in exported
    assert 6 == quick.load(exported).json["unchanged"]

    ids = exported.replace('erp_connector = "Visma"', "erp_connector_id = 1", 1)
    ids = ids.replace('user_groups = ["Sales", "Support"]', "user_group_access_ids = [3, 4]", 1)
    for text in (ids, exported):
        changed = quick.load(text)
        assert (0, 1) == (changed.code, changed.json["changed"])
        run = quick.run_once()
        assert (0, 0, []) == (run.code, run.json["counts"]["updated"], run.json["outcomes"])
    assert 3 == saves(server)


def test_names_that_are_not_clear(quick: Erpsyncd, server: SandboxServer) -> None:
    """Unknown and ambiguous names fail their connection with what may be meant; all others go on."""
    converged(quick, server)
    server.tenant("beta").configure(user_groups={22: "Sales", 23: "Support", 25: "Support", 26: "Old"})
    quick.environ |= OLD
    quick.load(
        document(server, PROTOCOLS)
        + entry("acme", key='"typo"', user_groups='["Saels"]', display_name='"Typo"')
        + entry("gamma", key='"more"', display_name='"More"', erp_connector='"APP://300/"')
    )

    run = quick.run_once()

    told = {(one["tenant"], one["key"]): one for one in run.json["outcomes"]}
    assert 3 == run.code
    assert {
        ("acme", "typo"): "name_unknown",
        ("beta", "visma"): "name_ambiguous",
        ("gamma", "more"): None,
    } == {address: one["error_class"] for address, one in told.items()}
    assert "(perhaps 'Sales')" in told["acme", "typo"]["error"]
    assert "23 'Support', 25 'Support'; rename one in the CRM" in told["beta", "visma"]["error"]
    assert 4 == saves(server)


def test_a_renamed_group(quick: Erpsyncd, server: SandboxServer) -> None:
    """Once the lists are old, the plan says what becomes of it, and the next pass does it."""
    converged(quick, server)
    server.tenant("gamma").configure(user_groups={302: "Former sales", 303: "Support", 309: "Sales"})
    assert [] == quick.run_once().json["outcomes"]
    quick.environ |= OLD

    planned = quick("plan")
    assert "~ update gamma/visma" in planned.stdout
    assert 'user_group_access_ids: +309 -302 (for "Sales", "Support")' in planned.stdout
    assert 3 == saves(server)
    run = quick.run_once()

    assert [("gamma", "updated")] == [(one["tenant"], one["status"]) for one in run.json["outcomes"]]
    (made,) = server.tenant("gamma").connections.values()
    assert (309, 303) == tuple(made.user_group_access_ids)
    assert [] == quick.run_once().json["outcomes"]
    assert 4 == saves(server)


def test_problems_of_a_template_have_their_places(quick: Erpsyncd, server: SandboxServer) -> None:
    """Validate and import name file, place and reason, and never a value."""
    text = document(server, PROTOCOLS).replace('client = "F-beta"', 'clinet = "canary-7d1f"')
    path = quick.write("many.toml", text)

    for command in ("validate", "import"):
        refused = quick(command, str(path))
        told = refused.stdout + refused.stderr
        assert 78 == refused.code
        assert "connections[2].values.clinet: is not used by template 'visma'; did you mean \"client\"?" in told
        assert "connections[2].values: lacks 'client', which template 'visma'" in told
        assert "canary" not in told
    assert [] == quick.listed("connections")

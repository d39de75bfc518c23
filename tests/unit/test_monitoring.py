"""The alert rules and the dashboard in config/monitoring name metrics, labels and values that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from erpsyncd.domain.connections import State
from erpsyncd.domain.results import (
    ChangedDataItem,
    Check,
    Outcome,
    PluginResponse,
    RecordChange,
    RunReport,
    RunStatus,
    Status,
    TenantReport,
)
from erpsyncd.domain.watching import Census, FinishedRun, StartedRun, TenantCensus
from erpsyncd.web.metrics import Counts, rendered_census

MONITORING = Path(__file__).parents[2] / "config" / "monitoring"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

#: A metric with what stands in braces behind it.
SELECTOR = re.compile(r"\b((?:erpsyncd|process)_[a-z_]+|up)\b(?:\{([^}]*)\})?")
MATCHER = re.compile(r'([a-z_]+)(=~|!=|=)"([^"]*)"')
GROUPING = re.compile(r"\bby \(([^)]*)\)")
#: What Prometheus itself adds to each series.
ADDED = {"job", "instance", "le"}

ACME = TenantCensus(name="acme", state="active", quote_is_ok=False, connections={State.IN_SYNC: 3, State.FAILED: 1})


def everything() -> dict[str, dict[str, set[str]]]:
    """Return every series' name with its labels and their values, after a pass with one of each kind."""
    counts = Counts()
    check = Check(
        tenant="acme",
        operation="HasConnections",
        checked_at=NOW,
        response=PluginResponse(
            is_ok=True, changes=(ChangedDataItem(change=RecordChange.ADDED, table_name="t", record_id=1),)
        ),
    )
    outcome = Outcome(tenant="acme", key="a", status=Status.FAILED, error_class="fault")
    tenant = TenantReport(tenant="acme", outcomes=(outcome,), checks=(check,), unchanged=2, error="unreachable")
    counts.run_finished(
        FinishedRun(
            started=StartedRun(trigger="reconcile", dry_run=False, started_at=NOW),
            finished_at=NOW,
            duration=timedelta(seconds=2),
            report=RunReport(run_id=1, started_at=NOW, tenants=(tenant,)),
        )
    )
    counts.call_finished("SaveConnection", "2xx", 0.2)
    counts.committed(0.002)
    census = Census(tenants=(ACME,), last_runs={RunStatus.OK: NOW, RunStatus.PARTIAL: NOW})
    found: dict[str, dict[str, set[str]]] = {"up": {}}
    for text in (counts.rendered(), rendered_census(census, max_tenants=10)):
        for family in text_string_to_metric_families(text.decode()):
            for sample in family.samples:
                labels = found.setdefault(sample.name, {})
                for name, value in sample.labels.items():
                    labels.setdefault(name, set()).add(value)
    return found


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def board() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text())
    return found


def expressions() -> Iterator[tuple[str, str]]:
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for panel in board()["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def test_every_metric_label_and_value_is_one_that_there_is() -> None:
    """A rule about a metric that was renamed never fires, and nobody notices."""
    known = everything()
    wrong = []
    for place, expression in expressions():
        selected = SELECTOR.findall(expression)
        assert selected, place
        labels = set().union(*(known.get(name, {}) for name, _ in selected)) | ADDED
        wrong += [(place, name) for name, _ in selected if name not in known]
        wrong += [
            (place, label)
            for names in GROUPING.findall(expression)
            for label in names.split(", ")
            if label not in labels
        ]
        for name, matchers in selected:
            for label, _, value in MATCHER.findall(matchers):
                if label not in {*known.get(name, {}), *ADDED}:
                    wrong.append((place, f"{name}{{{label}}}"))
                elif label == "state" and not set(value.split("|")) <= {*known[name]["state"], *map(str, State)}:
                    wrong.append((place, value))

    assert [] == wrong


def test_every_number_is_on_the_dashboard() -> None:
    """Else nobody needs it; the parts of a histogram count as one."""
    shown = {name for _, expression in expressions() for name, _ in SELECTOR.findall(expression)}
    ours = {re.sub(r"_(bucket|count|sum|created)$", "", name) for name in everything() if name.startswith("erpsyncd_")}

    assert {"erpsyncd_tenant_connections", "erpsyncd_checks_total"} == ours - {
        re.sub(r"_bucket$", "", name) for name in shown
    }


def test_rules_have_the_shape_that_prometheus_wants() -> None:
    """A name of its own, an expression with balanced brackets, a time to wait, a severity, and what to do."""
    found = rules()

    assert len({rule["alert"] for rule in found}) == len(found) > 8
    for rule in found:
        assert {"alert", "expr", "for", "labels", "annotations"} == set(rule)
        assert re.fullmatch(r"[0-9]+[smhd]", rule["for"])
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert {"summary", "description"} == set(rule["annotations"])
        assert re.search(r" (>|==) [0-9]+\s*$", rule["expr"])


def as_prometheus_gets_it(expression: str) -> str:
    """Return an expression with what Grafana puts in for its own variables."""
    return expression.replace("$__rate_interval", "5m")


def test_expressions_are_promql() -> None:
    """Syntax, functions with their arguments, and types: `rate` of a range, a comparison of instants."""
    for place, expression in expressions():
        parsed = promql_parser.parse(as_prometheus_gets_it(expression))

        assert isinstance(parsed, promql_parser.Expr), place


@pytest.mark.parametrize(
    "wrong", ["rate(erpsyncd_runs_total)", "sum by instance (up)", "up{job=a}", "rats(up[5m])", "up >"]
)
def test_what_is_no_promql_is_found_out(wrong: str) -> None:
    """The check above can fail."""
    with pytest.raises(ValueError):  # noqa: PT011 -- its words are the parser's
        promql_parser.parse(as_prometheus_gets_it(wrong))


def test_the_dashboard_has_the_shape_that_grafana_wants() -> None:
    """Panels with numbers of their own that do not overlap, on a data source that is chosen in it."""
    found = board()

    assert {"title", "uid", "schemaVersion", "panels", "templating", "time"} <= set(found)
    assert {"datasource", "instance"} == {variable["name"] for variable in found["templating"]["list"]}
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in found["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in found["panels"]}) == len(found["panels"])
    for panel in found["panels"]:
        assert {"type": "prometheus", "uid": "${datasource}"} == panel["datasource"]


@pytest.mark.parametrize(("max_tenants", "shown"), [(0, False), (1, True)])
def test_names_of_tenants_are_labels_only_of_few(max_tenants: int, *, shown: bool) -> None:
    """And a name with any sign in it is one label still."""
    census = Census(tenants=(TenantCensus(name='a"}\\ \n1', state="active", quote_is_ok=True),))

    text = rendered_census(census, max_tenants=max_tenants).decode()

    labels = [s.labels.get("tenant") for f in text_string_to_metric_families(text) for s in f.samples]
    assert shown is ('a"}\\ \n1' in labels)

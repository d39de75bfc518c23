"""Text for people: it fits their terminal, has colours where those help, and is plain everywhere else."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click
import pytest

from erpsyncd.cli.colours import painted
from erpsyncd.cli.drift_lines import drift_lines
from erpsyncd.cli.options import Invocation
from erpsyncd.cli.output import hanging, table, write_text
from erpsyncd.cli.plan import plan_as_text
from erpsyncd.cli.progress import shown_progress
from erpsyncd.domain.field_changes import FieldChange, SecretChange
from erpsyncd.domain.results import ChangeKind, Outcome, RunReport, Status, TenantReport
from erpsyncd.settings import load_settings
from erpsyncd.store import DriftView

WIDE = (
    "acme",
    "a name of a connection that is long",
    "failed",
    "why it failed, told at such length that it is a sentence",
)


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@contextmanager
def on_screen() -> Iterator[Screen]:
    """Make stdout a terminal of 60 columns. Not a fixture: pytest takes stdout back between the two."""
    screen = Screen()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", screen)
        patch.setenv("COLUMNS", "60")
        yield screen


def planned(change: ChangeKind, *fields: tuple[str, Any, Any], remote_id: int | None = None) -> Outcome:
    return Outcome(
        tenant="acme",
        key="no",
        status=Status.PLANNED,
        change=change,
        field_changes=tuple(FieldChange(name=name, old=old, new=new) for name, old, new in fields),
        erp_connection_id=remote_id,
    )


def plan_of(*outcomes: Outcome, unchanged: int = 0, visited: bool = True) -> str:
    tenant = TenantReport(tenant="acme", outcomes=outcomes, unchanged=unchanged, visited=visited)
    return plan_as_text(RunReport(run_id=1, started_at=datetime(2026, 1, 1, tzinfo=UTC), tenants=(tenant,)))


def test_a_table_is_as_wide_as_it_is_where_nobody_looks() -> None:
    """In a pipe every row is one line."""
    assert 2 == len(table(("TENANT", "NAME", "STATE", "WHY"), [WIDE]).splitlines())


def test_a_table_fits_the_terminal() -> None:
    """The widest columns are broken into lines; no word is lost."""
    with on_screen():
        shown = table(("TENANT", "NAME", "STATE", "WHY"), [WIDE, ("b", "short", "ok", "-")])

    assert 60 >= max(map(len, shown.splitlines()))
    assert sorted(" ".join(WIDE).split()) == sorted(" ".join(shown.splitlines()[1:-1]).split())
    assert "b       short" == shown.splitlines()[-1][:13]


def test_a_table_with_too_many_columns_stays_readable() -> None:
    """No column becomes narrower than eight characters, whatever the terminal."""
    with on_screen():
        (_, *lines) = table(tuple("ABCDEFGHIJ"), [("0123456789",) * 10]).splitlines()

    assert ["  ".join(["01234567"] * 10), "  ".join(["89      "] * 10).rstrip()] == lines


def test_long_lines_hang() -> None:
    """What does not fit goes on indented; short lines and pipes are left alone."""
    line = "! acme/no: missing: " + "word " * 20

    with on_screen():
        broken, short = hanging(line, 2).splitlines(), hanging("short", 2)

    assert 60 >= max(map(len, broken))
    assert {"  "} == {text[:2] for text in broken[1:]}
    assert ("short", line) == (short, hanging(line, 2))


def test_words_of_state_are_in_colour_on_a_terminal() -> None:
    """As a cell of a table or at the beginning of a line; the same word inside a sentence is plain."""
    text = "created  update  acme\nx  failed  it is created\n+ create acme/no\n- delete acme/no\nupdated by"

    assert (
        "\x1b[32mcreated\x1b[0m  update  acme\nx  \x1b[31mfailed\x1b[0m  it is created\n"
        "\x1b[32m+ create\x1b[0m acme/no\n\x1b[31m- delete\x1b[0m acme/no\nupdated by"
    ) == painted(text, Screen())
    assert text == painted(text, io.StringIO())


def test_colours_can_be_refused() -> None:
    """Where the invocation says no (NO_COLOR, TERM=dumb), a terminal gets plain text."""
    with on_screen() as screen, click.Context(click.Command("plan"), color=False):
        write_text("failed  x")

    assert "failed  x\n" == screen.getvalue()


def test_a_tenant_cannot_send_colours() -> None:
    """Control characters go before our own come."""
    with on_screen() as screen:
        write_text("failed  \x1b[31mred")

    assert "\x1b[31mfailed\x1b[0m  \N{REPLACEMENT CHARACTER}[31mred\n" == screen.getvalue()


def test_what_an_encoding_lacks_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that knows no arrows ends no command."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="latin-1", write_through=True))

    write_text('"å" → "Ł"')

    assert '"å" \\u2192 "\\u0141"\n'.encode("latin-1") == written.getvalue()


def test_a_plan_reads_like_a_diff() -> None:
    """One line for each change, one for each field, then the sum."""
    create = planned(
        ChangeKind.CREATE,
        ("erp_connector_id", None, 1),
        ("display_name", None, "Visma Norway"),
        ("display_description", None, ""),
        ("active", None, True),
        ("all_access", None, True),
        ("user_group_access_ids", None, (1, 3)),
        ("config_fields.Password", None, SecretChange.SET),
    )
    update = planned(
        ChangeKind.UPDATE,
        ("erp_connector_id", 2, 1),
        ("display_name", "Old", "New"),
        ("display_description", "same", "same"),
        ("active", True, False),
        ("user_group_access_ids", (1, 2), (2, 3)),
        ("associate_access_ids", (1,), (1,)),
        ("config_fields.Password", None, SecretChange.CHANGED),
        ("config_fields.Token", None, SecretChange.PUSHED_AGAIN),
    )

    assert [
        '+ create acme/no "Visma Norway" (connector 1)',
        "    all_access: yes",
        "    user_group_access_ids: +1 +3",
        "    config_fields.Password: set",
        "~ update acme/no",
        "    erp_connector_id: 2 -> 1",
        '    display_name: "Old" -> "New"',
        '    display_description: "same", as it is there already',
        "    active: yes -> no",
        "    user_group_access_ids: +3 -1",
        "    associate_access_ids: as it is there already",
        "    config_fields.Password: changed",
        "    config_fields.Token: pushed again",
        "~ update acme/no",
        "    pushed again, as it is not known what was pushed last",
        '- delete acme/no "Old" (id 7)',
        "- delete acme/no (id 8) which is gone there already",
        "",
        "1 to create, 2 to update, 2 to delete, 12 unchanged",
    ] == plan_of(
        create,
        update,
        planned(ChangeKind.UPDATE),
        planned(ChangeKind.DELETE, ("display_name", "Old", None), remote_id=7),
        planned(ChangeKind.DELETE, remote_id=8),
        unchanged=12,
    ).splitlines()


def test_a_plan_says_what_could_not_be_planned() -> None:
    """Connections and whole tenants, each with its reason, after what could."""
    missing = Outcome(tenant="acme", key="se", status=Status.FAILED, error_class="missing", error="it is gone")
    refused = Outcome(tenant="acme", key=None, status=Status.FAILED, error_class="unauthorized", error="refused")

    assert [
        "- delete acme/no (id 8) which is gone there already",
        "",
        "Could not be planned:",
        "! acme: unauthorized: refused",
        "! acme/se: missing: it is gone",
        "",
        "0 to create, 0 to update, 1 to delete, 0 unchanged, 2 not planned",
    ] == plan_of(missing, refused, planned(ChangeKind.DELETE, remote_id=8)).splitlines()
    assert "Could not be planned:\n! acme: it is paused" in plan_of(visited=False)


def test_a_plan_says_when_nothing_is_to_be_done() -> None:
    """One sentence."""
    assert "Nothing to do: every connection is pushed, as described." == plan_of(unchanged=3)


def test_a_line_about_a_run_keeps_to_80_columns(monkeypatch: pytest.MonkeyPatch, logging_restored: None) -> None:
    """Long names are cut, so that counts, bar and name stand in one line; it comes and goes with the run."""
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    invocation = Invocation(environ={"TERM": "xterm", "NO_COLOR": "1"})
    settings = load_settings(None, {"ERPSYNCD_CONFIG": os.devnull}, {"log.level": "error"})

    with shown_progress(invocation, settings) as progress:
        assert progress is not None
        progress.run_started(10000)
        progress.tenant_started("n" * 127)
        progress.connections_due("n" * 127, 2)
        for status in (Status.CREATED, Status.FAILED):
            progress.outcome_reported(Outcome(tenant="n" * 127, key="no", status=status))
        sys.stderr.write("beside it\n")

    lines = [line for line in re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())) if line]
    assert ("starting", True) == (lines[0].split()[0], "beside it" in lines)
    assert lines[-1].startswith("0/10000 tenants, 1 failed ")
    assert lines[-1].endswith(f"{'n' * 19}…")
    assert 80 >= max(map(len, lines))


def test_a_config_fields_name_makes_no_line_of_its_own() -> None:
    """It is the tenant's: what is written there must not pass for something that this program says."""
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    found = DriftView(
        tenant="acme",
        key="no",
        field="config_fields.a\nacme/visma: all\x1b[2K is well",
        kind="unknown_field",
        desired=None,
        observed=None,
        first_seen_at=moment,
        last_seen_at=moment,
        ignored=False,
        stubborn=False,
        decision=None,
        reason=None,
        decided_at=None,
        until=None,
    )
    (line,) = drift_lines(found)

    assert "config_fields.a acme/visma: all\N{REPLACEMENT CHARACTER}[2K is well was added in the CRM" == line

"""Completion, asked the way shells ask: the printed script is loaded and its function is called."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from commands import COMMAND, Erpsyncd, document

ASK = """
source {script}
COMP_WORDS=({words})
COMP_CWORD={index}
_erpsyncd_completion {command} 2>/dev/null
printf '%s\\n' "${{COMPREPLY[@]}}"
complete -p erpsyncd >&2
"""


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Erpsyncd:
    """The installed command, with two tenants."""
    erpsyncd = Erpsyncd(tmp_path_factory.mktemp("stocked"))
    one, two = (document("https://crm.example", "soap", "", name=name) for name in ("acme", "umbrella"))
    assert 0 == erpsyncd.load(one + two).code
    return erpsyncd


def completed(erpsyncd: Erpsyncd, *words: str) -> list[str]:
    """Return what bash offers for the last of these words."""
    script = erpsyncd.directory / "completion.bash"
    if not script.exists():
        script.write_text(erpsyncd("completion", "bash").stdout)
    quoted = " ".join(f"'{word}'" for word in ("erpsyncd", *words))
    program = ASK.format(script=script, words=quoted, index=len(words), command=COMMAND)
    environment = erpsyncd.environment | {"PATH": f"{Path(COMMAND).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "--norc", "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert "_erpsyncd_completion" in done.stderr
    return sorted(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("ten",), ["tenants"]),
        (("co",), ["completion", "config", "connections"]),
        (("connections", "re"), ["remove", "rename", "resolve"]),
        (("zzz", "run"), ["runs"]),
        (("--out",), ["--output"]),
        (("tenants", "list", "--out"), ["--output"]),
        (("--output", ""), ["json", "text"]),
        (("completion", ""), ["bash", "fish", "zsh"]),
        (("doctor", "--re"), ["--retry"]),
        (("tenants", "pause", ""), ["acme", "umbrella"]),
        (("tenants", "pause", "a"), ["acme"]),
        (("doctor", "acme", "u"), ["umbrella"]),
        (("connections", "list", "--tenant", "a"), ["acme"]),
        (("--run-once", "--force", "u"), ["umbrella"]),
    ],
)
def test_bash(stocked: Erpsyncd, words: tuple[str, ...], expected: list[str]) -> None:
    """Commands, subcommands, options, their values, and tenants of the store."""

    assert expected == completed(stocked, *words)


def test_without_a_store_there_is_silence(tmp_path: Path) -> None:
    """Neither no store nor bad settings show while somebody is typing, and nothing is made."""
    erpsyncd = Erpsyncd(tmp_path)

    assert [] == completed(erpsyncd, "tenants", "pause", "")

    erpsyncd.environ["ERPSYNCD__REMOTE__SETTLE"] = "soon"

    assert [] == completed(erpsyncd, "tenants", "pause", "")
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_can_read_their_script(tmp_path: Path, shell: str) -> None:
    """It names the program and how it is asked; where that shell is here, it takes the script."""
    printed = Erpsyncd(tmp_path)("completion", shell)

    assert 0 == printed.code
    assert f"_ERPSYNCD_COMPLETE={shell}_complete" in printed.stdout
    if shutil.which(shell):
        script = tmp_path / "script"
        script.write_text(printed.stdout)
        subprocess.run([shell, "-n", str(script)], check=True)


def test_as_json(tmp_path: Path) -> None:
    """The script is a member; an unknown shell is a usage error that names those that there are."""
    erpsyncd = Erpsyncd(tmp_path)

    printed = erpsyncd("completion", "bash", "--output", "json").json
    refused = erpsyncd("completion", "tcsh")

    assert ("completion", "bash") == (printed["kind"], printed["shell"])
    assert "complete -o nosort" in printed["script"]
    assert (2, True) == (refused.code, "'bash', 'zsh', 'fish'" in refused.stderr)

"""Root in the service's state directory: it becomes the service's user, or is told what to run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from erpsyncd.errors import ConfigurationError
from erpsyncd.state_directory import become_owner, refuse_another_users

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who acts as another user")

#: Becomes the owner in a process of its own, with the program where everybody can read it, and says who it is then.
BECOME = """
import json, os, sys
from pathlib import Path
from erpsyncd import state_directory
from erpsyncd.errors import ConfigurationError
state_directory._program = lambda: tuple(Path(place) for place in json.loads(sys.argv[2]))
environ, said = {}, None
try:
    state_directory.become_owner(Path(sys.argv[1]), environ)
except ConfigurationError as exc:
    said = str(exc)
ids = [os.getresuid(), os.getresgid(), sorted(os.getgroups())]
print(json.dumps({"ids": ids, "environ": environ, "HOME": os.environ.get("HOME"), "said": said}))
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    directory = tmp_path / "state"
    directory.mkdir(mode=0o700)
    return directory


def become(directory: Path, *, program: tuple[str, ...] = ("/usr",), before: tuple[str, ...] = ()) -> Any:
    words = [*before, sys.executable, "-c", BECOME, str(directory), json.dumps(program)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize(("owner", "name", "home"), [(65534, "nobody", "/nonexistent"), (54321, "#54321", "/")])
def test_root_becomes_the_owner_for_good(state: Path, owner: int, name: str, home: str) -> None:
    """User, group and groups, real, effective and saved; HOME too; and the directory stays the one it was."""
    os.chown(state, owner, owner)

    became = become(state)

    assert [[owner] * 3, [owner] * 3, [owner]] == became["ids"]
    assert {"HOME": home, "USER": name, "LOGNAME": name, "STATE_DIRECTORY": str(state)} == became["environ"]
    assert (home, None) == (became["HOME"], became["said"])


def test_root_stays_root_in_its_own_directory_and_where_there_is_none(state: Path) -> None:
    """Nothing is changed where there is nobody to become."""
    assert [0, 0, 0] == become(state)["ids"][0]
    assert {} == become(state / "none")["environ"]


def test_a_program_that_the_owner_cannot_read_is_not_started_as_him(state: Path, tmp_path: Path) -> None:
    """Half of it would be missing. Root stays root, and the message has the place and the command."""
    os.chown(state, 65534, 65534)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)

    became = become(state, program=("/usr", str(closed)))

    assert [0, 0, 0] == became["ids"][0]
    assert became["said"].startswith(
        f"the state directory {state} belongs to nobody, which cannot read the program in {closed}; run: "
        f"sudo -u nobody env STATE_DIRECTORY={state} erpsyncd"
    )


def test_root_that_may_not_become_anybody_is_told_the_command(state: Path) -> None:
    """As in a container whose root was left without that right."""
    os.chown(state, 65534, 65534)
    weak = ("setpriv", "--bounding-set=-setuid", "--inh-caps=-setuid")

    became = become(state, before=weak)

    assert "this process may not become that user: Operation not permitted; run: sudo -u nobody" in became["said"]


def test_nobody_works_as_root_in_there(state: Path) -> None:
    """What does not come by the command line is refused still."""
    os.chown(state, 54321, 54321)

    with pytest.raises(ConfigurationError, match=f"run: sudo -u '#54321' env STATE_DIRECTORY={state} erpsyncd"):
        refuse_another_users(state)


def test_other_users_stay_who_they_are(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory of somebody else is no invitation; the file system decides."""
    os.chown(state, 65534, 65534)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    environ: dict[str, str] = {}

    become_owner(state, environ)

    assert {} == environ

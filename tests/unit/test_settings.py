"""Reading the settings."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from erpsyncd import settings as settings_module
from erpsyncd.errors import ConfigurationError
from erpsyncd.setting_reference import describe_settings
from erpsyncd.settings import Settings, load_settings

SHIPPED = Path(__file__).parents[2] / "config" / "erpsyncd.toml"
CANARY = "canary-7d1f"
HOME = {"STATE_DIRECTORY": "/state"}


@pytest.fixture(autouse=True)
def no_default_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the machine's own configuration out of the tests."""
    path = tmp_path / "default.toml"
    monkeypatch.setattr(settings_module, "DEFAULT_FILE", path)
    return path


def load(text: str = "", environ: Mapping[str, str] = HOME, *, tmp_path: Path, **overrides: object) -> Settings:
    """Load a file of this text."""
    path = tmp_path / "erpsyncd.toml"
    path.write_text(text)
    return load_settings(path, environ, {name.replace("__", "."): value for name, value in overrides.items()})


def problems(text: str = "", environ: Mapping[str, str] = HOME, *, tmp_path: Path, **overrides: object) -> list[str]:
    """Return what is wrong with a file, without the directory in its name."""
    with pytest.raises(ConfigurationError) as caught:
        load(text, environ, tmp_path=tmp_path, **overrides)
    assert str(caught.value).startswith("the settings cannot be used\n")
    return [problem.replace(f"{tmp_path}/", "") for problem in caught.value.problems]


def test_defaults() -> None:
    """Without any file the defaults hold, as documented."""
    settings = load_settings(None, HOME, {})

    assert settings.file is None
    assert settings.store_url == "sqlite:////state/erpsyncd.db"
    assert settings.key_path == Path("/state/erpsyncd.key")
    assert settings.warnings == ()
    assert settings.remote.settle == settings.remote.deadline == timedelta(seconds=120)
    assert settings.schedule.reconcile == timedelta(minutes=15)
    assert (settings.safety.max_deletes, settings.retention.days, settings.breaker.failures) == (3, 100, 8)
    assert (settings.limits.tenants_at_once, settings.limits.connections_at_once) == (32, 2)
    assert (settings.log.level, settings.log.format) == ("info", "auto")


def test_the_shipped_file_changes_nothing() -> None:
    """The file as it is installed holds comments only."""
    settings = load_settings(SHIPPED, HOME, {})

    assert settings == replace(load_settings(None, HOME, {}), file=SHIPPED)


def test_the_shipped_file_shows_the_defaults(tmp_path: Path) -> None:
    """With the comment sign of every setting removed it still changes nothing, and every setting is in it."""
    text = re.sub(r"^#(?=\w+ = )", "", SHIPPED.read_text(), flags=re.MULTILINE)
    environ = {name: value for name, value in HOME.items() if name != "ERPSYNCD_CONFIG"}

    settings = load(text, environ, tmp_path=tmp_path)

    defaults = load_settings(None, HOME, {})
    assert settings == replace(defaults, file=tmp_path / "erpsyncd.toml", sources=settings.sources)
    sections = re.split(r"^\[(\w+)\]$", text, flags=re.MULTILINE)[1:]
    found = [
        f"{section}.{key}"
        for section, body in zip(sections[::2], sections[1::2], strict=True)
        for key in re.findall(r"^(\w+) = ", body, flags=re.MULTILINE)
    ]
    assert found == [setting.path for setting in describe_settings()]


def test_every_setting_is_described() -> None:
    """The reference has a sentence, a kind and a default for each."""
    described = {setting.path: setting for setting in describe_settings()}

    assert all(setting.docstring.endswith(".") and setting.kind for setting in described.values())
    assert described["remote.settle"].environment == "ERPSYNCD__REMOTE__SETTLE"
    assert (described["schedule.reconcile"].kind, described["schedule.reconcile"].default) == (
        "duration or cron expression",
        '"15m"',
    )
    assert (described["checks.enabled"].kind, described["checks.enabled"].default) == ("true or false", "true")
    assert (described["store.url"].kind, described["store.url"].default) == ("text", '""')
    assert (described["remote.attempts"].kind, described["remote.attempts"].default) == ("whole number", "3")


def test_each_layer_goes_before_the_one_below(tmp_path: Path) -> None:
    """Defaults, file, environment, command line."""
    text = '[remote]\nattempts = 1\ndeadline = "10s"\nmax_body_bytes = 2000\n'
    environ = HOME | {"ERPSYNCD__REMOTE__ATTEMPTS": "2", "ERPSYNCD__REMOTE__DEADLINE": "20"}

    remote = load(text, environ, tmp_path=tmp_path, remote__deadline="30s", remote__attempts=None).remote

    assert (remote.attempts, remote.deadline, remote.max_body_bytes) == (2, timedelta(seconds=30), 2000)
    assert remote.settle == timedelta(seconds=30)


def test_texts_of_the_environment_are_converted() -> None:
    """A variable has no type, so the setting's type decides."""
    environ = HOME | {
        "ERPSYNCD__CHECKS__ENABLED": "No",
        "ERPSYNCD__SAFETY__MAX_DELETES": " 0 ",
        "ERPSYNCD__SCHEDULE__JITTER": "0",
        "ERPSYNCD__SCHEDULE__RECONCILE": "0 2 * * mon",
        "ERPSYNCD__LOG__LEVEL": "DEBUG",
        "ERPSYNCD__STORE__URL": "postgresql://u:p@h/d",
        "ERPSYNCD_OTHER": "not ours",
    }

    settings = load_settings(None, environ, {"log.format": "json"})

    assert not settings.checks.enabled
    assert (settings.safety.max_deletes, settings.schedule.jitter) == (0, timedelta(0))
    assert settings.schedule.reconcile == "0 2 * * mon"
    assert (settings.log.level, settings.log.format) == ("debug", "json")
    assert settings.store_url == "postgresql://u:p@h/d"


def test_every_problem_is_listed_with_its_place(tmp_path: Path) -> None:
    """All layers and all settings at once, with suggestions."""
    text = """
        store = 3
        [remot]
        deadline = "1s"
        [remote]
        setle = "1s"
        deadline = "soon"
        attempts = "3"
        max_deletes = 1
        [limits]
        tenants_at_once = 0
        http_connections = 5
        connections_at_once = 1.5
        [checks]
        enabled = 1
        [backoff]
        first = "7h"
        [schedule]
        reconcile = "0 25 * * *"
        quote_check = 0
        stop_within = -1
        [log]
        format = "xml"
        [state]
        directory = "relative"
        key_file = 3
    """
    environ = HOME | {"ERPSYNCD__LOG__LEVEL": "loud", "ERPSYNCD__REMOTE__SETLE": "1s", "ERPSYNCD__STORE": "x"}

    found = problems(text, environ, tmp_path=tmp_path, log__fromat="red", retention__days="x")

    duration = 'must be a duration: seconds, or a text such as "30s", "15m", "6h" or "100d"'
    assert sorted(found) == sorted(
        [
            "erpsyncd.toml: store: must be a section, [store]",
            'erpsyncd.toml: remot: there is no section of this name; did you mean "remote"?',
            'erpsyncd.toml: remote.setle: there is no setting of this name; did you mean "remote.settle"?',
            'erpsyncd.toml: remote.max_deletes: there is no setting of this name; did you mean "safety.max_deletes"?',
            f"erpsyncd.toml: remote.deadline: {duration} (it is 'soon')",
            "erpsyncd.toml: remote.attempts: must be a whole number (it is '3')",
            "erpsyncd.toml: limits.tenants_at_once: must be at least 1 (it is 0)",
            "erpsyncd.toml: limits.http_connections: must be at most 4 (it is 5)",
            "erpsyncd.toml: limits.connections_at_once: must be a whole number (it is 1.5)",
            "erpsyncd.toml: checks.enabled: must be true or false (it is 1)",
            "backoff: longest (6h) must not be shorter than first (7h)",
            "erpsyncd.toml: schedule.reconcile: the cron expression's hour must be from 0 to 23 (it is '0 25 * * *')",
            "erpsyncd.toml: schedule.quote_check: must be longer than nothing (it is 0)",
            f"erpsyncd.toml: schedule.stop_within: {duration} (it is -1)",
            "erpsyncd.toml: log.format: must be 'auto', 'console', 'json' or 'journal' (it is 'xml')",
            (
                "erpsyncd.toml: state.directory: must be an absolute path: another working directory would mean "
                "another store (it is 'relative')"
            ),
            "erpsyncd.toml: state.key_file: must be a text (it is 3)",
            "ERPSYNCD__LOG__LEVEL: must be 'debug', 'info', 'warning' or 'error' (it is 'loud')",
            'ERPSYNCD__REMOTE__SETLE: there is no setting of this name; did you mean "ERPSYNCD__REMOTE__SETTLE"?',
            'ERPSYNCD__STORE: there is no setting of this name; did you mean "ERPSYNCD__STORE__URL"?',
            'command line: log.fromat: there is no setting of this name; did you mean "log.format"?',
            "command line: retention.days: must be a whole number (it is 'x')",
        ]
    )


@pytest.mark.parametrize("url", [f"mysql://u:{CANARY}@h/d", CANARY, "sqlite://", "sqlite:///relative.db"])
def test_a_bad_store_url_is_not_repeated(tmp_path: Path, url: str) -> None:
    """It may hold a password, wherever it came from."""
    for found in (
        problems(f'[store]\nurl = "{url}"', tmp_path=tmp_path),
        problems(environ=HOME | {"ERPSYNCD__STORE__URL": url}, tmp_path=tmp_path),
    ):
        assert "store.url" in found[0].lower().replace("__", ".")
        assert CANARY not in found[0]


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        (f"http://user:{CANARY}@proxy.example:3128", "must have a reference for its password"),
        (CANARY, "must be an address such as"),
        ("http://proxy.example", "must be an address such as"),
        ("@{stored}", "must be an address: nothing is stored for a setting"),
    ],
)
def test_a_proxy_for_notifications_has_no_password_of_its_own(tmp_path: Path, proxy: str, words: str) -> None:
    """A file of settings is open to whoever looks after the service; what was written is not repeated."""
    (found,) = problems(f'[notify]\nproxy = "{proxy}"', tmp_path=tmp_path)

    assert words in found
    assert CANARY not in found
    given = {"ERPSYNCD__NOTIFY__PROXY": "http://user:@{systemd:NAME}@proxy.example:3128"}
    assert "@proxy.example:3128" in load_settings(None, HOME | given, {}).notify.proxy


def test_the_store_url_is_not_shown() -> None:
    """Settings in a traceback do not show the password of the database."""
    settings = load_settings(None, HOME | {"ERPSYNCD__STORE__URL": f"postgresql+psycopg://u:{CANARY}@h/d"}, {})

    assert CANARY in settings.store_url
    assert CANARY not in f"{settings} {settings!r} {settings.store!r}"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[remote\n", "not valid TOML: .*line 1, column 8"),
        (b"a = \xff", "not UTF-8"),
        (b"a = " + b"[" * 5000, "not valid TOML"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes, words: str) -> None:
    """Syntax errors have their line, and nothing crashes."""
    path = tmp_path / "x.toml"
    path.write_bytes(content)

    with pytest.raises(ConfigurationError, match=words):
        load_settings(path, HOME, {})


@pytest.mark.parametrize("setting", ["remote.max_body_bytes", "remote.deadline", "state.directory", "store.url"])
def test_a_number_that_is_too_long_for_toml(tmp_path: Path, setting: str) -> None:
    """Hexadecimal ones have as many digits as they like, and then cannot even be shown."""
    section, _, key = setting.partition(".")

    for number in (f"0x{'f' * 5000}", f"-{2**63}0"):
        with pytest.raises(ConfigurationError) as caught:
            load(f"[{section}]\n{key} = {number}\n", tmp_path=tmp_path)

        (problem,) = caught.value.problems
        assert f"{setting}: is longer than a number in TOML may be (64 bits)" in problem


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    """Editors on Windows write one."""
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xef\xbb\xbf[retention]\ndays = 200\n")

    assert load_settings(path, HOME, {}).retention.days == 200


def test_which_file_is_read(tmp_path: Path, no_default_file: Path) -> None:
    """The option goes before the variable, which goes before the default file."""
    for name, days in (("default", 101), ("variable", 102), ("option", 103)):
        (tmp_path / f"{name}.toml").write_text(f"[retention]\ndays = {days}\n")
    variable = HOME | {"ERPSYNCD_CONFIG": str(tmp_path / "variable.toml")}

    assert load_settings(tmp_path / "option.toml", variable, {}).retention.days == 103
    assert load_settings(None, variable, {}).retention.days == 102
    assert load_settings(None, HOME | {"ERPSYNCD_CONFIG": ""}, {}).file == no_default_file


def test_a_named_file_has_to_be_there(tmp_path: Path) -> None:
    """The message says who named it."""
    missing = tmp_path / "none.toml"

    with pytest.raises(ConfigurationError, match=r"none\.toml \(named by --config\)"):
        load_settings(missing, HOME, {})
    with pytest.raises(ConfigurationError, match=r"none\.toml \(named by ERPSYNCD_CONFIG\)"):
        load_settings(None, HOME | {"ERPSYNCD_CONFIG": str(missing)}, {})
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        load_settings(tmp_path, HOME, {})
    with pytest.raises(ConfigurationError, match="cannot be read: File name too long"):
        load_settings(tmp_path / ("x" * 300), HOME, {})


@pytest.mark.parametrize(
    ("environ", "setting", "root", "expected"),
    [
        ({"STATE_DIRECTORY": "/a:/b"}, "/c", False, "/a"),
        ({"STATE_DIRECTORY": ""}, "/c", False, "/c"),
        ({"XDG_STATE_HOME": "/x"}, "", True, "/var/lib/erpsyncd"),
        ({"XDG_STATE_HOME": "/x", "HOME": "/h"}, "", False, "/x/erpsyncd"),
        ({"XDG_STATE_HOME": "x", "HOME": "/h"}, "", False, "/h/.local/state/erpsyncd"),
    ],
)
def test_where_the_state_is(
    environ: dict[str, str], setting: str, expected: str, monkeypatch: pytest.MonkeyPatch, *, root: bool
) -> None:
    """Systemd's directory, else the setting, else the default of this user (design.md §7)."""
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)

    settings = load_settings(None, environ, {"state.directory": setting})

    assert settings.state_directory == Path(expected)
    assert settings.store_url == f"sqlite:///{expected}/erpsyncd.db"


def test_a_user_without_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without $HOME the user database is asked, and a user it does not know is told what to set."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(pwd, "getpwuid", lambda _: pwd.struct_passwd(("u", "x", 1, 1, "", "/home/u", "")))
    assert load_settings(None, {}, {}).state_directory == Path("/home/u/.local/state/erpsyncd")

    def unknown(_: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(ConfigurationError, match=r"set state\.directory"):
        load_settings(None, {}, {})


def test_a_relative_state_directory_is_refused() -> None:
    """Another working directory would be another store."""
    with pytest.raises(ConfigurationError, match="STATE_DIRECTORY"):
        load_settings(None, {"STATE_DIRECTORY": "state"}, {})


def test_where_the_key_is(tmp_path: Path) -> None:
    """The setting, else the credential that systemd loaded, else the state directory."""
    environ = HOME | {"CREDENTIALS_DIRECTORY": str(tmp_path)}

    assert load_settings(None, environ, {}).key_path == Path("/state/erpsyncd.key")
    (tmp_path / "erpsyncd.key").touch()
    assert load_settings(None, environ, {}).key_path == tmp_path / "erpsyncd.key"
    assert load_settings(None, environ, {"state.key_file": "/etc/key"}).key_path == Path("/etc/key")


def test_warnings() -> None:
    """What breaks the vendor's conditions or risks a second create is allowed, and said."""
    settings = load_settings(None, HOME, {"retention.days": 91, "remote.settle": "1s"})

    assert [warning.split(" ")[0] for warning in settings.warnings] == ["retention.days", "remote.settle"]
    assert load_settings(None, HOME, {"retention.days": 92}).warnings == ()


def test_credentials_that_nobody_may_look_at_hinder_no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd runs a reload's command with the directory named and closed; the settings can be read all the same."""

    def refuse(path: Path) -> bool:
        raise PermissionError(path)

    monkeypatch.setattr(Path, "is_file", refuse)
    environ = HOME | {"CREDENTIALS_DIRECTORY": "/run/credentials/x"}

    assert Path("/run/credentials/x/erpsyncd.key") == load_settings(None, environ, {}).key_path

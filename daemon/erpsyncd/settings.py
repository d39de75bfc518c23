"""The settings: read once, checked whole, frozen.

Defaults < TOML file < environment (`ERPSYNCD__SECTION__KEY`) < command line. `load_settings` is given the
environment, and nothing else reads it. Secrets of tenants are no settings: they stand in the store.
"""

from __future__ import annotations

import os
import pwd
import re
import reprlib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from erpsyncd.domain.input_rules import near_miss
from erpsyncd.domain.schedules import format_duration
from erpsyncd.errors import ConfigurationError
from erpsyncd.setting_sections import (
    ENVIRONMENT_PREFIX,
    SECRET_ADDRESSES,
    Sections,
    Settings,
    environment_name,
    read_setting,
    setting_names,
    setting_type,
)

__all__ = ["DEFAULT_FILE", "Settings", "load_settings"]

DEFAULT_FILE = Path("/etc/erpsyncd/erpsyncd.toml")
_CREDENTIAL = "erpsyncd.key"
#: Their values are never repeated in a message: they may hold a password.
_CONFIDENTIAL = SECRET_ADDRESSES | {"store.url", "notify.secret", "notify.proxy", "notify.command"}
#: With fewer days the vendor's condition, three months of logs, is not met.
_VENDOR_DAYS = 92

#: Without its sign. The parser takes more, and Python neither writes nor divides what has too many digits.
_TOML_BITS = 63

_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def load_settings(path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object]) -> Settings:
    """Read all layers and return what they say together.

    `path` is what `--config` named; without it `$ERPSYNCD_CONFIG`, else the default file, which may be absent.
    `overrides` are command-line options by setting (`{"log.level": "debug"}`); one that is None was not given.

    Raises:
        ConfigurationError: with every problem and its place.
    """
    file = _find_file(path, environ)
    given = _Given()
    if file:
        _add_file(given, file)
    _add_environment(given, environ)
    _add_overrides(given, overrides)
    sections = _validate(given)
    if given.problems or sections is None:
        raise ConfigurationError("the settings cannot be used", problems=tuple(given.problems))
    directory = _state_directory(sections, environ)
    return Settings(
        **{section.name: getattr(sections, section.name) for section in fields(sections)},
        file=file,
        state_directory=directory,
        store_url=sections.store.url or f"sqlite:///{directory / 'erpsyncd.db'}",
        key_path=_key_path(sections, environ, directory),
        sources=given.sources | _systemd_sources(sections, environ),
        warnings=tuple(_warnings(sections)),
    )


@dataclass(kw_only=True)
class _Given:
    """What the layers have said so far, later ones over earlier ones."""

    values: dict[str, dict[str, object]] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    """Where the value of a setting came from, for messages."""

    sources: dict[str, str] = field(default_factory=dict)
    """The same, as `config show` has it: the layer alone."""

    problems: list[str] = field(default_factory=list)

    def put(self, setting: str, value: object, source: str, place: str) -> None:
        section, _, key = setting.partition(".")
        self.values.setdefault(section, {})[key] = value
        self.places[setting] = place
        self.sources[setting] = source


# The layers ----------------------------------------------------------------------------------------------------


def _find_file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Return the file to read; a named one has to be there, the default one need not."""
    named = path or (Path(environ["ERPSYNCD_CONFIG"]) if environ.get("ERPSYNCD_CONFIG") else None)
    file = named or DEFAULT_FILE
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError) as exc:
        if named is None:
            return None
        source = "--config" if path else "ERPSYNCD_CONFIG"
        raise ConfigurationError(f"there is no configuration file {file} (named by {source})") from exc
    except (OSError, ValueError) as exc:
        raise _unreadable(file, exc) from exc
    return file


def _unreadable(file: Path, exc: Exception) -> ConfigurationError:
    reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
    return ConfigurationError(f"the configuration file {file} cannot be read: {reason}")


def _add_file(given: _Given, file: Path) -> None:
    try:
        document = tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except OSError as exc:
        raise _unreadable(file, exc) from exc
    except UnicodeDecodeError as exc:
        raise ConfigurationError(f"the configuration file {file} is not UTF-8") from exc
    except (ValueError, RecursionError) as exc:
        raise ConfigurationError(f"the configuration file {file} is not valid TOML: {exc}") from exc
    settings = setting_names()
    sections = {section.name for section in fields(Sections)}
    for section, table in document.items():
        if section not in sections:
            hint = near_miss(section, sections)
            given.problems.append(f"{file}: {section}: there is no section of this name{hint}")
        elif not isinstance(table, dict):
            given.problems.append(f"{file}: {section}: must be a section, [{section}]")
        else:
            for key, value in table.items():
                setting, place = f"{section}.{key}", f"{file}: {section}.{key}"
                if isinstance(value, int) and value.bit_length() > _TOML_BITS:
                    given.problems.append(f"{place}: is longer than a number in TOML may be ({_TOML_BITS + 1} bits)")
                elif setting in settings:
                    given.put(setting, value, str(file), place)
                else:
                    given.problems.append(f"{place}: there is no setting of this name{_alike(setting)}")


def _alike(setting: str) -> str:
    """Suggest the same key of another section, else what looks similar."""
    key = setting.partition(".")[2]
    elsewhere = [known for known in setting_names() if known.endswith(f".{key}")]
    return f'; did you mean "{elsewhere[0]}"?' if elsewhere else near_miss(setting, setting_names())


def _add_environment(given: _Given, environ: Mapping[str, str]) -> None:
    names = {environment_name(setting): setting for setting in setting_names()}
    for name in sorted(environ):
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        if name in names:
            given.put(names[name], _from_text(names[name], environ[name]), name, name)
        else:
            given.problems.append(f"{name}: there is no setting of this name{near_miss(name, names)}")


def _add_overrides(given: _Given, overrides: Mapping[str, object]) -> None:
    for setting, value in overrides.items():
        if setting not in setting_names():
            given.problems.append(f"command line: {setting}: there is no setting of this name{_alike(setting)}")
        elif value is not None:
            text = _from_text(setting, value) if isinstance(value, str) else value
            given.put(setting, text, "command line", f"command line: {setting}")


def _from_text(setting: str, text: str) -> object:
    """Return the value that a text from outside a file stands for; what is no such value stays a text."""
    wanted = setting_type(setting)
    if wanted is bool:
        return _WORDS.get(text.strip().lower(), text)
    if wanted is int and re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", text):
        return int(text)
    return text


# Validation ----------------------------------------------------------------------------------------------------


def _validate(given: _Given) -> Sections | None:
    """Build the sections from what was given; None where something of it cannot be used."""
    default = Sections()
    built = {}
    for name, values in given.values.items():
        found = _read_section(given, name, values)
        if found is None:
            continue
        if name == "remote" and "deadline" in found:
            found.setdefault("settle", found["deadline"])
        try:
            built[name] = replace(getattr(default, name), **found)
        except ValueError as exc:
            given.problems.append(f"{name}: {exc}")
    return None if given.problems else replace(default, **built)


def _read_section(given: _Given, name: str, values: Mapping[str, object]) -> dict[str, Any] | None:
    read = {}
    for key, value in values.items():
        setting = f"{name}.{key}"
        try:
            read[key] = read_setting(setting, value)
        except ValueError as exc:
            shown = setting not in _CONFIDENTIAL and isinstance(value, str | int | float)
            repeated = f" (it is {reprlib.repr(value)})" if shown else ""
            given.problems.append(f"{given.places[setting]}: {exc}{repeated}")
    return read if len(read) == len(values) else None


def _warnings(sections: Sections) -> Iterator[str]:
    days, remote = sections.retention.days, sections.remote
    if days < _VENDOR_DAYS:
        yield f"retention.days is {days}: the vendor wants records kept for three months ({_VENDOR_DAYS} days)"
    if remote.settle < remote.deadline:
        yield (
            f"remote.settle ({format_duration(remote.settle)}) is shorter than remote.deadline "
            f"({format_duration(remote.deadline)}): a create that is still under way could be made twice"
        )


# What follows from the settings --------------------------------------------------------------------------------


def _state_directory(sections: Sections, environ: Mapping[str, str]) -> Path:
    """Return `$STATE_DIRECTORY` (the first of several), else the setting, else the default of this user."""
    first = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if first and not first.startswith("/"):
        raise ConfigurationError("STATE_DIRECTORY must be an absolute path")
    if first or sections.state.directory:
        return Path(first or sections.state.directory)
    if os.geteuid() == 0:
        return Path("/var/lib/erpsyncd")
    home = environ.get("XDG_STATE_HOME", "")
    if home.startswith("/"):  # a relative one counts as unset, says the XDG specification
        return Path(home) / "erpsyncd"
    return _home(environ) / ".local" / "state" / "erpsyncd"


def _systemd_sources(sections: Sections, environ: Mapping[str, str]) -> dict[str, str]:
    """Name what systemd decides: where to keep state, always; where the key is, unless that is set."""
    found = {}
    if environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        found["state.directory"] = "STATE_DIRECTORY"
    if not sections.state.key_file and _credential_key(environ):
        found["state.key_file"] = "CREDENTIALS_DIRECTORY"
    return found


def _home(environ: Mapping[str, str]) -> Path:
    if environ.get("HOME", "").startswith("/"):
        return Path(environ["HOME"])
    try:
        return Path(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError as exc:
        raise ConfigurationError("this user has no home directory; set state.directory") from exc


def _key_path(sections: Sections, environ: Mapping[str, str], directory: Path) -> Path:
    if sections.state.key_file:
        return Path(sections.state.key_file)
    return _credential_key(environ) or directory / _CREDENTIAL


def _credential_key(environ: Mapping[str, str]) -> Path | None:
    directory = environ.get("CREDENTIALS_DIRECTORY")
    path = Path(directory) / _CREDENTIAL if directory else None
    try:
        return path if path and path.is_file() else None
    except PermissionError:
        # systemd 252 names the directory to ExecReload= too, and lets it not look inside. It does not need the key.
        return path

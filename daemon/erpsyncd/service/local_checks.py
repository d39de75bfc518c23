"""What can be wrong with this machine: rights of files, room, the clock, references that nothing stands behind."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from os import stat_result
from pathlib import Path

from erpsyncd.domain.findings import Finding, Result
from erpsyncd.domain.secrets import Reference, Scheme
from erpsyncd.files import user_name

_OTHERS = 0o007
_GROUP_AND_OTHERS = 0o077
_WRITE_OF_OTHERS = 0o022
#: SQLite fails in the middle of things when it cannot grow; a day of history is far below this.
_TOO_LITTLE = 16 * 1024 * 1024
_LITTLE = 256 * 1024 * 1024
_MEBIBYTE = 1024 * 1024
#: Nothing that erpsyncd recorded can be older.
_FIRST_RELEASE = datetime(2025, 1, 1, tzinfo=UTC)
_CLOCK_SLACK = timedelta(minutes=1)
_CLOCK_REMEDY = "set the clock and keep it right with NTP: timedatectl set-ntp true"


def check_settings_file(file: Path | None, *, holds_password: bool) -> Iterator[Finding]:
    """Yield who may read and change the settings. Anybody may read them, unless the store's password is in there."""
    if file is None:
        return
    status = file.stat()
    shared = stat.S_IMODE(status.st_mode)
    if shared & _WRITE_OF_OTHERS:
        detail, remedy = f"others can change {file} ({_mode(status)})", f"chmod go-w {file}"
        yield _rights(Result.FAILED, detail, remedy)
    elif holds_password and shared & 0o004:
        detail = f"anybody can read the store's password in {file} ({_mode(status)})"
        yield _rights(Result.FAILED, detail, f"chmod o-r {file}, or give it as ERPSYNCD__STORE__URL")
    else:
        yield _rights(Result.OK, f"{file} ({_mode(status)})")


def check_state(directory: Path, files: Iterable[Path]) -> Iterator[Finding]:
    """Yield who may read the state directory and the files that hold secrets, and whether their owner is one."""
    if not directory.is_dir():
        remedy = "it is made by the first command that needs it"
        yield _rights(Result.NOTE, f"the state directory {directory} is not there yet", remedy)
        return
    owner = directory.stat().st_uid
    yield _closed(directory, directory.stat(), wanted="700")
    for path in files:
        if not path.is_file():
            continue
        status = path.stat()
        if path.parent == directory and status.st_uid != owner:
            detail = f"{path} belongs to {user_name(status.st_uid)}, its directory to {user_name(owner)}"
            yield _rights(Result.FAILED, detail, f"chown {user_name(owner)} {path}")
        else:
            yield _closed(path, status, wanted="600")


def _closed(path: Path, status: stat_result, *, wanted: str) -> Finding:
    mode = stat.S_IMODE(status.st_mode)
    if not mode & _GROUP_AND_OTHERS:
        return _rights(Result.OK, f"{path} ({_mode(status)} of {user_name(status.st_uid)})")
    who = "anybody" if mode & _OTHERS else "its group"
    result = Result.FAILED if mode & _OTHERS else Result.WARNING
    return _rights(result, f"{path} is open to {who} ({_mode(status)})", f"chmod {wanted} {path}")


def check_room(
    directory: Path, *, free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
) -> Finding:
    """Return how much room there is where the store grows."""
    there = next(path for path in (directory, *directory.parents) if path.is_dir())
    free = free_bytes(there)
    result = Result.FAILED if free < _TOO_LITTLE else Result.WARNING if free < _LITTLE else Result.OK
    remedy = "" if result is Result.OK else "make room, or shorten retention.days"
    return Finding(check="disk", result=result, detail=f"{free // _MEBIBYTE} MiB are free at {there}", remedy=remedy)


def check_clock(now: datetime, last_record: datetime | None) -> Finding:
    """Return whether the clock can be right, as far as one can tell without asking another."""
    shown = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if now < _FIRST_RELEASE:
        detail = f"{shown} is before there was erpsyncd"
    elif last_record is not None and last_record > now + _CLOCK_SLACK:
        detail = f"{shown} is before the last run in the store, {last_record:%Y-%m-%d %H:%M:%S} UTC"
    else:
        return Finding(check="clock", result=Result.OK, detail=shown)
    return Finding(check="clock", result=Result.FAILED, detail=detail, remedy=_CLOCK_REMEDY)


def check_references(users: Mapping[Reference, Collection[str]], missing: Mapping[Reference, str]) -> Iterator[Finding]:
    """Yield the references that cannot be resolved, with the tenants that use them; names only, never a value."""
    if not missing:
        detail = f"{len(users)} references can be resolved here" if users else "no references to secrets"
        yield Finding(check="secrets", result=Result.OK, detail=detail)
    for reference, reason in missing.items():
        detail = f"{reason} (used by {', '.join(sorted(users[reference]))})"
        if reference.scheme is Scheme.FILE:
            remedy = "put the file there, readable for this user, or import the right path"
            yield Finding(check="secrets", result=Result.FAILED, detail=detail, remedy=remedy)
        else:
            line = "Environment=" if reference.scheme is Scheme.ENV else f"LoadCredential={reference.name}:FILE"
            remedy = (
                "a shell is not the service: erpsyncd-admin doctor has what its unit has; what that lacks too needs "
                f"{line} in the unit: systemctl edit erpsyncd"
            )
            yield Finding(check="secrets", result=Result.WARNING, detail=detail, remedy=remedy)


def _rights(result: Result, detail: str, remedy: str = "") -> Finding:
    return Finding(check="rights", result=result, detail=detail, remedy=remedy)


def _mode(status: stat_result) -> str:
    return f"{stat.S_IMODE(status.st_mode):03o}"

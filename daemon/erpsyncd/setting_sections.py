"""Every setting: its name, its default, what it means and what is refused.

How the values come here from files, the environment and the command line stands in `settings`. These are plain
dataclasses, because every command builds them first: a library that makes models of them needs as long to be loaded
as the HTTP client with all that belongs to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from erpsyncd.domain.schedules import format_duration
from erpsyncd.setting_kinds import (
    AbsolutePath,
    AbsoluteUrl,
    CommandLine,
    Database,
    Duration,
    DurationOrNone,
    EventWords,
    Listen,
    NotifyProxy,
    Reference,
    Schedule,
    Webhook,
    bare_type,
    from_to,
    read_as,
)

ENVIRONMENT_PREFIX = "ERPSYNCD__"
#: Whose address is the password: nothing of it but the host is shown.
SECRET_ADDRESSES = frozenset({"notify.start", "notify.success", "notify.failure"})


@dataclass(frozen=True, kw_only=True)
class StoreSettings:
    """Where tenants, connections and what became of them are kept."""

    url: Database = field(default="", repr=False)
    """The database: empty for the SQLite file `erpsyncd.db` in the state directory,
    `sqlite:////absolute/file.db`, or `postgresql://user:password@host/database`.
    It may hold a password, so give it by the environment rather than here."""


@dataclass(frozen=True, kw_only=True)
class StateSettings:
    """Files of the daemon's own."""

    directory: AbsolutePath = ""
    """The state directory where systemd does not give one ($STATE_DIRECTORY goes first). Empty for
    `/var/lib/erpsyncd` as root and `$XDG_STATE_HOME/erpsyncd` (`~/.local/state/erpsyncd`) as anybody else."""

    key_file: AbsolutePath = ""
    """The key that encrypts secrets in the store. Empty for the systemd credential `erpsyncd.key` where there
    is one, else `erpsyncd.key` in the state directory."""


@dataclass(frozen=True, kw_only=True)
class RemoteSettings:
    """Calls to tenants."""

    deadline: Duration = timedelta(seconds=120)
    """How long one call may take in all. Saving asks the ERP's connector, which can take a minute."""

    settle: DurationOrNone = timedelta(seconds=120)
    """How long after an unanswered create the tenant is still watched for it, before it is created again.
    As long as `deadline` unless set; shorter risks a second one."""

    attempts: Annotated[int, from_to(1, 10)] = 3
    """How often one call is tried within a pass, where trying again cannot do harm."""

    max_body_bytes: Annotated[int, from_to(1024)] = 8 * 1024 * 1024
    """The largest answer that is read."""


@dataclass(frozen=True, kw_only=True)
class OnlineSettings:
    """Where the vendor's environments are asked for a tenant's state and log in who calls it."""

    sod: AbsoluteUrl = "https://sod.superoffice.com"
    """Development."""

    stage: AbsoluteUrl = "https://qaonline.superoffice.com"
    """Stage. The vendor's pages name this host and `stage.superoffice.com`."""

    online: AbsoluteUrl = "https://online.superoffice.com"
    """Production."""

    sod_certificate: AbsolutePath = ""
    """A file with the certificate (PEM) that signs the tokens of system users there.

    Empty: the keys are looked up where that environment publishes them.
    """

    stage_certificate: AbsolutePath = ""
    """The same for stage."""

    online_certificate: AbsolutePath = ""
    """The same for production."""


@dataclass(frozen=True, kw_only=True)
class LimitsSettings:
    """How much is done at once."""

    tenants_at_once: Annotated[int, from_to(1, 1024)] = 32
    """How many tenants are worked on at the same time."""

    connections_at_once: Annotated[int, from_to(1, 4)] = 2
    """How many connections of one tenant are worked on at the same time."""

    http_connections: Annotated[int, from_to(1, 4)] = 4
    """How many network connections to one tenant may be open."""


@dataclass(frozen=True, kw_only=True)
class SafetySettings:
    """What stops a pass before it writes."""

    max_deletes: Annotated[int, from_to(0)] = 3
    """How many connections of one tenant a pass may delete without `--force TENANT`."""

    max_drift_percent: Annotated[int, from_to(0, 100)] = 30
    """What part of a tenant's connections, in percent, a pass may push over because they drifted, without
    `--force TENANT`. It counts where a tenant has at least 10."""


@dataclass(frozen=True, kw_only=True)
class ScheduleSettings:
    """When the daemon does what."""

    reconcile: Schedule = timedelta(minutes=15)
    """How often every tenant is visited: a duration, or a cron expression of five fields in UTC such as
    `"*/15 6-18 * * mon-fri"`. Where both days of the month and weekdays are given, both must match."""

    jitter: DurationOrNone = timedelta(seconds=30)
    """By how much a visit may be late by chance, so that many daemons do not call at the same second."""

    quote_check: Duration = timedelta(hours=6)
    """How old a tenant's last HasConnections answer may get before it is asked again."""

    drift: DurationOrNone = timedelta(hours=6)
    """How old the last look at what a tenant has may get before each of its connections is read again, and
    compared with what was pushed. `0s`: the daemon does not look; `erpsyncd drift` does."""

    lists: Duration = timedelta(hours=1)
    """How old a tenant's lists of connectors, user groups and associates may get before they are read again, where
    its connections have any of these by name. A name that is not in them has them read again at once."""

    prune: Duration = timedelta(hours=24)
    """How often records older than `retention.days` are deleted."""

    stop_within: Duration = timedelta(seconds=20)
    """How long calls under way may go on when the daemon is told to stop."""


@dataclass(frozen=True, kw_only=True)
class ChecksSettings:
    """The HasConnections check."""

    enabled: bool = True
    """Whether tenants are asked for their Quote connections at all."""


@dataclass(frozen=True, kw_only=True)
class BackoffSettings:
    """How long a failed connection waits; each failure doubles it."""

    first: Duration = timedelta(minutes=1)
    """The wait after the first failure."""

    longest: Duration = timedelta(hours=6)
    """The longest wait."""

    def __post_init__(self) -> None:
        if self.longest < self.first:
            first, longest = format_duration(self.first), format_duration(self.longest)
            raise ValueError(f"longest ({longest}) must not be shorter than first ({first})")


@dataclass(frozen=True, kw_only=True)
class BreakerSettings:
    """When a tenant that does not answer is left alone."""

    failures: Annotated[int, from_to(1)] = 8
    """How many failures in a row that may pass by themselves park the tenant."""

    park: Duration = timedelta(minutes=15)
    """How long it is parked."""


@dataclass(frozen=True, kw_only=True)
class RetentionSettings:
    """How long records are kept."""

    days: Annotated[int, from_to(1, 36_500)] = 100
    """Days that runs, outcomes, checks and changed records are kept. The vendor wants at least three months."""


@dataclass(frozen=True, kw_only=True)
class LogSettings:
    """The log, which goes to stderr, or as a service of systemd into its journal."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important level that is written: debug, info, warning or error."""

    format: Literal["auto", "console", "json", "journal"] = "auto"
    """console, json, journal (systemd's journal, a field for each member), or auto: console on a terminal, journal
    where systemd connected stderr to it, JSON elsewhere."""


@dataclass(frozen=True, kw_only=True)
class WebSettings:
    """What can be asked of the daemon: /healthz, /readyz and /metrics on this machine; or metrics in a file."""

    listen: Listen = ""
    """Where to listen: `127.0.0.1:9464`, `[::1]:9464`, or `unix:/run/erpsyncd/web.sock`. Empty: nowhere. Other
    machines' addresses are refused, because nobody is asked for a password there."""

    stale_after: DurationOrNone = timedelta(0)
    """How long ago the last pass may have ended for /readyz to say yes. `0s`: three times `schedule.reconcile`, at
    least 10 minutes; a day where that is a cron expression."""

    max_tenants: Annotated[int, from_to(0)] = 100
    """With more tenants than this, metrics have no numbers of each tenant, only of all together."""

    textfile: AbsolutePath = ""
    """A file (`….prom`) that gets the metrics of the store after each pass, for the node exporter's textfile
    collector. Everybody can read it."""


@dataclass(frozen=True, kw_only=True)
class NotifySettings:
    """Who is told of passes: addresses that get a POST with JSON, and a command."""

    start: Webhook = field(default="", repr=False)
    """The address that is told that a pass begins. Like the next two it may be a reference, as `@{systemd:NAME}`."""

    success: Webhook = field(default="", repr=False)
    """The address that is told of a pass with exit code 0."""

    failure: Webhook = field(default="", repr=False)
    """The address that is told of a pass with any other exit code, or that broke off."""

    secret: Reference = ""
    """A reference to the secret that signs what the addresses get (HMAC-SHA256). Empty: it is not signed."""

    proxy: NotifyProxy = ""
    """The forward proxy between here and the addresses, as `http://user:@{systemd:NAME}@host:3128`. Those of this
    machine are reached without it. Empty: none; nothing is taken from the environment."""

    command: CommandLine = ""
    """A program with its arguments, quoted as in a shell but run without one; it gets the JSON on stdin."""

    command_on: EventWords = "failure recovered"
    """When the command is run: any of `start`, `success`, `failure`, and `recovered`, a success after a failure."""

    deadline: Duration = timedelta(seconds=10)
    """How long telling one address may take, with all tries, and how long the command may run."""

    attempts: Annotated[int, from_to(1, 10)] = 3
    """How often an address is tried."""


@dataclass(frozen=True, kw_only=True)
class Sections:
    """What a file, the environment and the command line can say."""

    store: StoreSettings = StoreSettings()
    state: StateSettings = StateSettings()
    remote: RemoteSettings = RemoteSettings()
    online: OnlineSettings = OnlineSettings()
    limits: LimitsSettings = LimitsSettings()
    safety: SafetySettings = SafetySettings()
    schedule: ScheduleSettings = ScheduleSettings()
    checks: ChecksSettings = ChecksSettings()
    backoff: BackoffSettings = BackoffSettings()
    breaker: BreakerSettings = BreakerSettings()
    retention: RetentionSettings = RetentionSettings()
    log: LogSettings = LogSettings()
    web: WebSettings = WebSettings()
    notify: NotifySettings = NotifySettings()


@dataclass(frozen=True, kw_only=True)
class Settings(Sections):
    """Every setting, and what follows from them."""

    file: Path | None
    """The file that was read; None where there is none."""

    state_directory: Path
    store_url: str = field(repr=False)
    key_path: Path
    sources: dict[str, str] = field(default_factory=dict)
    """Where the value of each setting that was given came from: a file, a name in the environment, `command line`."""

    warnings: tuple[str, ...] = ()
    """What is allowed but hardly meant, one sentence each; for the log."""


@cache
def setting_names() -> tuple[str, ...]:
    """Return the name of each setting (`section.key`), in the order of the file."""
    default = Sections()
    return tuple(
        f"{section.name}.{key.name}" for section in fields(default) for key in fields(getattr(default, section.name))
    )


@cache
def _hints_of(section: str) -> dict[str, Any]:
    """Return each key of a section with its annotation. Most starts give some settings, and none gives them all."""
    return get_type_hints(type(getattr(Sections(), section)), include_extras=True)


def _hint(setting: str) -> Any:
    section, _, key = setting.partition(".")
    return _hints_of(section)[key]


def setting_type(setting: str) -> Any:
    """Return the type of a setting."""
    return bare_type(_hint(setting))


def setting_types() -> dict[str, Any]:
    """Return each setting (`section.key`) with its type, in the order of the file."""
    return {setting: setting_type(setting) for setting in setting_names()}


def read_setting(setting: str, value: object) -> object:
    """Return the value that a setting has where it is given as this.

    Raises:
        ValueError: it is no such value; the message says what it must be, and does not repeat it.
    """
    return read_as(_hint(setting), value)


def environment_name(setting: str) -> str:
    """Return the environment's name for a setting."""
    return ENVIRONMENT_PREFIX + setting.replace(".", "__").upper()

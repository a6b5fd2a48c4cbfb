"""The blocks of a config file that say what the recovery platform does.

They are plain dataclasses, which pydantic checks: whoever uses them needs no pydantic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias

from pydantic import ConfigDict, Field, with_config

from holdfast import RetentionPolicy
from holdfast.settings.kinds import (
    Count,
    FilePath,
    Flag,
    Location,
    Options,
    Places,
    Positive,
    Retention,
    Secret,
    Text,
    Words,
)

STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True)

Frequency: TypeAlias = Literal["hourly", "daily", "weekly", "monthly"]
Framework: TypeAlias = Literal["SOC2", "HIPAA", "GDPR", "ISO27001", "NIST"]
Check: TypeAlias = Literal[
    "integrity",
    "restore_speed",
    "data_consistency",
    "service_availability",
    "encryption_status",
    "access_permissions",
    "api_health",
]
Port: TypeAlias = Annotated[Count, Field(ge=1, le=65535)]


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When jobs run: cron expressions of five fields."""

    backup_cron: Text | None = None
    """When the sources are backed up."""
    validation_cron: Text | None = None
    """When the repository is checked."""
    drill_cron: Text | None = None
    """When a recovery is rehearsed, as `dr_drill` says."""
    prune_cron: Text | None = None
    """When snapshots are forgotten as `retention` says, and space is given back."""
    zone: Text | None = None
    """The time zone of these times, such as Europe/Berlin; the machine's when not given."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class DrDrill:
    """How a recovery is rehearsed."""

    test_environment: Text | None = None
    """Where it is restored to."""
    max_rto_minutes: Positive = 60
    """How long a recovery may take."""
    max_rpo_minutes: Positive = 15
    """How old the data may be."""
    compliance_framework: Framework = "SOC2"
    """What reports go by."""
    validation_checks: tuple[Check, ...] = ("integrity", "restore_speed", "data_consistency")
    """What is looked at after the restore."""
    notification_channels: Words = ()
    """Who is told: channels of `notifications`."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Email:
    """Mail by a server of one's own."""

    enabled: Flag = True
    """Whether it is used."""
    recipients: Words = ()
    """To whom."""
    smtp_host: Text | None = None
    """The server."""
    smtp_port: Port = 587
    """Its port."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection is encrypted."""
    sender: Text | None = None
    """From whom."""
    user: Text | None = None
    """To log in as."""
    password: Secret | None = field(default=None, repr=False)
    """Of that user."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Slack:
    """An incoming webhook of Slack, or of what understands the same."""

    enabled: Flag = True
    """Whether it is used."""
    webhook_url: Secret | None = field(default=None, repr=False)
    """The address that Slack gave out."""
    channel: Text | None = None
    """Where messages appear, such as #backup-alerts."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Notifications:
    """Who is told of what went well or wrong, and how."""

    email: Email | None = None
    """Mail."""
    slack: Slack | None = None
    """Slack."""
    apprise: Mapping[Text, Secret] = field(default_factory=dict, repr=False)
    """Names for URLs of apprise, such as discord://ID/TOKEN."""
    webhook: Secret | None = field(default=None, repr=False)
    """An http or https address that messages are posted to as JSON."""
    file: FilePath | None = None
    """A file that messages are appended to."""
    console: Flag = False
    """Whether they are written to standard error."""
    on_success: Flag = False
    """Whether jobs tell of success."""
    on_failure: Flag = True
    """Whether they tell of failure."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class StrategySchedule:
    """When the jobs of a strategy run."""

    incremental: Text | None = None
    """Backups that read what changed."""
    full: Text | None = None
    """Backups that read every file again."""
    validation: Text | None = None
    """Checks of the repository."""
    pruning: Text | None = None
    """Forgetting by the retention policy, and giving space back."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class BackupStrategy:
    """Backups at fixed times."""

    type: Literal["incremental", "full"] = "incremental"
    """What a backup reads: what changed, or every file. Each snapshot is complete in any case."""
    frequency: Frequency = "daily"
    """How often, where `schedule` says nothing."""
    full_backup_frequency: Frequency | None = None
    """How often every file is read again, where `schedule` says nothing."""
    retention: Retention | None = None
    """Which snapshots stay."""
    schedule: StrategySchedule = StrategySchedule()
    """When exactly."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class CdpStrategy:
    """Backups one after the other, at a short interval."""

    type: Literal["continuous"] = "continuous"
    """There is no other."""
    interval_minutes: Positive = 15
    """A part of an hour, or hours that are a part of a day."""
    retention: Retention | None = None
    """Which snapshots stay."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Sources that are worth the same effort."""

    sources: Places
    """What it is about."""
    frequency: Frequency = "daily"
    """How often it is backed up."""
    retention: Retention | None = None
    """Which snapshots stay."""
    max_rpo_minutes: Positive | None = None
    """How old the newest backup may be."""
    encryption: Literal["AES256"] = "AES256"
    """There is no other."""
    compression: Text | None = None
    """For the reader: compression is the repository's."""
    replication: Text | None = None
    """For the reader: copies are listed under `three_two_one`."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """Where the data itself is."""

    media: Text = "disk"
    """What it is kept on."""
    location: Text = "onsite"
    """Where that is."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryCopy:
    """A repository that holds backups of the data."""

    repository: Location
    """Where it is."""
    password_file: FilePath | None = None
    """File that holds its password; that of the config file when not given."""
    storage_options: Options = field(default_factory=dict, repr=False)
    """For its store's driver."""
    media: Text
    """What it is kept on, such as nas, cloud, tape."""
    location: Text
    """Where that is; another place than the original's is off-site."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class ThreeTwoOne:
    """The rule of three copies on two kinds of media, one of them off-site."""

    original: Original = Original()
    """The data itself, which is one of the copies."""
    copies: tuple[RepositoryCopy, ...] = ()
    """The repositories."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Monitoring:
    """When somebody is to be told."""

    alert_on_failure: Flag = True
    """When a job fails."""
    alert_on_rpo_violation: Flag = True
    """When the newest backup is too old."""
    max_rpo_minutes: Positive | None = None
    """How old it may be."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Where the audit trail is told too."""

    log_file: FilePath | None = None
    """A file that a line of text is appended to for each event."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """What a config file says of the recovery platform."""

    retention: Retention | None = None
    """Which snapshots stay: the name of a policy, or rules such as keep_daily: 7."""
    retention_policies: Mapping[Text, Retention] = field(default_factory=dict)
    """Policies by name."""
    schedule: Schedule | None = None
    """When jobs run."""
    dr_drill: DrDrill | None = None
    """How recoveries are rehearsed."""
    notifications: Notifications | None = None
    """Who is told."""
    backup_strategy: BackupStrategy | None = None
    """Backups at fixed times."""
    cdp_strategy: CdpStrategy | None = None
    """Continuous backups."""
    tiered_strategy: Mapping[Text, Tier] = field(default_factory=dict)
    """Sources by what they are worth, each tier with a name."""
    three_two_one: ThreeTwoOne | None = None
    """Where copies are."""
    monitoring: Monitoring | None = None
    """When somebody is to be told."""
    audit: Audit | None = None
    """Where the audit trail is told too."""

    def policy(self, given: RetentionPolicy | str | None) -> RetentionPolicy | None:
        """The policy that is meant, which `retention_policies` may name.

        Raises:
            UsageError: no policy is called so.
        """
        for _ in self.retention_policies:
            if not isinstance(given, str) or given not in self.retention_policies:
                break
            given = self.retention_policies[given]
        return None if given is None else RetentionPolicy.parse(given)

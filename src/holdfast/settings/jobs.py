"""Schedules and strategies of a config file as jobs of the scheduler.

Jobs are kept on disk, so they hold no secret: what is ``${NAME}`` in the file stays that, and is
filled in when the job runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from holdfast import RetentionPolicy, environment
from holdfast.errors import UsageError
from holdfast.settings.blocks import Blocks, DrDrill, Notifications
from holdfast.settings.defaults import Config, SourceGroup, grouped

JobConfig: TypeAlias = dict[str, object]

_USUAL = {
    "hourly": "0 * * * *",
    "daily": "0 2 * * *",
    "weekly": "0 2 * * 0",
    "monthly": "0 2 1 * *",
}
"""When something happens of which only is said how often."""

_GAPS = 100
"""So many runs of a job are looked at for the longest time between two."""


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """A job that a config file asks for.

    Attributes:
        cron: when.
        config: what, in the words of `BackupScheduler.add_job`.
        rpo_minutes: how old its sources' newest backup may be; None for any age.
    """

    cron: str
    config: JobConfig = field(repr=False)
    rpo_minutes: int | None = None

    @property
    def name(self) -> str:
        """By which it is known again."""
        return str(self.config["name"])

    @property
    def sources(self) -> tuple[str, ...]:
        """What it backs up; nothing if it does something else."""
        sources = self.config.get("sources")
        return tuple(map(str, sources)) if isinstance(sources, list) else ()

    def gap(self) -> timedelta:
        """The longest time between two runs (UsageError if the cron expression makes no sense)."""
        from holdfast.platform.schedule import Timing, expression_of  # noqa: PLC0415 - cronsim

        timing = Timing(expression_of(self.cron), str(self.config.get("time_zone", "UTC")))
        last = timing.next_after(datetime(2026, 1, 1, tzinfo=UTC))
        longest = timedelta()
        for _ in range(_GAPS):
            after = None if last is None else timing.next_after(last)
            if last is None or after is None:
                break
            longest, last = max(longest, after - last), after
        return longest


def planned_jobs(
    config: Config, location: str | None = None, profile: str = ""
) -> list[PlannedJob]:
    """The jobs that a config file asks for, each with a name of its own.

    Args:
        config: the file, or the profile of it that is used.
        location: the repository, if a flag or the environment names it.
        profile: its name, which then stands before those of the jobs.

    Raises:
        UsageError: the repository or its password is missing, or there is nothing to back up.
    """
    blocks = config.blocks
    if blocks is None:
        return []
    plan = _Plan(config, blocks, location or config.repository, f"{profile}: " if profile else "")
    jobs = [
        *plan.scheduled(), *plan.strategy(), *plan.continuous(), *plan.tiers(), *plan.copies()
    ]  # fmt: skip
    return [plan.with_objective(each, jobs) for each in jobs]


def objective_problems(jobs: Sequence[PlannedJob]) -> list[str]:
    """Which sources are backed up less often than their objective asks for, in words."""
    problems = []
    backups = [each for each in jobs if each.sources]
    seen: set[str] = set()
    for job in backups:
        for path in job.sources:
            limits = [o.rpo_minutes for o in backups if path in o.sources and o.rpo_minutes]
            best = min((o.gap(), o.name) for o in backups if path in o.sources)
            if path not in seen and limits and best[0] > timedelta(minutes=min(limits)):
                problems.append(
                    f"{path}: up to {_minutes(best[0])} minutes lie between two backups (job "
                    f"{best[1]!r}), and its newest backup may be {min(limits)} minutes old: back "
                    "it up more often, or expect to lose more"
                )
            seen.add(path)
    return problems


def _minutes(time: timedelta) -> int:
    return round(time.total_seconds() / 60)


@dataclass(frozen=True, slots=True)
class _Plan:
    config: Config
    blocks: Blocks
    location: str | None
    prefix: str

    def scheduled(self) -> Iterator[PlannedJob]:
        """What ``schedule`` asks for."""
        schedule = self.blocks.schedule
        if schedule is None:
            return
        zone: JobConfig = {} if schedule.zone is None else {"time_zone": schedule.zone}
        if schedule.backup_cron is not None:
            yield from self._backups("backup", schedule.backup_cron, self._groups(), zone)
        if schedule.validation_cron is not None:
            yield self._job("validation", schedule.validation_cron, "validate", zone)
        if schedule.drill_cron is not None:
            yield self._drill(schedule.drill_cron, zone)
        if schedule.prune_cron is not None:
            yield self._prune("prune", schedule.prune_cron, self.blocks.retention, zone)

    def strategy(self) -> Iterator[PlannedJob]:
        """What ``backup_strategy`` asks for."""
        strategy = self.blocks.backup_strategy
        if strategy is None:
            return
        times = strategy.schedule
        full = times.full or _USUAL.get(strategy.full_backup_frequency or "")
        usual = times.incremental or _USUAL[strategy.frequency]
        if strategy.type == "full":
            full, usual = full or usual, ""
        for word, cron in (("incremental", usual), ("full", full)):
            if cron:
                yield from self._backups(word, cron, self._groups(), {"backup_type": word})
        if times.validation is not None:
            yield self._job("strategy validation", times.validation, "validate", {})
        if times.pruning is not None:
            policy = strategy.retention or self.blocks.retention
            yield self._prune("strategy pruning", times.pruning, policy, {})

    def continuous(self) -> Iterator[PlannedJob]:
        """What ``cdp_strategy`` asks for."""
        strategy = self.blocks.cdp_strategy
        if strategy is not None:
            from holdfast.platform.schedule import every_minutes  # noqa: PLC0415 - cronsim

            policy = self._rules(strategy.retention)
            cron = every_minutes(strategy.interval_minutes)
            yield from self._backups("continuous", cron, self._groups(), policy)

    def tiers(self) -> Iterator[PlannedJob]:
        """What ``tiered_strategy`` asks for."""
        for name, tier in self.blocks.tiered_strategy.items():
            more = self._rules(tier.retention) | {"tags": [name]}
            groups = [SourceGroup(tier.sources)]
            for job in self._backups(f"tier {name}", _USUAL[tier.frequency], groups, more):
                yield PlannedJob(job.cron, job.config, tier.max_rpo_minutes)

    def copies(self) -> Iterator[PlannedJob]:
        """A copy to each further repository of ``three_two_one``, after the daily backup."""
        rule, schedule = self.blocks.three_two_one, self.blocks.schedule
        if rule is None or schedule is None or schedule.backup_cron is None:
            return
        for copy in rule.copies:
            if copy.repository != self.location and copy.password_file is not None:
                to: JobConfig = {"to": copy.repository, "to_password_file": copy.password_file}
                yield self._job(f"copy to {copy.repository}", schedule.backup_cron, "copy", to)

    def with_objective(self, job: PlannedJob, jobs: Sequence[PlannedJob]) -> PlannedJob:
        """The job with how old its sources' newest backup may be, if it is the most frequent."""
        watch, drill = self.blocks.monitoring, self.blocks.dr_drill
        if not job.sources:
            return job
        limit = job.rpo_minutes or (watch.max_rpo_minutes if watch else None)
        others = [each for each in jobs if set(each.sources) & set(job.sources)]
        is_best = job.gap() <= min(each.gap() for each in others)
        config = dict(job.config)
        if limit is not None and is_best and (watch is None or watch.alert_on_rpo_violation):
            config["max_rpo_minutes"] = limit
        return PlannedJob(job.cron, config, limit or (drill.max_rpo_minutes if drill else None))

    def _groups(self) -> Sequence[SourceGroup]:
        groups = grouped(self.config.sources)
        if not groups:
            raise UsageError("a schedule of backups needs `sources:`, which say what is backed up")
        return groups

    def _backups(
        self, name: str, cron: str, groups: Sequence[SourceGroup], more: Mapping[str, object]
    ) -> Iterator[PlannedJob]:
        """A job for each group, as each makes snapshots of its own."""
        names: dict[str, int] = {}
        for group in groups:
            own = name if len(groups) == 1 else f"{name} {group.paths[0]}"
            names[own] = names.get(own, 0) + 1
            own += f" ({names[own]})" * (names[own] > 1)
            told: JobConfig = {"sources": list(group.paths), **more}
            tags = [*group.tags, *_texts(more.get("tags"))]
            if tags:
                told["tags"] = tags
            if self.config.exclude or group.exclude:
                told["exclude"] = [*self.config.exclude, *group.exclude]
            yield self._job(own, cron, "backup", told)

    def _prune(
        self, name: str, cron: str, policy: RetentionPolicy | str | None, more: JobConfig
    ) -> PlannedJob:
        rules = self._rules(policy)
        if not rules:
            raise UsageError(f"{name}: `retention:` is missing, which says what snapshots stay")
        return self._job(name, cron, "prune", rules | more)

    def _drill(self, cron: str, more: JobConfig) -> PlannedJob:
        drill = self.blocks.dr_drill or DrDrill()
        told: JobConfig = {
            each.name: list(value) if isinstance(value, tuple) else value
            for each in fields(drill)
            if (value := getattr(drill, each.name)) not in (None, ())
        }
        framework: JobConfig = {"compliance_framework": drill.compliance_framework}
        return self._job("drill", cron, "drill", {"drill": told} | framework | more)

    def _rules(self, given: RetentionPolicy | str | None) -> JobConfig:
        policy = self.blocks.policy(given)
        if policy is None:
            return {}
        return {"retention_policy": {key: rule for key, rule in policy.dict().items() if rule}}

    def _job(self, name: str, cron: str, operation: str, more: Mapping[str, object]) -> PlannedJob:
        if self.location is None:
            raise UsageError("jobs need a repository: put `repository:` into the config file")
        config: JobConfig = {
            "name": self.prefix + name,
            "operation": operation,
            "backend": self.location,
            **self._password(),
            **more,
        }
        options = self._storage_options()
        if options:
            config["storage_options"] = options
        if (told := _notification(self.blocks)) is not None:
            config["notification"] = told
        return PlannedJob(cron, config)

    def _password(self) -> JobConfig:
        if self.config.password_file is not None:
            return {"password_file": self.config.password_file}
        if self.config.password_command is not None:
            command = self.config.password_command
            return {"password_command": command if isinstance(command, str) else list(command)}
        for prefix in ("HOLDFAST", "RESTIC"):
            if environment.variable(f"{prefix}_PASSWORD") is not None:
                return {"password": f"${{{prefix}_PASSWORD}}"}
            file = environment.variable(f"{prefix}_PASSWORD_FILE")
            if file is not None:
                return {"password_file": file}
        raise UsageError("jobs need a password: put `password_file:` into the config file")

    def _storage_options(self) -> JobConfig:
        """Options of the store as they stand in the file."""
        said = self.config.written.get("storage_options")
        login = self.config.written.get("credentials")
        options: JobConfig = {}
        if "region" in self.config.storage_options:
            options["region"] = self.config.storage_options["region"]
        if isinstance(login, Mapping):
            names = {"aws_access_key": "key", "aws_secret_key": "secret"}
            options |= {own: login[name] for name, own in names.items() if login.get(name)}
        return options | dict(said if isinstance(said, Mapping) else {})


def _notification(blocks: Blocks) -> JobConfig | None:
    """Whom a job tells; None when nobody is configured."""
    told = blocks.notifications
    words = [] if told is None else channel_words(told)
    if told is None or not words:
        return None
    watch = blocks.monitoring
    on_failure = told.on_failure and (watch is None or watch.alert_on_failure)
    return {"channels": words, "on_success": told.on_success, "on_failure": on_failure}


def channel_words(told: Notifications) -> list[str]:
    """What the channels that are configured are called."""
    words = []
    mail = told.email
    if mail is not None and mail.enabled and mail.smtp_host and mail.recipients:
        words.append("email")
    if told.slack is not None and told.slack.enabled and told.slack.webhook_url:
        words.append("slack")
    words += [*told.apprise, *(["webhook"] if told.webhook else [])]
    words += [f"file:{told.file}"] if told.file else []
    return words + ["console"] * told.console


def _texts(value: object) -> list[str]:
    return list(map(str, value)) if isinstance(value, list) else []

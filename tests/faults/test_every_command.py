"""For each command and every n: what holds when the n-th operation on the storage fails.

Once, for ever, though it was done, for want of room; or it is the last one of a process that is
gone. Whatever happens: every snapshot that was there is, byte for byte; a check finds no damage;
the command run again does its work; and what it said is true: it has done what it says, or printed
what there is. See `test_every_operation` for the method.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from contextlib import suppress
from random import Random

import pytest
from tests.faults.command_world import (
    NEW,
    SECOND,
    After,
    Command,
    Machine,
    World,
    contents,
    files,
    leaves,
    opened,
    opens,
)
from tests.integration.cli_runner import Cli, Ended

import holdfast
from holdfast.backend import Fail, Faulty, nth, since
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.store import decode_recovery, open_recovered
from holdfast.store.envelope import object_epoch
from holdfast.testing.power import PowerCut
from holdfast.testing.repositories import PASSWORD

pytestmark = pytest.mark.usefixtures("cheap_passwords", "index_at_the_end")

READING = {
    "fails": lambda n: Fail(nth(n), holdfast.BackendError),
    "is gone": lambda n: Fail(since(n), holdfast.StorageUnavailable),
}
WRITING: dict[str, Callable[[int], Fail]] = {
    **READING,
    "fails though done": lambda n: Fail(nth(n), holdfast.BackendError, done=True),
    "is full": lambda n: Fail(
        lambda call: call.number >= n and call.verb.startswith("put"), holdfast.StorageFull
    ),
    "crashes before": lambda n: Fail(since(n), lambda *_: PowerCut()),
    "crashes after": lambda n: Fail(since(n), lambda *_: PowerCut(), done=True),
}


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory,
    cheap_passwords: None,  # noqa: ARG001 - it takes effect
) -> World:
    return World.at(tmp_path_factory.mktemp("world"))


@pytest.fixture
def machine(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Machine:
    return Machine(world, Cli(world.top, capsys, monkeypatch))


# What is done beforehand


def nothing(after: After, _: Cli) -> None:
    """There is no repository."""
    after.repo.remove("")


def without_an_index_object(after: After, _: Cli) -> None:
    after.repo.remove(min(after.repo.names("index/")))


def a_session_that_is_dead(after: After, _: Cli) -> None:
    plan = Fail(
        lambda call: call.name.startswith("data/") or call.verb == "delete", lambda *_: PowerCut()
    )
    with suppress(PowerCut):
        opened(Faulty(after.repo, plan)).backup(after.world.data)
    assert len(after.repo.names("sessions/")) == 1


def a_rotation_that_waits(after: After, cli: Cli) -> None:
    a_session_that_is_dead(after, cli)
    assert not after.open().rotate_keys(NEW, others=[SECOND]).finished
    after.repo.remove("sessions/")
    cli.patch.setenv("HOLDFAST_PASSWORD_FILE", str(after.world.top / "new"))


def no_access(after: After, _: Cli) -> None:
    after.repo.remove("keys/")
    after.repo.remove("config/")


def a_restore(after: After, cli: Cli) -> None:
    """One that can be undone, over files that are there."""
    target = after.world.run / "target"
    target.mkdir()
    (target / "words").write_bytes(b"mine")
    assert cli(*after.words(f"restore {RESTORE} --undoable")).code == 0


def a_pack_that_is_spoilt(after: After, _: Cli) -> None:
    """And the other repository has all that is in it."""
    after.open().copy(opened(after.other))
    after.repo.spoil(max(after.repo.names("data/"), key=after.repo.stat))


def is_expired(after: After) -> bool:
    return not after.repo.names("sessions/")


def a_pack_that_is_lost(after: After, _: Cli) -> None:
    """It holds the content of the file of the last snapshot."""
    after.repo.remove(max(after.world.last_packs, key=after.repo.stat))


def a_job(options: str) -> Callable[[After, Cli], None]:
    def before(after: After, cli: Cli) -> None:
        ended = cli(*after.words(f"schedule --name job --cron manual --retries 0 {options}"))
        assert ended.code == 0, ended.err

    return before


def a_drill(_: After, cli: Cli) -> None:
    assert cli("drill").code == 0


def an_entry(after: After, cli: Cli) -> None:
    """Of the audit trail, anchored in the repository."""
    assert cli(*after.words("tag {3} --add new")).code == 0


def a_config_file(after: After, cli: Cli) -> None:
    """It names both repositories, which are copies of each other by the 3-2-1 rule."""
    after.open().copy(opened(after.other))
    top = after.world.top
    file = after.world.run / "config.yaml"
    file.write_text(
        f"repository: {top}/repo\nthree_two_one:\n"
        "  original: {media: disk, location: office}\n  copies:\n"
        f"    - {{repository: {top}/repo, media: nas, location: office}}\n"
        f"    - {{repository: {top}/other, media: cloud, location: far}}\n"
    )
    cli.environment(HOLDFAST_CONFIG=str(file))


def a_plan(after: After, cli: Cli) -> None:
    """A config file that says when to back up."""
    top = after.world.top
    file = after.world.run / "config.yaml"
    file.write_text(
        f"repository: {top}/repo\npassword_file: {top}/password\nsources: [{top}/data]\n"
        "schedule: {backup_cron: 0 2 * * *}\n"
    )
    cli.environment(HOLDFAST_CONFIG=str(file))


def a_report(after: After, cli: Cli) -> None:
    assert cli("drill").code == 0
    assert cli("report", "create", "-o", str(after.world.run / "reports")).code == 5


# What is to be done


def has_tag(after: After) -> bool:
    return "new" in after.there[after.world.ids[3]].tags


def is_held(after: After) -> bool:
    return bool(after.there[after.world.ids[3]].protection)


def are_forgotten(*numbers: int) -> Callable[[After], bool]:
    def effect(after: After) -> bool:
        ids = {after.world.ids[number] for number in numbers}
        return not ids & after.there.keys()

    return effect


def is_as_it_was(after: After) -> bool:
    """Nothing was backed up that is not as in the last snapshot."""
    before = after.world.held[after.world.ids[4]]
    return all(found == before for found in after.new())


def is_back(after: After) -> bool:
    return any(each.original == after.world.ids[0] for each in after.there.values())


def is_copied(after: After) -> bool:
    there = {each.original for each in opened(after.other).snapshots()}
    return set(after.world.ids[1:]) <= there


def is_rewritten(after: After) -> bool:
    words = str(after.world.data / "words")
    found = list(after.new())
    held = (after.world.held[after.world.ids[number]] for number in (1, 2, 3))
    return all({path: each[path] for path in each if path != words} in found for each in held)


def is_pruned(after: After) -> bool:
    return after.open().prune(max_unused="0", dry_run=True).unused == 0


def is_sound(after: After) -> bool:
    return after.open().check(read_data=True, full=True).valid


def is_undone(after: After) -> bool:
    return files(after.world.run / "target") == {"words": b"mine"}


def is_dumped(after: After) -> bool:
    file = after.world.run / "file"
    held = after.world.held[after.world.ids[3]][str(after.world.data / "sub/3")]
    return file.exists() and file.read_bytes() == held


def is_archived(after: After) -> bool:
    file = after.world.run / "file"
    if not file.exists():
        return False
    with tarfile.open(file) as archive:
        found = [archive.extractfile(each) for each in archive if each.isreg()]
        contents = sorted(each.read() for each in found if each is not None)
    return contents == sorted(after.world.held[after.world.ids[3]].values())


def has_recovery_key(after: After) -> bool:
    file = after.world.run / "key"
    if not file.exists():
        return False
    recovery = decode_recovery(file.read_text())
    return open_recovered(after.repo, recovery, SYSTEM_CLOCK, None).keys.epoch == 0


def has_output(after: After) -> bool:
    return {"/out": b"text"} in list(after.new())


def is_in_both(after: After) -> bool:
    return after.has_backup() and any(
        contents(opened(after.other), each.id) == after.world.live
        for each in opened(after.other).snapshots()
    )


def has_new_password(after: After) -> bool:
    return opens(after.repo, NEW)


def has_only_new_password(after: After) -> bool:
    return opens(after.repo, NEW) and not opens(after.repo, PASSWORD)


def is_rotated(after: After) -> bool:
    """All that is not data is of the new keys."""
    folders = ("index/", "snapshots/", "forgotten/", "labels/")
    small = {name for folder in folders for name in after.repo.names(folder)}
    return {object_epoch(name, after.repo.get(name)) for name in small} == {1}


RESTORE = "-s {3}:{top}/data -t target"
TO_OTHER = "--to {top}/other --to-password-file {top}/password"
SOME = frozenset({1, 2})
ALL = frozenset(range(5))

COMMANDS = (
    Command("init", "", lambda after: opens(after.repo, PASSWORD), nothing, again=frozenset({1})),
    Command("create", "{top}/data", After.has_backup),
    Command("create", "{top}/data --force --tags a --protect", After.has_backup),
    Command(
        "create",
        "{top}/data -b {top}/repo -b {top}/other -p {top}/password -p {top}/password",
        is_in_both,
    ),
    Command(
        "create",
        "{top}/data -b {top}/repo -b {top}/other -p {top}/password -p {top}/password",
        is_in_both,
        fails_at_other=True,
    ),
    Command("create", "--command out -- printf text", has_output),
    Command("create", "{top}/still --skip-if-unchanged", is_as_it_was),
    Command("tag", "{3} --add new", has_tag),
    Command("tag", "{3} --hold=why", is_held),
    Command("forget", "{1}", are_forgotten(1), gone=SOME, again=frozenset({1})),
    Command("forget", "--keep-last 1", are_forgotten(1, 2), gone=SOME),
    Command("undelete", "{0}", is_back, again=frozenset({1})),
    Command("undelete"),
    Command("list"),
    Command("browse", "-s {3}"),
    Command("restore", RESTORE, lambda after: after.restored(3)),
    Command("restore", f"{RESTORE} --undoable --delete --verify", lambda after: after.restored(3)),
    Command("undo", "", is_undone, a_restore, again=frozenset({2})),
    Command("validate"),
    Command("validate", "--read-data --full-check"),
    Command("validate", "--level forensic"),
    Command("dump", "{3} {top}/data/sub/3 -o file", is_dumped, again=frozenset({1, 2})),
    Command("dump", "{3} {top}/data -o file", is_archived, again=frozenset({1, 2})),
    Command("find", "words"),
    Command("grep", "found --all"),
    Command("history", "{top}/data/words"),
    Command("diff", "{1} {3}"),
    Command("diff", "{1} {3} --text"),
    Command("anomalies"),
    Command("stats"),
    Command("timeline"),
    Command("usage", "--snapshots"),
    Command("compare", "-s {4}"),
    Command("copy", TO_OTHER, is_copied),
    Command("copy", TO_OTHER, is_copied, fails_at_other=True),
    Command("rewrite", "{1} {2} {3} -x words", is_rewritten),
    Command("rewrite", "--all -x words --forget", is_rewritten, gone=frozenset({1, 2, 3})),
    Command("prune", "--max-unused 0 --no-other-writers", is_pruned, gone=frozenset({0})),
    Command("prune", "--max-unused 0 --no-other-writers --wait", is_pruned, gone=frozenset({0})),
    Command("key add", "", has_new_password),
    Command("key list"),
    Command("key passwd", "", has_only_new_password, again=frozenset({12})),
    Command("key recovery", "-o key", has_recovery_key, again=frozenset({1, 2})),
    Command(
        "key recovery", "--restore {top}/recovery", has_new_password, no_access, gone=frozenset({0})
    ),
    Command(
        "key remove", "{key}", lambda after: not opens(after.repo, SECOND), again=frozenset({2})
    ),
    Command("key rotate", "--drop-others", has_only_new_password, again=frozenset({12})),
    Command("key rotate", "--finish", is_rotated, a_rotation_that_waits),
    Command("repair index", "--apply", is_sound, without_an_index_object, hurt=ALL),
    Command(
        "repair packs",
        "--apply --from {top}/other --from-password-file {top}/password",
        is_sound,
        a_pack_that_is_spoilt,
        hurt=ALL,
    ),
    Command(
        "repair snapshots",
        "--apply",
        lambda after: any(each.original == after.world.ids[4] for each in after.there.values()),
        a_pack_that_is_lost,
        code=4,
        hurt=frozenset({4}),
    ),
    Command("sessions", "", before=a_session_that_is_dead),
    Command(
        "sessions",
        "--expire {session} --yes --no-other-writers",
        is_expired,
        a_session_that_is_dead,
        again=frozenset({1, 2}),
    ),
    Command("cat", "snapshot {3}"),
    Command("audit verify", before=an_entry),
    Command("scheduler trigger", "job", After.has_backup, a_job("--source {top}/data")),
    Command("drill"),
    Command("status"),
    Command("321 status", before=a_config_file),
)

LOCAL = (
    Command("schedule", "--name job --cron manual --source {top}/data"),
    Command("schedule-drill"),
    Command("jobs"),
    Command("scheduler export", "--format crontab", before=a_job("--source {top}/data")),
    Command("scheduler history"),
    Command("scheduler run", "--once"),
    Command("scheduler status"),
    Command("drill-history"),
    Command("audit show"),
    Command("config apply", before=a_plan),
    Command("config schema"),
    Command("config show", before=a_config_file),
    Command("config validate", "config.yaml", before=a_config_file),
    Command("export-config", "-o file", before=a_config_file),
    Command("report create", before=a_drill, code=5),
    Command("report criteria", "SOC2"),
    Command("report keygen", "key"),
    Command("report verify", "{report}", before=a_report),
)
"""Commands about this machine only."""

each_command = pytest.mark.parametrize("command", COMMANDS, ids=str)
MOST = 500
"""Operations; nothing here needs as many."""
ENDS = frozenset({0, 1, 3, 4, 5})
"""With what a command may end on a storage that fails: there is a repository, and the password is
right, whatever fails."""


def failures(command: Command) -> list[str]:
    """How operations of a command fail: what writes nothing can crash as it likes."""
    return list(READING if command.effect is None else WRITING)


@pytest.mark.fault(2, 3, 16, 18, 19)
@each_command
def test_what_a_command_says_is_true_whatever_fails(machine: Machine, command: Command) -> None:
    """Sampled: two operations of each command, in two of the ways."""
    numbers = Random(str(command))  # noqa: S311 - the same in every run
    for failure in numbers.sample(failures(command), 2):
        expect_truth(machine, command, failure, numbers.randint(1, machine.told(command).calls))


@pytest.mark.soak
@pytest.mark.fault(2, 3, 16, 18, 19)
@pytest.mark.parametrize(
    ("command", "failure"),
    [(command, failure) for command in COMMANDS for failure in failures(command)],
    ids=str,
)
def test_what_a_command_says_is_true_whatever_operation_fails(
    machine: Machine, command: Command, failure: str
) -> None:
    for number in range(1, MOST):
        calls = expect_truth(machine, command, failure, number)
        if calls < number:
            assert number > 5
            return
    raise AssertionError("it never ends")


def expect_truth(machine: Machine, command: Command, failure: str, number: int) -> int:
    """Run a command on a storage of which an operation fails, then once more.

    Returns:
        How many operations there were.
    """
    where = (str(command), failure, number)
    after = machine.prepare(command)
    before = after.repo.everything()
    ended = None
    with suppress(PowerCut):
        ended = machine.run(command, after, WRITING[failure](number))
    calls = len(machine.faulty.calls)
    if ended is not None:
        assert ended.code in ENDS, (where, ended)
        assert "unexpected" not in ended.err, (where, ended)
        assert_true(machine, command, after, ended, where)
    was_done = command.effect is not None and command.effect(after)
    if command.effect is None:
        assert after.repo.everything() == before, where
    else:
        assert_whole(command, after, where)
    once_more = machine.run(command, after)
    ends = {command.code} | (command.again if was_done else set())
    assert once_more.code in ends, (where, once_more)
    if command.effect is None:
        assert_true(machine, command, after, once_more, where)
    else:
        assert command.effect(after), (where, once_more)
    return calls


def assert_true(
    machine: Machine, command: Command, after: After, ended: Ended, where: object
) -> None:
    """What it said when it said that all went well."""
    if ended.code != command.code:
        return
    if command.effect is not None:
        assert command.effect(after), (where, ended)
    else:
        missing = machine.told(command).leaves - leaves(ended).items()
        assert not missing, (where, missing, ended)


def with_forgotten(command: Command, after: After) -> tuple[Repository, dict[str, str]]:
    """A copy of the repository in which what was forgotten is back; its snapshots.

    Each is there under its own id, and under that of the one that it was made of.
    """
    repo = After(after.world, after.repo.copy(), after.other).open()
    ids = {each.id for each in repo.snapshots()}
    may_lack = 0 in command.gone | command.hurt  # a prune may have begun to take it
    for each in repo.forgotten():
        if each.snapshot.id not in ids and command.before is not no_access:
            with suppress(*[holdfast.DamagedRepository] * may_lack):
                repo.undelete(each.snapshot.id)
    there: dict[str, str] = {}
    for snapshot in repo.snapshots():
        there.setdefault(snapshot.original or snapshot.id, snapshot.id)
        there[snapshot.id] = snapshot.id
    return repo, there


def assert_whole(command: Command, after: After, where: object) -> None:
    """Every snapshot that there was is there, byte for byte, and nothing is damaged."""
    if command.before is nothing:
        return
    repo, there = with_forgotten(command, after)
    for number, id_ in enumerate(after.world.ids):
        found = there.get(id_)
        if found is None:
            assert number in command.gone or (command.hurt and number == 0), (where, number)
            continue
        try:
            held = contents(repo, found)
        except holdfast.DamagedRepository:
            assert number in command.hurt, (where, number)
        else:
            assert held == after.world.held[id_], (where, number)
    report = repo.check(read_data=True)
    assert report.valid or command.hurt, (where, report.findings)


@pytest.mark.parametrize("command", LOCAL, ids=str)
def test_what_is_about_this_machine_asks_nothing_of_a_storage(
    machine: Machine, command: Command
) -> None:
    after = machine.prepare(command)
    ended = machine.run(command, after, Fail(since(1), holdfast.StorageUnavailable))
    assert ended.code == command.code, ended
    assert machine.faulty.calls == []

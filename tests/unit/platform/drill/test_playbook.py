"""Playbooks: read strictly, done in order, ended in time, cleaned up after (rows R237 to R252)."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.platform.drill.rig import Rig

from holdfast import DRDrill, DrillReport, UsageError
from holdfast.platform.drill import Playbook, load_playbook
from holdfast.platform.drill.playbook.load import in_order
from holdfast.platform.workspace import Workspace

ROOT = Path(__file__).parents[4]
QUARTERLY = ROOT / "examples/playbooks/quarterly.yaml"

FILES = {"a.json": b"{}", "b.bin": bytes(3000)}

RESTORE = """
  - name: restore
    action: restore
    parameters: {target: /dr-restore, verify: true}
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    rig = Rig(tmp_path_factory.mktemp("playbook"), FILES)
    rig.back_up()
    rig.clock.advance(60)
    return rig


@pytest.fixture
def rig(base: Rig) -> Rig:
    return base.twin()


def playbook(rig: Rig, folder: Path, steps: str, rest: str = "") -> Path:
    file = folder / "playbook.yaml"
    file.write_text(
        f"name: p\nmetadata: {{test_environment: {rig.scratch}}}\nsteps:{steps}\n{rest}\n"
    )
    return file


def run(rig: Rig, file: Path, *, notify: object = None) -> DrillReport:
    told = notify if callable(notify) else None
    drill = DRDrill(rig.open, workspace=rig.workspace, notify=told)
    return drill.run_playbook(file, allow_execute=True)


def states(report: DrillReport) -> dict[str, str]:
    return {step.name: step.state for step in report.steps}


def execute(name: str, command: str, more: str = "") -> str:
    return (
        f"\n  - {{name: {name}, action: execute, parameters: {{command: {command!r}}}"
        f"{', ' * bool(more)}{more}}}"
    )


def test_r239_a_playbook_is_run(rig: Rig, tmp_path: Path) -> None:
    # One of its own: on the clocks of other tests it may be later, and theirs would be the newest.
    rig.workspace = Workspace(tmp_path / "state", rig.clock)
    report = run(rig, playbook(rig, tmp_path, RESTORE))
    assert report.status == "SUCCESS"
    assert report.validation_results == {"integrity": True}
    assert (report.rto_compliant, report.rpo_compliant) == (True, True)
    assert states(report) == {"restore": "completed"}
    assert rig.leftovers() == []
    *_, entry = rig.workspace.audit.entries(event="playbook")
    assert entry.details["digest"] == report.digest
    assert rig.drill().history(limit=1) == [report]


def test_r244_all_keys_are_taken() -> None:
    loaded = load_playbook(QUARTERLY)
    assert isinstance(loaded, Playbook)
    assert loaded.version == "1.0"
    assert loaded.metadata.max_rto_minutes == 60
    assert (len(loaded.steps), len(loaded.cleanup_steps)) == (6, 2)


def test_r245_steps_have_defaults(rig: Rig, tmp_path: Path) -> None:
    [step] = load_playbook(playbook(rig, tmp_path, execute("x", "true"))).steps
    assert (step.retry_count, step.continue_on_error, step.depends_on) == (0, False, ())


def test_r246_every_action(rig: Rig, tmp_path: Path) -> None:
    told: list[tuple[str, str, str]] = []
    steps = (
        "\n  - {name: whole, action: validate, parameters: {full_check: true, read_data: true}}"
        + RESTORE
        + "\n  - {name: data, action: validate, parameters: {checks: [data_consistency]}}"
        + execute("look", "test -f {scratch}/dr-restore" + str(rig.source) + "/a.json")
        + "\n  - {name: tell, action: notify, parameters: {channels: [email], message: done}}"
    )
    report = run(rig, playbook(rig, tmp_path, steps), notify=lambda *words: told.append(words))
    assert set(states(report).values()) == {"completed"}
    assert report.validation_results == {"whole": True, "integrity": True, "data_consistency": True}
    assert told == [("playbook", "p: tell", "done")]
    assert report.status == "SUCCESS"


def test_r246_nobody_to_tell_is_not_evaluated(rig: Rig, tmp_path: Path) -> None:
    steps = RESTORE + "\n  - {name: tell, action: notify, parameters: {message: done}}"
    report = run(rig, playbook(rig, tmp_path, steps))
    assert states(report)["tell"] == "not evaluated"
    assert report.status == "PARTIAL"


def test_r247_dependencies_order_the_steps(rig: Rig, tmp_path: Path) -> None:
    steps = (
        execute("c", "true", "depends_on: [b]")
        + execute("b", "true", "depends_on: [a]")
        + execute("free", "true")
        + execute("a", "true")
    )
    loaded = load_playbook(playbook(rig, tmp_path, steps))
    assert [step.name for step in in_order(loaded.steps)] == ["free", "a", "b", "c"]


def test_r247_what_depends_on_a_failure_is_skipped(rig: Rig, tmp_path: Path) -> None:
    steps = (
        execute("bad", "false", "continue_on_error: true")
        + execute("after", "true", "depends_on: [bad]")
        + execute("later", "true", "depends_on: [after]")
        + execute("free", "true")
    )
    report = run(rig, playbook(rig, tmp_path, steps))
    assert states(report) == {
        "bad": "failed",
        "after": "skipped",
        "later": "skipped",
        "free": "completed",
    }
    assert report.status == "FAILED"


def test_without_continue_on_error_the_rest_is_skipped(rig: Rig, tmp_path: Path) -> None:
    report = run(rig, playbook(rig, tmp_path, execute("bad", "false") + execute("free", "true")))
    assert states(report) == {"bad": "failed", "free": "skipped"}


BAD = {
    "a cycle": (
        execute("a", "true", "depends_on: [b]") + execute("b", "true", "depends_on: [a]"),
        "wait for one another: a -> b -> a|b -> a -> b",
    ),
    "itself": (execute("a", "true", "depends_on: [a]"), "wait for one another: a -> a"),
    "an unknown step": (
        execute("a", "true", "depends_on: [bb]"),
        r"steps\[0\].depends_on: there is",
    ),
    "the same name": (execute("a", "true") + execute("a", "true"), "another step is called 'a'"),
    "an unknown action": (
        "\n  - {name: a, action: explode, parameters: {}}",
        r"steps\[0\]: input tag 'explode'",
    ),
    "a missing target": (
        "\n  - {name: a, action: restore, parameters: {}}",
        r"steps\[0\].parameters.target: field required",
    ),
    "a target above": (
        "\n  - {name: a, action: restore, parameters: {target: ../x}}",
        r"steps\[0\].parameters.target: '../x' names no folder",
    ),
    "a target that is nowhere": (
        "\n  - {name: a, action: restore, parameters: {target: /}}",
        "names no folder",
    ),
    "an unknown key": (
        "\n  - {name: a, action: validate, parameters: {full_chek: true}}",
        r"steps\[0\].parameters.full_chek: unknown key: did you mean 'full_check'",
    ),
    "an unknown check": (
        "\n  - {name: a, action: validate, parameters: {checks: [magic]}}",
        r"steps\[0\].parameters.checks\[0\]: input should be",
    ),
    "a wrong type": (execute("a", "true", "retry_count: many"), r"steps\[0\].retry_count"),
    "a negative time": (execute("a", "true", "timeout_minutes: -1"), r"timeout_minutes: input"),
    "no program": (execute("a", "  "), "no program"),
    "an open quotation": (execute("a", 'echo "x'), "No closing quotation"),
    "no steps": (" []", "steps: there are none"),
    "a bad probe": (
        "\n  - {name: a, action: validate, parameters: {probes: {api_health: x}}}",
        "is no URL",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_r247_what_makes_no_sense_is_found_when_it_is_loaded(
    rig: Rig, tmp_path: Path, what: str
) -> None:
    steps, message = BAD[what]
    with pytest.raises(UsageError, match=message):
        load_playbook(playbook(rig, tmp_path, steps))


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("version: 1.0", "version: input should be '1.0'"),
        ("success_criteria: {min_steps_completed: 3}", "there are only 1 steps"),
        ("success_criteria: {required_validations: [api_health]}", "no step evaluates"),
        ("cleanup_steps: [{name: a, action: execute, parameters: {command: x}}]", "is called 'a'"),
        (
            "cleanup_steps: [{name: b, action: notify, parameters: {message: x}, depends_on: [a]}]",
            "whatever happened",
        ),
        ("owner: me", "owner: unknown key"),
    ],
)
def test_r244_the_rest_is_read_strictly(rig: Rig, tmp_path: Path, rest: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_playbook(playbook(rig, tmp_path, execute("a", "true"), rest))


def test_all_problems_are_told_at_once(rig: Rig, tmp_path: Path) -> None:
    steps = execute("a", "", "depends_on: [x]") + execute("b", "true", "depends_on: [b]")
    with pytest.raises(UsageError) as refused:
        load_playbook(playbook(rig, tmp_path, steps))
    assert len(str(refused.value).splitlines()) == 4


def test_r248_an_attempt_past_its_time_is_ended_and_tried_again(rig: Rig, tmp_path: Path) -> None:
    steps = execute("slow", "sleep 600", "timeout_minutes: 1, retry_count: 2")
    file = playbook(rig, tmp_path, steps)
    rig.clock.monotonic = Ticking(rig.clock.monotonic())  # type: ignore[method-assign]
    report = run(rig, file)
    [step] = report.steps
    assert (step.state, step.attempts) == ("failed", 3)
    assert step.message == "it took longer than 1 minutes"
    assert report.status == "FAILED"


class Ticking:
    """A clock on which each look at it takes 5 seconds."""

    def __init__(self, start: float) -> None:
        self.now = start

    def __call__(self) -> float:
        self.now += 5
        return self.now


def test_r248_a_retry_may_succeed(rig: Rig, tmp_path: Path) -> None:
    once = f"sh -c 'test -e {tmp_path}/tried || ( touch {tmp_path}/tried; exit 1 )'"
    steps = (
        RESTORE
        + f'\n  - {{name: x, action: execute, parameters: {{command: "{once}"}}, retry_count: 3}}'
    )
    report = run(rig, playbook(rig, tmp_path, steps))
    assert (report.steps[1].state, report.steps[1].attempts) == ("completed", 2)
    assert report.status == "SUCCESS"


def test_r249_criteria_decide(rig: Rig, tmp_path: Path) -> None:
    steps = RESTORE + execute("bad", "false", "continue_on_error: true")
    strict = playbook(rig, tmp_path, steps)
    assert run(rig, strict).status == "FAILED"
    lenient = playbook(
        rig,
        tmp_path,
        steps,
        "success_criteria: {min_steps_completed: 1, max_failures: 1, "
        "required_validations: [integrity]}",
    )
    assert run(rig, lenient).status == "SUCCESS"


def test_r249_damage_is_never_tolerated(rig: Rig, tmp_path: Path) -> None:
    for name in rig.packs():
        rig.damage(name)
    criteria = "success_criteria: {min_steps_completed: 0, max_failures: 9}"
    report = run(rig, playbook(rig, tmp_path, RESTORE, criteria))
    assert report.status == "FAILED"


def test_a_good_restore_does_not_hide_a_damaged_one(rig: Rig, tmp_path: Path) -> None:
    (rig.source / "later.bin").write_bytes(os.urandom(9000))
    first = {*rig.packs()}
    old = rig.back_up()
    rig.damage([name for name in rig.packs() if name not in first][-1])
    (rig.source / "later.bin").unlink()
    rig.clock.advance(1)  # or chance says which of both is the latest
    rig.back_up()
    steps = (
        "\n  - {name: old, action: restore, continue_on_error: true, parameters: "
        f"{{target: /old, verify: true, snapshot_id: {old.id}}}}}" + RESTORE
    )
    rest = "success_criteria: {min_steps_completed: 1, max_failures: 1}"
    report = run(rig, playbook(rig, tmp_path, steps, rest))
    assert states(report) == {"old": "failed", "restore": "completed"}
    assert (report.status, report.validation_results) == ("FAILED", {"integrity": False})
    assert any(each.path.endswith("later.bin") for each in report.errors)


def test_a_step_cannot_pass_for_a_check(rig: Rig, tmp_path: Path) -> None:
    steps = RESTORE + "\n  - {name: integrity, action: validate}"
    with pytest.raises(UsageError, match="'integrity' is the name of a check"):
        load_playbook(playbook(rig, tmp_path, steps))


def test_a_playbook_made_by_a_program_is_looked_at_too(rig: Rig, tmp_path: Path) -> None:
    good = load_playbook(playbook(rig, tmp_path, RESTORE))
    bad = replace(good, steps=(replace(good.steps[0], name="integrity"),))
    with pytest.raises(UsageError, match="'integrity' is the name of a check"):
        rig.drill().execute_quarterly_drill(bad)


def test_r249_a_step_with_checks_can_be_required(rig: Rig, tmp_path: Path) -> None:
    steps = RESTORE + "\n  - {name: v, action: validate, parameters: {checks: [integrity]}}"
    rest = "success_criteria: {required_validations: [v]}"
    report = run(rig, playbook(rig, tmp_path, steps, rest))
    assert report.validation_results == {"v": True, "integrity": True}
    assert report.status == "SUCCESS"


def test_r249_a_required_validation_that_is_not_evaluated_is_no_success(
    rig: Rig, tmp_path: Path
) -> None:
    steps = RESTORE + "\n  - {name: v, action: validate, parameters: {checks: [api_health]}}"
    rest = "success_criteria: {required_validations: [api_health]}"
    report = run(rig, playbook(rig, tmp_path, steps, rest))
    assert report.validation_results["api_health"] is None
    assert report.status == "PARTIAL"


def test_r250_cleaning_up_always_happens_and_masks_nothing(rig: Rig, tmp_path: Path) -> None:
    rest = (
        "cleanup_steps:"
        + execute("first", "false")
        + execute("second", f"touch {tmp_path}/cleaned")
    )
    report = run(rig, playbook(rig, tmp_path, RESTORE + execute("bad", "false"), rest))
    assert (tmp_path / "cleaned").exists()
    assert report.status == "FAILED"
    assert states(report) == {
        "restore": "completed",
        "bad": "failed",
        "first": "failed",
        "second": "completed",
    }
    assert [step.cleanup for step in report.steps] == [False, False, True, True]
    good = run(rig, playbook(rig, tmp_path, RESTORE, rest))
    assert good.status == "SUCCESS"


def test_r250_also_when_it_is_interrupted(rig: Rig, tmp_path: Path) -> None:
    def interrupted(*_: str) -> None:
        raise KeyboardInterrupt

    steps = "\n  - {name: tell, action: notify, parameters: {message: done}}"
    rest = "cleanup_steps:" + execute("clean", f"touch {tmp_path}/cleaned")
    with pytest.raises(KeyboardInterrupt):
        run(rig, playbook(rig, tmp_path, steps, rest), notify=interrupted)
    assert (tmp_path / "cleaned").exists()
    assert rig.leftovers() == []


def test_r251_programs_are_run_only_if_that_is_allowed(rig: Rig, tmp_path: Path) -> None:
    file = playbook(rig, tmp_path, RESTORE + execute("x", f"touch {tmp_path}/ran"))
    with pytest.raises(UsageError, match="--allow-execute"):
        rig.drill().run_playbook(file)
    probing = (
        "\n  - {name: v, action: validate, parameters: {checks: [api_health], "
        "probes: {api_health: [touch, x]}}}"
    )
    with pytest.raises(UsageError, match="--allow-execute"):
        rig.drill().run_playbook(playbook(rig, tmp_path, probing))
    assert not (tmp_path / "ran").exists()


def test_r251_output_is_kept_and_secrets_are_not_passed_on(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_PASSWORD", "hush")
    report = run(rig, playbook(rig, tmp_path, execute("x", "env")))
    assert "HOLDFAST_RESTORED=" in report.steps[0].output
    assert "hush" not in report.steps[0].output


def test_a_repository_that_does_not_open_fails_and_is_cleaned_up_after(
    rig: Rig, tmp_path: Path
) -> None:
    rest = "cleanup_steps:" + execute("clean", f"touch {tmp_path}/cleaned")
    file = playbook(rig, tmp_path, RESTORE, rest)
    drill = DRDrill(tmp_path / "none", workspace=rig.workspace, password="x", cache=False)
    report = drill.run_playbook(file, allow_execute=True)
    assert report.status == "FAILED"
    assert (tmp_path / "cleaned").exists()
    assert states(report)["restore"] == "failed"


def test_r237_criteria_of_the_caller(rig: Rig, tmp_path: Path) -> None:
    file = playbook(rig, tmp_path, RESTORE)
    report = rig.drill().execute_quarterly_drill(
        playbook=file,
        validation_criteria={
            "checks": ["integrity", "restore_speed", "service_availability"],
            "max_rto_minutes": 30,
            "max_rpo_minutes": 0.5,
            "framework": "HIPAA",
        },
    )
    assert report.validation_results == {
        "integrity": True,
        "restore_speed": True,
        "service_availability": None,
    }
    assert (report.max_rto_minutes, report.max_rpo_minutes) == (30, 0.5)
    assert (report.compliance_framework, report.status) == ("HIPAA", "PARTIAL")
    assert report.rpo_compliant is False


@pytest.mark.parametrize(
    ("criteria", "message"),
    [({"check": []}, "unknown criterion 'check'"), ({"checks": ["x"]}, "unknown check 'x'")],
)
def test_r237_bad_criteria_are_refused(
    rig: Rig, tmp_path: Path, criteria: object, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        rig.drill().execute_quarterly_drill(
            playbook(rig, tmp_path, RESTORE),
            criteria,  # type: ignore[arg-type]
        )


@pytest.fixture
def stubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs that only note that they were called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("docker", "pytest", "rm"):
        stub = folder / name
        stub.write_text(f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/calls\n')
        stub.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return tmp_path / "calls"


def test_r252_the_playbook_of_the_first_quarter_runs_unchanged(
    rig: Rig, stubs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    told: list[str] = []
    report = run(rig, QUARTERLY, notify=lambda *words: told.append(words[2]))
    assert [step.state for step in report.steps] == ["completed"] * 8
    assert report.status == "SUCCESS"
    assert len(told) == 1
    calls = [line.split()[0] for line in stubs.read_text().splitlines()]
    assert calls == ["docker", "pytest", "docker", "rm"]
    assert not list(tmp_path.glob("holdfast-drill-*"))


def test_a_target_is_never_outside_of_the_scratch_directory(rig: Rig, tmp_path: Path) -> None:
    steps = f"\n  - {{name: r, action: restore, parameters: {{target: {tmp_path}/real}}}}"
    report = run(rig, playbook(rig, tmp_path, steps))
    assert report.status == "SUCCESS"
    assert not (tmp_path / "real").exists()

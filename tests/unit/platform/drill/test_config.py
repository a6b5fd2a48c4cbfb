"""What a drill can be told: `DrillConfig`, its file, and words (rows R230, R231, R241, R222)."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast import DrillConfig, UsageError
from holdfast.platform.drill import FREQUENCIES, cron_of, load_drill


def written(folder: Path, text: str) -> Path:
    file = folder / "drill.yaml"
    file.write_text(text)
    return file


def test_r230_every_field_has_a_default_and_the_name_is_made_up() -> None:
    first, second = DrillConfig(), DrillConfig()
    assert first.name != second.name
    assert first.name.startswith("drill-")
    assert (first.description, first.snapshot_id, first.test_environment) == ("", "latest", "")
    assert first.notification_channels == ()
    assert DrillConfig(name="").name


def test_r231_the_defaults_are_those_of_the_first_example() -> None:
    config = DrillConfig()
    assert (config.max_rto_minutes, config.max_rpo_minutes) == (60, 15)
    assert config.compliance_framework == "SOC2"
    assert config.validation_checks == ("integrity", "restore_speed", "data_consistency")


def test_r241_objectives_are_data_and_may_be_left_out() -> None:
    hipaa = DrillConfig(compliance_framework="HIPAA", max_rto_minutes=30, max_rpo_minutes=10)
    gdpr = DrillConfig(compliance_framework="GDPR")
    assert (hipaa.max_rto_minutes, hipaa.max_rpo_minutes) == (30, 10)
    assert (gdpr.max_rto_minutes, gdpr.max_rpo_minutes) == (60, 15)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("soc2", "SOC2"),
        ("SOC 2", "SOC2"),
        ("hipaa", "HIPAA"),
        ("GDPR", "GDPR"),
        ("ISO 27001", "ISO27001"),
        ("NIST CSF", "NIST"),
        ("nist", "NIST"),
    ],
)
def test_x26_all_five_frameworks_are_taken(given: str, meant: str) -> None:
    assert DrillConfig(compliance_framework=given).compliance_framework == meant


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_rto_minutes": 0}, "max_rto_minutes is to be more than 0"),
        ({"max_rpo_minutes": "15"}, "max_rpo_minutes is to be a number"),
        ({"max_rto_minutes": True}, "max_rto_minutes is to be a number"),
        ({"validation_checks": "integrity"}, "validation_checks is to be a list"),
        ({"validation_checks": ["integritty"]}, "did you mean 'integrity'"),
        ({"validation_checks": []}, "shows nothing"),
        ({"compliance_framework": "PCI"}, "unknown framework 'PCI'"),
        ({"snapshot_id": ""}, "snapshot_id is empty"),
        ({"name": 3}, "name is to be a text"),
        ({"max_rto": 3}, "did you mean 'max_rto_minutes'"),
        ({"probes": {"api_helth": "http://x/"}}, "did you mean 'api_health'"),
        ({"probes": {"api_health": "ftp://x/"}}, "is no URL"),
        ({"probes": {"api_health": []}}, "a command is a list of words"),
    ],
)
def test_what_makes_no_sense_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        DrillConfig.of(values)


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(UsageError) as refused:
        DrillConfig(max_rto_minutes=-1, compliance_framework="X", snapshot_id="")
    assert str(refused.value).count(";") == 2


def test_plain_values_make_the_same_drill_again() -> None:
    config = DrillConfig(name="a", probes={"api_health": ["true"]}, consistency_ignore=["*.json"])
    assert DrillConfig.of(config.dict()) == config


def test_a_drill_is_read_from_a_file(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "name: weekly\nvalidation_checks: [integrity, service_availability]\n"
        "max_rto_minutes: 30\nprobes:\n  service_availability: http://localhost:1/\n",
    )
    config = load_drill(file)
    assert config.validation_checks == ("integrity", "service_availability")
    assert config.probes == {"service_availability": "http://localhost:1/"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_rto_minutes: soon\n", r"max_rto_minutes: input should be a valid number"),
        ("max_rto: 5\n", r"max_rto: unknown key: did you mean 'max_rto_minutes'"),
        ("name: a\nname: b\n", r"'name' stands there twice, in line 2"),
        ("- a\n", "not a mapping"),
        ("name: [\n", "not YAML"),
        ("a: &x [1]\nb: *x\n", "aliases are not taken"),
        ("name: " + "x" * (1 << 20), "larger than 1 MiB"),
        ("name: " + "[" * 600, "not YAML"),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_drill(written(tmp_path, text))


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load_drill(tmp_path / "none.yaml")


def test_r251_a_command_in_a_file_takes_a_permission(tmp_path: Path) -> None:
    file = written(tmp_path, "probes:\n  api_health: [curl, -f, localhost]\n")
    with pytest.raises(UsageError, match="--allow-execute"):
        load_drill(file)
    assert load_drill(file, allow_execute=True).probes == {
        "api_health": ["curl", "-f", "localhost"]
    }


def test_r222_words_for_how_often() -> None:
    assert cron_of("quarterly") == "0 2 1 */3 *"
    assert cron_of("Weekly") == FREQUENCIES["weekly"]
    assert cron_of("5 4 * * *") == "5 4 * * *"
    assert set(FREQUENCIES) == {"weekly", "monthly", "quarterly", "annually"}

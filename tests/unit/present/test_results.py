"""Every public result shows itself, becomes a data frame, and is otherwise what it was."""

from __future__ import annotations

import pickle
from dataclasses import fields

import pytest
from tests.unit.present.html_reader import read
from tests.unit.present.samples import ENTRIES, FIRST, GROUP, HOSTILE, SAMPLES, STATUS, snapshot

import holdfast
from holdfast.model.retention import RetentionGroups, RetentionPolicy
from holdfast.operations.anomalies import AnomalyKind
from holdfast.present import Row, Shown, Table, escaped, rows_of

NO_RESULTS = {
    "Action": "told to a callback, hundreds of thousands of times; a plain tuple",
    "AuditTrail": "a file that is open; its `entries` show themselves",
    "AzureStorageAdapter": "says where a repository is",
    "BackupManager": "makes backups; answers with plain dicts",
    "BackupRecoveryProtocol": "answers with plain dicts",
    "BackupScheduler": "runs jobs; answers with plain dicts",
    "BackupType": "an argument",
    "BackupValidator": "answers with plain dicts",
    "ChunkerParams": "an argument",
    "ComplianceReporter": "writes reports; answers with plain dicts",
    "CopyIncomplete": "an error; its `result` shows itself",
    "DRDrill": "does drills; their reports show themselves",
    "DrillConfig": "an argument",
    "GCSStorageAdapter": "says where a repository is",
    "IntegrityLevel": "an argument",
    "LocalStorageAdapter": "says where a repository is",
    "RecoveryManager": "restores; answers with plain dicts",
    "Repository": "what results come from",
    "RetentionPolicy": "an argument; what it decides shows itself",
    "S3StorageAdapter": "says where a repository is",
}
"""Public classes that are no results, and what they are."""


def classes() -> dict[str, type]:
    """The public classes that are no errors."""
    found = {name: getattr(holdfast, name) for name in holdfast.__all__}
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, type) and not issubclass(value, Exception)
    }


RESULTS = sorted(set(classes()) - set(NO_RESULTS))
KINDS = sorted(name for name in RESULTS if issubclass(classes()[name], Row))


@pytest.mark.parametrize("name", RESULTS)
def test_every_public_class_shows_itself_or_is_no_result(name: str) -> None:
    kind = classes()[name]
    assert issubclass(kind, Shown), f"{name} is neither Shown nor in NO_RESULTS"
    assert kind._table is not Shown._table


def test_what_is_said_to_be_no_result_is_public_and_does_not_show_itself() -> None:
    public = {name: getattr(holdfast, name) for name in holdfast.__all__}
    assert [name for name in NO_RESULTS if name not in public] == []
    assert [name for name in NO_RESULTS if issubclass(public[name], Shown)] == []


@pytest.mark.parametrize("name", KINDS)
def test_columns_are_attributes_unless_the_class_says_what_they_are(name: str) -> None:
    kind = classes()[name]
    assert issubclass(kind, Row)
    known = {field.name for field in fields(kind)} | set(dir(kind))  # type: ignore[arg-type]
    is_own = kind._row is not Row._row
    assert [each for each in kind._COLUMNS if not is_own and each.name not in known] == []


def test_there_is_a_sample_of_each_result_of_the_verbs_that_repositories_began_with() -> None:
    assert len(SAMPLES) > 50
    assert [
        name for name, sample in SAMPLES.items() if not isinstance(sample, classes()[name])
    ] == []


def tables(table: Table) -> list[Table]:
    """A table and its parts."""
    return [table, *(each for part in table.parts for each in tables(part))]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_result_is_a_page_and_a_frame(name: str) -> None:
    sample = SAMPLES[name]
    assert read(sample._repr_html_()).text
    frame = sample.to_pandas()
    assert list(frame.columns) == [column.name for column in sample._table().columns]
    assert len(frame) == len(list(sample._table().rows)) > 0
    for table in tables(sample._table()):
        width = len(table.columns)
        names = [column.name for column in table.columns]
        assert all(name.isidentifier() for name in names)
        assert len(set(names)) == width
        assert {len(row) for row in table.rows} <= {width}


WITH_ERRORS = {"BackupToResult", "CopyFailure", "CopyResult", "RewriteFailure", "RewriteResult"}
"""They hold exceptions, which are equal to nothing but themselves."""


@pytest.mark.parametrize("name", sorted(set(SAMPLES) - WITH_ERRORS - {"Diff"}))
def test_a_result_that_shows_itself_can_still_be_pickled_and_compared(name: str) -> None:
    assert pickle.loads(pickle.dumps(SAMPLES[name])) == SAMPLES[name]  # noqa: S301 - just made


def test_slots_are_still_all_that_results_have() -> None:
    assert not hasattr(SAMPLES["Snapshot"], "__dict__")
    assert not hasattr(SAMPLES["Entry"], "__dict__")
    assert "_COLUMNS" not in {field.name for field in fields(holdfast.Snapshot)}


def test_counts_are_still_named_by_their_slots() -> None:
    counts = holdfast.DiffCounts(added=1)
    assert counts.dict()["added"] == 1
    assert "_COLUMNS" not in counts.dict()


def test_hostile_names_are_shown_escaped() -> None:
    html = SAMPLES["Entry"]._repr_html_()
    assert "<script" not in html
    assert escaped(HOSTILE) in read(html).text


def test_a_retention_decision_says_why() -> None:
    found = read(GROUP._repr_html_())
    assert found.rows[0] == ["snapshot", "time UTC", "host", "paths", "tags", "keep", "reasons"]
    assert [row[-2:] for row in found.rows[1:]] == [
        ["yes", "last snapshot, daily snapshot"],
        ["no", ""],
        ["yes", "oldest monthly snapshot"],
    ]


def test_what_a_policy_says_is_a_list_of_groups_that_shows_each_snapshot() -> None:
    groups = RetentionPolicy(keep_last=2).apply([snapshot(number) for number in range(5)])
    assert isinstance(groups, list)
    assert isinstance(groups, RetentionGroups)
    assert [len(group.decisions) for group in groups] == [5]
    assert read(groups._repr_html_()).captions == ["Retention: 2 of 5 snapshots stay"]
    assert list(groups.to_pandas()["keep"]) == [True, True, False, False, False]


def test_the_status_shows_itself() -> None:
    found = read(STATUS._repr_html_())
    assert found.captions[0] == "/srv/repo: 2 problems"
    assert STATUS.to_pandas()["late"].tolist() == [True]


def test_a_valid_check_says_so() -> None:
    report = holdfast.CheckReport(
        findings=(), snapshots=1, packs=2, blobs=3, packs_read=0, bytes_read=0
    )
    found = read(report._repr_html_())
    assert found.captions == ["Check: nothing is wrong"]
    assert found.rows[1:] == [["none"]]
    assert len(report.to_pandas()) == 0


def test_directories_have_no_size() -> None:
    assert ENTRIES[0].to_pandas()["size"].isna().all()


def test_a_list_of_findings_can_be_read_and_one_finding_has_its_reasons() -> None:
    found = holdfast.Anomaly(
        FIRST,
        AnomalyKind.BURST,
        0.9,
        "many files",
        ("one", "two"),
        9.0,
        (0.0, 5.0),
        ("/a", HOSTILE),
    )
    rows = rows_of(holdfast.Anomaly, [found], "What looks wrong")
    shown = read(rows._repr_html_()).rows
    assert shown[0] == ["severity", "kind", "snapshot", "time UTC", "host", "summary"]
    names = [row[0] for row in read(found._repr_html_()).rows]
    assert names[-2:] == ["evidence", "paths"]
    frame = rows.to_pandas()
    assert frame["evidence"].tolist() == ["one\ntwo"]
    assert frame["expected_high"].tolist() == [5.0]


def test_what_was_labelled_is_shown_by_its_labels() -> None:
    sample = SAMPLES["TagResult"]
    shown = read(sample._repr_html_()).rows[0]
    assert shown == ["id", "time UTC", "host", "paths", "tags", "label", "protection"]
    assert {"files", "data_stored", "problem_count"} <= set(sample.to_pandas().columns)

"""Deciding by names which snapshots go: the groups, and what has to be left of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from holdfast.errors import UsageError
from holdfast.model.retention import RetentionPolicy
from holdfast.model.select import GroupKey
from holdfast.model.snapshot import Hold, Snapshot
from holdfast.operations.forget import ForgetOptions, ForgetPlan, judge, pick
from holdfast.operations.undelete import ForgottenSnapshot
from holdfast.primitives.ids import BlobId
from holdfast.testing.layouts import snapshot_of

NOW = datetime(2024, 1, 1, tzinfo=UTC)


def options(*group_by: GroupKey, force: bool = False) -> ForgetOptions:
    return ForgetOptions(now=NOW, group_by=group_by or ("host", "paths"), force=force)


def numbered(number: int, host: str = "a", tags: Sequence[str] = ()) -> Snapshot:
    return replace(snapshot_of(BlobId(bytes(32)), number, host), tags=tuple(tags))


def held(number: int) -> Snapshot:
    return replace(numbered(number), holds=(Hold("why", id="0" * 32),))


def test_what_was_named_goes_and_what_is_held_stays() -> None:
    known = [numbered(1), held(2), numbered(3), numbered(4)]
    (group,) = pick(known[:3], known, options())
    assert [each.snapshot for each in group.decisions] == [known[2], known[1], known[0]]
    assert [each.keep for each in group.decisions] == [False, True, False]
    assert group.decisions[1].reasons == ("protected: why",)
    assert ForgetPlan((group,)).going == [known[0], known[2]]


def test_the_last_one_of_a_group_goes_by_force_only() -> None:
    known = [numbered(1), numbered(2, "b"), numbered(3, "b")]
    with pytest.raises(UsageError, match="host a"):
        pick([known[0], known[1]], known, options())
    assert len(pick([known[0], known[1]], known, options(force=True))) == 2
    assert len(pick([known[0], known[1]], known, options("paths"))) == 1


def test_a_held_one_that_was_named_is_what_is_left() -> None:
    known = [numbered(1), held(2)]
    (group,) = pick(known, known, options())
    assert ForgetPlan((group,)).going == [known[0]]


def test_groups_are_those_of_the_tags_that_snapshots_have_now() -> None:
    known = [numbered(1, tags=("x",)), numbered(2, tags=("x",)), numbered(3)]
    with pytest.raises(UsageError, match="last snapshot"):
        pick([known[2]], known, options("tags"))
    (group,) = pick([known[0]], known, options("tags"))
    assert (group.tags, group.host, group.paths) == (("x",), None, None)


def test_a_policy_passes_over_nothing_that_is_held() -> None:
    known = [held(1), numbered(2), numbered(3)]
    (group,) = judge(known, RetentionPolicy(keep_last=1), options())
    assert [each.keep for each in group.decisions] == [True, False, True]
    assert group.dict()["decisions"] == [each.dict() for each in group.decisions]


def test_what_is_dated_in_the_future_is_not_left() -> None:
    known = [numbered(1), replace(numbered(2), time_ns=4_000_000_000 * 10**9)]
    with pytest.raises(UsageError, match="last snapshot"):
        pick(known[:1], known, options())


def test_a_forgotten_snapshot_says_when_it_was() -> None:
    forgotten = ForgottenSnapshot(numbered(1), 1_700_000_000_000_000_000)
    assert forgotten.dict() == {
        "snapshot": numbered(1).dict(), "forgotten": "2023-11-14T22:13:20+00:00",
    }  # fmt: skip

"""Who is at work, as it is told to people and programs."""

from __future__ import annotations

import json

from holdfast.operations.sessions import ReclaimAtWork, at_work
from holdfast.testing.repositories import ManualClock, new_store


def test_a_writer_and_the_reclaim_that_waits_for_it() -> None:
    clock = ManualClock()
    store = new_store(clock=clock)
    about = {"host": "h", "user": "u", "kind": "backup", "process": 7, "program": "p"}
    with store.writer({}) as writer:
        writer.save_data(memoryview(b"text"), ("small", 0))
        writer.flush()
    (pack,) = store.list_packs().packs.items()
    began = clock.now_ns()
    with store.writer(about) as writer:
        reclaim = store.reclaim({"kind": "prune"}, 1800.0)
        reclaim.condemn([pack[0]])
        clock.advance(60)
        found = at_work(store, clock.now_ns())
    told = json.loads(json.dumps(found.dict()))
    (session,) = [each for each in told["sessions"] if each["id"] == writer.id]
    assert session == {
        **about,
        "id": writer.id,
        "started": session["last"],
        "last": session["last"],
        "age": (clock.now_ns() - began) / 1e9,
        "problem": "",
    }
    (waiting,) = told["reclaims"]
    assert waiting == {
        "id": waiting["id"], "packs": 1, "bytes": pack[1], "waits": [writer.id], "problem": "",
    }  # fmt: skip
    assert found.reclaims[0].id == waiting["id"]


def test_people_see_the_beginnings_of_ids() -> None:
    row = ReclaimAtWork("1" * 32, 2, 3, ("a" * 32, "b" * 32), "")._row()
    assert row == ("1" * 32, 2, 3, "aaaaaaaa, bbbbbbbb", "")

"""Laws of the recovery key's text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.length import examples

from holdfast.errors import UsageError
from holdfast.primitives.chunker import PROFILES
from holdfast.store import Settings
from holdfast.store.keys import Keys
from holdfast.store.recovery import ALPHABET, RecoveryKey, decode_recovery, encode_recovery

SECRET = st.binary(min_size=32, max_size=32)


@st.composite
def recoveries(draw: st.DrawFn) -> RecoveryKey:
    epoch = draw(st.integers(0, 5))
    known = draw(st.integers(0, epoch))
    older = {epoch - back: draw(SECRET) for back in range(1, known + 1)}
    keys = Keys(
        draw(st.binary(min_size=16, max_size=16)),
        epoch,
        draw(SECRET),
        draw(SECRET),
        older,
        draw(st.integers(0, epoch)),
        draw(st.integers(0, 999_999_999)),
    )
    chunker = draw(st.sampled_from(list(PROFILES.values())))
    fixed = Settings(chunker, draw(st.integers(1 << 20, 96 << 20)), draw(st.integers(0, 22)))
    return RecoveryKey(keys, fixed, draw(st.integers(0, 1 << 62)))


@given(recoveries())
def test_the_text_comes_back(recovery: RecoveryKey) -> None:
    text = encode_recovery(recovery)
    assert decode_recovery(text) == recovery
    assert decode_recovery(text.lower()) == recovery


@settings(max_examples=examples(200))
@given(recoveries(), st.data())
def test_up_to_four_mistyped_characters_of_a_line_are_found_and_placed(
    recovery: RecoveryKey, data: st.DataObject
) -> None:
    text = encode_recovery(recovery).splitlines()
    lines = [each for each in text if each and not each.startswith("#")]
    number = data.draw(st.integers(0, len(lines) - 1))
    line = list(lines[number])
    places = [place for place, letter in enumerate(line) if place >= 4 and letter in ALPHABET]
    for place in data.draw(st.sets(st.sampled_from(places), min_size=1, max_size=4)):
        line[place] = data.draw(st.sampled_from(sorted(set(ALPHABET) - {line[place]})))
    lines[number] = "".join(line)
    with pytest.raises(UsageError, match=rf"^line {number + 1} of the recovery key is mistyped$"):
        decode_recovery("\n".join(lines))

"""Cut points: laws that both implementations keep, whatever the data and however it arrives."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator

import fastcdc
import pytest
from fastcdc import fastcdc_py
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.length import examples

from holdfast.errors import UnsupportedRepository, UsageError
from holdfast.primitives.chunker import (
    CHUNKERS,
    MAX_SIZES,
    MIN_SIZES,
    PROFILES,
    Chunker,
    ChunkerParams,
    open_chunker,
)

SIZES = (64, 256, 1024)
SEED = bytes(range(32))

each_chunker = pytest.mark.parametrize("name", CHUNKERS)


def chunker(name: str, seed: bytes = SEED, sizes: tuple[int, int, int] = SIZES) -> Chunker:
    return open_chunker(ChunkerParams(name, *sizes), seed)


def content(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311 - the same in every run


def boundaries(lengths: list[int]) -> list[int]:
    place, ends = 0, []
    for length in lengths:
        place += length
        ends.append(place)
    return ends


def streamed(cutter: Chunker, data: bytes, windows: Iterator[int]) -> list[int]:
    """Cut as a stream is: windows grow until something is cut, what is left begins the next."""
    lengths: list[int] = []
    start = end = 0
    while end < len(data):
        end = min(len(data), end + next(windows))
        last = end == len(data)
        for length in cutter.cut(memoryview(data)[start:end], last=last):
            lengths.append(length)
            start += length
    return lengths


DATA = st.one_of(
    st.binary(max_size=3000),
    st.builds(content, st.integers(0, 1000), st.integers(0, 20_000)),
    st.builds(lambda piece, count: piece * count, st.binary(min_size=1, max_size=40),
              st.integers(1, 400)),
)  # fmt: skip


@each_chunker
@given(data=DATA)
def test_chunks_make_up_the_data_and_keep_their_bounds(name: str, data: bytes) -> None:
    if not data:
        return
    lengths = chunker(name).cut(memoryview(data), last=True)
    assert sum(lengths) == len(data)
    low, _, high = SIZES
    assert all(low <= length <= high for length in lengths[:-1])
    assert 0 < lengths[-1] <= high


@each_chunker
@given(data=DATA, windows=st.lists(st.integers(1, 5000), min_size=1, max_size=10))
@settings(max_examples=examples(200))
def test_windows_of_any_size_are_cut_alike(name: str, data: bytes, windows: list[int]) -> None:
    if not data:
        return
    cutter = chunker(name)
    whole = cutter.cut(memoryview(data), last=True)
    assert streamed(cutter, data, iter(windows * 20_001)) == whole


@each_chunker
def test_a_window_before_the_end_never_cuts_what_touches_its_end(name: str) -> None:
    data = content(1, 50_000)
    cutter = chunker(name)
    whole = boundaries(cutter.cut(memoryview(data), last=True))
    for size in range(1, 6000, 37):
        found = boundaries(cutter.cut(memoryview(data)[:size], last=False))
        assert found == whole[: len(found)]
        assert all(end < size for end in found)
        assert size - (found[-1] if found else 0) <= SIZES[2]


@each_chunker
@given(seed=st.integers(0, 100), shift=st.integers(1, 300), place=st.integers(0, 30_000))
@settings(max_examples=examples(40))
def test_an_insertion_moves_only_the_cuts_near_it(
    name: str, seed: int, shift: int, place: int
) -> None:
    data = content(seed, 60_000)
    changed = data[:place] + content(seed + 1000, shift) + data[place:]
    cutter = chunker(name)
    before = boundaries(cutter.cut(memoryview(data), last=True))
    after = boundaries(cutter.cut(memoryview(changed), last=True))
    kept_before = {end for end in before if end <= place}
    assert kept_before <= set(after)
    far = {end + shift for end in before if end > place + 20 * SIZES[2]}
    assert far <= set(after)


@each_chunker
def test_read_only_and_writable_buffers_are_cut_alike(name: str) -> None:
    data = content(2, 10_000)
    cutter = chunker(name)
    expected = cutter.cut(memoryview(data), last=True)
    assert cutter.cut(memoryview(bytearray(data)), last=True) == expected
    padded = memoryview(bytearray(b"x" * 7 + data + b"y" * 7))
    assert cutter.cut(padded[7:-7], last=True) == expected


@each_chunker
@pytest.mark.parametrize("size", [1, 63, 64, 65, 1023, 1024, 1025, 2048])
def test_zeros_are_cut_at_the_greatest_length(name: str, size: int) -> None:
    lengths = chunker(name).cut(memoryview(bytes(size)), last=True)
    assert lengths == [1024] * (size // 1024) + [size % 1024] * (size % 1024 > 0)


def test_the_seed_moves_the_cuts() -> None:
    data = content(3, 30_000)
    cuts = [
        tuple(chunker("pyfastcdc", seed).cut(memoryview(data), last=True))
        for seed in (SEED, SEED[1:], bytes(32), b"\xff" * 32)
    ]
    assert len(set(cuts)) == 4
    top_bit = SEED[:7] + bytes([SEED[7] | 0x80]) + SEED[8:]
    assert tuple(chunker("pyfastcdc", top_bit).cut(memoryview(data), last=True)) == cuts[0]


@each_chunker
@pytest.mark.parametrize("sizes", [MIN_SIZES, MAX_SIZES, (64, 64, 1024), (1024, 1024, 1024)])
def test_the_extreme_sizes_work(name: str, sizes: tuple[int, int, int]) -> None:
    low, average, high = sizes
    params = ChunkerParams(name, low, max(average, 256), high)
    data = content(4, 3 * high)
    lengths = open_chunker(params, SEED).cut(memoryview(data), last=True)
    assert sum(lengths) == len(data)
    assert all(low <= length <= high for length in lengths[:-1])


@each_chunker
@pytest.mark.parametrize(
    "sizes",
    [
        (63, 256, 1024),
        (64, 255, 1024),
        (64, 256, 1023),
        (512, 256, 1024),
        (64, 2048, 1024),
        ((1 << 20) + 1, 4 << 20, 16 << 20),
        (64, (4 << 20) + 1, 16 << 20),
        (64, 256, (16 << 20) + 1),
        (0, 0, 0),
        (-1, 256, 1024),
    ],
)
def test_sizes_out_of_bounds_are_refused(name: str, sizes: tuple[int, int, int]) -> None:
    with pytest.raises(UsageError, match="out of bounds"):
        ChunkerParams(name, *sizes)


def test_an_unknown_chunker_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown chunker"):
        ChunkerParams("rabin", *SIZES)


@pytest.mark.parametrize("profile", PROFILES)
def test_the_profiles_work(profile: str) -> None:
    params = PROFILES[profile]
    data = content(5, 3 * params.max_size)
    lengths = open_chunker(params, SEED).cut(memoryview(data), last=True)
    assert sum(lengths) == len(data)
    assert max(lengths) <= params.max_size


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastcdc", None)
    with pytest.raises(UnsupportedRepository, match="fastcdc, which is not installed"):
        chunker("fastcdc")


def test_a_package_without_its_compiled_module_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastcdc, "fastcdc", fastcdc_py.fastcdc_py)
    with pytest.warns(RuntimeWarning, match="C compiler"):
        slow = chunker("fastcdc")
    data = content(6, 5000)
    monkeypatch.undo()
    assert slow.cut(memoryview(data), last=True) == chunker("fastcdc").cut(
        memoryview(data), last=True
    )

"""Numbers that must never change: they are part of every repository there is.

The input is the extendable output of BLAKE3, so anybody can make it again. If one of these tests
fails after an update of a library, the update is wrong for us.
"""

from __future__ import annotations

import pytest
from tests.compat.making import noise

from holdfast.errors import UsageError
from holdfast.model.content import ContentBuilder
from holdfast.model.tree import save_directory
from holdfast.primitives import hashing
from holdfast.primitives.chunker import PROFILES, ChunkerParams, open_chunker
from holdfast.primitives.kdf import KdfParams, stretch
from holdfast.store.keys import Keys
from holdfast.store.pack import Kind, blob_key
from holdfast.testing.blobs import MemoryBlobs
from holdfast.testing.layouts import file_node

KEYS = Keys(bytes(range(16)), 0, bytes(range(32)), bytes(range(32, 64)))
DATA = noise(1 << 20, b"golden")
SEED = bytes.fromhex("012633dd1cb62a46362c1720c38fbe088a39108e21af7165a903702ceec7ac26")

CUTS = {
    "default": [
        290896, 355626, 266641, 728902, 293737, 176543, 352921, 581337, 269844, 383812, 91880,
        354514, 485943, 325877, 287458, 146722, 313780, 99359, 266536, 447378, 624932, 134888,
        270262, 191017, 358645, 190658, 98500,
    ],
    "large": [913163, 1199182, 1679794, 1166334, 2321053, 1010582, 98500],
    "fastcdc": [
        240196, 447224, 200817, 190243, 339195, 164006, 336117, 317196, 359521, 163998, 506953,
        108425, 196058, 285519, 154015, 902464, 170684, 513291, 229396, 837513, 203604, 334644,
        205750, 435108, 343880, 202791,
    ],
}  # fmt: skip
SMALL_CUTS = {
    "pyfastcdc": [
        22811, 36720, 19574, 23303, 6207, 21133, 22179, 26184, 14210, 39005, 21223, 16400, 16593,
        22649, 32010, 24857, 27091, 30725, 21836, 18775, 28760, 17780, 17908, 25095, 9107, 18893,
        7263, 18597, 23467, 17251, 16573, 4223, 17257, 16462, 15211, 29388, 8071, 11171, 21116,
        25910, 35045, 19262, 10517, 21237, 14114, 10675, 24467, 24322, 14862, 35304, 25783,
    ],
    "fastcdc": [
        12745, 14694, 17777, 11551, 47995, 16670, 25125, 11888, 22213, 10760, 11163, 10380, 12192,
        15043, 14647, 6599, 15960, 25013, 36677, 18129, 21691, 11052, 11860, 11486, 15644, 17492,
        65233, 28511, 20621, 16852, 15001, 13343, 20262, 13034, 19818, 10347, 14330, 4565, 12968,
        6716, 13428, 19695, 20425, 13939, 21804, 22550, 20999, 14519, 16044, 9140, 4939, 22302,
        13681, 12788, 11287, 18188, 26660, 37841, 10978, 9322,
    ],
}  # fmt: skip
PURPOSES = {
    "data id": "4c3313234747340d9e0dea5a2e8d75c09cd6fc4a7f0fef99dc671336787a72ef",
    "tree id": "1ce6a5a4487dc430aa78430ff3f49fde0d686d986fd7f4a5a47c9c7396678a51",
    "chunker seed": SEED.hex(),
    "tree pages": "5668cbaf9fd08ad95027509201cee1a50e01eae3b522848ee12c1f9013f2b16c",
    "pack": "5c153c2d0b68e2cc3e0e7302371ed35335a8711326ee78be4a40f23c3fb0b3ee",
    "object config": "79c91217aeb7aa87001aad03c1a44eb56162fd08c669c9954e55c9189d94a542",
    "object index": "c4b4f56ca593cd7543ff702a34d57313d130b7eaa39e1ebcde2b8503a0ce4a4b",
    "object snapshot": "f01436ac85b8b1ff23b4ea38f7db65929518cba2bcb288c7cb190a6131c4b9aa",
    "object session": "b0c54193f4cce195b8cf04fca9f4aa1c46426666501d199614f5505eb48e36a9",
    "object condemned": "ca4206e6d57a548b4597deb427154ca2b80794fd38c9e1ba0d2e2c5b2b290aba",
    "object aborted": "3731fd5007fda9368e3bd652d345a8543aa652e5280a01106bd425c68126c184",
}


def test_the_input_is_what_it_was() -> None:
    expected = "2764e957ef04dc48d8f29316201b78b293019f192c86314d8c7ea466e429a0fb"
    assert hashing.digest(DATA).hex() == expected


@pytest.mark.fault(52)
@pytest.mark.format("F16")
@pytest.mark.parametrize("profile", CUTS)
def test_the_cut_points_of_a_profile(profile: str) -> None:
    data = noise(8 << 20, b"golden")
    chunker = open_chunker(PROFILES[profile], SEED)
    assert chunker.cut(memoryview(data), last=True) == CUTS[profile]


@pytest.mark.format("F16")
@pytest.mark.parametrize("name", SMALL_CUTS)
def test_the_cut_points_of_small_chunks(name: str) -> None:
    chunker = open_chunker(ChunkerParams(name, 4 << 10, 16 << 10, 64 << 10), SEED)
    assert chunker.cut(memoryview(DATA), last=True) == SMALL_CUTS[name]


@pytest.mark.format("F16")
def test_of_the_seed_63_bits_matter_and_it_is_never_0() -> None:
    params = ChunkerParams("pyfastcdc", 4 << 10, 16 << 10, 64 << 10)

    def cuts(seed: bytes) -> list[int]:
        return open_chunker(params, seed).cut(memoryview(DATA), last=True)

    highest = bytes([*SEED[:7], SEED[7] ^ 0x80])
    assert cuts(SEED[:8]) == cuts(SEED) == cuts(highest)
    assert cuts(bytes([SEED[0] ^ 1, *SEED[1:]])) != cuts(SEED)
    assert cuts(bytes(32)) == cuts(bytes([1, *bytes(7)])) == cuts(bytes([0] * 7 + [0x80]))


@pytest.mark.format("F16")
@pytest.mark.parametrize(
    ("low", "avg", "high", "fits"),
    [
        (64, 256, 1024, True),
        (63, 256, 1024, False),
        (64, 255, 1024, False),
        (64, 256, 1023, False),
        (1 << 20, 4 << 20, 16 << 20, True),
        ((1 << 20) + 1, 4 << 20, 16 << 20, False),
        (1 << 20, (4 << 20) + 1, 16 << 20, False),
        (1 << 20, 4 << 20, (16 << 20) + 1, False),
        (1025, 1024, 2048, False),
        (1024, 2049, 2048, False),
    ],
)
def test_the_bounds_of_chunk_sizes(low: int, avg: int, high: int, fits: bool) -> None:
    if fits:
        params = ChunkerParams("pyfastcdc", low, avg, high)
        assert sum(open_chunker(params, SEED).cut(memoryview(DATA), last=True)) == len(DATA)
    else:
        with pytest.raises(UsageError, match="out of bounds"):
            ChunkerParams("pyfastcdc", low, avg, high)


@pytest.mark.format("F4")
@pytest.mark.parametrize("purpose", PURPOSES)
def test_the_keys(purpose: str) -> None:
    if purpose in {"data id", "tree id", "chunker seed", "tree pages"}:
        assert KEYS.from_dedup(purpose).hex() == PURPOSES[purpose]
    else:
        assert KEYS.from_master(purpose).hex() == PURPOSES[purpose]


@pytest.mark.fault(52)
@pytest.mark.format("F5")
def test_the_ids_of_blobs() -> None:
    ids = {kind: hashing.keyed(blob_key(KEYS, kind), b"hello").hex() for kind in Kind}
    assert ids == {
        Kind.DATA: "61068f7e9446ca0e4d4ce6deba10b33360cf0e23bace5b6eee91c2e57b179a7d",
        Kind.TREE: "a79ebdf2bea04d4fa81d143917b15865790b979578cce431e83086b7a258759f",
    }


@pytest.mark.format("F6")
@pytest.mark.parametrize("password", ["Am\u00e9lie", "Ame\u0301lie", "Am\u00e9lie".encode()])
def test_what_argon2id_makes_of_a_password(password: str | bytes) -> None:
    assert stretch(password, bytes(32), KdfParams(19 << 10, 1, 1), 64).hex() == (
        "d7bd46aefa773e12d19a905ddc877bd005864b0ec398cfdf4891f3edb66cc724"
        "6c91e12820cd4ac5e6465d9f93f776b2f517a8c683ad9452949c22d2d1baaca3"
    )


@pytest.mark.format("F30", "F38")
def test_the_pages_of_a_large_directory() -> None:
    blobs = MemoryBlobs()
    nodes = [file_node(blobs, b"%06d" % number, b"") for number in range(20_000)]
    expected = "8b8116526dfb138764b79f9d926b9cdb4ae5a0fd20aa4e43d3edf375951c8218"
    assert save_directory(nodes, blobs).hex() == expected


@pytest.mark.format("F31", "F38")
def test_the_lists_of_a_large_file() -> None:
    blobs = MemoryBlobs()
    builder = ContentBuilder(blobs)
    for number in range(20_000):
        builder.add_blob(blobs.add(b"%d" % number), 1 + number % 5)
        if number % 100 == 0:
            builder.add_zeros(number + 1)
    size, content = builder.finish()
    assert isinstance(content, tuple)
    level, items = content
    assert (size, level, len(items)) == (2_050_200, 1, 14)
    assert isinstance(items[0], tuple)
    assert items[0][0].hex() == "8233dfe6d02f217efe3fe5756af89f32318769376995cd60cf9c743d24eac73c"

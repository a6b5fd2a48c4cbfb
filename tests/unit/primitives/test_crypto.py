"""AES-GCM: one nonce a message, and nothing opens that was not sealed just so."""

from __future__ import annotations

import os
import warnings

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from holdfast.primitives.crypto import (
    COUNTER_LIMIT,
    TAG_SIZE,
    Domain,
    Forged,
    Opener,
    Sealer,
    random_bytes,
)

KEY = bytes(range(32))
DOMAINS = st.sampled_from(list(Domain))


@pytest.mark.fault(50)
@given(st.lists(st.tuples(DOMAINS, st.binary(max_size=50), st.binary(max_size=20)), max_size=30))
def test_every_message_has_a_nonce_of_its_own(
    messages: list[tuple[Domain, bytes, bytes]],
) -> None:
    sealer, aead = Sealer(KEY), AESGCM(KEY)
    nonces = set()
    for domain, message, context in messages:
        ordinal = sealer.next_ordinal(domain)
        sealed = sealer.seal(domain, message, context)
        nonce = domain.value + ordinal.to_bytes(8, "little")
        nonces.add(nonce)
        assert aead.decrypt(nonce, sealed, context) == message
        assert Opener(KEY).open(domain, ordinal, sealed, context) == message
    assert len(nonces) == len(messages)


def test_a_message_counts_even_when_sealing_it_fails() -> None:
    sealer = Sealer(KEY)
    with pytest.raises(ValueError, match=r"buffer|len"):
        sealer.seal_into(memoryview(bytearray(3)), Domain.SEGMENT, b"message", b"")
    assert sealer.next_ordinal(Domain.SEGMENT) == 1


def test_the_same_message_twice_gives_other_bytes() -> None:
    sealer = Sealer(KEY)
    sealed = {sealer.seal(domain, b"message", b"") for domain in Domain for _ in range(3)}
    assert len(sealed) == 3 * len(Domain)


def test_domains_are_told_apart_by_four_bytes() -> None:
    values = [domain.value for domain in Domain]
    assert len(set(values)) == len(values)
    assert {len(value) for value in values} == {4}


def test_a_counter_has_an_end() -> None:
    sealer = Sealer(KEY)
    sealer._counters[Domain.PAGE] = COUNTER_LIMIT - 1
    sealer.seal(Domain.PAGE, b"the last one", b"")
    with pytest.raises(RuntimeError, match="too many messages"):
        sealer.seal(Domain.PAGE, b"one more", b"")
    sealer.seal(Domain.SEGMENT, b"of another domain", b"")


@pytest.mark.fault(50)
def test_a_forked_child_cannot_seal() -> None:
    """Its counter would run beside its parent's, under the same key."""
    sealer = Sealer(KEY)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            sealer.seal(Domain.SEGMENT, b"message", b"")
        except RuntimeError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert sealer.seal(Domain.SEGMENT, b"message", b"")


def test_every_bit_of_a_message_counts() -> None:
    sealed = bytearray(Sealer(KEY).seal(Domain.OBJECT, b"a message", b"context"))
    opener = Opener(KEY)
    for place in range(len(sealed)):
        for bit in range(8):
            sealed[place] ^= 1 << bit
            with pytest.raises(Forged):
                opener.open(Domain.OBJECT, 0, sealed, b"context")
            sealed[place] ^= 1 << bit
    assert opener.open(Domain.OBJECT, 0, sealed, b"context") == b"a message"


def test_a_message_is_bound_to_its_key_domain_ordinal_and_context() -> None:
    sealer = Sealer(KEY)
    sealer.seal(Domain.SEGMENT, b"first", b"context")
    sealed = sealer.seal(Domain.SEGMENT, b"second", b"context")
    opener = Opener(KEY)
    assert opener.open(Domain.SEGMENT, 1, sealed, b"context") == b"second"
    for domain, ordinal, context in (
        (Domain.SEGMENT, 0, b"context"),
        (Domain.SEGMENT, 2, b"context"),
        (Domain.TRAILER, 1, b"context"),
        (Domain.SEGMENT, 1, b"contex"),
        (Domain.SEGMENT, 1, b""),
    ):
        with pytest.raises(Forged):
            opener.open(domain, ordinal, sealed, context)
    with pytest.raises(Forged):
        Opener(bytes(32)).open(Domain.SEGMENT, 1, sealed, b"context")


def test_a_message_is_opened_into_memory() -> None:
    sealed = Sealer(KEY).seal(Domain.SEGMENT, b"a message", b"context")
    memory = bytearray(b"x" * 11)
    Opener(KEY).open_into(memoryview(memory)[1:-1], Domain.SEGMENT, 0, sealed, b"context")
    assert memory == b"xa messagex"


def test_nothing_of_a_forged_message_stays_in_memory() -> None:
    sealed = bytearray(Sealer(KEY).seal(Domain.SEGMENT, b"a message", b"context"))
    sealed[-1] ^= 1
    memory = bytearray(b"x" * 9)
    with pytest.raises(Forged):
        Opener(KEY).open_into(memoryview(memory), Domain.SEGMENT, 0, sealed, b"context")
    assert memory == bytes(9)


@pytest.mark.parametrize("size", range(TAG_SIZE + 1))
def test_what_is_too_short_is_forged_into_memory_too(size: int) -> None:
    out = memoryview(bytearray(max(size - TAG_SIZE, 0)))
    with pytest.raises(Forged):
        Opener(KEY).open_into(out, Domain.FOOTER, 0, bytes(size), b"")


@pytest.mark.parametrize("size", range(TAG_SIZE + 1))
def test_what_is_too_short_is_forged(size: int) -> None:
    with pytest.raises(Forged):
        Opener(KEY).open(Domain.FOOTER, 0, bytes(size), b"")


def test_random_bytes_differ() -> None:
    assert len({random_bytes(32) for _ in range(100)}) == 100
    assert len(random_bytes(7)) == 7

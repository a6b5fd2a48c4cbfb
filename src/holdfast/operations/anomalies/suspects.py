"""Which of the files that were rewritten became random: looked into when there is reason to.

The index knows how well each blob compresses, which costs nothing, but small files share what they
are compressed with. So it raises suspicion, and pieces of some suspected files are read to decide.
"""

from __future__ import annotations

from typing import NamedTuple

from holdfast.errors import DamagedRepository
from holdfast.model.roles import BlobLoader
from holdfast.operations.anomalies.content import look, lost
from holdfast.operations.anomalies.pairs import Pair
from holdfast.operations.anomalies.sample import Sample

MOST_PAIRS = 4096
"""Modified files that are remembered, and such that are suspected: about 500 bytes each."""

MOST_READ = 48
"""Files of each of the four pools of which a piece is read, before and after."""

RISE = 0.15
"""A file is suspected when this much more is stored for each of its bytes than before."""

FEWEST_SUSPECTS = 3
"""Suspected files in one snapshot from which on they are looked into."""

MANY = 0.05
"""Share of all files that were rewritten from which on some of them are looked into."""

COMPRESSIBLE, INCOMPRESSIBLE = 0.85, 0.95
"""Stored shares up to which, and from which on, a file counts when nothing may be read."""


class Pool(NamedTuple):
    """Files to look into, and how many each of them stands for."""

    pairs: list[Pair]
    factor: float

    @property
    def files(self) -> float:
        """How many there are."""
        return len(self.pairs) * self.factor

    def suspected(self) -> Pool:
        """Those that compress worse than before."""
        return self._replace(pairs=[pair for pair in self.pairs if pair.rise >= RISE])


class Verdict(NamedTuple):
    """How many files became random, how many that was judged by, and some of them."""

    files: int = 0
    examined: int = 0
    paths: tuple[bytes, ...] = ()

    def plus(self, other: Verdict) -> Verdict:
        """Both together."""
        return Verdict(
            self.files + other.files, self.examined + other.examined, self.paths + other.paths
        )


class Suspects:
    """Collects modified files, in bounded memory."""

    def __init__(self) -> None:
        self._all: Sample[list[Pair]] = Sample(list, MOST_PAIRS)
        self._risen: Sample[list[Pair]] = Sample(list, MOST_PAIRS)

    def add(self, pair: Pair) -> None:
        """Take a modified file."""
        for sample in [self._all, self._risen] if pair.rise >= RISE else [self._all]:
            kept = sample.at(pair.path)
            if kept is not None:
                kept.append(pair)

    def by_index(self, named: Pool, *, diluted: bool) -> Verdict:
        """Judge by compression alone.

        Args:
            named: files that were replaced by others.
            diluted: modified files are stored among much that was added and does not compress,
                so nothing follows from how well they do.
        """
        verdict = Verdict()
        for pool in [named] if diluted else [named, _pool(self._risen)]:
            hard = [pair for pair in pool.pairs if _is_hard(pair)]
            paths = tuple(pair.path for pair in hard)
            verdict = verdict.plus(
                Verdict(round(len(hard) * pool.factor), len(pool.suspected().pairs), paths)
            )
        return verdict

    def by_reading(self, named: Pool, files: int, loader: BlobLoader) -> Verdict:
        """Judge by pieces of some files, when some are suspected or many were rewritten.

        Args:
            named: files that were replaced by others.
            files: how many there were.
            loader: where data is.
        """
        trials = [
            (FEWEST_SUSPECTS, [_pool(self._risen), named.suspected()]),
            (max(FEWEST_SUSPECTS, MANY * files), [_pool(self._all), named]),
        ]
        best = Verdict()
        for fewest, pools in trials:
            if sum(pool.files for pool in pools) >= fewest:
                first, second = (_read(pool, loader) for pool in pools)
                best = max(best, first.plus(second))
        return best


def _read(pool: Pool, loader: BlobLoader) -> Verdict:
    chosen = pool.pairs[:: max(1, -(-len(pool.pairs) // MOST_READ))]
    loader.prefetch([blob for pair in chosen for blob in (pair.before, pair.after)])
    verdicts = [(pair.path, _is_lost(pair, loader)) for pair in chosen]
    examined = sum(verdict is not None for _, verdict in verdicts)
    paths = tuple(path for path, verdict in verdicts if verdict)
    return Verdict(round(pool.files * len(paths) / max(examined, 1)), examined, paths)


def _is_lost(pair: Pair, loader: BlobLoader) -> bool | None:
    """Whether a file became random; None when it cannot be read."""
    try:
        before, after = (
            look(loader.load(blob), at_start=pair.at_start) for blob in (pair.before, pair.after)
        )
    except DamagedRepository:
        return None
    return lost(before, after)


def _is_hard(pair: Pair) -> bool:
    if pair.stored_before is None or pair.stored_after is None:
        return False
    return pair.stored_before <= COMPRESSIBLE and pair.stored_after >= INCOMPRESSIBLE


def _pool(sample: Sample[list[Pair]]) -> Pool:
    return Pool([pair for pairs in sample.values() for pair in pairs], sample.factor)

"""Which survivors do no harm, and why: `explained.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from tests.mutation.mutants import Mutant

_FILE: Final = Path(__file__).with_name("explained.toml")


class Explained(NamedTuple):
    """A mutant that nobody could tell from the original.

    Attributes:
        module: its file below the package.
        where: the qualified name of the function.
        before: the lines that are changed.
        after: the same with the mistake.
        why: what makes it do no harm.
        nth: which of those that are the same otherwise, counted from 0.
    """

    module: str
    where: str
    before: str
    after: str
    why: str
    nth: int = 0

    def is_of(self, mutant: Mutant) -> bool:
        """Whether it is about this mutant."""
        said = (mutant.module, mutant.function, mutant.before, mutant.after, mutant.nth)
        return said == (self.module, self.where, self.before, self.after, self.nth)


def explained() -> list[Explained]:
    """All that is explained."""
    return [Explained(**entry) for entry in tomllib.loads(_FILE.read_text())["mutant"]]

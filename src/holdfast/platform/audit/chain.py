"""Looking at every line of a trail, and at what repositories have of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from holdfast.overrides import override
from holdfast.platform.audit.entry import (
    BEGINNING,
    JSON,
    TORN,
    TRAIL,
    AuditEntry,
    BadEntry,
    hashed,
    iso,
    parse,
)
from holdfast.platform.audit.lines import CANCELLED, Line
from holdfast.present import Column, Kind, Row, Shown, Table, columns, count, table_of

if TYPE_CHECKING:
    from holdfast.store import AuditAnchor

RestDigest = Callable[[int, int], str]
"""BLAKE3 of the file's bytes between two places, hexadecimal."""


@dataclass(frozen=True)
class AuditProblem(Row):
    """Something that nobody could do by only appending.

    Attributes:
        line: number of the line, from 1; 0 for the whole file.
        message: what is wrong.
    """

    line: int
    message: str

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(line=Kind.NUMBER, message=Kind.TEXT)


@dataclass(frozen=True)
class AuditVerification(Shown):
    """What a look at a trail has found.

    Attributes:
        trail: the trail's id; "" if there is none.
        entries: how many there are.
        head: hash of the last one; "" if there is none.
        problems: what was edited, put in, taken out, reordered or cut off.
        torn: numbers of lines that a crash or a full disk left unfinished. They hold no entry that
            anybody was told was written, and nothing is wrong with them.
        anchors: how many anchors of this trail were looked at.
        anchored: number of the last entry for which an anchor vouches, and with it for all before;
            -1 if there is none.
    """

    trail: str
    entries: int
    head: str
    problems: tuple[AuditProblem, ...]
    torn: tuple[int, ...]
    anchors: int
    anchored: int

    @property
    def ok(self) -> bool:
        """Whether no problem was found."""
        return not self.problems

    def dict(self) -> dict[str, JSON]:
        """All of it, ready for JSON."""
        return {"ok": self.ok, **asdict(self)}

    @override
    def _table(self) -> Table:
        wrong = count(len(self.problems), "problem")
        caption = f"Audit trail: {'nothing is wrong' if self.ok else wrong}"
        anchored = "none of them" if self.anchored < 0 else f"those up to {self.anchored:,}"
        told = (
            f"{count(self.entries, 'entry', 'entries')}; {count(self.anchors, 'anchor')} of this "
            f"trail, which vouch for {anchored}"
        )
        return table_of(AuditProblem, self.problems, caption, (told,))


class ChainVerifier:
    """Takes the lines of a trail in order, and says what is wrong with them.

    Args:
        anchors: of any trails, from any repositories.
        place: host and file of this trail. An anchor of another trail that was kept there says
            that this one took its place.
        rest_digest: tells what a part of the file hashes to.
    """

    def __init__(
        self, anchors: Iterable[AuditAnchor], place: tuple[str, str], rest_digest: RestDigest
    ) -> None:
        self._anchors = list(anchors)
        self._wanted = {each.sequence for each in self._anchors}
        self._place = place
        self._rest_digest = rest_digest
        self._problems: list[AuditProblem] = []
        self._torn: list[int] = []
        self._trail = ""
        self._count = 0
        self._last = _NONE
        self._is_ended = True
        self._found: dict[int, _Found] = {}
        self._rest: _Rest | None = None

    def take(self, line: Line) -> None:
        """Look at the next line."""
        if not self._is_ended:
            self._complain(line.number - 1, "this is no entry: it is longer than any")
        self._is_ended = line.is_ended
        try:
            entry = parse(line.data)
        except BadEntry as error:
            self._pass_over(line, error)
            return
        is_right = hashed(entry) == entry.hash
        if not is_right:
            self._complain(line.number, f"entry {entry.sequence} was changed: its hash is another")
        self._check_order(line.number, entry)
        self._check_rest(line, entry)
        self._count += 1
        self._last = entry
        if entry.sequence in self._wanted and is_right:
            self._found.setdefault(entry.sequence, _Found(line.number, entry.hash))

    def finish(self) -> AuditVerification:
        """All that is wrong, after the last line."""
        if self._rest is not None:
            self._torn += self._rest.torn
        mine = [each for each in self._anchors if each.trail == self._trail]
        agreeing = [each.sequence for each in mine if self._agrees(each)]
        for anchor in self._anchors:
            if anchor.trail != self._trail and (anchor.host, anchor.place) == self._place:
                self._complain(
                    0,
                    f"another trail, {anchor.trail}, was kept here: entry {anchor.sequence} of it "
                    f"was anchored at {iso(anchor.time_ns)}; it was removed or replaced",
                )
        return AuditVerification(
            trail=self._trail,
            entries=self._count,
            head=self._last.hash if self._count else "",
            problems=tuple(self._problems),
            torn=tuple(self._torn),
            anchors=len(mine),
            anchored=max(agreeing, default=-1),
        )

    def _complain(self, line: int, message: str) -> None:
        self._problems.append(AuditProblem(line, message))

    def _pass_over(self, line: Line, error: BadEntry) -> None:
        """Note a line that is no entry; whoever appended next has put down what it was."""
        if self._rest is None:
            self._rest = _Rest(line.start)
        if line.data.endswith(CANCELLED) or not line.is_ended:
            self._rest.torn.append(line.number)
        else:
            self._complain(line.number, f"this is no entry: {error}")

    def _check_order(self, number: int, entry: AuditEntry) -> None:
        last = self._last
        if entry.sequence != last.sequence + 1:
            after = f"entry {last.sequence}" if self._count else "nothing"
            self._complain(
                number,
                f"entry {entry.sequence} is after {after}: lines were put in, taken out or moved",
            )
        elif entry.previous != last.hash:
            self._complain(number, f"entry {entry.sequence} does not belong to what is before it")
        if (entry.event == TRAIL) != (entry.sequence == 0):
            self._complain(number, "a trail begins with the entry that gives its id, and no other")
        elif not self._count:
            self._trail = str(entry.details.get("trail", ""))

    def _check_rest(self, line: Line, entry: AuditEntry) -> None:
        """Compare what an entry says was set aside with what is there."""
        rest = self._rest
        if rest is None:
            if entry.event == TORN:
                self._complain(line.number, "the unfinished lines that were before it are missing")
            return
        rest.end = line.start if rest.end is None else rest.end
        if entry.event == TRAIL and not self._count:
            return  # the entry that tells of them is the second
        self._rest = None
        if entry.event != TORN:
            for number in rest.torn:
                self._complain(number, "an unfinished line that no entry tells of")
        elif entry.details != said_of_rest(rest.end - rest.start, self._digest(rest)):
            self._complain(line.number, "the unfinished lines before it were changed")
        else:
            self._torn += rest.torn

    def _digest(self, rest: _Rest) -> str:
        return self._rest_digest(rest.start, rest.end or rest.start)

    def _agrees(self, anchor: AuditAnchor) -> bool:
        """Whether this trail has what an anchor says; else that is a problem."""
        found = self._found.get(anchor.sequence)
        when = iso(anchor.time_ns)
        if found is None:
            last = f"the last is {self._last.sequence}" if self._count else "there is none"
            self._complain(
                0, f"entry {anchor.sequence}, anchored at {when}, is not there as it was: {last}"
            )
            return False
        if found.hash != anchor.digest:
            self._complain(
                found.line,
                f"entry {anchor.sequence} is not the one that was anchored at {when}: the trail "
                "was rewritten",
            )
            return False
        if not self._is_ended and anchor.sequence == self._last.sequence:
            self._complain(found.line, "the end of the line was cut off")
        return True


class _Found(NamedTuple):
    """Where an entry is that was anchored, and its hash."""

    line: int
    hash: str


@dataclass
class _Rest:
    """Lines that are no entries, between two that are."""

    start: int
    end: int | None = None
    torn: list[int] = field(default_factory=list)


def said_of_rest(size: int, digest: str) -> dict[str, JSON]:
    """What an entry of the event `TORN` says of the bytes before it."""
    return {"bytes": size, "digest": digest}


_NONE = AuditEntry(-1, "", "", "", "", 0, "", "", "", "", {}, BEGINNING, BEGINNING)
"""What the first entry follows."""

"""Lines of files that match a pattern, in one snapshot or in many.

All snapshots are searched at once, going down their trees side by side (`search`), and what they
have in common is read once: each distinct content, whatever number of snapshots and paths hold it.
What was found in a content is remembered, in bounded memory, for the other paths that have it; what
had to be forgotten is read again (`contents`). Small files are read many at a time, in the order in
which they are stored; while some are searched the next ones are fetched.
"""

from __future__ import annotations

from holdfast.operations.grep.records import GrepCounts, GrepOptions, Match, MatchKind
from holdfast.operations.grep.search import Grep, grep

__all__ = ["Grep", "GrepCounts", "GrepOptions", "Match", "MatchKind", "grep"]

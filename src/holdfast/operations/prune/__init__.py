"""Prune: give back the space of what no snapshot needs, beside running backups.

What is needed is found out (`survey`), what goes and what moves is decided (`plan`), what moves is
stored anew (`repack`), and then packs are condemned and, once no session can build upon them any
more, deleted (`prune`). The protocol is in docs/format.md, F54 to F56.
"""

from holdfast.operations.prune.options import EXPIRE_AFTER, MaxUnused, PruneOptions
from holdfast.operations.prune.prune import prune
from holdfast.operations.prune.result import PruneResult, Waiting

__all__ = ["EXPIRE_AFTER", "MaxUnused", "PruneOptions", "PruneResult", "Waiting", "prune"]

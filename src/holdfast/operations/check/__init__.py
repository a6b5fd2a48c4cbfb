"""Check: is everything there, unharmed, and enough to restore every snapshot?

Objects are opened, the index is compared with the packs, and every tree of every snapshot is
walked (`check`). What is wrong is data: a list of findings (`report`) that say which object it
is, what is the matter with it, and which snapshots and paths it hurts (`holdfast.operations.hurt`).
"""

from holdfast.operations.check.check import check
from holdfast.operations.check.report import (
    CheckOptions,
    CheckReport,
    Finding,
    FindingKind,
    ReadData,
)

__all__ = ["CheckOptions", "CheckReport", "Finding", "FindingKind", "ReadData", "check"]

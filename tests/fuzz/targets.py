"""All targets, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fuzz import commands, files, keys, objects, packs, repositories, texts, trees

if TYPE_CHECKING:
    from tests.fuzz.engine import Target

TARGETS: dict[str, Target] = {
    target.name: target
    for module in (objects, packs, trees, keys, texts, files, repositories, commands)
    for target in module.TARGETS
}

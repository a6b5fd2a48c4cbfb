"""Every command and every verb of the library is tried with operations that fail."""

from __future__ import annotations

from collections.abc import Iterator

import click
from tests.faults import test_every_command, test_every_verb

from holdfast.cli.app import app
from holdfast.engine.repository import Repository

TRIED = {each.name for each in (*test_every_command.COMMANDS, *test_every_command.LOCAL)}

LASTING = {
    "mount": test_every_verb.test_what_is_mounted_is_whole_or_an_error,
    "serve": test_every_verb.test_what_is_served_is_whole_or_broken_off,
    "storage test": test_every_verb.test_a_storage_that_fails_is_not_told_to_be_good,
}
"""Commands that last, or need no repository, and what tries them."""

COMMANDS_OF = {
    "add_key": "key add",
    "anomalies": "anomalies",
    "backup": "create",
    "backup_command": "create",
    "cat": "cat",
    "change_password": "key passwd",
    "check": "validate",
    "compare": "compare",
    "copy": "copy",
    "diff": "diff",
    "expire_session": "sessions",
    "find": "find",
    "finish_rotation": "key rotate",
    "forget": "forget",
    "grep": "grep",
    "history": "history",
    "hold": "tag",
    "prune": "prune",
    "recovery_key": "key recovery",
    "release": "tag",
    "remove_key": "key remove",
    "repair_index": "repair index",
    "repair_packs": "repair packs",
    "repair_snapshots": "repair snapshots",
    "restore": "restore",
    "restore_access": "key recovery",
    "rewrite": "rewrite",
    "rotate_keys": "key rotate",
    "stats": "stats",
    "tag": "tag",
    "timeline": "timeline",
    "undelete": "undelete",
    "usage": "usage",
}
"""The verbs that are commands, and those."""

HARMLESS = {"close", "id", "location"}
"""What asks nothing of a storage."""

MOUNTING = {"mount", "mounted", "serve"}
"""They last; `mounted` has another process do what `mount` does."""


def test_every_command_is_tried() -> None:
    assert TRIED | LASTING.keys() == set(names_of(app))
    assert all(callable(test) for test in LASTING.values())


def test_every_verb_is_tried() -> None:
    public = {name for name in dir(Repository) if not name.startswith("_")}
    here = test_every_verb.READS.keys() | test_every_verb.WRITES.keys()
    assert public - here - MOUNTING - HARMLESS == COMMANDS_OF.keys()
    assert set(COMMANDS_OF.values()) <= TRIED


def names_of(group: click.Group, above: str = "") -> Iterator[str]:
    """The commands of a group and of groups in it, by what is typed."""
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if isinstance(found, click.Group):
            yield from names_of(found, f"{above}{name} ")
        else:
            yield f"{above}{name}"

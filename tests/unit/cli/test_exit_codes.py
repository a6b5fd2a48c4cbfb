"""Each error ends with the exit code that is documented for it."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

import holdfast
from holdfast.cli.app import EXIT_CODES
from holdfast.cli.exit_codes import CommandError, ExitCode, exit_code_of

GUIDE = Path(__file__).parents[3] / "docs/guide/reference.md"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (holdfast.WrongPassword("x"), 12),
        (holdfast.RepositoryNotFound("x"), 10),
        (holdfast.UsageError("x"), 2),
        (click.NoSuchOption("x"), 2),
        (click.BadParameter("x"), 2),
        (click.Abort(), 130),
        (KeyboardInterrupt(), 130),
        (CommandError("x"), 1),
        (CommandError("x", ExitCode.DAMAGED), 4),
        (holdfast.DamagedRepository("x", "y"), 1),
        (holdfast.StorageFull("x", "y"), 1),
        (holdfast.SnapshotNotFound("x"), 1),
        (holdfast.SourceError("x"), 1),
        (ZeroDivisionError(), 1),
    ],
)
def test_codes_of_errors(error: BaseException, code: int) -> None:
    assert exit_code_of(error) == code


def test_the_help_and_the_guide_name_every_code() -> None:
    documented = set(re.findall(r"^\| (\d+) \|", GUIDE.read_text("utf-8"), re.MULTILINE))
    helped = set(re.findall(r"^  (\d+) ", EXIT_CODES, re.MULTILINE))
    codes = {str(int(code)) for code in ExitCode}
    assert helped == codes
    assert documented == codes

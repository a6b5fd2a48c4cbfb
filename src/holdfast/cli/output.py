"""What goes to standard output: text for people, or exactly one JSON document.

A long list is written as it is found, so it never has to be in memory whole. When the command
fails half-way, the document is closed all the same and says so in its last field, ``error``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from holdfast.cli.exit_codes import ExitCode
from holdfast.cli.text import escaped


class Output:
    """Standard output and error of one command.

    Attributes:
        json: standard output is one JSON document.
        quiet: no summaries and no progress.
        verbose: more is told.
    """

    def __init__(self, *, json: bool = False) -> None:
        self.json = json
        self.quiet = False
        self.verbose = False
        self._is_open = False

    def summary(self, *lines: str) -> None:
        """Lines that tell a person what was done; they are escaped here."""
        if not self.quiet:
            for line in lines:
                print(escaped(line))

    def document(self, record: dict[str, object]) -> None:
        """The JSON document, all at once."""
        with self.streamed():
            for name, value in record.items():
                self.field(name, value)

    @contextmanager
    def streamed(self) -> Iterator[None]:
        """Write the JSON document field by field; an exception leaves it to `fail` to close it."""
        yield
        self._close()

    def field(self, name: str, value: object) -> None:
        """A field of the document."""
        self._begin(name)
        sys.stdout.write(_dumps(value))

    def array(self, name: str, items: Iterable[object]) -> None:
        """A field that is an array, written item by item."""
        self._begin(name)
        separator = "["
        try:
            for item in items:
                sys.stdout.write(f"{separator}\n{_dumps(item)}")
                separator = ","
        finally:
            sys.stdout.write("[]" if separator == "[" else "\n]")

    def fail(self, kind: str, message: str, code: ExitCode) -> None:
        """Say why the command failed, in one line and, with ``--json``, in the document."""
        complain("error", message)
        if self.json:
            error = {"type": kind, "message": message, "exit_code": int(code)}
            self.field("error", error)
            self._close()

    def _begin(self, name: str) -> None:
        sys.stdout.write((",\n" if self._is_open else "{\n") + _dumps(name) + ": ")
        self._is_open = True

    def _close(self) -> None:
        sys.stdout.write("\n}\n" if self._is_open else "{}\n")
        self._is_open = False


def complain(level: str, message: str) -> None:
    """Print a message of some severity to standard error."""
    first, *rest = message.splitlines() or [""]
    print(f"holdfast: {level}: {escaped(first)}", file=sys.stderr)
    for line in rest:
        print(f"  {escaped(line)}", file=sys.stderr)


def _dumps(value: object) -> str:
    # Only ASCII: odd bytes of names, which are surrogates here, are legal as \\udcXX escapes.
    return json.dumps(value, allow_nan=False)

"""Log records and warnings of the library, as lines on standard error."""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from typing import TextIO

from holdfast.cli.text import escaped
from holdfast.overrides import override


class _Handler(logging.Handler):
    """Writes to what is standard error at that moment: a progress bar takes its place."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        level = record.levelname.lower()
        where = f"[{record.name}] " if record.levelno < logging.INFO else ""
        try:
            print(f"holdfast: {level}: {where}{escaped(record.getMessage())}", file=sys.stderr)
            if record.exc_info and logging.getLogger().isEnabledFor(logging.DEBUG):
                traceback.print_exception(*record.exc_info)
        except (OSError, ValueError):
            self.handleError(record)


def set_up(level: int) -> None:
    """Show log records of at least that level, and Python's warnings as such."""
    root = logging.getLogger()
    handler = _Handler()
    handler.addFilter(_is_told)
    root.handlers = [handler]
    root.setLevel(level)
    warnings.showwarning = _show_warning


def _is_told(record: logging.LogRecord) -> bool:
    """Whether a record is ours; of other libraries only problems, and only when debugging.

    The drivers of stores log their requests, with what signs them, and every error that we tell.
    """
    if record.name.partition(".")[0] == "holdfast":
        return True
    return record.levelno >= logging.WARNING and logging.getLogger().isEnabledFor(logging.DEBUG)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001 - likewise
    line: str | None = None,  # noqa: ARG001 - likewise
) -> None:
    logging.getLogger("holdfast").warning("%s", message)
    logging.getLogger("holdfast").debug("%s at %s:%d", category.__name__, filename, lineno)

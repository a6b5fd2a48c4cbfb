"""Log records and warnings of the library, as lines on standard error."""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from typing import TextIO

from holdfast.cli.text import escaped
from holdfast.errors import UsageError
from holdfast.overrides import override
from holdfast.settings import Config


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


def set_up_audit(config: Config) -> None:
    """Let the logger ``audit`` write to the file that the config file names, if it names one.

    Raises:
        UsageError: the file cannot be written.
    """
    audit = config.blocks.audit if config.blocks is not None else None
    if audit is None or audit.log_file is None:
        return
    try:
        handler = logging.FileHandler(audit.log_file, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UsageError(f"audit.log_file {audit.log_file}: {error.strerror}") from None
    handler.setFormatter(logging.Formatter("%(asctime)s - %(message)s"))
    logger = logging.getLogger("audit")
    for old in logger.handlers:
        old.close()
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)


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

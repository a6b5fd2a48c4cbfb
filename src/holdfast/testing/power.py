"""The end of a process, for plans of `holdfast.backend.Faulty`."""

from __future__ import annotations


class PowerCut(BaseException):
    """The process is gone: no handler may do anything about it."""

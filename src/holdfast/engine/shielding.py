"""No secret in a traceback: who reports errors may send the variables of every function along."""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")


def shielded(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Have no error come out of a function with the values that it was given, or worked with.

    For functions that take passwords or keys. What was raised keeps its traceback, but the
    functions in it have forgotten their variables; so have those of its causes.
    """

    @functools.wraps(function)
    def shielding(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        handled = sys.exception()  # by the caller, whose business it is
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            del args, kwargs
            _forget(error, handled)
            raise

    return shielding


def _forget(error: BaseException, handled: BaseException | None) -> None:
    found = {id(None), id(handled)}
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is not None and id(each) not in found:
            found.add(id(each))
            traceback.clear_frames(each.__traceback__)
            left += (each.__cause__, each.__context__)

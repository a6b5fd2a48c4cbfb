"""`override`, which says that a method takes the place of a base class's, checked by mypy."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import override
else:

    def override(method: object) -> object:
        """What `typing.override` is from Python 3.12 on."""
        return method


__all__ = ["override"]

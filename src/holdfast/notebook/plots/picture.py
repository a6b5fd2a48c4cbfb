"""A figure that a notebook shows by itself. Imported when a plot is made: it takes matplotlib."""

from __future__ import annotations

import io
from typing import Final

from matplotlib.figure import Figure

DPI: Final = 110
"""Legible on any screen; a picture takes some 40 kB."""


class Picture(Figure):
    """A matplotlib figure outside pyplot, which only pyplot's own figures are shown without."""

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        output = io.BytesIO()
        self.savefig(output, format="png", dpi=DPI)
        return output.getvalue()

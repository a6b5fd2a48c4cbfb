"""Plots of what a repository holds, for notebooks and for files.

Each takes results of the engine and gives a matplotlib figure, drawn without pyplot: nothing global
is read or changed, so that they may be made in any thread. A figure shows itself in a notebook, and
``figure.savefig("growth.png")`` keeps it. All draw on white, whatever the notebook's colours are,
in the colours of Okabe and Ito, which people with any kind of sight can tell apart.
"""

from __future__ import annotations

from holdfast.notebook.plots.calendar import plot_calendar
from holdfast.notebook.plots.growth import plot_growth
from holdfast.notebook.plots.timeline import plot_timeline
from holdfast.notebook.plots.treemap import plot_treemap

__all__ = ["plot_calendar", "plot_growth", "plot_timeline", "plot_treemap"]
